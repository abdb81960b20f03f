"""History methods as data: exponential Adams methods and their relatives."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

from semilinear.errors import InvalidArgument
from semilinear.methods.declared import check_name, check_simplified, hold_counts
from semilinear.methods.ratios import Ratio
from semilinear.methods.rows import (
    BASE,
    NEW,
    PREDICTED,
    Combine,
    Evaluate,
    Lagrange,
    Spaced,
    Step,
    Weight,
)
from semilinear.phi import Phi, phi, rational

Moments = tuple[tuple[int, Phi], ...]
"""What stands in the place of moments; see `rows.Lagrange`."""


@dataclass(frozen=True)
class Multistep:
    """A method that extrapolates past values of N.

    The predictor replaces N by the polynomial through its last k values and integrates that
    exactly::

        y_{n+1} = Psi y_n + sum_{j<k} W_j N_{n-j},   W_j = int Psi(t_{n+1}, s) B(s) l_j(s) ds

    on any grid (Norsett 1969; variable steps: Zhang and Chen 2022, eq. 14). A corrector adds the
    value at the predicted point as one more node.

    Parameters
    ----------
    name
        The name under which `semilinear.methods` knows it.
    values
        k, the number of values of N in the predictor, the newest included.
    mode
        ``"P"``: predictor only. ``"PEC"``: predict, evaluate, correct; the evaluation at the
        predicted state is kept as history. ``"PECE"``: the corrected state is evaluated again.
    order
        Order with starting values that are accurate enough.
    fixed
        Instead of Lagrange weights, ``fixed[m]`` are weights of phi_1 for m + 1 known values:
        numbers, whatever the grid (iPNDM), or functions of its step ratios (iPNDM-v), which look no
        further back than the m + 1 grid points. Of mode ``"P"`` only.
    corrector
        Number of nodes of the corrector, the predicted point included; values + 1 if 0. With more,
        more past values are kept than the predictor looks at.
    simplified
        ``(number of nodes, moments)`` where published weights leave the Lagrange weights, with
        ``(m, weight)`` in moments for a weight in the place of ``m! phi_{m+1}``; see
        `rows.Lagrange`. Moment 0 stays: it makes a constant N exact.
    reference
        Where the method stands.
    """

    name: str
    values: int
    mode: str
    order: int
    reference: str
    fixed: tuple[tuple[Fraction | Ratio, ...], ...] = ()
    corrector: int = 0
    simplified: tuple[tuple[int, Moments], ...] = ()

    def __post_init__(self) -> None:
        check_name(self.name)
        hold_counts(self, values=1, order=1, corrector=0)
        if self.mode not in ("P", "PEC", "PECE"):
            raise InvalidArgument(f"{self.name}: mode={self.mode!r}; need P, PEC or PECE")
        if self.fixed and self.mode != "P":
            raise InvalidArgument(
                f"{self.name}: mode={self.mode!r} with fixed weights, which are those of a "
                "predictor; need mode P"
            )
        if self.fixed and [len(w) for w in self.fixed] != list(range(1, self.values + 1)):
            raise InvalidArgument(
                f"{self.name}: fixed weights are needed for 1, 2, ... {self.values} values"
            )
        for row in self.fixed:
            if sum(_fixed(self.name, w, len(row)) for w in row) != 1:
                raise InvalidArgument(
                    f"{self.name}: the fixed weights of {len(row)} values must add up to 1 "
                    "exactly; write them as Fractions"
                )

        check_simplified(self)

    def __hash__(self) -> int:
        # Equal methods have equal names; hashing every coefficient would cost more than a step.
        return hash((type(self), self.name))

    @property
    def history(self) -> int:
        """Number of past values of N, besides the newest, that a step uses."""
        return max(self.values, self.corrector - 1) - 1

    @property
    def carries(self) -> bool:
        """Whether values of N pass from one step to the next."""
        return self.history > 0 or self.mode != "P"

    @property
    def ignores_grid(self) -> bool:
        """Whether the weights of all values of N are the same on any grid."""
        return any(self.fixed) and not any(isinstance(w, Ratio) for row in self.fixed for w in row)

    @property
    def stiff_order(self) -> int:
        """Order kept on stiff parabolic problems: all (Hochbruck and Ostermann 2010)."""
        return self.order

    @property
    def evaluations(self) -> int:
        """Evaluations of N per step, once started."""
        return 2 if self.mode == "PECE" else 1

    def step(
        self, known: int, *, evaluated: bool, last: bool = False, corrected: bool = True
    ) -> Step:
        """Return the rows of one step.

        Parameters
        ----------
        known
            Number of past values of N that are there; fewer than `history` mean a lower degree.
        evaluated
            Whether N at the start of the step is there too.
        last
            Whether no step follows, which would need the second evaluation of PECE.
        corrected
            Whether there is a corrector, if the method has one: it costs an evaluation at the end
            of the step.
        """
        mode = "PEC" if self.mode == "PECE" and last else self.mode
        return _step(self, min(known, self.history), evaluated, mode if corrected else "P")


def at_uniform_points(weight: Ratio) -> Fraction:
    """Return what a weight that depends on step ratios is for steps of equal length."""
    return Fraction(weight.value({q: Fraction(q) for q in {0, 1, *weight.offsets}}))


def _fixed(name: str, weight: Any, count: int) -> Fraction:
    """Return a fixed weight of `count` values, checked, for steps of equal length."""
    if not isinstance(weight, Ratio):
        return rational(weight, f"{name}: fixed")
    # Further back a short history has no points, and the first steps none at all.
    beyond = sorted(weight.offsets - set(range(1 - count, 2)))
    if beyond:
        raise InvalidArgument(
            f"{name}: fixed[{count - 1}] looks at the grid points {', '.join(map(str, beyond))}, "
            f"counted from the start of the step; its distances may have {1 - count} to 1, which "
            "are the points of the values and the end of the step"
        )
    return at_uniform_points(weight)


@cache
def _step(method: Multistep, known: int, evaluated: bool, mode: str) -> Step:
    nodes = tuple(-q for q in range(known + 1))
    corrected, again = mode != "P", mode == "PECE"
    start = () if evaluated else (Evaluate(BASE, Fraction(0), slot(0)),)
    seen = nodes[: method.values]
    predict = _combine(PREDICTED if corrected else NEW, seen, _weights(method, seen))
    rows: list[Combine | Evaluate] = [*start, predict]
    if corrected:
        rows.append(Evaluate(PREDICTED, Fraction(1), slot(1)))
        used = (1, *nodes)[: method.corrector or None]
        rows.append(_combine(NEW, used, _weights(method, used)))
    newest = 1 if corrected else 0
    if again:
        rows.append(Evaluate(NEW, Fraction(1), "N="))
    kept = []
    for age in range(method.history + corrected):
        offset = newest - age
        if offset < -known:
            break
        source = "N=" if offset == 1 and again else slot(offset)
        kept.append((slot(offset - 1), source))
    return Step(tuple(rows), ((BASE, NEW), *kept), history=known)


def slot(offset: int) -> str:
    """Return the name of the value of N at a grid point, counted from the start of the step."""
    return f"N[{offset}]"


def _weights(method: Multistep, nodes: tuple[int, ...]) -> list[Weight]:
    if method.fixed:
        row = method.fixed[len(nodes) - 1]
        return [Spaced(w, phi(1)) if isinstance(w, Ratio) else w * phi(1) for w in row]
    moments = dict(method.simplified).get(len(nodes), ())
    return [Lagrange(j, nodes, moments) for j in range(len(nodes))]


def _combine(dst: str, nodes: tuple[int, ...], weights: list[Weight]) -> Combine:
    terms = tuple((slot(q), weight) for q, weight in zip(nodes, weights, strict=True))
    return Combine(dst, states=((BASE, phi(0)),), inputs=terms)
