"""Problems that can be sent to other processes: functions of a module."""

from __future__ import annotations

import numpy as np

from semilinear import Diagonal
from semilinear.problems import Problem


def fails(t: float, y: np.ndarray) -> np.ndarray:
    """A nonlinear term with a mistake in it."""
    return y.missing  # type: ignore[no-any-return,attr-defined]


def faulty() -> Problem:
    """A problem whose N raises AttributeError."""
    return Problem(
        name="faulty",
        linear=Diagonal([-1.0]),
        nonlinear=fails,
        t_span=(0.0, 1.0),
        y0=np.ones(1),
        exact=lambda t: np.ones(1),
        reference="made up",
    )
