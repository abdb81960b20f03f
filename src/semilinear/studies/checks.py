"""What a study is given: each argument is looked at once, before any run."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from semilinear.arguments import checked_linear, initial_state
from semilinear.errors import InvalidArgument, UnknownName
from semilinear.executors import check_bare
from semilinear.given import number
from semilinear.methods import Method, get
from semilinear.time_grid import checked_span

NEEDED = ("linear", "nonlinear", "t_span", "y0", "exact")
"""What a problem has."""


def chosen_methods(methods: Any) -> list[Method]:
    """Return the methods that are named, at least one."""
    if isinstance(methods, str | Method):
        return [_known(methods)]
    if isinstance(methods, bytes) or not isinstance(methods, Iterable):
        raise InvalidArgument(f"methods={methods!r} must be names or method objects, or one")
    chosen = [_known(method) for method in methods]
    if not chosen:
        raise InvalidArgument("methods is empty; see semilinear.methods.names()")
    return chosen


def _known(method: Any) -> Method:
    """Return a method, or say of unknown names that samplers are studied in another way."""
    try:
        return get(method)
    except UnknownName as error:
        raise UnknownName(
            f"{error} Samplers of semilinear.diffusion are not studied here; docs/extending.md, "
            '"A sampler", says how to check the order of one'
        ) from None


def checked_ladder(steps: Any, *, least: int = 2) -> tuple[int, ...]:
    """Return numbers of steps, if there are enough and they increase."""
    found = _numbers(steps)
    increasing = all(n < m < math.inf and m == int(m) for n, m in pairwise((0.0, *found)))
    if not increasing or len(found) < least:
        count = "two or more" if least == 2 else "one or more"
        raise InvalidArgument(f"steps={steps!r} must be {count} positive integers, increasing")
    return tuple(int(n) for n in found)


def checked_tolerances(tolerances: Any, eps: float) -> tuple[float, ...]:
    """Return relative tolerances, if they decrease and a state of this precision can keep them."""
    found = _numbers(tolerances)
    if not all(math.inf > a > b for a, b in pairwise((*found, 0.0))):
        raise InvalidArgument(f"tolerances={tolerances!r} must be positive and decrease")
    if found and found[-1] < 10 * eps:
        raise InvalidArgument(
            f"tolerances={tolerances!r} must be {10 * eps:.1e} or more, ten machine epsilons of y0"
        )
    return found


def _numbers(values: Any) -> tuple[float, ...]:
    """Return numbers as floats, NaN for what is none."""
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        return (math.nan,)
    return tuple(number(value) for value in values)


def made_by(source: Any) -> Any:
    """Return what a function without arguments makes."""
    check_bare(
        source,
        lambda error: (
            f"problem={source!r} must make a problem without arguments ({error}); bind "
            "them with functools.partial"
        ),
    )
    return source()


def check_problem(problem: Any, source: Any) -> None:
    """Raise `InvalidArgument` if a problem lacks something or has something unusable."""
    # By getattr, because isinstance would evaluate properties.
    missing = [name for name in NEEDED if not hasattr(problem, name)]
    if missing:
        raise InvalidArgument(
            f"problem={source!r} must be a name, a problem or a function without arguments that "
            f"makes one; {type(problem).__name__} has no {', '.join(missing)}"
        )
    y0, exact = problem.y0, problem.exact
    try:
        checked_span(problem.t_span)
        checked_linear(problem.linear)
        taken = initial_state(y0)
    except InvalidArgument as error:
        raise InvalidArgument(f"problem: {error}") from None
    if not hasattr(y0, "dtype") or y0.dtype != taken.dtype:
        raise InvalidArgument(
            f"problem: y0 must be an array of {taken.dtype} in the machine's byte order, got "
            f"{getattr(y0, 'dtype', type(y0).__name__)}; convert it"
        )
    if not callable(problem.nonlinear):
        raise InvalidArgument(
            f"problem: nonlinear={problem.nonlinear!r} must be a function N(t, y)"
        )
    if exact is not None and not callable(exact):
        raise InvalidArgument(f"problem: exact={exact!r} must be a function of t, or None")


def checked_end(y0: Any, end: Any, argument: str) -> Any:
    """Return y(t1) as an array like y0, or refuse it under the name of where it is from."""
    xp = array_namespace(y0)
    try:
        given = end if hasattr(end, "dtype") else np.asarray(end)
        if "complex" in str(given.dtype) and not xp.isdtype(y0.dtype, "complex floating"):
            raise TypeError("complex")
        truth = xp.asarray(given, dtype=y0.dtype, device=device(y0))
    except (TypeError, ValueError, RuntimeError):
        raise InvalidArgument(
            f"{argument} must be an array like y0, of {y0.dtype}; got {end!r}"
        ) from None
    if tuple(truth.shape) != tuple(y0.shape):
        raise InvalidArgument(
            f"{argument} has shape {tuple(truth.shape)}; it must have that of y0, {tuple(y0.shape)}"
        )
    if not bool(xp.all(xp.isfinite(truth))):
        raise InvalidArgument(f"{argument} has NaN or infinite entries; no error can be measured")
    return truth


def placed(spacing: Any, count: int) -> np.ndarray:
    """Return the `count` points of a grid over [0, 1] that a spacing makes."""
    even = np.linspace(0.0, 1.0, count)
    if spacing is None:
        return even
    if not callable(spacing):
        raise InvalidArgument(f"spacing={spacing!r} must be a function of an array, or None")
    found = spacing(even)
    try:
        places = np.asarray(found, dtype=float)
    except (TypeError, ValueError):
        places = np.empty(0)
    ends = places[[0, -1]] if places.shape == (count,) else np.full(2, math.nan)
    if not (abs(ends - [0.0, 1.0]).sum() <= 1e-9 and (np.diff(places) > 0).all()):
        raise InvalidArgument(
            "spacing must map arrays from 0 to 1 to arrays of as many numbers from 0 to 1, "
            f"increasing; it returned {found!r}"
        )
    return places
