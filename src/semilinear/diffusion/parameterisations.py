"""How a diffusion model becomes a semilinear problem: which quantity is N, in which variable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semilinear.diffusion.predictions import readout
from semilinear.diffusion.probability_flow import ODE, ProbabilityFlow
from semilinear.diffusion.quantities import QUANTITIES, Quantity
from semilinear.diffusion.quantity_checks import check_formulas, sharpness
from semilinear.diffusion.schedules import Flow, NoiseSchedule
from semilinear.diffusion.tabulated import Tabulated
from semilinear.diffusion.tabulated_flow import TabulatedFlow
from semilinear.diffusion.variables import VARIABLES
from semilinear.errors import InvalidArgument, UnknownName
from semilinear.propagators import Propagator, Scalar

VELOCITY = "velocity"
"""The whole right side dx/dt as N: no linear part is left."""


@dataclass(frozen=True)
class Parameterisation:
    """Which quantity is treated as N, in which variable.

    Parameters
    ----------
    quantity
        ``"eps"``, ``"x0"``, ``"score"``, ``"v"``, ``"flow"``, or ``"velocity"`` (the whole right
        side, with no exact linear part); a `Quantity` of one's own; or a `Tabulated`.
    variable
        ``"t"``, ``"rho"`` or ``"lambda"``.
    """

    quantity: str | Quantity | Tabulated
    variable: str

    def __post_init__(self) -> None:
        if isinstance(self.quantity, Quantity):
            name = self.quantity.name
            if QUANTITIES.get(name) == self.quantity:
                object.__setattr__(self, "quantity", name)
            elif name in (*QUANTITIES, VELOCITY):
                raise InvalidArgument(f"quantity: {name!r} is the name of another; take a new one")
        elif not isinstance(self.quantity, Tabulated):
            UnknownName.check("quantity", self.quantity, (*QUANTITIES, VELOCITY))
        UnknownName.check("variable", self.variable, VARIABLES)
        if self.quantity == VELOCITY and self.variable != "t":
            raise InvalidArgument(
                f"variable={self.variable!r}: the velocity dx/dt is integrated over t only"
            )

    @property
    def table(self) -> Tabulated | None:
        """The quantity, if it is a table."""
        return self.quantity if isinstance(self.quantity, Tabulated) else None

    @property
    def formulas(self) -> Quantity | None:
        """The quantity, if it is given by formulas: no table, and not the velocity."""
        if isinstance(self.quantity, Quantity):
            return self.quantity
        return QUANTITIES.get(self.quantity) if isinstance(self.quantity, str) else None

    @property
    def is_regular_at_noise(self) -> bool:
        """Whether nothing is singular at alpha = 0: not in rho and lambda, which are infinite."""
        formulas = self.formulas
        regular = formulas is not None and formulas.regular_at_noise
        return regular and VARIABLES[self.variable].is_time

    def propagator(
        self,
        schedule: NoiseSchedule,
        *,
        tau_squared: np.ndarray = ODE,
        noise_scale: float = 1.0,
    ) -> Propagator:
        """Return the linear part with its weight and its noise; see `ProbabilityFlow`."""
        silent = not tau_squared.any()
        if self.quantity == VELOCITY or (self.is_straight(schedule) and silent):
            return Scalar(0.0)
        if isinstance(self.quantity, Tabulated):
            return TabulatedFlow(schedule, VARIABLES[self.variable], self.quantity)
        assert self.formulas is not None
        own = isinstance(self.quantity, Quantity)
        return ProbabilityFlow(
            schedule,
            VARIABLES[self.variable],
            self.formulas,
            tau_squared=tau_squared,
            noise_scale=noise_scale,
            sharpness=sharpness(self.formulas, schedule) if own else 1.0,
        )

    def check_formulas(
        self, schedule: NoiseSchedule, prediction: str, tau_squared: np.ndarray = ODE
    ) -> None:
        """Refuse a quantity of one's own whose formulas contradict each other."""
        if isinstance(self.quantity, Quantity):
            check_formulas(self.quantity, schedule, prediction, tau_squared)

    def is_straight(self, schedule: NoiseSchedule) -> bool:
        """Tell whether N = eps - x_0 is dx/dt: then nothing is singular at alpha or sigma = 0."""
        # A subclass may change the path.
        return (self.quantity, self.variable) == ("flow", "t") and type(schedule) is Flow

    def tell(self, schedule: NoiseSchedule, prediction: str) -> Reading | None:
        """Return how an answer becomes N = p x + q answer; None if it is N already."""
        return None if self.quantity == prediction else Reading(self, schedule, prediction)


@dataclass(frozen=True)
class Reading:
    """From values of the variable to (p, q) with N = p x + q answer."""

    parameterisation: Parameterisation
    schedule: NoiseSchedule
    prediction: str

    def __call__(self, u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return p and q."""
        schedule, cell = self.schedule, self.parameterisation
        alpha, sigma = VARIABLES[cell.variable].alpha_sigma(schedule, u)
        read = readout(self.prediction, alpha, sigma)
        rule = cell.table or cell.formulas
        if rule is not None:
            return rule.read(read, alpha, sigma)
        weight = schedule.diffusion_squared(u) / (2 * sigma)
        return schedule.drift(u) + weight * read.p_eps, weight * read.q_eps
