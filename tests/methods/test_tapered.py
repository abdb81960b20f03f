"""Runs whose last steps are of lower order."""

from __future__ import annotations

import pytest

from semilinear import InvalidArgument, Scalar, make_plan, methods
from semilinear.methods import Tapered, dpm3, dpm_fast
from semilinear.methods.estimates import has_estimate


@pytest.mark.parametrize("evaluations", range(1, 13))
def test_the_evaluations_of_fast_add_up(evaluations: int) -> None:
    """Orders of Lu et al. (2022a): 3, ..., 3 and 2, 1 or 1 or 2."""
    method = dpm_fast(evaluations)
    steps = methods.sequence(method, evaluations // 3 + 1)
    orders = [step.evaluations for step in steps]
    rest = {0: [2, 1], 1: [1], 2: [2]}[evaluations % 3]
    assert orders == [3] * (len(steps) - len(rest)) + rest
    assert sum(orders) == evaluations
    plan = make_plan(Scalar(-1.0), list(range(len(steps) + 1)), method=method)
    assert plan.nfe == evaluations


def test_what_a_tapered_method_is() -> None:
    method = dpm_fast(6)
    assert (method.order, method.stiff_order, method.evaluations, method.history) == (2, 2, 3, 0)
    assert dpm_fast(5).order == 3
    assert not method.carries
    assert not has_estimate(method)
    assert dpm_fast(9) == method
    assert hash(dpm_fast(9)) == hash(method)
    assert methods.sequence(method, 0) == []
    assert [s.evaluations for s in methods.sequence(method, 1)] == [1]
    assert methods.info(method).embedded_order is None


def test_bad_parameters() -> None:
    with pytest.raises(InvalidArgument, match="evaluations=0"):
        dpm_fast(0)
    with pytest.raises(InvalidArgument, match="without last steps it is dpm3"):
        Tapered("none", dpm3(), (), 3, "for tests")
    with pytest.raises(InvalidArgument, match="has no estimate of its error"):
        methods_solve()


def methods_solve() -> object:
    from semilinear import solve

    return solve(Scalar(-1.0), lambda t, y: y, (0.0, 1.0), [1.0], method=dpm_fast(3))
