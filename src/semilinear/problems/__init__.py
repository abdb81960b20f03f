"""Initial value problems for tests, order studies and benchmarks, most with exact solutions.

``names()`` lists them, ``get(name)`` makes one with its default parameters; each is also a function
of that family: ``coupled()``, ``complex_diagonal()``, ``time_dependent()``, ``dense()``,
``hochbruck_ostermann(form=...)``, ``prothero_robinson(rate=...)``.
"""

from __future__ import annotations

from collections.abc import Callable

from semilinear.errors import UnknownName
from semilinear.problems.parabolic import hochbruck_ostermann, prothero_robinson
from semilinear.problems.problem import Problem
from semilinear.problems.toy import complex_diagonal, coupled, dense, time_dependent

__all__ = [
    "Problem",
    "complex_diagonal",
    "coupled",
    "dense",
    "get",
    "hochbruck_ostermann",
    "names",
    "prothero_robinson",
    "time_dependent",
]

_REGISTRY: dict[str, Callable[[], Problem]] = {
    "coupled": coupled,
    "complex_diagonal": complex_diagonal,
    "time_dependent": time_dependent,
    "dense": dense,
    "hochbruck_ostermann_local": lambda: hochbruck_ostermann(form="local"),
    "hochbruck_ostermann_integral": lambda: hochbruck_ostermann(form="integral"),
    "prothero_robinson": prothero_robinson,
}


def names() -> list[str]:
    """Return the names of all problems."""
    return sorted(_REGISTRY)


def get(name: str) -> Problem:
    """Return a problem by name, with its default parameters.

    Raises
    ------
    UnknownName
        Lists the names that are near.
    """
    factory = _REGISTRY.get(str(name).lower())
    if factory is None:
        raise UnknownName.among("problem", name, _REGISTRY)
    return factory()
