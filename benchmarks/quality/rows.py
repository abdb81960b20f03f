"""What is compared: samplers with a grid and an ending, diffusers' schedulers, and the choice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from semilinear import diffusion
from semilinear.diffusion import grids
from semilinear.errors import InvalidArgument

SCHEDULE = diffusion.VPLinear()
BUDGETS = (5, 6, 8, 10, 12, 15, 20, 50)
MANY = 1000
"""Evaluations of the line that all others are held against."""

RULES: dict[str, grids.Grid] = {
    "uniform": grids.PowerT(1.0),
    "t^1.5": grids.PowerT(1.5),
    "quadratic": grids.PowerT(2.0),
    "lambda": grids.UniformLambda(),
    "karras": grids.PowerRho(),
}
RHO = 0.17
"""Where the ending "rho" reads x_0 off, whatever the budget."""

ENDS = {
    "t_end": "stops at t = 1e-3",
    "even": "x_0 is read off by the last evaluation, at t = 1 / NFE",
    "zero": "the last step goes from t = 1 / NFE to sigma = 0",
    "rho": f"x_0 is read off by the last evaluation, at rho = {RHO}",
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

    @property
    def name(self) -> str:
        words = [self.method, self.grid, self.end]
        words += ["lower"] * self.lower
        words += [] if self.tau is None else [f"tau={self.tau:g}"]
        return " ".join(words)

    def plan(self, nfe: int) -> diffusion.DiffusionPlan:
        """Return the plan for a budget of evaluations; `InvalidArgument` if there is none."""
        t_end, final = {
            "t_end": (None, "t_end"),
            "even": (1 / nfe, "denoise"),
            "zero": (1 / nfe, "zero"),
            "rho": (SCHEDULE.t_of_rho(RHO), "denoise"),
        }[self.end]
        return diffusion.plan(
            SCHEDULE,
            method=self.method,
            nfe=nfe,
            grid=RULES[self.grid],
            t_end=t_end,
            final=final,
            lower_end=self.lower,
            noise=self.tau,
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
TAUS = (0.5, 1.0, 1.5)
"""Noise levels that deterministic samplers are given."""

LAMBDA = ("dpm", "unipc", "sa_", "res", "seeds", "er_sde", "ddpm", "logrho")
"""Samplers published on grids that are uniform in lambda begin so; ancestral ones use Karras'."""

GROUPS = ("reference", "theirs", "auto", "ablation", "main", "noisy", "all")


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
        "noisy": (
            *(Own(method, "uniform", "even") for method in NOISY),
            *(Own("res_2m", "uniform", "even", tau=tau) for tau in TAUS),
            *(Own("sa_solver", *place, tau=0.0) for place in PLACES[:4]),
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
