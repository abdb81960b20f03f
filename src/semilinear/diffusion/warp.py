"""A coordinate of time in which good grids are nearly uniform."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from semilinear.diffusion.schedules import NoiseSchedule

REACH = 7.0
"""Beyond this distance from lambda = 0 and from the path's own range, lambda counts no more."""


@dataclass(frozen=True)
class Warp:
    """A coordinate of time that is half uniform in t and half in lambda: 0 at t_start, 1 at t_end.

    Good grids of all schedules are nearly uniform in it.
    """

    schedule: NoiseSchedule
    t_start: float
    t_end: float

    def of_t(self, t: Any) -> Any:
        """Return the coordinate of times."""
        t = np.asarray(t, dtype=float)
        in_t = (self.t_start - t) / (self.t_start - self.t_end)
        first, last = self._ends
        in_lam = (np.clip(self.schedule.lam(t), first, last) - first) / (last - first)
        return (in_t + in_lam) / 2

    def to_t(self, s: Any) -> Any:
        """Return the times of coordinates."""
        coordinates, times = self._table
        return np.interp(s, coordinates, times)

    @cached_property
    def _ends(self) -> tuple[float, float]:
        # Where alpha or sigma is 0 lambda is infinite: what lies beyond these ends hardly counts.
        low, high = self.schedule.lam(self.t_start), self.schedule.lam(self.t_end)
        return max(low, min(high, 0.0) - REACH), min(high, max(low, 0.0) + REACH)

    @cached_property
    def _table(self) -> tuple[np.ndarray, np.ndarray]:
        first, last = self._ends
        inner = self.schedule.t_of_lam(np.linspace(first, last, 2001)[1:-1])
        even = np.linspace(self.t_start, self.t_end, 2001)
        times = np.unique(np.concatenate([even, inner]))[::-1]
        times = times[(times <= self.t_start) & (times >= self.t_end)]
        return self.of_t(times), times
