"""A nonlinear term in Python as the compiled loops see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from semilinear.answers import wrong_output
from semilinear.kernels import Backend, backend_for


class PythonCalls:
    """Answers the calls of a compiled loop by a function N(t, y).

    What it raises cannot pass through compiled code: it is kept in `error`, N becomes NaN, and the
    loop comes to its end.

    Parameters
    ----------
    nonlinear
        ``N(t, y)``; each call gets a state of its own.
    like
        An array like the states.
    """

    def __init__(self, nonlinear: Callable[[float, Any], Any], like: np.ndarray) -> None:
        self.nonlinear = nonlinear
        self.shape, self.dtype = like.shape, like.dtype
        self.backend: Backend = backend_for(like)
        self.views: dict[int, np.ndarray] = {}
        self.error: BaseException | None = None
        self.count = self.settled = 0

    def show(self, rows: np.ndarray) -> None:
        """Make the rows of an array known, which the loop hands over by address."""
        for row in rows:
            self.views[row.ctypes.data] = row.reshape(self.shape)

    def respond(self, t: float, u: int, out: int) -> None:
        """Write N(t, u) to out."""
        target = self.views[out]
        if self.error is None:
            try:
                self.count += 1
                output = self.nonlinear(t, self.views[u].copy())
                plain = type(output) is np.ndarray and output.dtype is self.dtype
                if plain and output.shape == self.shape:
                    target[...] = output
                else:
                    self._convert(target, output, t)
                return
            except BaseException as error:
                self.error = error
        target[...] = np.nan

    def settle(self, made: int) -> None:
        """Raise what N has raised, or KeyboardInterrupt if one of the calls was not answered.

        An interrupt at the very entry of a call back does not reach `respond`; Python drops it.
        """
        answered, self.settled = self.count - self.settled, self.count
        if self.error is not None:
            raise self.error
        if answered != made:
            raise KeyboardInterrupt

    def _convert(self, target: np.ndarray, output: Any, t: float) -> None:
        taken = self.backend.take(output)
        if taken is None:
            where = f"N at evaluation {self.count} (t = {t:.9g})"
            raise wrong_output(where, output, self.backend)
        target[...] = np.asarray(taken).reshape(self.shape)
