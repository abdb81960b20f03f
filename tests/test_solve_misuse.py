"""`solve` and `make_plan` say which argument is wrong, how, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from runs import SMALL, solved
from semilinear import (
    Dense,
    Diagonal,
    InvalidArgument,
    ModelOutputError,
    NonFiniteError,
    Scalar,
    UnknownName,
    make_plan,
)

MISUSE: dict[str, tuple[dict[str, Any], str]] = {
    "two grids": ({"steps": 4, "step_size": 0.25}, r"exactly one .*'steps', 'step_size'"),
    "steps of 0": ({"steps": 0}, r"^steps=0 must be a whole number of at least 1"),
    "negative steps": ({"steps": -3}, r"^steps=-3 must be a whole number"),
    "steps and a half": ({"steps": 2.5}, r"^steps=2\.5 must be a whole number"),
    "steps that are True": ({"steps": True}, r"^steps=True must be a whole number"),
    "no step size": ({"step_size": 0.0}, r"^step_size=0\.0 must be positive .* or give steps="),
    "negative step size": ({"step_size": -0.1}, r"^step_size=-0\.1 must be positive"),
    "step size NaN": ({"step_size": np.nan}, r"^step_size=nan must be positive"),
    "step size too large": ({"step_size": 3.0}, r"^step_size=3\.0 .* length 1\.0 of t_span"),
    "grid of one": ({"grid": [0.0]}, r"^grid must be one-dimensional with at least two"),
    "grid of no numbers": ({"grid": ["a", "b"]}, r"^grid must be a sequence of numbers"),
    "grid of lists": ({"grid": [[0.0, 1.0]]}, r"^grid must be one-dimensional"),
    "grid that stops": ({"grid": [0.0, 0.5, 0.5, 1.0]}, r"^grid must be .* strictly increasing"),
    "grid with NaN": ({"grid": [0.0, np.nan, 1.0]}, r"^grid must be finite"),
    "grid elsewhere": ({"grid": [0.0, 2.0]}, r"^grid runs from 0\.0 to 2\.0; it must .* 0\.0 to 1"),
    "grid backwards": ({"grid": [1.0, 0.0]}, r"^grid runs from 1\.0 to 0\.0; it must run from"),
    "empty span": ({"t_span": (1.0, 1.0)}, r"^t_span=\(1\.0, 1\.0\) must be finite with t0 != t1"),
    "infinite span": ({"t_span": (0.0, np.inf)}, r"^t_span=.* must be finite"),
    "span of three": ({"t_span": (0.0, 1.0, 2.0)}, r"^t_span=.* must be two numbers"),
    "span that is none": ({"t_span": 1.0}, r"^t_span=1\.0 must be two numbers \(t0, t1\)"),
    "wanted outside": ({"t_eval": [2.0]}, r"^t_eval must lie in t_span, between 0\.0 and 1\.0"),
    "wanted before": ({"t_eval": [-0.1, 0.5]}, r"^t_eval must lie in t_span"),
    "wanted twice": ({"t_eval": [0.5, 0.5]}, r"^t_eval must be strictly monotone .*; sort it"),
    "wanted backwards": ({"t_eval": [0.5, 0.2]}, r"^t_eval must be .* from t0 = 0\.0 to t1 = 1\.0"),
    "wanted forwards": (
        {"t_span": (1.0, 0.0), "t_eval": [0.2, 0.5]},
        r"^t_eval must be strictly monotone in the direction of integration",
    ),
    "wanted in a table": ({"t_eval": [[0.2, 0.5]]}, r"^t_eval must be one-dimensional"),
    "wanted nothing": ({"t_eval": []}, r"^t_eval must be .* at least one time"),
    "tolerance on a grid": ({"rtol": 1e-3, "atol": 1e-6}, r"^rtol and atol: of adaptive steps"),
    "longest step on a grid": ({"max_step": 0.1}, r"^max_step: of adaptive steps only; leave"),
    "no estimate": (
        {"steps": None, "method": "luan4"},
        r"^method='luan4' has no estimate of its error.* zoto_bowman43.*steps=",
    ),
    "nonlinear": ({"nonlinear": 3.0}, r"^nonlinear=3\.0 must be a function N\(t, y\)"),
    "controller": ({"steps": None, "controller": "P"}, r"^controller='P' is not known"),
    "start": ({"start": "euler"}, r"^start='euler' is not known; .*ramp, rk"),
    "method": ({"method": "krogstad"}, r"^method='krogstad' is not known; did you mean krogstad4"),
    "method that is none": ({"method": 4}, r"^method=4 must be a name or a method object"),
    "bare array": ({"linear": np.ones(2)}, r"^linear is a bare array.*Diagonal\(.*Dense\("),
    "bare list": ({"linear": [-1.0, -2.0]}, r"^linear is a bare array"),
    "bare number": ({"linear": -1.0}, r"^linear=-1\.0 must be a propagator: .*Scalar\("),
    "bare function": ({"linear": np.cos}, r"^linear=.* must be a propagator: .*Scalar\("),
    "no linear part": ({"linear": None}, r"^linear=None must be a Scalar, Diagonal or Dense"),
    "no state": ({"y0": None}, r"^y0 must be an array, got NoneType"),
    "state of text": ({"y0": "one"}, r"^y0 must be an array, got str"),
    "state that does not fit": ({"y0": np.ones(3)}, r"^y0 has shape \(3,\), to which"),
    "real state": ({"linear": Diagonal([1j, 2j])}, r"^y0 is real .*y0\.astype\(complex\)"),
    "real state, L(t)": ({"linear": Scalar(lambda t: 1j * t)}, r"^y0 is real"),
    "matrix of another size": ({"linear": Dense(np.eye(3))}, r"^y0 has shape \(2,\); .* length 3"),
}


@pytest.mark.parametrize(("changed", "message"), MISUSE.values(), ids=MISUSE)
def test_misuse_is_named_with_its_remedy(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        solved(**changed)
    assert re.search(message, str(caught.value)), str(caught.value)


def test_a_wrong_name_is_an_unknown_name() -> None:
    with pytest.raises(UnknownName):
        solved(method="krogstad")


UNTOLD: dict[str, tuple[dict[str, Any], str]] = {
    "steps of text": ({"steps": "many"}, "steps='many'"),
    "steps in a list": ({"steps": [5]}, r"steps=\[5\]"),
    "steps NaN": ({"steps": np.nan}, "steps=nan"),
    "step size of text": ({"step_size": "0.1"}, "step_size='0.1'"),
    "wanted NaN": ({"t_eval": [np.nan]}, "t_eval"),
    "wanted text": ({"t_eval": ["a"]}, "t_eval"),
    "state of strings": ({"y0": ["a", "b"]}, "y0 has dtype"),
    "ragged state": ({"y0": [[1.0, 2.0], [3.0]]}, "y0"),
    "args that are no tuple": ({"args": 3.0}, "args=3.0"),
}


@pytest.mark.parametrize(("changed", "message"), UNTOLD.values(), ids=UNTOLD)
def test_more_misuse_is_named(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        solved(**changed)


def test_a_state_that_is_not_finite_is_named() -> None:
    with pytest.raises(NonFiniteError, match=r"^y0 has NaN"):
        solved(y0=[1.0, np.nan])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda t, y: y[:1], r"evaluation 1 of 16 \(t = 0\) returned shape \(1,\)"),
        (lambda t, y: y.astype(np.float32), r"evaluation 1 of 16 .* dtype float32"),
        (lambda t, y: None, r"evaluation 1 of 16 .* returned NoneType"),
        (lambda t, y: y if t < 0.5 else 1j * y, r"evaluation 8 of 16 \(t = 0\.5\)"),
    ],
)
def test_a_wrong_answer_of_n_is_named(wrong: Callable[..., Any], message: str) -> None:
    with pytest.raises(ModelOutputError, match=message):
        solved(nonlinear=wrong)


def test_an_answer_of_n_that_is_not_finite_is_named() -> None:
    with pytest.raises(NonFiniteError, match=r"evaluation 8 of 16 \(t = 0\.5\) returned NaN"):
        solved(nonlinear=lambda t, y: y if t < 0.5 else np.nan * y)


def test_make_plan_says_the_same() -> None:
    for arguments, message in [
        ((np.ones(2), [0.0, 1.0]), "^linear is a bare array"),
        ((SMALL, [0.0]), "^grid must be one-dimensional"),
        ((SMALL, [0.0, 0.0]), "^grid must be finite and strictly"),
    ]:
        with pytest.raises(InvalidArgument, match=message):
            make_plan(*arguments)
    with pytest.raises(InvalidArgument, match=r"^start='rk4' is not known"):
        make_plan(SMALL, [0.0, 1.0], method="etdab3", start="rk4")
    plan = make_plan(SMALL, [1.0, 0.5, 0.0])
    assert (plan.name, plan.steps) == ("hochbruck_ostermann4", 2)
