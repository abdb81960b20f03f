"""The declared order of every sampler of the ODE, from both sides, on data that couple entries."""

from __future__ import annotations

import numpy as np
import pytest

from diffusion_problems import Mixture, deterministic, noise_at, slopes
from semilinear import diffusion
from semilinear.diffusion import VPLinear

VP = VPLinear()
DATA = Mixture()
# Between these, lambda goes from -2.4 to 0.9: high orders show before rounding does.
T_START, T_END = 0.7, 0.1
X = noise_at(VP, T_START, (4, 2), seed=1)
EXACT = DATA.flow(VP, X, T_START, T_END)
FIXED = ["ipndm2", "ipndm3", "ipndm4"]
SPACED = ["ipndm_v3", "ipndm_v4"]
# Order five of rho_dopri5 shows on coarser grids only, in the tests of exactness.
ORDINARY = [name for name in deterministic() if name not in (*FIXED, *SPACED, "rho_dopri5")]


def even(n: int) -> np.ndarray:
    return np.linspace(0.0, 1.0, n + 1)


def uneven(n: int) -> np.ndarray:
    """Steps that never become equal, however many."""
    steps = np.resize([1.7, 0.6, 1.0], n)
    return np.append(0.0, np.cumsum(steps)) / steps.sum()


def error(method: str, spacing, n: int, *, exact: bool = False) -> float:
    ends = VP.lam(T_START), VP.lam(T_END)
    t = np.array(VP.t_of_lam(ends[0] + (ends[1] - ends[0]) * spacing(n)))
    t[0], t[-1] = T_START, T_END
    plan = diffusion.plan(VP, method=method, grid=t, start="rk", exact=exact)
    return float(np.abs(diffusion.follow(plan, DATA.model(VP), X) - EXACT).max())


def observed(method: str, order: int, spacing, *, exact: bool = False) -> float:
    counts = (48, 96) if order <= 3 else (96, 192) if order <= 5 else (144, 288)
    return slopes([error(method, spacing, n, exact=exact) for n in counts])[0]


def is_order(slope: float, order: int) -> bool:
    """Errors of high orders still fall faster than in the limit: their next term is large."""
    above = 0.35 if order <= 4 else {5: 0.5, 6: 1.1}.get(order, 1.8)
    return order - 0.35 <= slope <= order + above


@pytest.mark.parametrize("method", ORDINARY)
def test_order_on_even_and_uneven_grids(method):
    order = diffusion.info(method).order
    for spacing in (even, uneven):
        assert is_order(observed(method, order, spacing), order), spacing


@pytest.mark.parametrize("method", FIXED)
def test_weights_of_even_grids_lose_the_order_on_uneven_ones(method):
    assert is_order(observed(method, 2, even), diffusion.info(method).order)
    counts = (192, 384)
    assert is_order(slopes([error(method, uneven, n) for n in counts])[0], 1)


def smooth(n: int) -> np.ndarray:
    """Steps whose ratio changes along the grid, ever more slowly."""
    s = np.linspace(0.0, 1.0, n + 1)
    return (s + s**2) / 2


@pytest.mark.parametrize(("method", "orders"), [("ipndm_v3", (3, 3, 2)), ("ipndm_v4", (3, 2, 0))])
def test_order_of_the_published_weights_for_variable_steps(method, orders):
    """On a geometric grid of rho, on a smooth one, and on one whose steps never become equal."""
    assert diffusion.info(method).order == orders[1]
    for spacing, order in zip((even, smooth, uneven), orders, strict=True):
        errors = [error(method, spacing, n) for n in (192, 384)]
        if order:
            assert is_order(slopes(errors)[0], order), spacing
        else:
            assert min(errors) > 1.0  # the weights do not add up to 1: it tends to nothing


SIMPLIFIED = [n for n in deterministic() if diffusion.catalogue.get(n).exact is not None]


@pytest.mark.parametrize("method", SIMPLIFIED)
def test_order_with_exact_weights(method):
    plan = diffusion.plan(VP, method=method, steps=6, exact=True)
    order = plan.sampler.order
    gained = method.endswith("_3m")
    if method.startswith("ipndm"):
        gained = int(method[-1]) - diffusion.info(method).order
    assert order == diffusion.info(method).order + gained
    for spacing in (even, uneven):
        assert is_order(observed(method, order, spacing, exact=True), order)


@pytest.mark.parametrize("p", range(1, 7))
def test_unipc_gains_an_order_by_its_corrector(p):
    for name in (f"unipc{p}", f"unipc{p}_bh1"):
        assert diffusion.info(name).order == p + 1
        assert diffusion.info(name).evaluations == 1


def test_published_3m_is_of_order_two():
    """The divided difference lacks a factor two in all public code; its true weights do not."""
    for prefix in ("dpm_solver", "dpmpp"):
        assert diffusion.info(f"{prefix}_3m").order == 2
        assert is_order(observed(f"{prefix}_3m", 2, even), 2)


@pytest.mark.parametrize(("method", "ramp"), [("tab3", 2), ("logrhoab3", 2), ("res_3m", 2)])
def test_a_ramp_limits_the_order(method, ramp):
    def at(n):
        plan = diffusion.plan(
            VP, method=method, steps=n, grid="lambda", t_start=T_START, t_end=T_END
        )
        return float(np.abs(diffusion.follow(plan, DATA.model(VP), X) - EXACT).max())

    assert slopes([at(n) for n in (160, 320)])[0] < ramp + 0.5
