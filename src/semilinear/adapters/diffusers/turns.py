"""Whose run it is where threads share a scheduler."""

from __future__ import annotations

from threading import get_ident

from semilinear.errors import InvalidArgument


class Turns:
    """Which thread made the ladder of a scheduler, and whose runs ended by that before their time.

    A copy begins anew: its runs are its own.
    """

    def __init__(self) -> None:
        self._owner: int | None = None
        self._cut_off: frozenset[int] = frozenset()

    def __reduce__(self) -> tuple[type[Turns], tuple[()]]:
        return Turns, ()

    def take_over(self, *, unfinished: bool) -> None:
        """Note that the ladder is of this thread now, and whether a run ends by that."""
        here, owner = get_ident(), self._owner
        if unfinished and owner is not None:
            self._cut_off |= {owner}
        self._cut_off -= {here}
        self._owner = here

    def check(self) -> None:
        """Refuse a step of a run that another thread has ended by one of its own."""
        here = get_ident()
        if here in self._cut_off:
            raise InvalidArgument(
                "another thread has begun a run of its own with this scheduler: give each its own, "
                "from one configuration or by copy.deepcopy, and call set_timesteps there"
            )
        if self._owner != here:  # a loop that goes from thread to thread knows what it does
            self._owner = None
