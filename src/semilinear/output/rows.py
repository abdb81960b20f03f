"""Coefficients of interpolants: one linear combination each, kept where steps are alike."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np

from semilinear.kernels import Backend
from semilinear.lazy_segments import ByteCache

BUDGET = 32 * 2**20
"""Bytes of coefficients that a run keeps."""

LEAST = 4
"""Rows that are kept in any case: equal steps are looked at in as many places."""

ENTRY = 1024
"""Bytes that any row takes, with the key it is kept under."""


class PreparedRow(NamedTuple):
    """The coefficients of one linear combination, as `combined` takes them."""

    coefficients: Any
    nbytes: int


class Rows:
    """The prepared rows used last of one run, by what they depend on; threads may share them.

    A copy or a pickle begins empty.
    """

    def __init__(self) -> None:
        self._cache: ByteCache[PreparedRow] = ByteCache(BUDGET, least=LEAST)

    def __reduce__(self) -> tuple[type[Rows], tuple[()]]:
        return Rows, ()

    def get(self, key: Hashable, make: Callable[[], PreparedRow]) -> Any:
        """Return the coefficients under a key, made now if they are not there."""
        return self._cache.get(key, make).coefficients


def prepared_row(backend: Backend, form: str, row: Sequence[Any]) -> PreparedRow:
    """Return the coefficients of one linear combination in native form."""
    if form == "scalar":
        return PreparedRow(np.array([[np.ravel(c)[0] for c in row]]), ENTRY)
    size = sum(c.nbytes for c in row if isinstance(c, np.ndarray))
    return PreparedRow(backend.prepare([row], form), ENTRY + size)


def combined(backend: Backend, form: str, coefficients: Any, sources: Sequence[Any]) -> Any:
    """Return one linear combination, natively."""
    (out,), _ = backend.combine(form, coefficients, sources, False)
    return out
