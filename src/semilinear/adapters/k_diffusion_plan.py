"""What a sampler of k-diffusion is in the core: its method, its noise, its plan beside sigmas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf, sqrt
from typing import Any, NamedTuple

from semilinear import given
from semilinear.diffusion import (
    Ancestral,
    Churn,
    DiffusionPlan,
    Eta,
    NoiseLevel,
    Sampler,
    Tau,
    TauWithin,
    catalogue,
    names,
)
from semilinear.diffusion.parameterisations import VELOCITY
from semilinear.diffusion.variables import VARIABLES
from semilinear.errors import InvalidArgument, UnknownName
from semilinear.given import nonnegative
from semilinear.methods import Multistep
from semilinear.methods.rows import Combine, Draw, Evaluate, Increment, Step
from semilinear.methods.simplified import HALF_SECOND
from semilinear.plan import slopes_of

SPELLINGS = {
    "euler": "ddim",  # the same formula where alpha = 1; noise can be added to this one
    "dpm_2": "dpm_solver_2s",
    "dpm_2_ancestral": "dpm2_ancestral",
    "lms": "rhoab3",
}
"""Names of k-diffusion for samplers that are called otherwise here."""

NAMES = tuple(dict.fromkeys((*names(), *catalogue.ALIASES, *SPELLINGS)))
"""All names NAME for which there is ``sample_NAME``."""

LOW, HIGH = 0.05, 50.0
"""Where SA-Solver adds noise: the interval of Karras et al. (2022), table 5, for ImageNet-64."""


_DPM3M = Multistep(
    "dpm3m_k", 3, "P", 2, "k-diffusion, DPM++ 3M SDE", simplified=((3, HALF_SECOND),)
)
"""Its second step, the only one with two values, has their exact weights."""


def sampler(name: str | Sampler) -> Sampler:
    """Return the sampler that ``sample_NAME`` runs."""
    if isinstance(name, Sampler):
        return name
    if name not in catalogue.ELSEWHERE:  # of which the catalogue says where it is
        UnknownName.check("method", name, NAMES)
    found = catalogue.get(SPELLINGS.get(name, name))
    if name == "dpmpp_3m_sde":
        found = found._replace(method=_DPM3M)
    return found


def family(found: Sampler) -> str:
    """Return by which arguments the noise of a sampler is chosen.

    ``"churn"``: s_churn, s_tmin, s_tmax, s_noise. ``"eta"``: eta, s_noise. ``"interval"``: eta,
    s_tmin, s_tmax, s_noise. ``"fixed"``: s_noise. ``"none"``: none.
    """
    if found.noise is None:
        return (
            "none"
            if found.method.carries or found.parameterisation.quantity == VELOCITY
            else "churn"
        )
    kinds = {Tau: "eta", Eta: "eta", Ancestral: "eta", TauWithin: "interval"}
    return kinds.get(type(found.noise), "fixed")


@dataclass(frozen=True)
class Within:
    """A noise level as a function of sigma: tau between two values, 0 elsewhere."""

    tau: float
    low: float
    high: float

    def __call__(self, sigma: float) -> float:
        """Return the noise level at sigma."""
        return self.tau if self.low <= sigma <= self.high else 0.0


def noise_level(
    found: Sampler,
    *,
    eta: float = 1.0,
    s_churn: float = 0.0,
    s_tmin: float = 0.0,
    s_tmax: float = inf,
    s_noise: float = 1.0,
) -> NoiseLevel | None:
    """Return the noise level of a sampler for the arguments of its family; None for none."""
    eta, s_noise = number("eta", eta), number("s_noise", s_noise)
    s_churn = number("s_churn", s_churn)
    s_tmin, s_tmax = number("s_tmin", s_tmin), number("s_tmax", s_tmax, finite=False)
    own = found.noise
    if own is None:
        if s_tmin > s_tmax:
            raise InvalidArgument(f"s_tmin={s_tmin} must not be greater than s_tmax={s_tmax}")
        return Churn(s_churn, s_tmin, s_tmax, s_noise) if s_churn else None
    if isinstance(own, TauWithin):
        return Tau(Within(eta, s_tmin, s_tmax), s_noise)
    if isinstance(own, Ancestral | Eta):
        return replace(own, eta=eta, scale=s_noise)
    if isinstance(own, Tau):
        return Tau(sqrt(eta), s_noise)
    # A kind of its own, which knows how much noise it is.
    return own if s_noise == own.scale else replace(own, scale=s_noise)  # type: ignore[type-var]


def number(name: str, value: Any, *, finite: bool = True) -> float:
    """Return an option of a sampler, a number or an array of no axes, or refuse it by its name."""
    return inf if not finite and given.number(value) == inf else nonnegative(name, value)


class Marks(NamedTuple):
    """Where a plan stands in the list of sigmas.

    Parameters
    ----------
    begins
        For each evaluation, the number of the step that it begins; None for one within a step.
    increments
        For noise number i after k evaluations, by (k, i): from which time to which it enters. If a
        step comes back from beyond its end by noise (ancestral samplers), the ends of the step.
    """

    begins: tuple[int | None, ...]
    increments: dict[tuple[int, int], tuple[float, float]]


def marks(plan: DiffusionPlan) -> Marks:
    """Return where a plan asks and draws."""
    begins: list[int | None] = []
    increments: dict[tuple[int, int], tuple[float, float]] = {}
    drawn, number = 0, -1
    for n, step in enumerate(plan.program.steps):
        number += not step.passive
        places = (place for _, place in slopes_of(step))
        parts = _parts(plan, n, step)
        for row in step.instructions:
            if isinstance(row, Evaluate):
                place = next(places)
                begins.append(None if place is None else number + place.number)
                drawn = 0
            elif isinstance(row, Draw):
                increments[len(begins), drawn] = parts[row.slot]
                drawn += 1
    return Marks(tuple(begins), increments)


def _parts(plan: DiffusionPlan, n: int, step: Step) -> dict[str, tuple[float, float]]:
    """Return, for what a step draws, from which time to which it enters."""
    start, end = plan.path_times[n : n + 2]
    if step.passive and end in plan.t:
        start = plan.t[plan.t > end][-1]

    def time(c: Any) -> float:
        if c in (0, 1):
            return float(end if c else start)
        a, b = plan.program.grid[n : n + 2]
        variable = VARIABLES[plan.sampler.parameterisation.variable]
        return float(variable.to_t(plan.schedule, a + float(c) * (b - a)))

    return {name: (time(part.frm), time(part.to)) for name, part in _increments(step)}


def _increments(step: Step) -> Iterator[tuple[str, Increment]]:
    for row in step.instructions:
        if isinstance(row, Combine):
            for name, weight in row.inputs:
                if isinstance(weight, Increment):
                    yield name, weight


_CHURN = """s_churn, s_tmin, s_tmax, s_noise
    A step from sigma between s_tmin and s_tmax begins with noise that takes it up to ``sigma (1 +
    min(s_churn / steps, sqrt(2) - 1))``, times s_noise (Karras et al. 2022, algorithm 2); drawn by
    ``torch.randn_like(x)`` where there is any.
"""
_SCALE = """s_noise
    Factor of the noise.
"""
_ETA: dict[type[NoiseLevel], str] = {
    Ancestral: """eta
    A step follows the ODE down to sigma_down and comes back to sigma' by noise: ``sigma_up = eta
    sigma' sqrt(1 - (sigma' / sigma)^2)``, ``sigma_down^2 = sigma'^2 - sigma_up^2``.
""",
    Eta: """eta
    Of DDIM, from 0, the ODE, to 1, ancestral sampling of DDPM.
""",
    Tau: """eta
    tau^2: 0 is the ODE, 1 the reverse SDE.
""",
    TauWithin: """eta, s_tmin, s_tmax
    The noise level tau is eta on steps from sigma between s_tmin and s_tmax, and 0 on others.
""",
}


def docstring(found: Sampler, arguments: Sequence[str]) -> str:
    """Return what ``sample_NAME`` with these arguments says of itself."""
    cell, method = found.parameterisation, found.method
    calls = f"{method.evaluations} evaluation{'s' if method.evaluations > 1 else ''} a step"
    shared = [name for name in arguments if name != "eta" and not name.startswith("s_")]
    own = _CHURN if "s_churn" in arguments else ""
    if found.noise is not None:
        own = _ETA.get(type(found.noise), "") + _SCALE
    return (
        f"Run {found.name}: N = {cell.quantity} over {cell.variable}, order {method.order}, "
        f"{calls}.\n\nParameters\n----------\n{', '.join(shared)}\n    As in `sample`.\n{own}"
        f"\nReferences\n----------\n{found.reference}.\n"
    )
