"""What is compared: samplers with a grid and an ending, diffusers' schedulers, and the choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from semilinear import diffusion
from semilinear.diffusion import grids
from semilinear.errors import InvalidArgument

SCHEDULE = diffusion.VPLinear()
BUDGETS = (5, 6, 8, 10, 12, 15, 20, 50)
MANY = 1000
"""Evaluations of the line that all others are held against."""

RULES: dict[str, grids.Grid] = {
    "uniform": grids.PowerT(1.0),
    "t^0.8": grids.PowerT(0.8),
    "t^1.25": grids.PowerT(1.25),
    "t^1.5": grids.PowerT(1.5),
    "quadratic": grids.PowerT(2.0),
    "lambda": grids.UniformLambda(),
    "karras": grids.PowerRho(),
}
MIDDLE = 0.2, 0.8
"""Between which t SA-Solver has noise as it was published."""

RHO = 0.17
"""Where the ending "rho" reads x_0 off, whatever the budget."""

ENDS = {
    "t_end": "stops at t = 1e-3",
    "even": "x_0 is read off by the last evaluation, at t = 1 / NFE",
    "zero": "the last step goes from t = 1 / NFE to sigma = 0",
    "rho": f"x_0 is read off by the last evaluation, at rho = {RHO}",
    "rho=R": "the same at rho = R",
}


@dataclass(frozen=True)
class Own:
    """A sampler of `semilinear.diffusion` on a grid with an ending."""

    method: str
    grid: str
    end: str
    lower: bool = False
    """Whether the order falls to one towards the end."""
    tau: float | None = None
    """Noise level; what the sampler's name says by default."""
    within: tuple[float, float] | None = None
    """Between which t that noise enters; on the whole path by default."""

    @property
    def name(self) -> str:
        words = [self.method, self.grid, self.end]
        words += ["lower"] * self.lower
        words += [] if self.tau is None else [f"tau={self.tau:g}"]
        if self.within == MIDDLE:
            words.append("within")
        elif self.within:
            words.append("within {:g}-{:g}".format(*self.within))
        return " ".join(words)

    def plan(self, nfe: int) -> diffusion.DiffusionPlan:
        """Return the plan for a budget of evaluations; `InvalidArgument` if there is none."""
        end, _, rho = self.end.partition("=")
        t_end, final = {
            "t_end": (None, "t_end"),
            "even": (1 / nfe, "denoise"),
            "zero": (1 / nfe, "zero"),
            "rho": (SCHEDULE.t_of_rho(float(rho or RHO)), "denoise"),
        }[end]
        noise: float | diffusion.NoiseLevel | None = self.tau
        if self.within:
            noise = diffusion.TauWithin(self.tau or 0.0, *self.within)
        return diffusion.plan(
            SCHEDULE,
            method=self.method,
            nfe=nfe,
            grid=RULES[self.grid],
            t_end=t_end,
            final=final,
            lower_end=self.lower,
            noise=noise,
        )


@dataclass(frozen=True)
class Theirs:
    """A scheduler of diffusers with some of its settings."""

    scheduler: str
    settings: tuple[tuple[str, object], ...] = ()

    @property
    def name(self) -> str:
        settings = ", ".join(f"{key}={value}" for key, value in self.settings)
        return f"diffusers {self.scheduler.removesuffix('Scheduler')}({settings})"


@dataclass(frozen=True)
class Chosen:
    """What `diffusion.choose` chooses for a budget."""

    name: str = "auto"


Row = Own | Theirs | Chosen
Run = tuple[Row, int]
"""A row and its budget of evaluations."""

REFERENCE = Own("ddim", "quadratic", "t_end")
ABLATION = (
    Own("euler", "uniform", "t_end"),
    Own("ei_score", "uniform", "t_end"),
    Own("ddim", "uniform", "t_end"),
    Own("tab1", "uniform", "t_end"),
    Own("tab2", "uniform", "t_end"),
    Own("tab3", "uniform", "t_end"),
    Own("tab3", "quadratic", "t_end"),
    Own("tab3", "uniform", "even"),
)
"""Euler's method; exponential integrator; eps for the score; polynomials; grid; and the ending."""

THEIRS = (
    Theirs("DEISMultistepScheduler", (("solver_order", 2),)),
    Theirs("DEISMultistepScheduler", (("solver_order", 3),)),
    Theirs("DPMSolverMultistepScheduler", (("solver_order", 2),)),
    Theirs("UniPCMultistepScheduler", (("solver_order", 2),)),
    Theirs("UniPCMultistepScheduler", (("solver_order", 3),)),
    Theirs("SASolverScheduler"),
)
MAIN = (
    *("ddim", "tab3", "tab2", "rhoab3", "logrhoab2"),
    *("ipndm4", "dpmpp_2m", "unipc2", "unipc3", "res_3m"),
)
PLACES = (
    ("uniform", "even"),
    ("quadratic", "t_end"),
    ("t^1.5", "rho"),
    ("uniform", "rho"),
    ("quadratic", "rho"),
    ("t^1.5", "t_end"),
    ("lambda", "t_end"),
    ("karras", "t_end"),
)
"""Grids and endings of the main samplers; all others have the first two and their own."""

EPS = ("tab3", "tab2", "ipndm4")
"""Samplers for which the endings "even" and "zero" differ: those in x_0 read it off in both."""

LOWER = ("tab3", "ipndm4", "dpmpp_2m", "unipc3", "res_3m")
NOISY = (
    *("sa_solver", "sa_solver3", "dpmpp_2m_sde", "dpmpp_3m_sde", "seeds1"),
    *("er_sde1", "er_sde2", "er_sde3", "ddpm", "euler_ancestral"),
)
LEVELS = ((0.0, None), (0.5, None), (1.0, None), (0.5, MIDDLE), (1.0, MIDDLE))
"""Noise levels that samplers in x_0 are given, all along or in the middle of the path."""

LEVELLED = ("sa_solver", "res_2m", "res_3m", "dpmpp_2m", "unipc3")
WHERE = (("uniform", "even"), ("uniform", "rho"), ("t^1.5", "rho"))

SPANS = ((0.3, 0.8), (0.2, 1.0), (0.1, 0.8), (0.3, 0.9), (0.2, 0.6), (0.1, 1.0))
REFINED = (
    *(
        Own("sa_solver", "uniform", end, tau=1.0, within=within)
        for end in ("rho=0.1", "rho=0.13", "rho=0.22", "rho=0.3")
        for within in (MIDDLE, None)
    ),
    *(
        Own("sa_solver", grid, end, tau=tau, within=within)
        for end in ("rho=0.1", "rho=0.13", "rho=0.22", "rho=0.3")
        for grid, tau, within in (
            ("uniform", 0.0, None),
            ("t^1.25", 1.0, MIDDLE),
            ("t^1.25", 1.0, None),
        )
    ),
    *(Own("sa_solver", "uniform", "rho", tau=1.0, within=span) for span in SPANS),
    *(
        Own("sa_solver", "uniform", "rho", tau=tau, within=within)
        for tau in (0.7, 1.3)
        for within in (MIDDLE, None)
    ),
    *(Own("sa_solver", grid, "rho", tau=1.0, within=MIDDLE) for grid in ("t^0.8", "t^1.25")),
    Own("sa_solver", "t^1.25", "rho", tau=1.0),
    *(
        Own(method, "uniform", end, tau=1.0, within=MIDDLE)
        for method in ("sa_solver_pece", "res_2m")
        for end in ("rho", "even")
    ),
    *(Own(method, "uniform", "rho") for method in ("dpm_solver_2s", "dpmpp_2s", "dpmpp_2s_sde")),
)
"""Around the best of the noisy rows."""

LAMBDA = ("dpm", "unipc", "sa_", "res", "seeds", "er_sde", "ddpm", "logrho")
"""Samplers published on grids that are uniform in lambda begin so; ancestral ones use Karras'."""

GROUPS = ("reference", "theirs", "auto", "ablation", "main", "noisy", "refined", "all")


def group(name: str) -> tuple[Row, ...]:
    """Return the rows of a group."""
    if name == "all":
        return tuple(
            Own(method, *place) for method in diffusion.names() for place in _places(method)
        )
    named: dict[str, tuple[Row, ...]] = {
        "reference": (REFERENCE,),
        "theirs": THEIRS,
        "auto": (Chosen(),),
        "ablation": ABLATION,
        "main": (
            *(Own(method, *place) for place in PLACES for method in MAIN),
            *(Own(method, "uniform", "zero") for method in EPS),
            *(Own(method, "uniform", "zero", lower=True) for method in LOWER),
        ),
        "refined": REFINED,
        "noisy": (
            *(Own(method, "uniform", "even") for method in NOISY),
            *(
                Own(method, *place, tau=tau, within=within)
                for tau, within in LEVELS
                for place in WHERE
                for method in LEVELLED
                if tau or method == "sa_solver"  # the others have none by themselves
            ),
        ),
    }
    return named[name]


def runs(
    groups: Sequence[str], budgets: Sequence[int], patterns: Sequence[str] = ("*",)
) -> list[Run]:
    """Return what is run, group by group, without repetitions."""
    rows = [(g, row) for g in groups for row in group(g)]
    rows = [(g, row) for g, row in rows if any(fnmatchcase(row.name, p) for p in patterns)]
    found: list[Run] = []
    for g, row in rows:
        found += [(row, nfe) for nfe in ((MANY,) if g == "reference" else budgets)]
    return [run for run in dict.fromkeys(found) if _exists(*run)]


def same(one: diffusion.DiffusionPlan, other: diffusion.DiffusionPlan) -> bool:
    """Whether two plans make the same samples of the same noise."""
    kinds = (
        (plan.sampler.parameterisation.quantity, len(plan.t), len(plan.rows), plan.nfe)
        for plan in (one, other)
    )
    if len(set(kinds)) > 1:
        return False
    # All coefficients, those of noise included; the grids may be rounded differently.
    pairs = zip(one.rows, other.rows, strict=True)
    return np.allclose(one.t, other.t, rtol=1e-9, atol=0) and all(
        a.sources == b.sources and np.allclose(a.coefficients, b.coefficients, rtol=1e-6, atol=1e-9)
        for a, b in pairs
    )


def _places(method: str) -> tuple[tuple[str, str], ...]:
    if "ancestral" in method:
        return ("uniform", "even"), ("karras", "t_end")
    if method.startswith(LAMBDA):
        return ("uniform", "even"), ("lambda", "t_end")
    return ("uniform", "even"), ("quadratic", "t_end")


def _exists(row: Row, nfe: int) -> bool:
    if not isinstance(row, Own):
        return True
    try:
        row.plan(nfe)
    except InvalidArgument:
        return False
    return True


NAMED = {row.name: row for name in GROUPS for row in group(name)}
"""All rows by name."""
