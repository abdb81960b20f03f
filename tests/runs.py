"""Methods, linear parts and problems that tests of plans run through, and how they run."""

from __future__ import annotations

from math import cos
from typing import Any, NamedTuple

import numpy as np
import pytest

from semilinear import (
    Dense,
    Diagonal,
    Plan,
    Propagator,
    Scalar,
    Solution,
    State,
    make_plan,
    methods,
    solve,
)
from semilinear.methods import GridMethod, Method, Multistep, Tableau
from semilinear.stepping import Function, run

REGISTERED: dict[str, GridMethod] = {
    name: method for name in methods.names() if isinstance(method := methods.get(name), GridMethod)
}
METHODS: dict[str, GridMethod] = {
    **REGISTERED,
    "etd2rk(c2=1/2)": methods.etd2rk(0.5),
    "lawson(kutta3)": methods.lawson(methods.CLASSICAL["kutta3"]),
    "ipndm4": methods.ipndm(4),
}
LAWSON = {n: m for n, m in METHODS.items() if n.startswith("lawson") and isinstance(m, Tableau)}
ETDRK = {n: m for n, m in METHODS.items() if isinstance(m, Tableau) and n not in LAWSON}
MULTISTEP = {n: m for n, m in METHODS.items() if isinstance(m, Multistep)}

each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def each_with_start(chosen: dict[str, GridMethod]) -> pytest.MarkDecorator:
    """Parametrise over methods, those of several steps with all their starts."""
    return pytest.mark.parametrize(
        ("method", "start"),
        [
            pytest.param(method, start, id=f"{name}-{start}")
            for name, method in chosen.items()
            for start in (methods.STARTS if name in MULTISTEP else methods.STARTS[:1])
        ],
    )


each_method_and_start = each_with_start(METHODS)

MATRIX = np.array([[-1.0, 4.0, 0.5], [0.0, -2.0, 4.0], [0.3, 0.0, -1.0]])
LINEAR: dict[str, Propagator] = {
    "scalar": Scalar(-1.3),
    "scalar of time": Scalar(lambda t: -1 + 1.5 * np.cos(2 * t), weight=lambda t: 1 + 0.5 * t),
    "complex scalar": Scalar(-0.4 + 3j, weight=2.0),
    "stiff": Scalar(-1e4),
    "diagonal": Diagonal([-1.0, 0.0, -300.0]),
    "complex diagonal": Diagonal([2j, -0.5 - 3j, -1 + 1j]),
    "dense": Dense(MATRIX),
}
each_linear = pytest.mark.parametrize("linear", LINEAR.values(), ids=LINEAR)

POINTS = np.array([0.0, 0.11, 0.3, 0.35, 0.6, 0.7, 0.83, 1.0, 1.2, 1.25])


def grid_for(method: Method) -> np.ndarray:
    """Return an uneven grid on which the method makes three steps with its whole history."""
    return POINTS[: method.history + 4]


def initial(linear: Propagator) -> np.ndarray:
    """Return a state of three entries of the kind that the linear part needs."""
    real = np.array([1.0, -0.5, 0.25])
    return real + 1j * real[::-1] if is_complex(linear) else real


def is_complex(linear: Propagator) -> bool:
    """Tell whether a linear part has complex coefficients."""
    return any(np.iscomplexobj(x) for x in (linear.flow(0, 1), *linear.integrals(0, 1, [], 1)))


def after(coefficient: Any, state: Any) -> Any:
    """Return what a coefficient makes of a state: a matrix acts on the last axis."""
    if np.ndim(coefficient) == 2:
        return (coefficient @ state[..., None])[..., 0]
    return coefficient * state


class Trace(NamedTuple):
    """A run: where N was asked, and the states at the grid points."""

    times: list[float]
    asked: list[np.ndarray]
    states: list[np.ndarray]


def trace(plan: Plan, model: Function, x: Any) -> Trace:
    """Run through a plan and keep everything."""
    found = Trace([], [], [x])

    def recorded(x: Any, t: float) -> Any:
        found.times.append(t)
        found.asked.append(x)
        return model(x, t)

    run(plan, recorded, x, after_step=lambda state: found.states.append(state.y))
    return found


def end(linear: Propagator, method: Method, model: Function, *, start: str = "ramp") -> Any:
    """Return the last state of a run on the method's grid."""
    plan = make_plan(linear, grid_for(method), method=method, start=start)
    return run(plan, model, initial(linear)).x


def logistic(x: Any, t: float) -> Any:
    """An N for states of any library, shape and dtype; exact operations only, but for cos(t)."""
    return cos(t) * x * x - 0.5 * x


def states(plan: Plan, x: Any) -> list[State]:
    """Return all states of a run with the logistic N."""
    found = [plan.start(x)]
    while not found[-1].done:
        found.append(plan.advance(found[-1], logistic(found[-1].x, found[-1].t)))
    return found


SMALL = Diagonal([-1.0, -100.0])
Y0 = np.array([1.0, 0.5])


def exchange(t: float, y: Any) -> Any:
    """An N that couples the two entries."""
    return np.cos(t) * y[..., ::-1]


def solved(**changed: Any) -> Solution:
    """Solve a small problem, some of the arguments of `solve` changed."""
    arguments: dict[str, Any] = {"linear": SMALL, "nonlinear": exchange, "t_span": (0.0, 1.0)}
    arguments |= {"y0": Y0, "method": "krogstad4"}
    if not {"steps", "step_size", "grid"} & set(changed):
        arguments["steps"] = 4
    arguments |= changed
    positional = [arguments.pop(name) for name in ("linear", "nonlinear", "t_span", "y0")]
    return solve(*positional, **arguments)
