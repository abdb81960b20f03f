"""How far an interpolant misses the end of its step: three ways to the same number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from semilinear import Diagonal, methods, solve
from semilinear.engines.loop import AdaptiveLoopEngine
from semilinear.kernels import march_adams
from semilinear.output import dense_output

ADAPTIVE = [n for n, i in methods.names().items() if i.embedded_order and n != "krogstad4"]


def pulse(t: float, y: Any) -> Any:
    return 50 * np.exp(-((20 * (t - 5)) ** 2)) + 0.1 * y[::-1]


def jump(t: float, y: Any) -> Any:
    return np.cos(y[::-1]) + (5.0 if t > 5.0 else 0.0)


@pytest.mark.parametrize("nonlinear", [pulse, jump])
@pytest.mark.parametrize("name", ADAPTIVE)
@pytest.mark.parametrize("kind", [float, complex])
def test_all_ways_to_check_an_interpolant_agree(
    name: str, nonlinear: Any, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an interpolant's own gap, with the coefficients of the step before, in compiled code."""
    norms: dict[str, list[float]] = {"own": [], "kept": [], "compiled": []}
    compiled, check = march_adams.end_error, dense_output.EndCheck.__call__

    def in_code(*arguments: Any) -> float:
        norms["compiled"].append(compiled(*arguments))
        return norms["compiled"][-1]

    def every(engine: Any, made: dense_output.Interpolant) -> bool:
        def norm(*arguments: Any) -> float:
            norms["kept"].append(honest.norm(*arguments))
            return norms["kept"][-1]

        honest = engine.course.controller
        ends = (made.backend.take(node.y) for node in (made.start, made.end))
        norms["own"].append(honest.norm(made.backend, made.gap, *ends))
        checks.norm = norm
        check(checks, made)
        return in_loop(engine, made)

    checks = dense_output.EndCheck(lambda *arguments: 0.0)
    in_loop = AdaptiveLoopEngine.misses
    monkeypatch.setattr(march_adams, "end_error", in_code)
    monkeypatch.setattr(AdaptiveLoopEngine, "misses", every)
    rates = -np.linspace(1.0, 3.0, 70) * (1 if kind is float else 1 - 2j)
    s = solve(
        Diagonal(rates), nonlinear, (0.0, 10.0), np.linspace(1.0, 0.5, 70).astype(kind),
        method=name, rtol=1e-5, atol=1e-5, dense_output=True,
    )  # fmt: skip
    own, kept, in_code_too = map(np.array, norms.values())
    assert len(own) >= s.stats["steps"]
    assert own.max() > 1e-3
    assert kept == pytest.approx(own, rel=1e-6, abs=1e-6)
    assert in_code_too == pytest.approx(own, rel=1e-6, abs=1e-6)
