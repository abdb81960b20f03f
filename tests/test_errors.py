"""Values as messages show them."""

from __future__ import annotations

import numpy as np
import pytest

from semilinear import InvalidArgument, diffusion, solve
from semilinear.errors import LONGEST, UnknownName, shown


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.5, "1.5"),
        ("tab3", "'tab3'"),
        (None, "None"),
        (np.float64("nan"), "nan"),
        (np.array(2), "2"),
        (np.ones((1000, 2)), "<array of shape (1000, 2)>"),
        (np.array([1e-3, -1.0]), "array([ 0.001, -1. ])"),
        ([1, 2], "[1, 2]"),
    ],
)
def test_short_values_are_shown_as_they_are_and_arrays_by_shape(value: object, text: str) -> None:
    assert shown(value) == text


def test_long_values_are_cut() -> None:
    text = shown(list(range(1000)))
    assert len(text) == LONGEST
    assert text.startswith("[0, 1, 2,")
    assert text.endswith(" ...")


class Lines:
    def __repr__(self) -> str:
        return "one\n   two"


def test_values_of_several_lines_are_shown_in_one() -> None:
    assert shown(Lines()) == "one two"


MANY = np.linspace(0.5, 1.0, 5000)


@pytest.mark.parametrize(
    "given",
    [
        {"nfe": MANY},
        {"steps": list(MANY)},
        {"noise": MANY},
        {"method": "auto", "t_start": MANY},
        {"schedule": MANY},
        {"method": MANY},
        {"grid": "even" * 100},
        {"final": MANY},
        {"prediction": list(MANY)},
    ],
    ids=lambda given: "-".join(given),
)
def test_no_message_holds_a_whole_array(given: dict[str, object]) -> None:
    schedule = given.get("schedule", diffusion.VPLinear())
    rest = {name: value for name, value in given.items() if name != "schedule"}
    x = np.zeros((5000, 2))
    with pytest.raises(InvalidArgument) as caught:
        diffusion.sample(lambda x, t: x, x, schedule, **rest)
    assert len(str(caught.value)) < 500
    assert next(name for name in reversed(given)) in str(caught.value)


@pytest.mark.parametrize(
    "name", ["t_span", "rtol", "max_step", "first_step", "method", "controller"]
)
def test_nor_does_one_of_solve(name: str) -> None:
    from semilinear import Scalar

    given = {"t_span": (0.0, 1.0), name: tuple(MANY)}
    with pytest.raises(InvalidArgument, match=name) as caught:
        solve(Scalar(-1.0), lambda t, y: y, y0=np.ones(3), **given)
    assert len(str(caught.value)) < 500


def test_unknown_names_are_shown_short() -> None:
    assert len(str(UnknownName.among("grid", "x" * 5000, ["uniform"]))) < 300
