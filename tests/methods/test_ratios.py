"""Step ratios: their algebra, and the published weights that are made of them."""

from __future__ import annotations

import pickle
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from semilinear import InvalidArgument, make_plan, methods
from semilinear.coefficients import step_coefficients
from semilinear.methods import Multistep
from semilinear.methods.ratios import Ratio, distance
from semilinear.propagators import Scalar

ONE, TWO = distance(-1, 0), distance(-2, -1)
GRIDS = {
    "even": [-3, -2, -1, 0, 1],
    "geometric": [-15, -7, -3, -1, 0],
    "rough": [-9, -7, -2, 0, 3],
}


def points(grid) -> dict[int, Fraction]:
    return {q: Fraction(t) for q, t in zip(range(-3, 2), grid, strict=True)}


# The algebra.


def test_ratios_form_an_algebra() -> None:
    assert ONE + TWO == TWO + ONE
    assert (ONE + TWO) * (ONE - TWO) == ONE * ONE - TWO * TWO
    assert (ONE + 2 * TWO) / ONE == 1 + 2 * TWO / ONE
    assert Ratio({}) == ONE - ONE
    assert 1 - ONE == -(ONE - 1)
    assert Fraction(1, 2) / ONE * ONE == ONE / ONE / 2
    assert Ratio({(): Fraction(1)}) == ONE / ONE
    assert distance(0, -1) == ONE != TWO
    assert len({ONE, distance(0, -1), TWO}) == 2
    assert pickle.loads(pickle.dumps(ONE / TWO)) == ONE / TWO
    assert repr(ONE / TWO / 2) == "1/2*d[-2,-1]^-1*d[-1,0]"
    assert repr(Ratio({})) == "0"
    with pytest.raises(AttributeError, match="immutable"):
        ONE.factor = 2
    with pytest.raises(InvalidArgument, match="one product"):
        ONE / (ONE + TWO)
    with pytest.raises(InvalidArgument, match="must differ"):
        distance(1, 1)
    with pytest.raises(InvalidArgument, match=r"distance\(-0\.5, 'b'\): .* whole numbers"):
        distance(-0.5, "b")


def test_values_are_exact_on_exact_grids_and_floats_on_others() -> None:
    found = ((1 + ONE) / TWO).value(points(GRIDS["rough"]))
    assert (found, type(found)) == ((1 + Fraction(2, 3)) / Fraction(5, 3), Fraction)
    # Backwards in time, and for many steps at once.
    steps = {q: np.array([float(-q), 2.0**q]) for q in range(-2, 2)}
    np.testing.assert_array_equal(((1 + ONE) / TWO).value(steps), [2.0, 6.0])


# The weights.


def weights(past: int, grid) -> list[Fraction]:
    row = methods.ipndm_v(past).fixed[-1]
    return [w.value(points(grid)) if isinstance(w, Ratio) else w for w in row]


def defects(past: int, grid) -> list[Fraction]:
    """``sum_j w_j theta_j^m - 1 / (m + 1)``, m below `past`, theta_j in units of the step."""
    *_, start, end = grid
    theta = [Fraction(t - start) / (end - start) for t in reversed(grid[:-1])][:past]
    found = weights(past, grid)
    return [
        sum(w * x**m for w, x in zip(found, theta, strict=True)) - Fraction(1, m + 1)
        for m in range(past)
    ]


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
@pytest.mark.parametrize("past", [1, 2])
def test_one_and_two_values_have_the_weights_of_adams_on_any_grid(past: int, grid) -> None:
    assert not any(defects(past, grid))


def test_which_moments_of_three_and_four_values_are_right() -> None:
    """Equal steps: three values are right, four lack the last moment; elsewhere less is right."""
    right = {
        (past, name): [not d for d in defects(past, grid)]
        for past in (3, 4)
        for name, grid in GRIDS.items()
    }
    assert right == {
        (3, "even"): [True, True, True],
        (3, "geometric"): [True, True, False],
        (3, "rough"): [True, True, False],
        (4, "even"): [True, True, True, False],
        (4, "geometric"): [True, True, False, False],
        (4, "rough"): [False, False, False, False],
    }
    assert methods.checks.adams_moments(methods.ipndm_v(4)) == 1  # phi_1 alone stands behind them


def test_a_slip_in_any_term_shows_in_the_moments() -> None:
    grid = GRIDS["rough"]
    for past in (2, 3, 4):
        method = methods.ipndm_v(past)
        right = defects(past, grid)
        for j, weight in enumerate(method.fixed[-1]):
            for powers, factor in weight:
                slip = weight + Ratio({powers: factor / 97})
                row = (*method.fixed[-1][:j], slip, *method.fixed[-1][j + 1 :])
                values = [w.value(points(grid)) for w in row]
                assert sum(values) - 1 != right[0], (past, j, powers)
                with pytest.raises(InvalidArgument, match="must add up to 1"):
                    replace(method, fixed=(*method.fixed[:-1], row))


@pytest.mark.parametrize(
    ("p", "q", "beyond"),
    [(-2, 0, "-2"), (-3, -2, "-3, -2"), (1, 2, "2"), (0, -7, "-7")],
)
def test_weights_that_look_beyond_the_values_are_refused(p: int, q: int, beyond: str) -> None:
    """They would read times from the other end of the grid, or none at all."""
    far = 1 / distance(p, q)
    said = rf"^far: fixed\[1\] looks at the grid points {beyond}, .* may have -1 to 1, "
    with pytest.raises(InvalidArgument, match=said):
        Multistep("far", 2, "P", 1, "none", fixed=((1,), (1 + far, -far)))
    # The newest value alone: no step before it is known.
    with pytest.raises(
        InvalidArgument, match=r"fixed\[0\] looks at the grid points -1, .* 0 to 1,"
    ):
        Multistep("far", 1, "P", 1, "none", fixed=((ONE / ONE / 2 + 1 / ONE / 2,),))


def test_they_stand_behind_phi_1_of_any_linear_part() -> None:
    grid = {q: float(t) / 4 for q, t in points(GRIDS["rough"]).items()}
    step = methods.ipndm_v(4).step(3, evaluated=False)
    flow, *found = step_coefficients(step, Scalar(-0.7), grid)
    h = grid[1] - grid[0]
    phi_1 = np.expm1(-0.7 * h) / (-0.7 * h)
    assert flow == pytest.approx(np.exp(-0.7 * h), rel=1e-15)
    expected = [float(w) * h * phi_1 for w in weights(4, GRIDS["rough"])]
    np.testing.assert_allclose(found, expected, rtol=1e-14)


def test_many_steps_are_asked_at_once_as_one_by_one() -> None:
    """A plan asks for steady steps together."""
    times = np.cumsum([0.0, 0.3, 0.5, 0.2, 0.4, 0.7, 0.3, 0.6])
    plan = make_plan(Scalar(-0.7), times, method=methods.ipndm_v(4))
    rows = [row for row in plan.rows if row.dst == "y+"]
    for n, (a, b) in enumerate(pairwise(times)):
        known = min(n, 3)
        near = {-q: times[n - q] for q in range(known + 1)} | {0: a, 1: b}
        step = methods.ipndm_v(4).step(known, evaluated=False)
        found = step_coefficients(step, Scalar(-0.7), near)
        np.testing.assert_allclose(rows[n].coefficients, np.ravel(found), rtol=1e-14)
