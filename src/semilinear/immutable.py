"""Objects that stay as they were made, in copies and pickles too."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np


class Immutable:
    """What is fixed is neither set again nor deleted, and its arrays stay read-only.

    Cached properties may come later: `functools.cached_property` does not ask. Nor does a pickle,
    which forgets that arrays are read-only.
    """

    _fixed: ClassVar[tuple[str, ...] | None] = None
    """Names that are fixed; None for all. What subclasses add to named ones may change."""

    def _is_fixed(self, name: str) -> bool:
        """Tell whether an attribute is fixed by now: where a class does not say, once it is set."""
        return name in self.__dict__ and (self._fixed is None or name in self._fixed)

    def __setattr__(self, name: str, value: Any) -> None:
        if self._is_fixed(name):
            raise _refusal(self, name)
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        if self._is_fixed(name):
            raise _refusal(self, name)
        object.__delattr__(self, name)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name, value in state.items():
            if isinstance(value, np.ndarray) and self._is_fixed(name):
                value.flags.writeable = False


def _refusal(owner: object, name: str) -> AttributeError:
    return AttributeError(f"{name}: {type(owner).__name__} is immutable; make another")
