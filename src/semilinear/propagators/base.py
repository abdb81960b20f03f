"""The one question that a plan asks of a linear part."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from math import factorial
from typing import Any, Literal

import numpy as np

from semilinear.errors import InvalidArgument
from semilinear.given import is_recorded

Form = Literal["scalar", "elementwise", "matrix"]
"""How coefficients of an operator act on a state: as numbers, entry by entry, or as matrices."""

Coefficient = Any
"""A float or complex (array over steps), an array over the entries of a state, or a matrix."""


class Propagator(ABC):
    """The linear part L(t), with its known weight B(t), over an interval.

    With Psi the flow of y' = L(t) y, a propagator answers, for an interval [a, b],

    - ``flow(a, b)``: Psi(b, a);
    - ``integrals(a, b, nodes, scale)``: the integrals of a Newton basis,
      ``int_a^b Psi(b, s) B(s) prod_{l<m} (s - nodes_l) / scale ds``.

    With all nodes equal to a and scale b - a these are ``(b - a) m! phi_{m+1}`` of exponential
    Runge-Kutta methods; with past grid points they give the weights of Adams methods on any grid.
    They stay finite where b is infinite but Psi B decays, because node and scale are asked for.
    All coefficients are float64 or complex128 on the host.
    """

    form: Form
    constant: bool
    """Whether answers depend on b - a only, so that equal steps share their coefficients."""

    @property
    def identity(self) -> Any:
        """What linear parts with the same answers have in common, and no others.

        A plan takes up the states of plans whose linear part has its identity. The object itself,
        unless a class knows more.
        """
        return self

    @abstractmethod
    def flow(self, a: Any, b: Any) -> Coefficient:
        """Return Psi(b, a)."""

    @abstractmethod
    def integrals(self, a: Any, b: Any, nodes: Sequence[Any], scale: Any) -> list[Coefficient]:
        """Return the integrals for m = 0 .. len(nodes).

        Parameters
        ----------
        a, b
            Ends of the interval; arrays over steps for a scalar operator, else floats.
        nodes
            Newton nodes, shaped like a.
        scale
            Length by which every factor is divided, not 0.
        """

    @abstractmethod
    def input_weight(self, t: Any) -> Coefficient:
        """Return B(t)."""

    def resolved(self, a: float, h: float, tolerance: float, elapsed: float) -> float:
        """Return a step from a, of length h or shorter, over which the answers are exact enough.

        Adaptive steps ask it before they ask N, whose error is all that their estimate sees. h, but
        for linear parts that are sampled: they shorten the step until what their sums miss is to a
        state, and to what came into it, at most as `tolerance` to 1.

        Parameters
        ----------
        a, h
            Begin and signed length of the step.
        elapsed
            Length of the run so far.
        """
        return h

    def turn(self, a: float, b: float, *states: np.ndarray) -> float:
        """Return the largest angle through which the flow over [a, b] turns what states consist of.

        In radians, as whoever looks for zeros within a step must know; of all that L has without
        states. 0, the default, where L does not oscillate or it is not known.
        """
        return 0.0

    def spread(self, a: Any, b: Any) -> Coefficient:
        """Return the standard deviation at b of the noise that enters over [a, b]."""
        raise InvalidArgument(f"linear={self!r} brings no noise, which a stochastic method draws")

    def remainder(
        self, a: Any, b: Any, times: Sequence[Any], weights: Sequence[Coefficient]
    ) -> Coefficient:
        """Return what weights of N leave of its known part m(t) over [a, b].

        ``int_a^b Psi(b, s) B(s) m(s) ds - sum_j weights_j m(times_j)``, for linear parts that bring
        such a part along.
        """
        raise InvalidArgument(f"linear={self!r} knows no part of N")

    def gauge(self, a: Any, b: Any) -> Coefficient:
        """Return g(b) / g(a), if methods are meant for the state divided by a function g(t).

        Published samplers are: their state is x / alpha. It matters where a row at b reads a
        phi-function over an interval that ends at a; 1 by default.
        """
        return 1.0

    def of_steps(self, numbers: np.ndarray) -> Propagator:
        """Return the linear part on some steps of a grid, for answers over these steps.

        Itself, unless it is another one on each step.
        """
        return self

    def phis(self, lengths: np.ndarray, highest: int) -> np.ndarray:
        """Return phi_0 .. phi_highest of ``length * L`` for several lengths at once.

        For a constant operator, elementwise or a matrix, that need not have it: a step asks once
        for each length where it has. Shape (highest + 1, number of lengths, *shape of L).
        """
        raise NotImplementedError(f"{self!r} is not asked for phi-functions of several lengths")

    @abstractmethod
    def check_state(self, shape: tuple[int, ...], complex_state: bool, *, argument: str) -> None:
        """Raise `InvalidArgument` if a state of this shape and kind cannot be propagated."""


def refuse_real_state(argument: str) -> InvalidArgument:
    """Return the error for a real state with a complex linear part."""
    return InvalidArgument(
        f"{argument} is real but the linear part is complex; pass a complex {argument}, "
        f"for example {argument}.astype(complex)"
    )


def refuse_complex(coefficients: Iterable[Coefficient]) -> None:
    """Raise the error for a real state y0 if any coefficients are complex."""
    if any(np.iscomplexobj(c) for c in coefficients):
        raise refuse_real_state("y0")


def newton_integrals(
    phis: Sequence[Coefficient], a: Any, h: Any, nodes: Sequence[Any], scale: Any
) -> list[Coefficient]:
    """Return the integrals of the Newton basis for a constant linear part.

    Parameters
    ----------
    phis
        phi_0 .. phi_{K} of h L with K > len(nodes).
    """
    moments = [h * factorial(m) * phis[m + 1] for m in range(len(nodes) + 1)]
    stretch = h / scale
    polynomial: list[Any] = [1.0]
    answers = [moments[0]]
    for node in nodes:
        shift = (a - node) / scale
        grown = [shift * x for x in polynomial] + [0.0]
        for power, x in enumerate(polynomial):
            grown[power + 1] = grown[power + 1] + stretch * x
        polynomial = grown
        total = polynomial[0] * moments[0]
        for x, moment in zip(polynomial[1:], moments[1:], strict=False):
            total = total + x * moment
        answers.append(total)
    return answers


def digest(*arrays: np.ndarray) -> str:
    """Return what tells arrays apart by their numbers, shapes and dtypes."""
    made = hashlib.sha256()
    for array in arrays:
        made.update(f"{array.dtype.str}{array.shape}".encode())
        made.update(array.tobytes())
    return made.hexdigest()


def by_entry(argument: str) -> str:
    """Say what to do in the place of a function of t with one value per entry of the state."""
    if argument == "weight":
        return "B(t) by entry is not supported: put it into N"
    return (
        "L(t) by entry is not supported: put L(t) - L0 into N, with a constant L0 as the linear "
        "part, or use Scalar(rate) with one rate(t) for all entries"
    )


def refuse_followed(value: Any, argument: str) -> None:
    """Refuse a linear part by which derivatives are taken, which would be lost."""
    if is_recorded(value):
        raise InvalidArgument(
            f"{argument} is followed by PyTorch or JAX, but coefficients are computed on the host: "
            "take a plain array (of a tensor, detach()), and put what is differentiated into N"
        )


def finite_array(value: Any, argument: str) -> np.ndarray:
    """Return `value` as a read-only float64 or complex128 array, or refuse it."""
    if callable(value):
        raise InvalidArgument(f"{argument} must be an array of numbers; {by_entry(argument)}")
    refuse_followed(value, argument)
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "biufc":
            raise TypeError
    except (TypeError, ValueError):
        raise InvalidArgument(f"{argument} must be an array of numbers, got {value!r}") from None
    array = array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
    if not np.isfinite(array).all():
        raise InvalidArgument(f"{argument} has NaN or infinite entries; all must be finite")
    array.flags.writeable = False
    return array
