"""A progress bar of one line on standard error; silent where nobody watches."""

from __future__ import annotations

import sys
from time import perf_counter
from types import TracebackType
from typing import TextIO

WIDTH = 28


class Progress:
    """Count up to a total.

    Parameters
    ----------
    total
        Where the count ends.
    label
        What is being done.
    show
        Whether to draw; if so, only on a terminal.
    stream
        Where to draw, standard error by default.
    """

    def __init__(
        self, total: int, *, label: str = "", show: bool = True, stream: TextIO | None = None
    ) -> None:
        self.total = max(1, total)
        self.label = label
        self.stream = sys.stderr if stream is None else stream
        self.show = show and self.stream.isatty()
        self.begun = perf_counter()
        self.drawn = -1

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.show and self.drawn >= 0:
            self.stream.write("\n")
            self.stream.flush()

    def update(self, count: int) -> None:
        """Draw the bar at `count`, if it moved by a hundredth."""
        if not self.show:
            return
        hundredths = 100 * count // self.total
        if hundredths == self.drawn:
            return
        self.drawn = hundredths
        filled = WIDTH * count // self.total
        elapsed = perf_counter() - self.begun
        left = elapsed * (self.total - count) / count if count else float("nan")
        bar = "#" * filled + "." * (WIDTH - filled)
        self.stream.write(
            f"\r{self.label} [{bar}] {count}/{self.total}  {elapsed:.1f} s, {left:.1f} s left "
        )
        self.stream.flush()
