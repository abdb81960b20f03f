"""Which method a solve takes where the user names none."""

from __future__ import annotations

from semilinear import methods
from semilinear.methods import Method
from semilinear.propagators import Propagator

FIXED = "hochbruck_ostermann4"
ADAPTIVE = "zoto_bowman43"


def choose_method(linear: Propagator, *, adaptive: bool) -> Method:
    """Return the method that suits a linear part.

    Parameters
    ----------
    linear
        The linear part.
    adaptive
        Whether the steps are.
    """
    return methods.get(ADAPTIVE if adaptive else FIXED)
