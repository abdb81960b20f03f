"""Problems of fields: conservation, exact waves, array libraries, views, and misuse."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

from semilinear import Diagonal, InvalidArgument, problems, solve
from semilinear.problems import Problem
from tolerances import assert_close, rounding, to_numpy

LINES = (
    "allen_cahn",
    "burgers",
    "burgers_chebfun",
    "kdv",
    "kuramoto_sivashinsky",
    "kuramoto_sivashinsky_chebfun",
    "soliton",
)
PLANES = ("gray_scott", "schnakenberg")
COMPLEX = ("ginzburg_landau", "nonlinear_schroedinger")
PERIODIC = LINES + PLANES + COMPLEX
FIELD = (*PERIODIC, "allen_cahn_dirichlet")
EPS = float(np.finfo(float).eps)

each_field = pytest.mark.parametrize("name", FIELD)
each_periodic = pytest.mark.parametrize("name", PERIODIC)


def end(problem: Problem, method: str, steps: int) -> np.ndarray:
    t1 = problem.t_span[1]
    arguments = problem.linear, problem.nonlinear, problem.t_span, problem.y0
    return solve(*arguments, method=method, steps=steps, t_eval=[t1]).y[..., -1]


def slope(problem: Problem, y: np.ndarray) -> np.ndarray:
    """Return L y + B N(0, y) of a problem in modes."""
    assert isinstance(problem.linear, Diagonal)
    return problem.linear.eigenvalues * y + problem.linear.weight * problem.nonlinear(0.0, y)


@each_field
def test_the_state_fits_the_linear_part_and_the_view_its_axes(name: str) -> None:
    problem = problems.get(name)
    problem.linear.check_state(problem.y0.shape, np.iscomplexobj(problem.y0), argument="y0")
    assert problem.nonlinear(0.0, problem.y0).shape == problem.y0.shape
    seen = problem.view(problem.y0)
    assert seen.dtype == float
    lengths = tuple(len(axis) for axis in problem.axes)
    assert seen.shape == ((2,) if name in PLANES else ()) + lengths
    batch = np.stack([problem.y0, 2 * problem.y0])
    assert np.array_equal(problem.view(batch)[0], seen)
    assert problem.reference


@each_field
def test_problems_travel_to_other_processes(name: str) -> None:
    problem = problems.get(name)
    other = pickle.loads(pickle.dumps(problem))
    assert np.array_equal(other.nonlinear(0.0, other.y0), problem.nonlinear(0.0, problem.y0))
    for quantity, functional in problem.quantities.items():
        assert other.quantities[quantity](other.y0) == functional(problem.y0)


@pytest.mark.parametrize(
    ("name", "t1", "steps"),
    [("burgers", 1.0, 50), ("kdv", 1e-4, 50), ("kuramoto_sivashinsky_chebfun", 20.0, 100)],
)
def test_the_mean_is_conserved(name: str, t1: float, steps: int) -> None:
    problem = problems.get(name).until(t1)
    mean = problem.quantities["mean"]
    scale = float(np.max(np.abs(problem.view(problem.y0))))
    drift = abs(mean(end(problem, "krogstad4", steps)) - mean(problem.y0))
    assert drift <= rounding(float, scale=scale, operations=steps)


def test_the_breather_keeps_its_mass_and_follows_its_formula() -> None:
    problem = problems.nonlinear_schroedinger().until(2.0)
    y = end(problem, "luan_ostermann5", 1000)
    assert problem.quantities["mass"](problem.y0) == pytest.approx(1.0, rel=64 * EPS)
    assert problem.quantities["mass"](y) == pytest.approx(1.0, rel=1e-11)
    # Along the exact solution the mass is 1 at all times.
    for t in (0.3, 3.0, 20.0):
        assert problem.quantities["mass"](problem.exact(t)) == pytest.approx(1.0, rel=64 * EPS)
    assert_close(y, problem.exact(2.0), operations=1000)


@pytest.mark.parametrize(("method", "bound"), [("luan_ostermann5", 2e-9), ("krogstad4", 1e-6)])
def test_the_soliton_keeps_its_form(method: str, bound: float) -> None:
    problem = problems.soliton()
    t1 = problem.t_span[1]
    y, exact = end(problem, method, 800), problem.exact(t1)
    assert np.max(np.abs(y - exact)) <= bound * np.max(np.abs(exact))
    # The crest moves from -1 by c t.
    (x,) = problem.axes
    assert x[np.argmax(problem.view(exact))] == pytest.approx(-1 + 625 * t1, abs=x[1] - x[0])


@pytest.mark.parametrize(
    ("name", "t", "step"), [("soliton", 4e-4, 2e-6), ("nonlinear_schroedinger", 0.7, 1e-3)]
)
def test_exact_waves_solve_their_equations(name: str, t: float, step: float) -> None:
    problem = problems.get(name)
    assert np.array_equal(problem.exact(0.0), problem.y0)
    y = problem.exact(t)
    weights = {1: 4 / 5, 2: -1 / 5, 3: 4 / 105, 4: -1 / 280}
    difference = sum(
        w * (problem.exact(t + k * step) - problem.exact(t - k * step)) for k, w in weights.items()
    )
    found, expected = difference / step, slope(problem, y)
    assert np.max(np.abs(found - expected)) <= 1e-7 * np.max(np.abs(expected))


def test_a_soliton_of_another_speed_passes_the_boundary() -> None:
    problem = problems.soliton(points=256, speed=100.0)
    assert_close(problem.exact(2 * np.pi / 100), problem.y0, operations=4096)
    assert np.max(problem.view(problem.y0)) == pytest.approx(300.0, rel=1e-3)


@pytest.mark.parametrize("name", LINES + PLANES)
def test_half_spectra_stay_those_of_real_values(name: str) -> None:
    problem = problems.get(name)
    t0, t1 = problem.t_span
    y = end(problem.until(t0 + (t1 - t0) / 100), "krogstad4", 50)
    transform = np.fft.rfft2 if name in PLANES else np.fft.rfft
    scale = float(np.max(np.abs(y)))
    assert_close(transform(problem.view(y)), y, operations=64, scale=scale)


@each_field
@pytest.mark.parametrize("precision", ["single", "double"])
def test_any_array_library_keeps_its_dtype(name: str, precision: str, xp: ModuleType) -> None:
    problem = problems.get(name)
    real = not np.iscomplexobj(problem.y0)
    kind = {
        ("single", True): "float32",
        ("single", False): "complex64",
        ("double", True): "float64",
        ("double", False): "complex128",
    }[precision, real]
    batch = np.stack([problem.y0, 1.01 * problem.y0])
    y = xp.asarray(batch, dtype=getattr(xp, kind))
    n = problem.nonlinear(0.0, y)
    assert type(n) is type(y)
    assert n.dtype == y.dtype
    expected = np.stack([problem.nonlinear(0.0, row) for row in batch])
    scale = float(np.max(np.abs(expected))) + float(np.max(np.abs(batch)))
    found = to_numpy(n)
    assert np.max(np.abs(found - expected)) <= rounding(found.dtype, scale=scale, operations=64)
    assert np.array_equal(to_numpy(y), batch.astype(kind)), "y must be left as it is"


def test_importing_problems_compiles_nothing() -> None:
    code = "import sys, semilinear.problems as p; p.get('kdv'); print('numba' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


SIZED = (
    "allen_cahn",
    "burgers",
    "ginzburg_landau",
    "gray_scott",
    "kdv",
    "kuramoto_sivashinsky",
    "nonlinear_schroedinger",
    "schnakenberg",
    "soliton",
)


@pytest.mark.parametrize("name", SIZED)
@pytest.mark.parametrize("points", [0, -8, 6, 33, 16.5, float("nan"), float("inf"), "64", [8, 8]])
def test_grids_that_cannot_be_are_refused(name: str, points: object) -> None:
    with pytest.raises(InvalidArgument, match=r"points=.* must be an even whole number"):
        getattr(problems, name)(points=points)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: problems.kuramoto_sivashinsky(initial="kt"), "initial='kt'.*'chebfun'"),
        (lambda: problems.burgers(initial="kt"), "initial='kt'.*'expint'"),
        (lambda: problems.burgers(viscosity=0.0), "viscosity=0.0 must be finite and positive"),
        (lambda: problems.burgers(viscosity=float("nan")), "viscosity=nan"),
        (lambda: problems.gray_scott(feed=-1.0), "feed=-1.0"),
        (lambda: problems.gray_scott(kill=float("inf")), "kill=inf"),
        (lambda: problems.ginzburg_landau(shear=float("nan")), "shear=nan"),
        (lambda: problems.soliton(speed=700.0), "speed=700.0 .*more points"),
        (lambda: problems.soliton(speed=9.0), "speed=9.0 must lie between 100"),
        (lambda: problems.nonlinear_schroedinger(points=32), "points=32 must be at least 64"),
        (lambda: problems.allen_cahn_dirichlet(degree=3), "degree=3"),
        (lambda: problems.allen_cahn_dirichlet(degree=8.5), "degree=8.5"),
        (lambda: problems.allen_cahn_dirichlet(degree="a"), "degree='a' must be a whole number"),
        (lambda: problems.burgers(viscosity="a"), "viscosity='a' must be finite and positive"),
        (lambda: problems.burgers(initial=["kt"]), r"initial=\['kt'\] is not known"),
        (lambda: problems.ginzburg_landau(shear="a"), "shear='a' must be finite"),
        (lambda: problems.soliton(speed="a"), "speed='a' must lie between 100"),
        (lambda: problems.prothero_robinson(rate="a"), "rate='a' must be finite and not 0"),
        (lambda: problems.hochbruck_ostermann(points="a"), "points='a' must be a whole number"),
        (lambda: problems.allen_cahn_dirichlet(diffusion=-0.01), "diffusion=-0.01"),
    ],
)
def test_bad_parameters_are_refused(make: Callable[[], Problem], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        make()
