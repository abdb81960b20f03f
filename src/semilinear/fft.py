"""Fast Fourier transforms that functions compiled by Numba can call; see `kernels.fft`."""

from __future__ import annotations

from semilinear.kernels.fft import complex_fft, real_fft, real_fft2

__all__ = ["complex_fft", "real_fft", "real_fft2"]
