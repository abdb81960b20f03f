"""Where a run that needs finite lambda begins and ends by default."""

from __future__ import annotations

from typing import Any

from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.diffusion.schedules_base import checked_schedule
from semilinear.diffusion.warp import REACH


def inner_ends(schedule: NoiseSchedule, t_start: Any, t_end: Any) -> tuple[Any, Any]:
    """Return the ends of a run, inside of a path along which lambda is infinite.

    Parameters
    ----------
    t_start, t_end
        As they were given; None for the schedule's own. Where alpha is 0 at its t_start, or sigma
        at its t_end, the time at which lambda is -7, or 7, stands in for it.
    """
    checked_schedule(schedule)
    if t_start is None:
        t_start = schedule.t_start
        if schedule.alpha(t_start) == 0:
            t_start = schedule.t_of_lam(-REACH)
    if t_end is None:
        t_end = schedule.t_end
        if schedule.sigma(t_end) == 0:
            t_end = schedule.t_of_lam(REACH)
    return t_start, t_end
