"""One-step methods as data: explicit exponential Runge-Kutta tableaux."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from semilinear.errors import InvalidArgument
from semilinear.methods.rows import BASE, Combine, Evaluate, Step, Weight
from semilinear.phi import ZERO, Phi, phi

FIRST = "N1"
"""Slot of the value of N at the start of a step."""


@dataclass(frozen=True)
class Tableau:
    """An explicit exponential Runge-Kutta method.

    Stages are numbered from 1; with z = h L and N_j = N(t + c_j h, U_j)::

        U_i   = Psi(c_i, 0) y + h sum_{j<i} a_ij N_j
        y_new = Psi(1, 0) y   + h sum_j     b_j N_j

    Parameters
    ----------
    name
        The name under which `semilinear.methods` knows it.
    c
        Nodes, ``c[0] == 0``.
    a
        Strictly lower triangular rows of weights; row i has i entries.
    b
        Weights of the new value.
    order
        Classical order, proved from bicoloured rooted trees by `methods.checks`.
    stiff_order
        Order that is kept, measured, on stiff parabolic problems (both Hochbruck-Ostermann forms).
    reference
        Where the method stands.
    """

    name: str
    c: tuple[Fraction, ...]
    a: tuple[tuple[Phi, ...], ...]
    b: tuple[Phi, ...]
    order: int
    stiff_order: int
    reference: str

    def __post_init__(self) -> None:
        stages = len(self.c)
        if self.c[0] != 0 or [len(row) for row in self.a] != list(range(stages)):
            raise InvalidArgument(f"{self.name}: need c[0] = 0 and rows of 0, 1, 2, ... weights")
        if not all(0 <= c <= 1 for c in self.c):
            raise InvalidArgument(f"{self.name}: c={self.c} must lie in [0, 1]")
        if len(self.b) != stages:
            raise InvalidArgument(f"{self.name}: {len(self.b)} weights b for {stages} stages")

    @property
    def history(self) -> int:
        """Number of past values of N that a step uses: none."""
        return 0

    @property
    def evaluations(self) -> int:
        """Evaluations of N per step."""
        return len(self.c)

    def step(self, carry: tuple[tuple[str, str], ...] = ()) -> Step:
        """Return the rows of one step; `carry` is what it hands on beside the new state."""
        return _step(self, carry)


@lru_cache(maxsize=256)
def _step(tableau: Tableau, carry: tuple[tuple[str, str], ...]) -> Step:
    instructions: list[Combine | Evaluate] = [Evaluate(BASE, Fraction(0), FIRST)]
    for i, (ci, row) in enumerate(zip(tableau.c[1:], tableau.a[1:], strict=True), start=2):
        instructions.append(_combine(f"U{i}", ci, row))
        instructions.append(Evaluate(f"U{i}", ci, f"N{i}"))
    instructions.append(_combine("y+", Fraction(1), tableau.b))
    return Step(tuple(instructions), carry=((BASE, "y+"), *carry))


def _combine(dst: str, c: Fraction, weights: tuple[Weight, ...]) -> Combine:
    inputs = tuple((f"N{j}", w) for j, w in enumerate(weights, start=1) if w != ZERO)
    return Combine(dst, states=((BASE, phi(0, 0, c)),), inputs=inputs)


def exponential_runge_kutta(
    name: str,
    c: tuple[Fraction | int, ...],
    a: Mapping[tuple[int, int], Phi],
    b: Mapping[int, Phi],
    *,
    order: int,
    stiff_order: int,
    reference: str,
) -> Tableau:
    """Build a tableau from its weights off the first column.

    The first column follows from the row sums ``sum_j a_ij = c_i phi_1(c_i z)`` and
    ``sum_j b_j = phi_1(z)``, which make a constant N exact.

    Parameters
    ----------
    c
        Nodes, beginning with 0.
    a, b
        Weights by (stage, stage) and by stage, numbered from 1, the first column left out.
    """
    nodes = tuple(Fraction(x) for x in c)
    _check_stages(name, len(nodes), a, b)
    rows = []
    for i in range(1, len(nodes) + 1):
        rest = tuple(a.get((i, j), ZERO) for j in range(2, i))
        rows.append(_with_first(nodes[i - 1], rest) if i > 1 else ())
    weights = _with_first(Fraction(1), tuple(b.get(j, ZERO) for j in range(2, len(nodes) + 1)))
    return Tableau(name, nodes, tuple(rows), weights, order, stiff_order, reference)


def _check_stages(
    name: str, stages: int, a: Mapping[tuple[int, int], Phi], b: Mapping[int, Phi]
) -> None:
    wrong: list[object] = [key for key in a if not 2 <= key[1] < key[0] <= stages]
    wrong += [key for key in b if not 2 <= key <= stages]
    if wrong:
        raise InvalidArgument(
            f"{name}: no weights belong at {wrong}; stages are numbered from 1 to {stages}, a has "
            "entries (i, j) with 2 <= j < i, b with 2 <= j: the first column follows from the rows"
        )


def _with_first(c: Fraction, rest: tuple[Phi, ...]) -> tuple[Phi, ...]:
    first = c * phi(1, 0, c)
    for weight in rest:
        first = first - weight
    return (first, *rest)
