"""Which method a solve takes where the user names none."""

from __future__ import annotations

from math import inf

from semilinear import methods
from semilinear.arguments import checked_linear
from semilinear.errors import InvalidArgument, shown
from semilinear.given import number
from semilinear.methods import Method
from semilinear.propagators import Propagator

FIXED = "hochbruck_ostermann4"
ADAPTIVE, ACCURATE = "zoto_bowman43", "etdpece"

TIGHT = 1e-5
"""Below this relative tolerance a variable order pays."""


def choose_method(linear: Propagator, *, rtol: float | None) -> Method:
    """Return the method that `solve` takes by default.

    On a fixed grid hochbruck_ostermann4, which keeps its order four on stiff problems with boundary
    conditions too. Adaptive steps: zoto_bowman43, whose estimate is robust; below a relative
    tolerance of 1e-5 etdpece, whose order grows to six and which then needs a third to a tenth of
    the evaluations. A `Dense` linear part stays with zoto_bowman43: there every change of a step
    costs matrix functions, and the weights of etdpece change with most steps.

    Parameters
    ----------
    linear
        The linear part.
    rtol
        Relative tolerance of adaptive steps; None for a fixed grid.

    Returns
    -------
    Method
        For `solve` or `make_plan`.

    Raises
    ------
    InvalidArgument
        If `linear` is no linear part, or `rtol` no number of at least 0.
    """
    form = checked_linear(linear).form
    if rtol is None:
        return methods.get(FIXED)
    tolerance = number(rtol)
    if not 0 <= tolerance < inf:
        raise InvalidArgument(
            f"rtol={shown(rtol)} must be a number of at least 0, or None for a fixed grid"
        )
    accurate = tolerance < TIGHT and form != "matrix"
    return methods.get(ACCURATE if accurate else ADAPTIVE)
