"""How stiff a problem is, and what N has to do with it, by the flow of L alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from array_api_compat import array_namespace, device

from semilinear.answers import copied
from semilinear.propagators import Propagator
from semilinear.studies.subject import SemilinearProblem

DIFFERENCE = 1e-8
"""Length of the difference quotient of the flow that gives L, in spans: L t is seen up to 1e8."""


def operator(linear: Propagator, t: float, span: float) -> Any:
    """Return L(t), by the difference quotient ``(Psi(t + d, t) - 1) / d``.

    It asks what every propagator answers, so that it holds for those of other packages too. It is
    meant for magnitudes: entries above 1e8 / |span| are cut off.
    """
    d = DIFFERENCE * span
    with np.errstate(over="ignore", invalid="ignore"):
        flow = np.asarray(linear.flow(t, t + d))
        unit = np.eye(flow.shape[-1]) if linear.form == "matrix" else 1.0
        return (flow - unit) / d


def largest_rate(linear: Propagator, t_span: tuple[float, float]) -> float:
    """Return |L| in the maximum norm, the largest of three times where it depends on t."""
    t0, t1 = t_span
    times = [t0] if linear.constant else [t0, (t0 + t1) / 2, t1 - DIFFERENCE * (t1 - t0)]
    return max(_norm(operator(linear, t, t1 - t0), linear.form) for t in times)


def step_rates(
    linear: Propagator, t_span: tuple[float, float], steps: Sequence[int]
) -> tuple[float, ...]:
    """Return ``h |L|`` for the mean step h of each number of steps."""
    whole = abs(t_span[1] - t_span[0]) * largest_rate(linear, t_span)
    return tuple(whole / n for n in steps)


class Roughness(NamedTuple):
    """What B N at the end of a run is to L, in the maximum norm.

    Parameters
    ----------
    domain
        ``|L B N| / (|L| |B N|)``, at most one: of the order of 1 / |L| where B N lies in the domain
        of L, that is, is smooth and obeys its boundary conditions.
    size
        ``|B N| / (|L| |y|)``.
    """

    domain: float
    size: float


def roughness(problem: SemilinearProblem, end: Any) -> Roughness:
    """Return what B N(t1, y(t1)) is to L."""
    (t0, t1), y0 = problem.t_span, problem.y0
    xp = array_namespace(y0)

    def like(values: Any) -> Any:
        return xp.asarray(values, dtype=y0.dtype, device=device(y0))

    def largest(values: Any) -> float:
        return float(xp.max(xp.abs(values)))

    y = like(end)
    source = like(problem.linear.input_weight(t1)) * problem.nonlinear(t1, copied(y))
    matrix = operator(problem.linear, t1 - DIFFERENCE * (t1 - t0), t1 - t0)
    size = _norm(matrix, problem.linear.form)
    if problem.linear.form == "matrix":
        applied = xp.matmul(source, like(matrix.T))
    else:
        applied = like(matrix) * source
    scale = largest(source)
    if not size * scale > 0:
        return Roughness(0.0, 0.0)
    return Roughness(largest(applied) / (size * scale), scale / (size * (largest(y) or 1.0)))


def _norm(values: Any, form: str) -> float:
    sums = np.sum(np.abs(values), axis=-1) if form == "matrix" else np.abs(values)
    return float(np.max(sums))
