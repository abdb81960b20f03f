"""The path on which published formulas are typed: VP-linear over lambda, on an uneven grid.

It shares nothing with the package: alpha, sigma and lambda are written out here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from diffusion_problems import Mixture, noise_at
from semilinear.diffusion import VPLinear

DATA = Mixture()
VP = VPLinear()
T = np.array([1.0, 0.83, 0.7, 0.52, 0.43, 0.22, 0.1, 0.06])
X = noise_at(VP, 1.0, (5, 2))
NODES, WEIGHTS = np.polynomial.legendre.leggauss(40)


def lam_of(t: np.ndarray) -> np.ndarray:
    """ln(alpha / sigma) for beta from 0.1 to 20."""
    log_alpha = -0.25 * 19.9 * t**2 - 0.05 * t
    return log_alpha - 0.5 * np.log(-np.expm1(2 * log_alpha))


LAM = lam_of(T)


def alpha(lam: Any) -> Any:
    return 1 / np.sqrt(1 + np.exp(-2 * lam))


def sigma(lam: Any) -> Any:
    return 1 / np.sqrt(1 + np.exp(2 * lam))


def x0_model(x: Any, lam: Any) -> Any:
    return DATA.denoised(x, alpha(lam), sigma(lam))


def eps_model(x: Any, lam: Any) -> Any:
    return DATA.noise(x, alpha(lam), sigma(lam))


def agrees(found: np.ndarray, expected: np.ndarray, *, bound: float = 1e-12) -> None:
    """Assert agreement to rounding, counted from the largest entry."""
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= bound * np.abs(expected).max()
