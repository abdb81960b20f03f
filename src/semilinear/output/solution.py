"""What a solve returns, under SciPy's names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from semilinear.output.recording import Recorder

REACHED = "The solver reached the end of the integration interval."
EVENT = "A termination event occurred."


@dataclass(frozen=True, eq=False)
class Solution:
    """Result of `semilinear.solve`.

    Parameters
    ----------
    t
        Times, shape (n,), float64 NumPy array.
    y
        States at these times, time last: shape (*y0.shape, n), in y0's library and dtype.
    t_last, y_last
        The last grid point that the run reached, or the terminal event that ended it, whatever
        times were wanted; the initial state if no step was made. y_last is like y0.
    nfev, njev
        Evaluations of N; evaluations of a Jacobian (none).
    status
        0: the end of `t_span` was reached; 1: a terminal event ended the run; -1: it failed.
    message
        The same in words.
    success
        ``status >= 0``.
    stats
        ``method``, ``order``, ``steps`` (accepted), ``rejected``, ``seconds``.
    sol
        The continuous solution ``sol(t)``, a `DenseOutput`; None if not asked for.
    t_events, y_events
        For each event, its times, shape (k,), and the states there, time first: shape
        (k, *y0.shape); None without events.

    Notes
    -----
    Attributes cannot be set anew. Their arrays and `stats` are yours to change, as SciPy's are.
    Solutions are compared by identity.
    """

    t: Any
    y: Any
    t_last: float
    y_last: Any
    nfev: int
    njev: int = 0
    status: int = 0
    message: str = REACHED
    success: bool = True
    stats: dict[str, Any] = field(default_factory=dict)
    sol: Any = None
    t_events: Any = None
    y_events: Any = None

    def __repr__(self) -> str:
        reached = f"t: {self.t[0]:.6g} .. {self.t[-1]:.6g}" if len(self.t) else "t: none"
        return (
            f"Solution({reached} ({len(self.t)} points), "
            f"y: {tuple(self.y.shape)} {self.y.dtype}, nfev={self.nfev}, "
            f"method={self.stats.get('method')!r}, message={self.message!r})"
        )


def make_solution(
    recorder: Recorder,
    y0: Any,
    *,
    evaluations: int,
    failure: str,
    stats: dict[str, Any],
) -> Solution:
    """Return what a run has left behind, whether it went well or not.

    Parameters
    ----------
    failure
        Why the run ended before its time; empty if it did not.
    """
    xp = array_namespace(y0)
    status, message = 0, REACHED
    if recorder.end is not None:
        status, message = 1, EVENT
    if failure:
        status, message = -1, failure
    watch = recorder.watch
    states = recorder.states
    t_last, y_last = recorder.last
    return Solution(
        t=np.array(recorder.times, dtype=float),
        y=_stacked(xp, states, y0, axis=-1),
        t_last=t_last,
        y_last=xp.reshape(xp.stack([y_last]), y0.shape),
        nfev=evaluations,
        status=status,
        message=message,
        success=status >= 0,
        stats=stats,
        sol=recorder.solution(),
        t_events=None if watch is None else [np.array(times) for times in watch.times],
        y_events=None if watch is None else [_stacked(xp, s, y0, axis=0) for s in watch.states],
    )


def _stacked(xp: Any, states: list[Any], y0: Any, *, axis: int) -> Any:
    if states:
        return xp.stack(states, axis=axis)
    shape = (*y0.shape, 0) if axis == -1 else (0, *y0.shape)
    return xp.zeros(shape, dtype=y0.dtype)
