"""`SemilinearScheduler`: any sampler of this package in the pipelines of diffusers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from math import inf
from typing import Any, TypeAlias

import numpy as np
import torch
from diffusers import ConfigMixin, SchedulerMixin
from diffusers.configuration_utils import register_to_config
from diffusers.schedulers.scheduling_utils import KarrasDiffusionSchedulers, SchedulerOutput

from semilinear.adapters.diffusers.course import PipelineCourse, time_of
from semilinear.adapters.diffusers.foreign import translated
from semilinear.adapters.diffusers.forward import ForwardProcess
from semilinear.adapters.diffusers.ladder import ladder, training
from semilinear.adapters.diffusers.lead_in import LeadIn
from semilinear.adapters.diffusers.owner import UNWRITTEN
from semilinear.adapters.diffusers.run import Generator, PipelineRun
from semilinear.adapters.diffusers.settings import discrete, read
from semilinear.adapters.diffusers.timesteps import IssuedTimesteps, number
from semilinear.adapters.diffusers.turns import Turns
from semilinear.errors import InvalidArgument

AnyRun: TypeAlias = PipelineRun | LeadIn


class SemilinearScheduler(ForwardProcess, SchedulerMixin, ConfigMixin):  # type: ignore[misc]
    """The samplers of this package as a scheduler: ``pipe.scheduler = ...from_config(...)``.

    With its defaults the exponential Adams method in log rho of order 2, as diffusers'
    `DEISMultistepScheduler`, but its last step goes to sigma = 0. Keys that other schedulers have
    too mean the same here.

    Parameters
    ----------
    num_train_timesteps, beta_start, beta_end, beta_schedule, trained_betas
        The noise that the network was trained on.
    rescale_betas_zero_snr
        Whether it was trained with zero terminal SNR.
    solver_order
        Order of the log-rho Adams method, 1 to 7; of no effect beside `method`.
    prediction_type
        ``"epsilon"``, ``"sample"``, ``"v_prediction"`` or ``"flow_prediction"``.
    thresholding, dynamic_thresholding_ratio, sample_max_value
        Dynamic thresholding of x_0.
    lower_order_final
        Whether the order falls to one towards the end, for any number of steps.
    use_karras_sigmas, use_exponential_sigmas, use_beta_sigmas
        How sigma / alpha is spaced, instead of by `timestep_spacing`.
    timestep_spacing, steps_offset
        ``"linspace"``, ``"leading"`` or ``"trailing"`` timesteps.
    leading_from_zero
        Whether ``"leading"`` timesteps count from zero, as those of DDPM, DDIM, PNDM, Euler, Heun,
        LMS and KDPM2, or from the timestep after it, as those of DEIS, DPM-Solver and UniPC.
    final_sigmas_type
        Where the last step ends: ``"zero"`` or ``"sigma_min"``, the least of the training.
    use_flow_sigmas, flow_shift
        The path of a flow, x = (1 - sigma) x_0 + sigma eps, and the shift of its noise levels.
    use_dynamic_shifting, time_shift_type
        Whether the shift comes as `mu` of `set_timesteps`, and whether as its logarithm
        (``"exponential"``) or as it is (``"linear"``).
    shift, shift_terminal
        Of flow-matching schedulers: their shift, which makes the path a flow and their ladder the
        default; the last noise level above zero.
    variance_type
        ``"learned"`` or ``"learned_range"`` for a network that returns a variance in as many
        channels again, which are left out; others have no effect.
    method
        A sampler by name, see `semilinear.diffusion.names`; None for log-rho Adams.
    predictor_order, corrector_order
        Of SA-Solver, 1 to 4, which either of them chooses; ``method="sa_solver_pece"`` evaluates
        twice. The other one is 2 if it is not given.
    eta, tau
        How much noise enters: eta of DDIM (of ancestral samplers, theirs), or the noise level tau,
        1 for the reverse SDE. None: what the sampler's name says.
    noise
        Instead of them, any noise level in writing: ``"within=1,low=0.2,high=0.8"`` (tau in the
        middle of the timesteps), ``"churn=40,low=0.05,high=50,scale=1.003"`` (S_churn, S_tmin,
        S_tmax and S_noise of EDM), ``"ancestral=1"``, ``"er_sde"``, ``"tau=1,scale=0.9"``,
        ``"eta=0.5,scale=0.9"``.
    exact, start
        As in `semilinear.diffusion.plan`. With ``start="rk"`` the first steps of a multistep method
        take several evaluations.
    lambda_min_clipped
        Of DPM-Solver: the least ln(alpha / sigma) among the timesteps of `timestep_spacing`. With
        cosine betas, -5.1 leaves out those of nothing but noise.

    Attributes
    ----------
    timesteps
        What the network is told at each evaluation; methods of several evaluations per step have
        `order` of them for each step of `num_inference_steps`.
    sigmas
        Noise level at each, and at the end: sigma / alpha, or sigma of a flow; on the CPU.

    Notes
    -----
    The state of a run is float32 (or float64) whatever the pipeline uses, and is replaced by the
    sample that `step` is given if that is not the one it returned last. Noise is drawn from the
    `generator` of `step`, one or a list with one for each sample.
    """

    _compatibles = [e.name for e in KarrasDiffusionSchedulers]  # noqa: RUF012 (diffusers' name)
    order = 1

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        num_train_timesteps: int = 1000,
        beta_start: float = 0.0001,
        beta_end: float = 0.02,
        beta_schedule: str = "linear",
        trained_betas: np.ndarray | list[float] | None = None,
        solver_order: int = 2,
        prediction_type: str = "epsilon",
        thresholding: bool = False,
        dynamic_thresholding_ratio: float = 0.995,
        sample_max_value: float = 1.0,
        lower_order_final: bool = True,
        use_karras_sigmas: bool = False,
        use_exponential_sigmas: bool = False,
        use_beta_sigmas: bool = False,
        use_flow_sigmas: bool = False,
        flow_shift: float = 1.0,
        final_sigmas_type: str = "zero",
        timestep_spacing: str = "linspace",
        steps_offset: int = 0,
        rescale_betas_zero_snr: bool = False,
        use_dynamic_shifting: bool = False,
        time_shift_type: str = "exponential",
        shift: float | None = None,
        shift_terminal: float | None = None,
        variance_type: str | None = "fixed_small",
        leading_from_zero: bool = False,
        method: str | None = None,
        predictor_order: int | None = None,
        corrector_order: int | None = None,
        eta: float | None = None,
        tau: float | None = None,
        noise: str | None = None,
        exact: bool = False,
        start: str = "ramp",
        lambda_min_clipped: float = -inf,
    ) -> None:
        settings = read(self.config)
        path = discrete(self.config)
        squared = np.exp(2.0 * np.array(path.log_alphas))
        ratios = squared / np.append(1.0, squared[:-1])
        self.alphas_cumprod = torch.from_numpy(squared.astype(np.float32))
        self.alphas = torch.from_numpy(ratios.astype(np.float32))
        self.betas = torch.from_numpy((1.0 - ratios).astype(np.float32))
        self.init_noise_sigma = 1.0
        self.order = settings.evaluations
        self.num_inference_steps: int | None = None
        self._begin_index: int | None = None
        self._course: PipelineCourse | None = None
        self._run: AnyRun | None = None
        self._turns = Turns()
        told, levels = training(settings)
        self._put(told, levels, device=None, whole=not settings.is_flow)

    @classmethod
    def from_config(
        cls, config: Any = None, return_unused_kwargs: bool = False, **kwargs: Any
    ) -> Any:
        """Return a scheduler for the configuration of another one, or say why there is none.

        Parameters
        ----------
        config
            Of a scheduler for VP noise with betas, or of a flow-matching one, whose `shift` and
            prediction are taken over. If it is of `SASolverScheduler`,
            `EulerAncestralDiscreteScheduler`, `KDPM2AncestralDiscreteScheduler` or a
            `DPMSolverMultistepScheduler` for the SDE, so is the sampler, unless `method` or
            `solver_order` are given beside it. Others are refused.
        return_unused_kwargs
            Whether to return a tuple with what was not used.
        **kwargs
            Keys that replace those of `config`; a sampler, its noise too.
        """
        if isinstance(config, dict):
            config = translated(config, cls._get_init_keys(cls), kwargs)
        return super().from_config(config, return_unused_kwargs, **kwargs)

    @property
    def step_index(self) -> int | None:
        """The evaluation whose turn it is; None before the first step of a run."""
        return None if self._run is None else self._run.index

    @property
    def begin_index(self) -> int | None:
        """The evaluation with which runs begin; None to find it by its timestep."""
        return self._begin_index

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Let the next run begin with an evaluation that is not the first."""
        if self._course is not None and self._issued.has(begin_index):
            self._course.check_start(begin_index)
        self._begin_index = begin_index

    def set_timesteps(
        self,
        num_inference_steps: int | None = None,
        device: str | torch.device | None = None,
        *,
        timesteps: Sequence[float] | None = None,
        sigmas: Sequence[float] | None = None,
        mu: float | None = None,
    ) -> None:
        """Make the plan of the next run, and forget the last one.

        Parameters
        ----------
        num_inference_steps
            Number of steps; the evaluations are `order` times as many, without those of stages that
            the last step does not need, and with those of starting steps (``start="rk"``). With
            lists of one's own `order` is 1, as pipelines then count evaluations.
        device
            Where `timesteps` go.
        timesteps
            Where the steps begin, in place of the ladder of the configuration; real numbers may be
            among them. Together with as many `sigmas` only what the network is told.
        sigmas
            Noise levels where the steps begin, in the place of the ladder: sigma / alpha, or sigma
            of a flow, before it is shifted. A zero at the end may be left out.
        mu
            The shift of this run, for use_dynamic_shifting=True.
        """
        settings = read(self.config)
        made = ladder(settings, num_inference_steps, timesteps=timesteps, sigmas=sigmas, mu=mu)
        course = PipelineCourse(settings, made)
        self._turns.take_over(unfinished=self._run is not None and not self._run.done)
        self._course, self._run, self._begin_index = course, None, None
        self.num_inference_steps = course.steps
        # Pipelines that give a list count its evaluations as steps, and would multiply them again.
        given = timesteps is not None or sigmas is not None
        self.order = 1 if given else settings.evaluations
        self._put(course.told, course.levels, device=device, whole=not settings.is_flow)

    def _put(self, told: np.ndarray, levels: np.ndarray, *, device: Any, whole: bool) -> None:
        dtype = torch.int64 if whole and (told == told.round()).all() else torch.float32
        timesteps = torch.from_numpy(told.copy()).to(dtype)
        self.timesteps = timesteps.to(device)
        self.sigmas = torch.from_numpy(levels.astype(np.float32))
        self._issued = IssuedTimesteps(self.timesteps, timesteps.tolist())

    def step(
        self,
        model_output: torch.Tensor,
        timestep: float | torch.Tensor,
        sample: torch.Tensor,
        generator: Generator = None,
        return_dict: bool = True,
    ) -> SchedulerOutput | tuple[torch.Tensor]:
        """Return the sample at which the network is asked next.

        Parameters
        ----------
        model_output
            The network's answer at `sample`.
        timestep
            The one of `timesteps` whose turn it is.
        sample
            What the network saw.
        generator
            For stochastic samplers: one, or a list with one for each sample.
        return_dict
            Whether to return a `SchedulerOutput`, or a tuple.
        """
        run = self._run
        self._turns.check()
        if run is None:
            run = self._begun(timestep, sample)
        elif run.done:
            raise InvalidArgument(
                f"timestep={number(timestep):.9g}: the run is over; set_timesteps begins another"
            )
        elif not self._issued.is_at(timestep, run.index):
            raise InvalidArgument(self._issued.out_of_turn(timestep, run.index))
        elif isinstance(run, LeadIn) and run.has_arrived:
            run = self._run_from(run.index, sample)
        previous = run.advance(model_output, sample, generator)
        self._run = run
        return SchedulerOutput(prev_sample=previous) if return_dict else (previous,)

    def _begun(self, timestep: float | torch.Tensor, sample: torch.Tensor) -> AnyRun:
        if self._course is None:
            raise InvalidArgument("there is no run yet: call set_timesteps before step")
        index = self._begin_index
        if index is None:
            index = self._issued.index(timestep, among=self._course.starts)
            self._course.check_start(index)
        elif not self._issued.is_at(timestep, index):
            raise InvalidArgument(self._issued.out_of_turn(timestep, index))
        return self._run_from(index, sample)

    def _run_from(self, index: int, sample: torch.Tensor) -> AnyRun:
        course = self._course
        assert course is not None
        is_start = index in course.starts
        return PipelineRun(course, index, sample) if is_start else LeadIn(course, index)

    def scale_model_input(
        self, sample: torch.Tensor, timestep: float | torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return the sample as it is: networks see x."""
        return sample

    def _scales(self, timesteps: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        course, run = self._course, self._run
        if course is not None and self._begin_index is not None:
            # Of the sample that the pipeline has in hand, whatever timesteps it names.
            index = self._begin_index if run is None else run.index
            if run is None and not self._issued.has(index):
                raise InvalidArgument(self._issued.no_index(index))
            alpha, sigma = course.scales
            return alpha[[index]], sigma[[index]]
        told = timesteps.detach().cpu().reshape(-1).double().numpy()
        if course is not None:
            path, times = course.settings.path, course.time_of(told)
        else:
            settings = read(self.config)
            path, times = settings.path, time_of(settings, told)
        return path.alpha(times), path.sigma(times)

    def to_json_string(self) -> str:
        """Return the configuration as it is written to a file."""
        written = json.loads(super().to_json_string())
        for key in UNWRITTEN:
            if written[key] is None:
                del written[key]
        return json.dumps(written, indent=2, sort_keys=True) + "\n"

    def __copy__(self) -> SemilinearScheduler:
        try:  # a run belongs to one scheduler
            return deepcopy(self)
        except RuntimeError as error:
            raise InvalidArgument(
                "a run that records gradients cannot be copied; copy the scheduler before it"
            ) from error

    def __len__(self) -> int:
        return int(self.config.num_train_timesteps)
