"""The mixtures that benchmarks rest on, and how the table of toys judges an order."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from semilinear.diffusion import VPLinear

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"
VP = VPLinear()
ALPHA, SIGMA = 0.8, 0.6


@pytest.fixture(scope="module")
def benchmark() -> Iterator[SimpleNamespace]:
    """The modules of the benchmark, which import one another by name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        patch.setenv("OMP_NUM_THREADS", "1")  # as toys does: undone with the rest
        import _mixtures
        import _pages
        import toys

        found = SimpleNamespace(mixtures=_mixtures, pages=_pages, toys=toys)
    yield found
    for name in ("_mixtures", "_pages", "toys", "_timing"):
        sys.modules.pop(name, None)


@pytest.fixture(params=["line", "plane", "random"])
def data(request, benchmark):
    if request.param == "random":
        return benchmark.mixtures.random(4, 3, seed=5)
    return getattr(benchmark.mixtures, request.param)()


def test_eps_and_its_jacobian_are_slopes_of_the_density(data):
    x, step = data.draw(5, ALPHA, SIGMA, seed=3), 1e-5
    eps, matrix = data.eps(x, ALPHA, SIGMA), data.jacobian(x, ALPHA, SIGMA)
    for i, unit in enumerate(np.eye(data.size)):
        high, low = x + step * unit, x - step * unit
        slope = (data.log_density(high, ALPHA, SIGMA) - data.log_density(low, ALPHA, SIGMA)) / 2
        np.testing.assert_allclose(eps[:, i], -SIGMA * slope / step, rtol=1e-6, atol=1e-8)
        slope = (data.eps(high, ALPHA, SIGMA) - data.eps(low, ALPHA, SIGMA)) / 2
        np.testing.assert_allclose(matrix[:, :, i], slope / step, rtol=1e-6, atol=1e-8)


def test_the_density_has_mass_one_and_the_draws_its_mean(benchmark):
    data = benchmark.mixtures.line()
    x = np.linspace(-9, 9, 4001)[:, None]
    mass = np.exp(data.log_density(x, ALPHA, SIGMA)) * (x[1] - x[0])
    assert mass.sum() == pytest.approx(1.0, abs=1e-12)
    drawn = data.draw(20_000, ALPHA, SIGMA, seed=0)
    # Five standard deviations of a mean of so many.
    assert abs(drawn.mean() - (mass * x[:, 0]).sum()) < 5 * drawn.std() / np.sqrt(20_000)


def test_references_agree(data, benchmark):
    times = (0.8, 0.05)
    lams = np.array([VP.lam(t) for t in times])
    y = data.draw(3, VP.alpha(times[0]), VP.sigma(times[0]), seed=1) / VP.alpha(times[0])
    found = benchmark.mixtures.flow_extended(data, y, tuple(lams), steps=60)
    others = [benchmark.mixtures.flow(data, y, lams, VP)[-1]]
    if data.size == 1:
        others.append(benchmark.mixtures.flow_of_quantiles(data, y, VP, times))
    for other in others:
        assert np.abs(other - found).max() < 1e-13
    assert np.abs(found - y).max() > 0.1


@pytest.mark.parametrize(
    ("found", "missed"), [(2.8, []), (3.3, []), (2.7, ["even"]), (3.5, ["even"])]
)
def test_an_order_is_judged_from_both_sides(benchmark, found, missed):
    row = benchmark.toys.Row("semilinear", "own", 3, observed={"even": found, "karras": 3.0})
    assert row.misses() == missed


def test_a_sampler_shows_its_order(benchmark):
    [ddim] = [each for each in benchmark.toys.own() if each.label == "ddim"]
    assert benchmark.toys.observed(ddim, "uneven") == pytest.approx(1.0, abs=0.05)


def test_text_is_written_between_its_comments(benchmark):
    page = "a\n<!-- generated: toys -->\nold\n<!-- end -->\nb\n"
    new = benchmark.pages.written(page, "toys", "new")
    assert new == "a\n<!-- generated: toys -->\n\nnew\n\n<!-- end -->\nb\n"
    assert benchmark.pages.written(new, "toys", "new") == new
    with pytest.raises(ValueError, match="generated: other"):
        benchmark.pages.written(page, "other", "new")
