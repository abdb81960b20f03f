"""A sampler on a grid, as it was found best for a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semilinear.diffusion.catalogue import Sampler
from semilinear.diffusion.correction import BORNE, LATE, Correction
from semilinear.diffusion.diffusion_plan import DiffusionPlan
from semilinear.diffusion.noise_levels import NoiseLevel
from semilinear.diffusion.plan import plan
from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.immutable import Immutable


@dataclass(frozen=True, eq=False)
class Fit(Immutable):
    """A sampler on a grid, as it was found best.

    Attributes
    ----------
    sampler, final, noise, start, lower_end, estimate
        The sampler, the ending, the noise level of stochastic samplers, and what else a plan takes.
    times
        Grid times, read-only; for ``diffusion.plan(grid=...)``.
    family
        What the grid is: a name of `FAMILIES`, ``"fitted"``, and where it ends.
    error
        Mean distance from the flow on the pilot, root mean square over the entries of a sample. Of
        samplers with noise, the mean logarithm of the network's denoising loss on their samples,
        against that at the ends of the reverse SDE.
    candidates
        Those compared on all samples of the last round, the best first: (sampler, family, error).
    evaluations
        Of the model by each sample of the pilot, the reference included.
    schedule, prediction
        What it was made for.
    correction
        Whether noise was found to help the network; None where only samplers of the flow were
        compared.
    """

    sampler: Sampler
    final: str
    times: np.ndarray
    family: str
    error: float
    candidates: tuple[tuple[str, str, float], ...]
    evaluations: int
    schedule: NoiseSchedule
    prediction: str
    noise: NoiseLevel | None = None
    correction: Correction | None = None
    start: str = "ramp"
    lower_end: bool | str = False
    estimate: bool = False

    def __post_init__(self) -> None:
        times = np.array(self.times)
        times.flags.writeable = False
        object.__setattr__(self, "times", times)

    def plan(self) -> DiffusionPlan:
        """Return the plan."""
        return plan(
            self.schedule,
            method=self.sampler,
            grid=self.times,
            prediction=self.prediction,
            final=self.final,
            noise=self.noise,
            start=self.start,
            lower_end=self.lower_end,
            estimate=self.estimate,
        )

    @property
    def reason(self) -> str:
        """What was chosen, and why, in one sentence."""
        name, cell = self.sampler.name, self.sampler.parameterisation
        text = (
            f"{name} ({cell.quantity} over {cell.variable}, order {self.sampler.order}) on the "
            f"grid {self.family}, {self.plan().nfe} evaluations: "
        )
        return text + (self._of_flow if self.noise is None else self._of_noise)

    @property
    def _of_flow(self) -> str:
        others = [c for c in self.candidates if c[0] != self.sampler.name]
        count = len(self.candidates)
        text = f"mean error {self.error:.4g} on the pilot, the least of {count} compared"
        if others:
            text += f"; next {others[0][0]} on {others[0][1]} with {others[0][2]:.4g}"
        if self.correction is not None:
            text += f"; noise would not help: {self._said}"
        return text

    @property
    def _of_noise(self) -> str:
        text, loss = f"noise corrects the network: {self._said}; ", np.exp(self.error)
        if self.sampler.name == LATE:
            return text + (
                "even the boldest of the samplers with noise has about the loss of the reverse "
                f"SDE's; then this one is taken ({loss:.2f} times)"
            )
        if self.error <= BORNE:
            return text + (
                "this is the boldest of the samplers with noise that leaves samples with at most "
                f"{np.exp(BORNE):g} times the loss of the reverse SDE's ({loss:.2f} times)"
            )
        return text + (
            f"no sampler with noise leaves samples with at most {np.exp(BORNE):g} times the loss "
            f"of the reverse SDE's; this one comes nearest ({loss:.2f} times)"
        )

    @property
    def _said(self) -> str:
        assert self.correction is not None
        excess, deviation = self.correction.excess, self.correction.deviation
        return (
            f"the model's denoising loss on samples of the flow is {abs(excess):.1%} "
            f"{'above' if excess > 0 else 'below'} that on samples of the reverse SDE "
            f"({abs(deviation):.1f} standard errors)"
        )

    def __str__(self) -> str:
        lines = [self.reason]
        lines += [f"  {error:<10.4g} {name:16} {family}" for name, family, error in self.candidates]
        return "\n".join(lines[:13])
