"""One-step methods as data: explicit exponential Runge-Kutta tableaux and embedded pairs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from semilinear.errors import InvalidArgument
from semilinear.methods.butcher import check_embedded
from semilinear.methods.declared import check_name, check_weight, hold_counts
from semilinear.methods.rows import BASE, NEW, Combine, Evaluate, Step, Weight
from semilinear.phi import ZERO, Phi, phi, rational


def stage_value(j: int) -> str:
    """Return the slot of the value of N at stage j, counted from 1."""
    return f"N{j}"


FIRST = stage_value(1)
"""Slot of the value of N at the start of a step."""


@dataclass(frozen=True)
class Tableau:
    """An explicit exponential Runge-Kutta method.

    Stages are numbered from 1; with z = h L and N_j = N(t + c_j h, U_j)::

        U_i   = Psi(c_i, 0) y + h sum_{j<i} a_ij N_j
        y_new = Psi(1, 0) y   + h sum_j     b_j N_j
        y_low = Psi(1, 0) y   + h sum_j     bhat_j N_j

    The embedded value y_low, of another order, is there for the error estimate y_new - y_low alone:
    a step goes on from y_new.

    Parameters
    ----------
    name
        The name under which `semilinear.methods` knows it.
    c
        Nodes, ``c[0] == 0``.
    a
        Strictly lower triangular rows of weights, which look at the step only: intervals lie in
        [0, 1]. Row i has i entries.
    b
        Weights of the new value.
    order
        Classical order, proved from bicoloured rooted trees by `methods.checks`.
    stiff_order
        Order that is kept on stiff parabolic problems, at most `order`; proved by `methods.stiff`.
    reference
        Where the method stands.
    embedded
        Weights bhat of the embedded value, or none. One weight more than there are stages belongs
        to N(t + h, y_new), the first value of the next step: so a pair is written whose last stage
        is its new value (first same as last), without that stage.
    embedded_order
        Classical order of the embedded value, below `order`; 0 without one.
    """

    name: str
    c: tuple[Fraction, ...]
    a: tuple[tuple[Phi, ...], ...]
    b: tuple[Phi, ...]
    order: int
    stiff_order: int
    reference: str
    embedded: tuple[Phi, ...] = ()
    embedded_order: int = 0

    def __post_init__(self) -> None:
        check_name(self.name)
        hold_counts(self, order=1, stiff_order=0, embedded_order=0)
        if self.stiff_order > self.order:
            raise InvalidArgument(
                f"{self.name}: stiff_order={self.stiff_order} is above order={self.order}"
            )
        stages = len(self.c)
        if not stages or self.c[0] != 0 or [len(row) for row in self.a] != list(range(stages)):
            raise InvalidArgument(f"{self.name}: need c[0] = 0 and rows of 0, 1, 2, ... weights")
        if not all(0 <= rational(c, "c") <= 1 for c in self.c):
            raise InvalidArgument(f"{self.name}: c={self.c} must lie in [0, 1]")
        if len(self.b) != stages:
            raise InvalidArgument(f"{self.name}: {len(self.b)} weights b for {stages} stages")
        rows = (*((f"a[{i}]", row) for i, row in enumerate(self.a)), ("b", self.b))
        for place, row in (*rows, ("embedded", self.embedded)):
            for j, weight in enumerate(row):
                check_weight(f"{self.name}: {place}[{j}]", weight)
        check_embedded(self.name, stages, self.order, len(self.embedded), self.embedded_order)

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
        """Evaluations of N per step."""
        return len(self.c)

    @property
    def is_pair(self) -> bool:
        """Tell whether there is an embedded value, and so an estimate of the local error."""
        return bool(self.embedded)

    @property
    def estimate_reads_end(self) -> bool:
        """Tell whether the estimate needs N(t + h, y_new), which the next step begins with."""
        return len(self.embedded) > len(self.c)

    @property
    def error(self) -> tuple[Phi, ...]:
        """Weights of the error estimate ``y_new - y_low = h sum_j (b_j - bhat_j) N_j``.

        As long as `embedded`; the weight of N(t + h, y_new) is ``-bhat``. Empty without a pair.
        """
        if not self.embedded:
            return ()
        new = (*self.b, ZERO) if self.estimate_reads_end else self.b
        return tuple(b - low for b, low in zip(new, self.embedded, strict=True))

    def step(self, carry: tuple[tuple[str, str], ...] = ()) -> Step:
        """Return the rows of one step; `carry` is what it hands on beside the new state."""
        return _step(self, carry)


@lru_cache(maxsize=256)
def _step(tableau: Tableau, carry: tuple[tuple[str, str], ...]) -> Step:
    instructions: list[Combine | Evaluate] = [Evaluate(BASE, Fraction(0), FIRST)]
    for i, (ci, row) in enumerate(zip(tableau.c[1:], tableau.a[1:], strict=True), start=2):
        instructions.append(_combine(f"U{i}", ci, row))
        instructions.append(Evaluate(f"U{i}", ci, stage_value(i)))
    instructions.append(_combine(NEW, Fraction(1), tableau.b))
    return Step(tuple(instructions), carry=((BASE, NEW), *carry))


def _combine(dst: str, c: Fraction, weights: tuple[Weight, ...]) -> Combine:
    inputs = tuple((stage_value(j), w) for j, w in enumerate(weights, start=1) if w != ZERO)
    return Combine(dst, states=((BASE, phi(0, 0, c)),), inputs=inputs)


def inner_node(name: str, value: Fraction | int) -> Fraction:
    """Return a node of a family of methods, checked: a rational number in (0, 1]."""
    node = rational(value, name)
    if not 0 < node <= 1:
        raise InvalidArgument(f"{name}={value} is outside 0 < {name} <= 1")
    return node


def exponential_runge_kutta(
    name: str,
    c: tuple[Fraction | int, ...],
    a: Mapping[tuple[int, int], Phi],
    b: Mapping[int, Phi],
    *,
    order: int,
    stiff_order: int,
    reference: str,
    embedded: Mapping[int, Phi] | None = None,
    embedded_order: int = 0,
) -> Tableau:
    """Build a tableau from its weights off the first column.

    The first column follows from the row sums ``sum_j a_ij = c_i phi_1(c_i z)`` and
    ``sum_j b_j = sum_j bhat_j = phi_1(z)``, which make a constant N exact.

    Parameters
    ----------
    c
        Nodes, beginning with 0: whole numbers and fractions, as all coefficients.
    a, b
        Weights by (stage, stage) and by stage, numbered from 1, the first column left out.
    embedded
        Weights of the embedded value by stage; the number of stages plus one stands for N at the
        new value. None for a method without error estimate; an empty mapping is exponential Euler.
    order, stiff_order, embedded_order, reference
        As in `Tableau`.

    Raises
    ------
    InvalidArgument
        If the nodes do not begin with 0, leave [0, 1] or are floats that are no short fractions, a
        weight is given where none belongs, is no combination of phi-functions or looks beyond the
        step, `name` is no text, an order is no whole number, or `embedded_order` does not fit.
    """
    nodes = tuple(rational(x, "c") for x in c)
    stages = len(nodes)
    _check_stages(name, stages, a, b, embedded or {})
    rows = []
    for i in range(1, stages + 1):
        rest = tuple(a.get((i, j), ZERO) for j in range(2, i))
        rows.append(_with_first(nodes[i - 1], rest) if i > 1 else ())
    low: tuple[Phi, ...] = ()
    if embedded is not None:
        low = _new_value(embedded, max(stages, *embedded, 1))
    return Tableau(
        name,
        nodes,
        tuple(rows),
        _new_value(b, stages),
        order,
        stiff_order,
        reference,
        low,
        embedded_order,
    )


def _check_stages(
    name: str,
    stages: int,
    a: Mapping[tuple[int, int], Phi],
    b: Mapping[int, Phi],
    embedded: Mapping[int, Phi],
) -> None:
    inner = {(i, j) for i in range(3, stages + 1) for j in range(2, i)}
    wrong: list[object] = [key for key in a if key not in inner]
    wrong += [key for key in b if key not in range(2, stages + 1)]
    wrong += [key for key in embedded if key not in range(2, stages + 2)]
    if wrong:
        raise InvalidArgument(
            f"{name}: no weights belong at {wrong}; stages are numbered from 1 to {stages}, a has "
            "entries (i, j) with 2 <= j < i, b with 2 <= j: the first column follows from the "
            f"rows; embedded also has {stages + 1}, for N at the new value"
        )
    for argument, weights in (("a", a), ("b", b), ("embedded", embedded)):
        for key, weight in weights.items():
            check_weight(f"{name}: {argument}[{key}]", weight)


def _new_value(weights: Mapping[int, Phi], count: int) -> tuple[Phi, ...]:
    rest = tuple(weights.get(j, ZERO) for j in range(2, count + 1))
    return _with_first(Fraction(1), rest)


def _with_first(c: Fraction, rest: tuple[Phi, ...]) -> tuple[Phi, ...]:
    first = c * phi(1, 0, c)
    for weight in rest:
        first = first - weight
    return (first, *rest)
