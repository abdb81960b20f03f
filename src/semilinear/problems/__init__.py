"""Initial value problems for tests, order studies and benchmarks.

``names()`` lists them, ``get(name)`` makes one with its default parameters; each is also a
function:

- with exact solutions: `coupled`, `complex_diagonal`, `time_dependent`, `dense`,
  `hochbruck_ostermann`, `prothero_robinson`, `soliton`, `nonlinear_schroedinger`;
- the field's benchmarks, with values known to many digits: `kuramoto_sivashinsky`, `burgers`,
  `kdv`, `allen_cahn`, `allen_cahn_dirichlet`, `gray_scott`, `schnakenberg`, `ginzburg_landau`.
"""

from __future__ import annotations

from collections.abc import Callable

from semilinear.errors import UnknownName
from semilinear.problems.collocation import allen_cahn_dirichlet
from semilinear.problems.parabolic import hochbruck_ostermann, prothero_robinson
from semilinear.problems.problem import Known, Problem
from semilinear.problems.reaction import (
    allen_cahn,
    ginzburg_landau,
    gray_scott,
    schnakenberg,
)
from semilinear.problems.toy import complex_diagonal, coupled, dense, time_dependent
from semilinear.problems.waves import (
    burgers,
    kdv,
    kuramoto_sivashinsky,
    nonlinear_schroedinger,
    soliton,
)

__all__ = [
    "Known",
    "Problem",
    "allen_cahn",
    "allen_cahn_dirichlet",
    "burgers",
    "complex_diagonal",
    "coupled",
    "dense",
    "get",
    "ginzburg_landau",
    "gray_scott",
    "hochbruck_ostermann",
    "kdv",
    "kuramoto_sivashinsky",
    "names",
    "nonlinear_schroedinger",
    "prothero_robinson",
    "schnakenberg",
    "soliton",
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
    "allen_cahn": allen_cahn,
    "allen_cahn_dirichlet": allen_cahn_dirichlet,
    "burgers": burgers,
    "burgers_chebfun": lambda: burgers(initial="chebfun"),
    "ginzburg_landau": ginzburg_landau,
    "gray_scott": gray_scott,
    "kdv": kdv,
    "kuramoto_sivashinsky": kuramoto_sivashinsky,
    "kuramoto_sivashinsky_chebfun": lambda: kuramoto_sivashinsky(initial="chebfun"),
    "nonlinear_schroedinger": nonlinear_schroedinger,
    "schnakenberg": schnakenberg,
    "soliton": soliton,
}


def names() -> list[str]:
    """Return the names of all problems."""
    return sorted(_REGISTRY)


def get(name: str) -> Problem:
    """Return a problem by name, with its default parameters.

    Parameters
    ----------
    name
        One of `names`, in upper or lower case.

    Raises
    ------
    UnknownName
        Lists the names that are near.
    """
    factory = _REGISTRY.get(str(name).lower())
    if factory is None:
        raise UnknownName.among("problem", name, _REGISTRY)
    return factory()
