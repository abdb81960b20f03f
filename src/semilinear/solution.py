"""What a solve returns, under SciPy's names."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Solution:
    """Result of `semilinear.solve`.

    Parameters
    ----------
    t
        Times, shape (n,), float64 NumPy array.
    y
        States at these times, time last: shape (*y0.shape, n), in y0's library and dtype.
    nfev, njev
        Evaluations of N; evaluations of a Jacobian (none).
    status
        0: the end of `t_span` was reached.
    message
        The same in words.
    success
        ``status >= 0``.
    stats
        ``method``, ``steps``, ``order``, ``seconds``.
    sol, t_events, y_events
        As SciPy's; None on a fixed grid.
    """

    t: Any
    y: Any
    nfev: int
    njev: int = 0
    status: int = 0
    message: str = "The solver reached the end of the integration interval."
    success: bool = True
    stats: dict[str, Any] = field(default_factory=dict)
    sol: Any = None
    t_events: Any = None
    y_events: Any = None

    def __repr__(self) -> str:
        return (
            f"Solution(t: {self.t[0]:.6g} .. {self.t[-1]:.6g} ({len(self.t)} points), "
            f"y: {tuple(self.y.shape)} {self.y.dtype}, nfev={self.nfev}, "
            f"method={self.stats.get('method')!r}, message={self.message!r})"
        )
