"""A linear part that multiplies every entry of the state by a number of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from semilinear.errors import InvalidArgument
from semilinear.kernels import phi_functions
from semilinear.propagators.base import (
    Coefficient,
    Propagator,
    finite_array,
    newton_integrals,
    refuse_real_state,
)


class Diagonal(Propagator):
    """y' = lambda * y + N(t, y), entry by entry: Fourier symbols, eigenvalues, rates.

    Parameters
    ----------
    eigenvalues
        lambda: real or complex, of a shape that broadcasts to the state's. Real eigenvalues keep
        real coefficients; complex ones need a complex state.

    Notes
    -----
    A half spectrum (``rfft``) stays half: give the symbols of the modes that the state holds. The
    symbol of an odd derivative at the Nyquist mode must be 0.
    """

    form = "elementwise"
    constant = True

    def __init__(self, eigenvalues: Any) -> None:
        self.eigenvalues = finite_array(eigenvalues, "eigenvalues")

    def __repr__(self) -> str:
        return f"Diagonal(shape={self.eigenvalues.shape}, dtype={self.eigenvalues.dtype})"

    def check_state(self, shape: tuple[int, ...], complex_state: bool, *, argument: str) -> None:
        if self.eigenvalues.dtype.kind == "c" and not complex_state:
            raise refuse_real_state(argument)
        try:
            fits = np.broadcast_shapes(shape, self.eigenvalues.shape) == shape
        except ValueError:
            fits = False
        if not fits:
            raise InvalidArgument(
                f"{argument} has shape {shape}, to which the eigenvalues of Diagonal, of shape "
                f"{self.eigenvalues.shape}, do not broadcast"
            )

    def input_weight(self, t: Any) -> Coefficient:
        return 1.0

    def flow(self, a: Any, b: Any) -> Coefficient:
        return np.exp((b - a) * self.eigenvalues)

    def integrals(self, a: Any, b: Any, nodes: Sequence[Any], scale: Any) -> list[Coefficient]:
        h = b - a
        phis = phi_functions(h * self.eigenvalues, len(nodes) + 1)
        return newton_integrals(phis, a, h, nodes, scale)
