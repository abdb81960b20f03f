"""The table of a plan: a program for any library of arrays."""

from __future__ import annotations

import numpy as np
import pytest

from semilinear import Diagonal, InvalidArgument, Scalar, Table, diffusion, make_plan
from semilinear.stepping import run
from tolerances import assert_close

VP = diffusion.VPLinear()


def model(x, t):
    return 0.5 * np.sin(x) + 0.1 * t * x


def ended(table: Table, x: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Run a table as its documentation says, each draw from where it stands."""
    number, d = iter(range(len(draws))), table.draws

    def drawn() -> np.ndarray:
        return draws[[next(number) for _ in range(d)]].reshape(d, *x.shape)

    slots = np.tensordot(table.opening, np.stack([x, *drawn()]), 1)
    for matrix, t in zip(table.matrices, table.times, strict=True):
        slots = np.tensordot(matrix, np.stack([*slots, model(slots[0], t), *drawn()]), 1)
    return slots[0]


@pytest.mark.parametrize("name", ["tab3", "unipc3", "dpm_solver_3s", "ddpm", "seeds3"])
def test_a_table_is_the_run_of_its_plan(name: str) -> None:
    plan = diffusion.plan(VP, method=name, steps=6)
    table = plan.table()
    assert (table.draws > 0) == plan.stochastic
    assert len(table.times) == plan.nfe
    draws = np.random.default_rng(1).standard_normal((plan.nfe + 1, max(table.draws, 1), 3, 5))
    x = np.random.default_rng(0).standard_normal((3, 5))
    found = ended(table, x, draws[:, : table.draws].reshape(-1, 3, 5))
    seed = (lambda k, i: draws[k, i]) if plan.stochastic else None
    assert_close(found, diffusion.follow(plan, model, x, seed=seed), operations=1000)


@pytest.mark.parametrize("linear", [Scalar(-2.0), Scalar(3.0j)], ids=["real", "complex"])
def test_plans_of_the_core_have_one(linear: Scalar) -> None:
    plan = make_plan(linear, np.linspace(0, 1, 9), method="etd4rk")
    y = np.linspace(-1, 1, 5) + 0j
    assert_close(ended(plan.table(), y, np.empty((0, 5))), run(plan, model, y).x, operations=1000)


def test_coefficients_that_are_no_numbers_have_none() -> None:
    plan = make_plan(Diagonal(-np.arange(3.0)), [0.0, 0.5, 1.0], method="etdab2")
    with pytest.raises(InvalidArgument, match=r"Plan\(.*elementwise coefficients"):
        plan.table()
    plan = diffusion.plan(VP, steps=2, t_start=[0.5, 0.7])
    with pytest.raises(InvalidArgument, match=r"times for each sample.*diffusion\.follow"):
        plan.table()
