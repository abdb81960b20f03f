"""Whose run it is where threads share a scheduler."""

from __future__ import annotations

from threading import get_ident

from semilinear.errors import InvalidArgument


class Turns:
    """Which thread made the ladder of a scheduler, and whose runs ended by that before their time.

    Threads are known together with this object, so that copies of a scheduler have runs of their
    own.
    """

    def __init__(self) -> None:
        self._owner: tuple[int, int] | None = None
        self._cut_off: frozenset[tuple[int, int]] = frozenset()

    def take_over(self, *, unfinished: bool) -> None:
        """Note that the ladder is of this thread now, and whether a run ends by that."""
        here, owner = (id(self), get_ident()), self._owner
        if unfinished and owner is not None and owner[0] == here[0]:
            self._cut_off |= {owner}
        self._cut_off -= {here}
        self._owner = here

    def check(self) -> None:
        """Refuse a step of a run that another thread has ended by one of its own."""
        here = id(self), get_ident()
        if here in self._cut_off:
            raise InvalidArgument(
                "another thread has begun a run of its own with this scheduler: give each its own, "
                "from one configuration or by copy.deepcopy, and call set_timesteps there"
            )
        if self._owner != here:  # a loop that goes from thread to thread knows what it does
            self._owner = None
