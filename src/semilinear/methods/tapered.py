"""One-step methods of which the last steps of a run are of lower order."""

from __future__ import annotations

from dataclasses import dataclass

from semilinear.errors import InvalidArgument
from semilinear.given import whole_number
from semilinear.methods.declared import check_name, hold_counts
from semilinear.methods.rows import Step
from semilinear.methods.singlestep import dpm2, dpm3
from semilinear.methods.tableau import Tableau, exponential_runge_kutta


@dataclass(frozen=True)
class Tapered:
    """Steps of one method, but for the last ones.

    Parameters
    ----------
    name
        The name of the method.
    steady
        The method of all steps but the last.
    last
        The methods of the last steps, in their order; a run of fewer steps ends with them too.
    order
        Of the error at the end, to which a single step adds one order more than its own.
    reference
        Where the method stands.
    """

    name: str
    steady: Tableau
    last: tuple[Tableau, ...]
    order: int
    reference: str

    def __post_init__(self) -> None:
        check_name(self.name)
        hold_counts(self, order=1)
        if not self.last:
            raise InvalidArgument(f"{self.name}: without last steps it is {self.steady.name}")

    def __hash__(self) -> int:
        # Equal methods have equal names; hashing every coefficient would cost more than a step.
        return hash((type(self), self.name))

    @property
    def history(self) -> int:
        """Number of past values of N that a step uses: none."""
        return 0

    @property
    def carries(self) -> bool:
        """Whether values of N pass from one step to the next: none."""
        return False

    @property
    def evaluations(self) -> int:
        """Evaluations of N per step, the last ones apart."""
        return self.steady.evaluations

    @property
    def stiff_order(self) -> int:
        """Order kept on stiff parabolic problems."""
        return min(self.order, self.steady.stiff_order)

    @property
    def embedded_order(self) -> int:
        """Order of an embedded value: there is none."""
        return 0

    def steps(self, count: int) -> list[Step]:
        """Return the steps of a run."""
        last = self.last[-count:] if count else ()
        return [self.steady.step()] * (count - len(last)) + [end.step() for end in last]


def dpm_fast(evaluations: int) -> Tapered:
    """Return DPM-Solver-fast: steps of order three, and the rest of the evaluations in the last.

    With m = evaluations // 3 + 1 steps they are of orders 3, ..., 3, 2, 1 if 3 divides the number
    of evaluations, else 3, ..., 3, and 1 or 2. Its steps are meant to be equal in lambda.

    Parameters
    ----------
    evaluations
        Number of evaluations of a run; what counts is the remainder of its division by 3.

    Raises
    ------
    InvalidArgument
        If `evaluations` is no whole number of at least 1.

    References
    ----------
    Lu et al. (2022a), "DPM-Solver: a fast ODE solver for diffusion probabilistic model sampling in
    around 10 steps", DPM-Solver-fast.
    """
    evaluations = whole_number("evaluations", evaluations)
    euler = exponential_runge_kutta(
        "dpm1", (0,), {}, {}, order=1, stiff_order=1, reference="Lu et al. (2022a), DPM-Solver-1"
    )
    rest = evaluations % 3
    last = {0: (dpm2(), euler), 1: (euler,), 2: (dpm2(),)}[rest]
    reference = "Lu et al. (2022a), DPM-Solver-fast"
    return Tapered(f"dpm_fast{rest}", dpm3(), last, last[-1].order + 1, reference)
