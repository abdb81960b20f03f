"""A linear part that multiplies every entry of the state by a number of its own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from semilinear.errors import InvalidArgument
from semilinear.immutable import Immutable
from semilinear.kernels import phi_functions
from semilinear.propagators.base import (
    Coefficient,
    Propagator,
    digest,
    finite_array,
    newton_integrals,
    refuse_real_state,
)

NOTHING = 1e-8
"""Of the largest entry of a state: what entries are that do not count as oscillating."""


class Diagonal(Immutable, Propagator):
    """y' = lambda * y + B * N(t, y), entry by entry: Fourier symbols, eigenvalues, rates.

    Parameters
    ----------
    eigenvalues
        lambda: real or complex, of a shape that broadcasts to the state's. Real eigenvalues keep
        real coefficients; complex ones need a complex state.
    weight
        B: a number, or an array that broadcasts to the state's shape. With B = -ik/2 the N of
        Burgers' nonlinearity is the transform of u^2, and nothing else.

    Raises
    ------
    InvalidArgument
        If `eigenvalues` or `weight` are no finite numbers; plans raise it for states to which they
        do not broadcast, or real states with complex ones.

    Notes
    -----
    A half spectrum (``rfft``) stays half: give the symbols of the modes that the state holds. The
    symbol of an odd derivative at the Nyquist mode must be 0.
    """

    form = "elementwise"
    constant = True
    _fixed = ("eigenvalues", "weight", "weighted")

    def __init__(self, eigenvalues: Any, *, weight: Any = 1.0) -> None:
        self.eigenvalues = finite_array(eigenvalues, "eigenvalues")
        self.weight = finite_array(weight, "weight")
        self.weighted = self.weight.ndim > 0 or bool(self.weight != 1.0)

    def __repr__(self) -> str:
        weight = f", weight={_described(self.weight)}" if self.weighted else ""
        return f"Diagonal({_described(self.eigenvalues)}{weight})"

    @property
    def identity(self) -> Any:
        return self._digest if type(self) is Diagonal else self  # a subclass may answer otherwise

    @cached_property
    def _digest(self) -> str:
        return digest(self.eigenvalues, self.weight)

    def check_state(self, shape: tuple[int, ...], complex_state: bool, *, argument: str) -> None:
        for name, array in (("eigenvalues", self.eigenvalues), ("weight", self.weight)):
            if array.dtype.kind == "c" and not complex_state:
                raise refuse_real_state(argument)
            try:
                fits = np.broadcast_shapes(shape, array.shape) == shape
            except ValueError:
                fits = False
            if not fits:
                raise InvalidArgument(
                    f"{argument} has shape {shape}, to which the {name} of Diagonal, of shape "
                    f"{array.shape}, do not broadcast"
                )

    def input_weight(self, t: Any) -> Coefficient:
        return self.weight if self.weighted else 1.0

    def flow(self, a: Any, b: Any) -> Coefficient:
        return np.exp((b - a) * self.eigenvalues)

    def integrals(self, a: Any, b: Any, nodes: Sequence[Any], scale: Any) -> list[Coefficient]:
        h = b - a
        phis = phi_functions(h * self.eigenvalues, len(nodes) + 1)
        integrals = newton_integrals(phis, a, h, nodes, scale)
        return [self.weight * x for x in integrals] if self.weighted else integrals

    def turn(self, a: float, b: float, *states: np.ndarray) -> float:
        angles = np.abs((b - a) * self.eigenvalues.imag)
        if not states or not angles.any():
            return float(angles.max(initial=0.0))
        counts = [size > NOTHING * size.max(initial=0.0) for size in map(np.abs, states)]
        return max(float(np.where(count, angles, 0.0).max(initial=0.0)) for count in counts)

    def phis(self, lengths: np.ndarray, highest: int) -> np.ndarray:
        return np.stack(phi_functions(np.multiply.outer(lengths, self.eigenvalues), highest))


def _described(array: np.ndarray) -> str:
    return f"shape={array.shape}, dtype={array.dtype}" if array.ndim else f"{array.item()!r}"
