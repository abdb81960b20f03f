"""Known values: two methods reproduce each, to the agreement stated, and a wrong L does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from semilinear import Dense, Diagonal, problems, solve
from semilinear.problems import Problem

# For each problem and time: steps of luan_ostermann5, another method and its steps, and a bound on
# the relative error of every quantity: three times what was measured.
FEW = {
    ("allen_cahn", 20.0): (100, "krogstad4", 200, 4e-8),
    ("allen_cahn", 500.0): (1000, "krogstad4", 1000, 1e-12),
    ("allen_cahn_dirichlet", 3.0): (30, "hochbruck_ostermann4", 60, 2e-8),
    ("allen_cahn_dirichlet", 30.0): (200, "hochbruck_ostermann4", 300, 6e-7),
    ("burgers", 1.0): (100, "hochbruck_ostermann4", 200, 1e-8),
    ("burgers_chebfun", 1.0): (1000, "krogstad4", 1000, 6e-8),
    ("burgers_chebfun", 20.0): (6000, "krogstad4", 6000, 1e-10),
    ("ginzburg_landau", 10.0): (50, "hochbruck_ostermann4", 80, 2e-4),
    ("gray_scott", 100.0): (50, "hochbruck_ostermann4", 100, 2e-6),
    ("gray_scott", 1000.0): (300, "hochbruck_ostermann4", 500, 2e-5),
    ("kdv", 0.001): (700, "hochbruck_ostermann4", 1000, 1.5e-7),
    ("kuramoto_sivashinsky", 10.0): (100, "hochbruck_ostermann4", 200, 8e-8),
    ("kuramoto_sivashinsky", 50.0): (600, "hochbruck_ostermann4", 1200, 8e-7),
    ("kuramoto_sivashinsky_chebfun", 10.0): (100, "hochbruck_ostermann4", 200, 4e-8),
    ("kuramoto_sivashinsky_chebfun", 50.0): (600, "hochbruck_ostermann4", 1200, 2e-6),
    ("schnakenberg", 2.0): (50, "hochbruck_ostermann4", 100, 1e-5),
    ("schnakenberg", 10.0): (200, "hochbruck_ostermann4", 400, 3e-5),
}

# Likewise, to three times the agreement stated.
MANY = {
    ("allen_cahn", 20.0): (4000, "etdab6", 8000),
    ("allen_cahn", 500.0): (4000, "etdab6", 20000),
    ("allen_cahn_dirichlet", 3.0): (1000, "etdab6", 1000),
    ("allen_cahn_dirichlet", 30.0): (4000, "etdab6", 8000),
    ("burgers", 1.0): (1000, "etdab6", 1000),
    ("burgers_chebfun", 1.0): (8000, "krogstad4", 20000),
    ("burgers_chebfun", 20.0): (10000, "hochbruck_ostermann4", 20000),
    ("ginzburg_landau", 10.0): (1500, "etdab6", 6000),
    ("gray_scott", 100.0): (1000, "etdab6", 3200),
    ("gray_scott", 1000.0): (5000, "etdab6", 16000),
    ("kdv", 0.001): (8000, "etdab6", 16000),
    ("kuramoto_sivashinsky", 10.0): (1000, "etdab6", 2000),
    ("kuramoto_sivashinsky", 50.0): (10000, "etdab6", 16000),
    ("kuramoto_sivashinsky_chebfun", 10.0): (1000, "etdab6", 2000),
    ("kuramoto_sivashinsky_chebfun", 50.0): (10000, "etdab6", 16000),
    ("schnakenberg", 2.0): (2000, "hochbruck_ostermann4", 3000),
    ("schnakenberg", 10.0): (8000, "hochbruck_ostermann4", 12000),
}

# Values found before by other code, with HochOst4 and ETDRK4 at two step sizes each.
FOUND_BEFORE = {
    ("kuramoto_sivashinsky", 10.0, "u(16 pi)"): (-0.587948919047, 2e-12),
    ("kuramoto_sivashinsky", 10.0, "max"): (2.378736460882, 2e-12),
    ("kuramoto_sivashinsky", 10.0, "rms"): (0.846265565914, 2e-12),
    ("burgers", 1.0, "u(0)"): (0.522794586683, 2e-12),
    ("burgers", 1.0, "max"): (0.866675711945, 2e-12),
    ("allen_cahn_dirichlet", 3.0, "rms"): (0.804896092890, 2e-12),
    ("gray_scott", 100.0, "mean u"): (0.9433709014, 6e-10),
    ("gray_scott", 100.0, "mean v"): (0.0204166147, 2e-9),
    ("gray_scott", 100.0, "u(centre)"): (0.74378925, 8e-9),
}


def errors(problem: Problem, t: float, method: str, steps: int) -> dict[str, float]:
    """Return the relative error of every quantity that is known at t."""
    run = solve(
        problem.linear,
        problem.nonlinear,
        (problem.t_span[0], t),
        problem.y0,
        method=method,
        steps=steps,
        t_eval=[t],
        start="rk",
    )
    end = run.y[..., -1]
    return {
        known.quantity: abs(problem.quantities[known.quantity](end) / known.value - 1)
        for known in problem.known
        if known.t == t
    }


def with_stronger_linear_part(problem: Problem) -> Problem:
    """Return a problem whose L is 1.001 L."""
    linear = problem.linear
    if isinstance(linear, Dense):
        return replace(problem, linear=Dense(1.001 * linear.matrix))
    assert isinstance(linear, Diagonal)
    return replace(problem, linear=Diagonal(1.001 * linear.eigenvalues, weight=linear.weight))


def test_settings_are_given_for_all_known_values() -> None:
    known = {(n, k.t) for n in problems.names() for k in problems.get(n).known}
    assert set(FEW) == set(MANY) == known


def test_known_values_are_quantities_with_an_agreement() -> None:
    for name in problems.names():
        problem = problems.get(name)
        seen = [(known.t, known.quantity) for known in problem.known]
        assert len(set(seen)) == len(seen)
        for known in problem.known:
            assert problem.t_span[0] < known.t <= problem.t_span[1]
            assert 0 < known.agreement <= 1e-9
            assert np.isfinite(problem.quantities[known.quantity](problem.y0))


@pytest.mark.parametrize(("name", "t"), FEW)
def test_two_methods_reproduce_known_values(name: str, t: float) -> None:
    problem = problems.get(name)
    steps, other, others, bound = FEW[name, t]
    for method, count in (("luan_ostermann5", steps), (other, others)):
        found = errors(problem, t, method, count)
        assert found
        assert max(found.values()) <= bound, f"{method}: {found}"


LONG = ("ginzburg_landau", 10.0), ("gray_scott", 1000.0), ("schnakenberg", 10.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "t"),
    [pytest.param(*key, marks=[pytest.mark.nightly] * (key in LONG)) for key in MANY],
)
def test_two_methods_agree_as_stated(name: str, t: float) -> None:
    problem = problems.get(name)
    agreement = {k.quantity: k.agreement for k in problem.known if k.t == t}
    steps, other, others = MANY[name, t]
    for method, count in (("luan_ostermann5", steps), (other, others)):
        found = errors(problem, t, method, count)
        ratios = {quantity: found[quantity] / agreement[quantity] for quantity in agreement}
        assert max(ratios.values()) <= 3, f"{method}: {ratios}"


@pytest.mark.parametrize(("name", "t", "quantity"), FOUND_BEFORE)
def test_known_values_are_those_found_before(name: str, t: float, quantity: str) -> None:
    value, agreement = FOUND_BEFORE[name, t, quantity]
    (known,) = [k for k in problems.get(name).known if (k.t, k.quantity) == (t, quantity)]
    assert known.value == pytest.approx(value, rel=agreement)


# At the earliest time: the end of a decay would prove less.
@pytest.mark.parametrize("name", sorted({name for name, _ in FEW}))
def test_a_linear_part_one_part_in_a_thousand_off_fails(name: str) -> None:
    problem = problems.get(name)
    t = problem.known[0].t
    steps, _, _, bound = FEW[name, t]
    found = errors(with_stronger_linear_part(problem), t, "luan_ostermann5", steps)
    assert max(found.values()) > bound
    assert max(found.values()) > 3e-6


def test_other_parameters_have_no_known_values() -> None:
    changed = [
        problems.allen_cahn(points=128),
        problems.allen_cahn_dirichlet(degree=24),
        problems.allen_cahn_dirichlet(diffusion=0.02),
        problems.burgers(points=256),
        problems.burgers(viscosity=0.05),
        problems.ginzburg_landau(points=64),
        problems.ginzburg_landau(shear=1.3),
        problems.gray_scott(points=32),
        problems.gray_scott(feed=0.026, kill=0.059),
        problems.kdv(points=512),
        problems.kuramoto_sivashinsky(points=256),
        problems.schnakenberg(points=32),
    ]
    for problem in changed:
        assert problem.known == ()
        assert problems.get(problem.name).known
