"""`solve` and `make_plan` say which argument is wrong, how, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

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
    solve,
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
    "grid of no numbers": ({"grid": ["a", "b"]}, r"^grid must be a sequence of real numbers"),
    "grid of lists": ({"grid": [[0.0, 1.0]]}, r"^grid must be one-dimensional"),
    "grid that stops": ({"grid": [0.0, 0.5, 0.5, 1.0]}, r"^grid must be .* strictly increasing"),
    "grid with NaN": ({"grid": [0.0, np.nan, 1.0]}, r"^grid must be finite"),
    "grid elsewhere": ({"grid": [0.0, 2.0]}, r"^grid runs from 0\.0 to 2\.0; it must .* 0\.0 to 1"),
    "grid backwards": ({"grid": [1.0, 0.0]}, r"^grid runs from 1\.0 to 0\.0; it must run from"),
    "empty span": ({"t_span": (1.0, 1.0)}, r"^t_span=\(1\.0, 1\.0\) must be .*, different and"),
    "infinite span": ({"t_span": (0.0, np.inf)}, r"^t_span=.* a finite distance apart"),
    "span NaN": ({"t_span": (0.0, np.nan)}, r"^t_span=.* a finite distance apart"),
    "span too short": ({"t_span": (0, 5e-324)}, r"^t_span=\(0, 5e-324\) is shorter than 2\.2e-308"),
    "span too long": ({"t_span": (-1e308, 1e308)}, r"^t_span=.* a finite distance apart"),
    "span of text": ({"t_span": ("0", "1")}, r"^t_span=.* must be two numbers"),
    "span of flags": ({"t_span": (False, True)}, r"^t_span=.* must be two numbers"),
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
    "controller on a grid": ({"controller": "PI"}, r"^controller: of adaptive steps only; leave"),
    "longest steps on a grid": ({"max_step": np.ones(2)}, r"^max_step: of adaptive steps only"),
    "longest step on a grid": ({"max_step": 0.1}, r"^max_step: of adaptive steps only; leave"),
    "no estimate": (
        {"steps": None, "method": "luan4"},
        r"^method='luan4' has no estimate of its error.* zoto_bowman43.*steps=",
    ),
    "nonlinear": ({"nonlinear": 3.0}, r"^nonlinear=3\.0 must be a function N\(t, y\)"),
    "controller": ({"steps": None, "controller": "P"}, r"^controller='P' is not known"),
    "controller of a variable order": (
        {"steps": None, "controller": "I", "method": "etdpec"},
        r"^controller='I' is for embedded pairs; etdpec .* method='zoto_bowman43'",
    ),
    "controller of a method not named": (
        {"steps": None, "controller": "I", "method": None, "rtol": 1e-8},
        r"^controller='I' is for embedded pairs; etdpece chooses",
    ),
    "start": ({"start": "euler"}, r"^start='euler' is not known; .*ramp, rk"),
    "method of SciPy": (
        {"method": "RK45"},
        r"^method='RK45' is a name of scipy.*not here; leave method out for the default",
    ),
    "method": ({"method": "krogstad"}, r"^method='krogstad' is not known; did you mean krogstad4"),
    "method that is none": ({"method": 4}, r"^method=4 must be a name or a method object"),
    "bare array": ({"linear": np.ones(2)}, r"^linear is a bare array.*Diagonal\(.*Dense\("),
    "bare list": ({"linear": [-1.0, -2.0]}, r"^linear is a bare array"),
    "bare number": ({"linear": -1.0}, r"^linear=-1\.0 must be a propagator: .*Scalar\("),
    "bare function": ({"linear": np.cos}, r"^linear=.* must be a propagator: .*Scalar\("),
    "other order": (
        {"linear": np.cos, "nonlinear": Scalar(-1.0)},
        r"^linear=<ufunc 'cos'> and nonlinear=Scalar.* other order: the linear part comes first",
    ),
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
    "steps beyond counting": ({"steps": 10**400}, "steps=1000"),
    "steps between neighbours": (
        {"steps": 40, "t_span": (1.0, 1.0 + 1e-15)},
        "^steps=40 asks for more steps than there are numbers",
    ),
    "step size of text": ({"step_size": "0.1"}, "step_size='0.1'"),
    "step size True": ({"step_size": True}, "step_size=True"),
    "step size backwards": ({"step_size": -0.25, "t_span": (1.0, 0.0)}, "must be positive"),
    "grid of complex numbers": ({"grid": np.array([0.0, 1j])}, "^grid must be .* of real numbers"),
    "wanted NaN": ({"t_eval": [np.nan]}, r"t_eval must .*; t_eval\[0\] = nan does not"),
    "wanted NaN in between": ({"t_eval": [0.1, np.nan, 1.0]}, r"t_eval\[1\] = nan does not"),
    "wanted text": ({"t_eval": ["a"]}, "t_eval"),
    "wanted times as text": ({"t_eval": ["0.5"]}, "^t_eval must be a sequence of real numbers"),
    "wanted complex": ({"t_eval": np.array([1j])}, "^t_eval must be a sequence of real numbers"),
    "state of strings": ({"y0": ["a", "b"]}, "y0 has dtype .*must hold numbers"),
    "state of flags": ({"y0": [True, False]}, "y0 has dtype bool; it must hold numbers"),
    "state of dates": (
        {"y0": np.zeros(2, "M8[D]")},
        "y0 has dtype datetime.*convert it to float64",
    ),
    "state of objects": ({"y0": [1.0, None]}, "y0 has dtype object; some entry is not a number"),
    "state of records": ({"y0": np.zeros(2, "f8, f8")}, "y0 has dtype .*must hold numbers"),
    "state of half precision": ({"y0": np.ones(2, "f2")}, "float16; solve works in float32, .* fl"),
    "state of long precision": ({"y0": np.ones(2, "g")}, "y0 has dtype .* convert it .* float64"),
    "complex state of long precision": ({"y0": np.ones(2, "G")}, "convert it .*such as complex128"),
    "masked state": ({"y0": np.ma.masked_less([1.0, 2.0], 1.5)}, "^y0 is a masked array.*filled"),
    "sparse state": ({"y0": csr_array([[1.0, 2.0]])}, r"^y0 is a sparse array.*y0\.toarray\(\)"),
    "state of no library": (
        {"y0": SimpleNamespace(dtype=np.dtype(float), shape=(2,))},
        r"^y0 is a SimpleNamespace, an array of no library .*use numpy\.asarray\(y0\)",
    ),
    "ragged state": ({"y0": [[1.0, 2.0], [3.0]]}, "y0"),
    "args that are no tuple": ({"args": 3.0}, r"args=3\.0 must be a tuple; such as \(3\.0,\)"),
    "args in a list": ({"args": [2.0]}, r"args=\[2\.0\] must be a tuple; give tuple\(args\)"),
    "callback that is none": ({"callback": 3}, "^callback=3 must be a function"),
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
        (lambda t, y: y[:1], r"N at evaluation 1 of 16 \(t = 0\) returned shape \(1,\)"),
        (lambda t, y: y.astype(np.float32), r"N at evaluation 1 of 16 .* dtype float32"),
        (lambda t, y: None, r"N at evaluation 1 of 16 .* returned NoneType"),
        (lambda t, y: y if t < 0.5 else 1j * y, r"N at evaluation 8 of 16 \(t = 0\.5\)"),
    ],
)
def test_a_wrong_answer_of_n_is_named(wrong: Callable[..., Any], message: str) -> None:
    with pytest.raises(ModelOutputError, match=message):
        solved(nonlinear=wrong)


@pytest.mark.parametrize("size", [4, 64])
def test_a_masked_answer_of_n_is_refused(size: int) -> None:
    with pytest.raises(ModelOutputError, match=r"but as numpy\.ma\.\w*\.?MaskedArray"):
        solve(
            Diagonal(-np.ones(size)), lambda t, y: np.ma.array(y, mask=True), (0, 1),
            np.ones(size), steps=4,
        )  # fmt: skip


def test_an_answer_of_n_that_is_not_finite_is_named() -> None:
    with pytest.raises(NonFiniteError, match=r"N at evaluation 8 of 16 \(t = 0\.5\) returned NaN"):
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


# --- what is taken as it is meant ---------------------------------------------------------------


def damped(t: float, y: Any) -> Any:
    return y / (1 + abs(y) ** 2)


@pytest.mark.parametrize("kind", ["f4", "f8", "c8", "c16", "i4"])
@pytest.mark.parametrize("size", [2, 300])
def test_any_byte_order_is_taken(kind: str, size: int) -> None:
    """As files of other machines have it; the numbers are the same, the solution is native."""
    y0 = np.linspace(1.0, 7.0, size).astype(kind)
    for options in ({"steps": 4}, {"steps": None, "method": "etdpece"}):
        found, expected = (
            solved(
                y0=y, linear=Scalar(-1.0), nonlinear=lambda t, y: y / (1 + abs(y) ** 2), **options
            )
            for y in (y0.astype(y0.dtype.newbyteorder()), y0)
        )
        assert found.y.dtype == expected.y.dtype
        assert found.y.dtype.isnative
        np.testing.assert_array_equal(found.y, expected.y)


TAKEN: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "no longest step": ({"max_step": None}, {}),
    "an infinite longest step": ({"max_step": np.inf}, {}),
    "no longest step on a grid": ({"steps": 4, "max_step": None}, {"steps": 4}),
    "an infinite one on a grid": ({"steps": 4, "max_step": np.inf}, {"steps": 4}),
    "a longest step in an array": ({"max_step": np.array(0.1)}, {"max_step": 0.1}),
    "a first step in an array": ({"first_step": np.array(0.1)}, {"first_step": 0.1}),
    "a count in an array": ({"steps": np.array(4)}, {"steps": 4}),
    "a count as a float": ({"steps": 4.0}, {"steps": 4}),
    "PI by default": ({"controller": "PI"}, {}),
    "no controller": ({"controller": None, "method": "etdpec"}, {"method": "etdpec"}),
    "a span in an array": ({"t_span": np.array([0, 1])}, {}),
    "one wanted time": ({"t_eval": 0.5}, {"t_eval": [0.5]}),
    "rtol in an array": ({"rtol": np.array(1e-5)}, {"rtol": 1e-5}),
    "a state of integers": ({"y0": np.array([1, 2])}, {"y0": [1.0, 2.0]}),
}


@pytest.mark.parametrize(("changed", "meant"), TAKEN.values(), ids=TAKEN)
def test_what_is_taken_as_it_is_meant(changed: dict[str, Any], meant: dict[str, Any]) -> None:
    found, expected = (
        solved(**{"steps": None, "method": "zoto_bowman43", **given}) for given in (changed, meant)
    )
    np.testing.assert_array_equal(found.t, expected.t)
    np.testing.assert_array_equal(found.y, expected.y)


def test_a_span_backwards() -> None:
    s = solved(t_span=(1, 0), step_size=0.25)
    assert s.t.tolist() == [1.0, 0.75, 0.5, 0.25, 0.0]


@pytest.mark.parametrize("size", [2, 64], ids=["interpreted", "compiled"])
@pytest.mark.parametrize("span", [(0.0, 3e-308), (0.0, -3e-308), (0.0, 1e307), (0.0, -1e307)])
@pytest.mark.parametrize("method", ["zoto_bowman43", "etdpece"])
def test_the_shortest_and_the_longest_spans(
    method: str, span: tuple[float, float], size: int
) -> None:
    seen: list[float] = []
    arguments = {"linear": Scalar(0.0), "nonlinear": lambda t, y: 0 * y, "y0": np.ones(size)}
    for steps in (None, 1):
        s = solved(
            **arguments, t_span=span, method=method if steps is None else "etd1", steps=steps,
            callback=lambda t, y: seen.append(t),
        )  # fmt: skip
        assert s.t[-1] == seen[-1] == span[1]
        assert (s.y == 1.0).all()
