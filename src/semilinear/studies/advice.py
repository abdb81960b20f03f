"""What is to be made of an order below the declared one: its cause, where it shows, and a remedy.

Rules compare numbers that a study has; where none applies the advice says so. Only methods of
`semilinear.methods` are recommended, and none that the same study saw falling short.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from semilinear import methods
from semilinear.methods import Method, Multistep, Tableau, VariableOrder
from semilinear.methods.checks import MOST_MOMENTS, adams_order, classical_order
from semilinear.studies.fit import Window
from semilinear.studies.stiffness import Roughness

if TYPE_CHECKING:
    from semilinear.studies.orders import MethodOrder

SHORT = 0.3
"""By how much an observed order must fall short of the declared one."""

UNSURE = 1.0
"""Half the width of an interval from which on an order is called unsure."""

RISE = 0.1
"""By how much slopes must grow from the first to the last to be called rising."""

MOST_PROVED = 6
"""Order up to which order conditions are looked at: their number grows fast."""

STIFF = 4.0
"""h |L| in the finest run from which on a problem is called stiff."""

ROUGH, LARGE = 0.03, 0.1
"""`Roughness` from which on B N is outside the domain of L, or as large as L y."""


@dataclass(frozen=True)
class Facts:
    """What advice rests on, besides the results of single methods.

    Parameters
    ----------
    start, window, disagreement
        As in `OrderStudy`.
    stiffness
        h |L| in the finest run.
    matrix
        Whether L is a matrix, so that a state may hold values at points with boundaries.
    roughness
        Looks at N; called only where an order reduction was seen on a stiff problem.
    without_linear
        Whether L = 0 and B is constant, where all that there is of L and B is phi_1 = 1.
    """

    start: str
    window: Window
    disagreement: float | None
    stiffness: float
    matrix: bool
    roughness: Callable[[], Roughness]
    without_linear: bool


def advise(
    results: Sequence[MethodOrder], chosen: Sequence[Method], facts: Facts
) -> tuple[str, ...]:
    """Return one line for each method that fell short, showed no order or is unsure of it."""
    lines = []
    for result, method in zip(results, chosen, strict=True):
        if math.isnan(result.observed):
            cause = _wrong(method, facts) or _no_order(result, method, results, facts)
            lines.append(f"{result.method}: no order: {cause}")
        elif fell_short(result):
            seen = f"order {result.observed:.1f} of {result.order}"
            cause = _wrong(method, facts) or _reduced(result, method, results, facts)
            lines.append(f"{result.method}: {seen}: {cause}")
        elif result.interval[1] - result.interval[0] > 2 * UNSURE:
            lines.append(f"{result.method}: {_unsure(result, facts)}")
    return tuple(lines)


def fell_short(result: MethodOrder) -> bool:
    """Tell whether an order is below the declared one, and surely so where that can be said."""
    high = result.interval[1]
    return result.observed < result.order - SHORT and not high >= result.order


def _wrong(method: Method, facts: Facts) -> str:
    """Say that the coefficients of a method have another order than it declares, if they have."""
    known = methods.names()
    if method.name in known and methods.get(method.name) == method:
        return ""  # proved already
    if isinstance(method, Tableau):
        proved = min(method.order, MOST_PROVED)
        order = classical_order(method, up_to=proved)
    elif isinstance(method, Multistep):
        proved = min(method.order, MOST_MOMENTS)
        order = adams_order(method, linear=not facts.without_linear)
        without = adams_order(method, linear=False)
        if order < proved <= without:
            weights = "multiples of phi_1" if method.fixed else "simplified"
            return (
                f"its weights are {weights}, which have order {method.order} only where L = 0 and "
                f"B is constant, and {order} elsewhere"
            )
    else:
        return ""
    if order >= proved:
        return ""
    return (
        f"its coefficients satisfy the order conditions up to {order}; {method.order} is declared"
    )


def _no_order(
    result: MethodOrder, method: Method, results: Sequence[MethodOrder], facts: Facts
) -> str:
    low, high = facts.window
    finite = [error for error in result.errors if math.isfinite(error)]
    if not finite:
        return "every run overflowed; take more steps"
    if sum(error <= high for error in finite) < 2:
        few = "all errors are" if min(finite) > high else "all errors but one are"
        if is_lawson(method) and facts.stiffness >= STIFF:
            return f"{few} above {high:g}: {_lawson(result, results, facts)}"
        return f"{few} above {high:g}; take more steps"
    if sum(error >= low for error in finite) < 2:
        return f"errors below {low:.1e} are {_floor(facts)}; take fewer steps"
    return f"no two neighbouring errors lie between {low:.1e} and {high:g}; take steps in between"


def _floor(facts: Facts) -> str:
    """Say what errors below the window consist of."""
    computed = facts.disagreement is not None and facts.window[0] <= 10 * facts.disagreement
    return "those of the computed reference" if computed else "those of rounding"


def _unsure(result: MethodOrder, facts: Facts) -> str:
    low, high = facts.window
    known = [
        slope
        for slope, (e, f) in zip(result.slopes, pairwise(result.errors), strict=True)
        if low <= f <= e <= high
    ]
    settle = f"unsure, the slopes {_listed(known)} do not settle"
    if len(known) > 1 and known[-1] < known[0]:
        return f"{settle}; if the last errors are {_floor(facts)}, take fewer steps, else more"
    return f"{settle}; take more steps"


def _reduced(
    result: MethodOrder, method: Method, results: Sequence[MethodOrder], facts: Facts
) -> str:
    if isinstance(method, Multistep) and method.history > 0 and facts.start == "ramp":
        most = "two" if method.mode == "P" else "three"
        return f"the ramp starts with lower orders, which leaves {most}; start='rk' keeps all"
    if facts.stiffness < STIFF:
        return _not_stiff(result, facts)
    if is_lawson(method):
        return _lawson(result, results, facts)
    rough = facts.roughness()
    if rough.size >= LARGE and result.observed < result.stiff_order - SHORT:
        return _large(facts)
    cause = _stiff(facts)
    if facts.matrix and rough.domain >= ROUGH:
        cause += ", and N does not obey the boundary conditions (Dirichlet or Neumann data)"
    return f"{cause}; {_keepers(result, results)}"


def _stiff(facts: Facts) -> str:
    return f"stiff (h |L| = {facts.stiffness:.3g})"


def _lawson(result: MethodOrder, results: Sequence[MethodOrder], facts: Facts) -> str:
    if facts.roughness().size >= LARGE:
        return _large(facts)
    cause = "Lawson methods integrate e^(-tL) N, which varies as fast as L"
    return f"{_stiff(facts)}, and {cause}; {_keepers(result, results)}"


def _large(facts: Facts) -> str:
    return (
        f"{_stiff(facts)}, and N is as large as L y, for which no method here is made; write the "
        "problem with a smaller N, or take steps that resolve L"
    )


def _not_stiff(result: MethodOrder, facts: Facts) -> str:
    known = [slope for slope in result.slopes if not math.isnan(slope)]
    rising = all(a < b for a, b in pairwise(known))
    if len(known) > 1 and rising and known[-1] - known[0] >= RISE:
        return f"not yet asymptotic, the slopes {_listed(known)} still rise; take more steps"
    if result.points < 3:
        return "two errors in the window say little; take more steps"
    return (
        f"not by stiffness (h |L| = {facts.stiffness:.2g}); see whether N is smooth in t and y on "
        "the scale of a step"
    )


def _listed(slopes: Sequence[float]) -> str:
    return ", ".join(f"{slope:.1f}" for slope in slopes)


def _keepers(result: MethodOrder, results: Sequence[MethodOrder]) -> str:
    """Name one or two methods whose stiff order is the order that was lost."""
    fallen = {other.method for other in results if not other.observed >= result.order - SHORT}
    seen = {other.method: other.observed for other in results}
    able = [
        info
        for name, info in methods.names().items()
        if (info.stiff_order or 0) >= result.order
        and not isinstance(methods.get(name), VariableOrder)
        and not (name in seen and name in fallen)
    ]
    able.sort(key=lambda info: (info.history > 0, info.order, info.evaluations, info.name))
    alone = [info for info in able if info.history == 0] or able
    names = [
        info.name + (f" ({seen[info.name]:.1f} here)" if info.name in seen else "")
        for info in alone[:2]
    ]
    if not names:
        return f"no method here keeps order {result.order}"
    return f"{' or '.join(names)} keep{'s' if len(names) == 1 else ''} order {result.order}"


def is_lawson(method: Method) -> bool:
    """Tell whether all weights of a method are flows of L, without an integral."""
    return isinstance(method, Tableau) and all(
        atom.k == 0 for row in (*method.a, method.b) for weight in row for atom, _ in weight
    )
