"""The parts of benchmarks/quality that its figures rest on."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.linalg import sqrtm

from semilinear import diffusion

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks" / "quality"
EPS = np.finfo(float).eps


@pytest.fixture(scope="module")
def quality() -> Iterator[SimpleNamespace]:
    """The modules of the benchmark that need no torch, which import one another by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        import frechet
        import rows

        found = SimpleNamespace(frechet=frechet, rows=rows)
    yield found
    for name in ("frechet", "rows"):
        del sys.modules[name]


def normals(n: int, d: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, d)) + rng.standard_normal(d)


def test_equal_normals_have_distance_zero(quality: SimpleNamespace) -> None:
    m = quality.frechet.moments(normals(200, 6, 0))
    # The least eigenvalue of the product has the rounding of the largest.
    scale = np.trace(m.covariance) * np.linalg.cond(m.covariance)
    assert abs(quality.frechet.distance(m, m)) <= 10 * EPS * scale


def test_a_shift_and_a_scale_are_known(quality: SimpleNamespace) -> None:
    x = normals(300, 5, 1)
    shift = np.arange(5.0)
    real = quality.frechet.moments(x)
    moved = quality.frechet.moments(x + shift)
    assert quality.frechet.distance(real, moved) == pytest.approx(shift @ shift, rel=1e-12)
    wider = quality.frechet.moments(real.mean + 3 * (x - real.mean))
    expected = 4 * np.trace(real.covariance)
    assert quality.frechet.distance(real, wider) == pytest.approx(expected, rel=1e-12)


def test_general_normals_agree_with_the_root_of_the_product(quality: SimpleNamespace) -> None:
    one, two = (quality.frechet.moments(normals(100, 4, seed)) for seed in (2, 3))
    overlap = sqrtm(one.covariance @ two.covariance).real
    spread = np.trace(one.covariance + two.covariance - 2 * overlap)
    expected = np.sum((one.mean - two.mean) ** 2) + spread
    assert quality.frechet.distance(one, two) == pytest.approx(expected, rel=1e-10)
    assert quality.frechet.distance(two, one) == pytest.approx(expected, rel=1e-10)


def test_a_singular_covariance_is_no_trouble(quality: SimpleNamespace) -> None:
    x = normals(50, 4, 4)
    x[:, 2] = 1.0
    real, other = quality.frechet.moments(x), quality.frechet.moments(2 * x)
    reference = quality.frechet.Reference(real)
    expected = np.sum(real.mean**2) + np.trace(real.covariance)
    assert reference.distance(other) == pytest.approx(expected, rel=1e-7)
    assert np.isfinite(reference.influence(2 * x)).all()


def test_influence_is_the_derivative(quality: SimpleNamespace) -> None:
    reference = quality.frechet.Reference(quality.frechet.moments(normals(100, 3, 5)))
    x = normals(60, 3, 6)
    influence = reference.influence(x)
    assert abs(influence.sum()) <= 100 * EPS * np.abs(influence).sum()

    def at(weights: np.ndarray) -> float:
        mean = weights @ x / weights.sum()
        covariance = (x - mean).T @ ((x - mean) * weights[:, None]) / weights.sum()
        return reference.distance(quality.frechet.Moments(mean, covariance))

    h = 1e-4
    for row in (0, 7):
        up, down = np.ones(60), np.ones(60)
        up[row] += h
        down[row] -= h
        slope = (at(up) - at(down)) / (2 * h) * 60
        # The covariance of `influence` is over n - 1.
        assert slope == pytest.approx(influence[row], rel=0.05, abs=0.05 * np.abs(influence).max())


def test_the_same_rows_are_drawn_for_all(quality: SimpleNamespace) -> None:
    reference = quality.frechet.Reference(quality.frechet.moments(normals(100, 3, 7)))
    x = normals(400, 3, 8)
    one = reference.bootstrap(x, draws=50, seed=0)
    two = reference.bootstrap(x + 1e-3, draws=50, seed=0)
    assert one.shape == (50,)
    assert np.corrcoef(one, two)[0, 1] > 0.999
    spread = np.sqrt(np.mean(reference.influence(x) ** 2) / len(x))
    assert 0.5 * spread < one.std() < 2 * spread


def test_all_samplers_are_compared(quality: SimpleNamespace) -> None:
    rows = quality.rows
    run = {row.method for row, _ in rows.runs(rows.GROUPS, (20,)) if isinstance(row, rows.Own)}
    assert run == set(diffusion.names())


def test_budgets_are_kept(quality: SimpleNamespace) -> None:
    rows = quality.rows
    for row, nfe in rows.runs(("ablation", "main", "noisy"), (5, 10)):
        assert 1 <= row.plan(nfe).nfe <= nfe, row.name
    plan = rows.Own("tab3", "uniform", "even").plan(10)
    assert plan.nfe == 10
    np.testing.assert_allclose(plan.times, np.linspace(1, 0.1, 10), rtol=4 * EPS)


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (("ipndm1", "uniform", "even"), ("ddim", "uniform", "even"), True),
        (("seeds2", "uniform", "even"), ("dpmpp_2s_sde", "uniform", "even"), True),
        (("tab3", "uniform", "even"), ("tab2", "uniform", "even"), False),
        (("tab3", "uniform", "even"), ("tab3", "quadratic", "even"), False),
        (("tab3", "uniform", "even"), ("tab3", "uniform", "zero"), False),
        (("unipc1", "uniform", "even"), ("ddim", "uniform", "even"), False),
        (("dpmpp_2m", "uniform", "even"), ("dpmpp_2m", "uniform", "even", False, 0.5), False),
        (
            ("dpmpp_2m", "uniform", "even", False, 0.5),
            ("dpmpp_2m", "uniform", "even", False, 0.6),
            False,
        ),
    ],
)
def test_plans_are_the_same_where_their_numbers_are(
    quality: SimpleNamespace, one: tuple[Any, ...], other: tuple[Any, ...], equal: bool
) -> None:
    plans = [quality.rows.Own(*row).plan(10) for row in (one, other)]
    assert quality.rows.same(*plans) is equal


def test_names_tell_rows_apart(quality: SimpleNamespace) -> None:
    runs = quality.rows.runs(quality.rows.GROUPS, (5, 10))
    assert len({(row.name, nfe) for row, nfe in runs}) == len(runs)


def test_the_stored_classifier_is_as_the_benchmark_says() -> None:
    file = FOLDER / "classifier.npz"
    assert file.stat().st_size <= 500_000
    with np.load(file) as stored:
        assert float(stored["test_accuracy"]) >= 0.985
    with np.load(FOLDER / "statistics.npz") as stored:
        covariance = stored["test_covariance"]
        assert int(stored["images"]) == 10_000
    np.testing.assert_array_equal(covariance, covariance.T)
    # The features are scaled so; the weights are rounded to float16 after that.
    assert np.trace(covariance) / len(covariance) == pytest.approx(1.0, rel=1e-2)


def test_discrete_schedulers_get_the_noise_levels_of_the_model() -> None:
    pytest.importorskip("torch")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        import generating

        kept = np.cumprod(1 - np.array(generating.betas()))
    schedule = diffusion.VPLinear()
    wanted = [schedule.alpha((i + 1) / 1000) ** 2 for i in range(1000)]
    np.testing.assert_allclose(kept, wanted, rtol=1000 * EPS)
