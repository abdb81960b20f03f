"""The kernels in plain array-API code: the definition, for every array library."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib import import_module
from math import prod
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device, is_numpy_namespace

from semilinear.errors import InvalidArgument

Native = Any
"""An array in the form in which a backend keeps states and values of N."""


def plain_array(answer: Any) -> np.ndarray | None:
    """Return an answer as a plain NumPy array, or None for what is none.

    Subclasses lose what they do beyond it, but for masks: what is masked is no number.
    """
    if type(answer) is np.ndarray:
        return answer
    if isinstance(answer, np.ma.MaskedArray):
        return None
    try:
        return np.asarray(answer)
    except (TypeError, ValueError):  # a tuple of an array and what is none
        return None


class Backend:
    """Linear combinations of arrays like `like`: its library, shape, dtype and device.

    A backend keeps arrays in a native form (here: as they are). `take` brings an array in, `give`
    gives it back; `combine_*` make new arrays and say whether all their entries are finite.
    """

    def __init__(self, like: Any) -> None:
        self.xp = array_namespace(like)
        self.shape: tuple[int, ...] = tuple(like.shape)
        self.dtype = like.dtype
        self.device = device(like)

    def __getstate__(self) -> dict[str, Any]:
        kept = {name: value for name, value in self.__dict__.items() if name != "key"}
        # Devices of JAX cannot be pickled, arrays that lie on them can.
        there = self.xp.empty((0,), dtype=self.dtype, device=self.device)
        return {**kept, "xp": self.xp.__name__, "device": there}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.xp = import_module(state["xp"])
        self.device = device(state["device"])

    @cached_property
    def key(self) -> tuple[Any, ...]:
        """What prepared coefficients depend on."""
        return type(self), str(self.dtype), str(self.device), self.shape

    def key_of(self, axes: int) -> tuple[Any, ...]:
        """Return what those depend on that are as long as the last axes of the states."""
        if axes >= len(self.shape):
            return self.key
        return *self.key[:3], self.shape[len(self.shape) - axes :]

    @property
    def is_complex(self) -> bool:
        """Whether states are complex."""
        return bool(self.xp.isdtype(self.dtype, "complex floating"))

    def take(self, array: Any) -> Native | None:
        """Return the native form, or None if shape or dtype differ."""
        if is_numpy_namespace(self.xp):
            array = plain_array(array)
        if tuple(getattr(array, "shape", ())) != self.shape:
            return None
        return array if getattr(array, "dtype", None) == self.dtype else None

    def give(self, native: Native) -> Any:
        """Return the array of a native form."""
        return native

    def is_finite(self, native: Native) -> bool:
        """Tell whether all entries are finite."""
        finite = self.xp.all(self.xp.isfinite(native))
        try:
            return bool(finite)
        except TypeError as error:  # of jax.jit, which has no value yet
            if "Tracer" not in type(error).__name__:
                raise
            raise InvalidArgument(
                "inside of jax.jit no value can be looked at: give check_finite=False to the run, "
                "that is to diffusion.sample, diffusion.follow or plan.start, of a plan by "
                "make_plan in the place of solve"
            ) from None

    def bad_entries(self, native: Native) -> str:
        """Return how many entries are not finite, and where the first of some is, as text."""
        bad = self.xp.reshape(self.xp.astype(~self.xp.isfinite(native), self.xp.int64), (-1,))
        count, size = int(self.xp.sum(bad)), prod(self.shape)
        found = f"{count} of {size} entries"
        if count == size:
            return found
        first = np.unravel_index(int(self.xp.argmax(bad)), self.shape)
        return f"{found}, first in [{', '.join(str(int(i)) for i in first)}]"

    def largest(self, native: Native) -> float:
        """Return the largest modulus of an entry, 0 of none."""
        return float(self.xp.max(self.xp.abs(native))) if prod(self.shape) else 0.0

    def error_norm(
        self,
        error: Native,
        y: Native,
        other: Native,
        rtol: float,
        atol: float | Native,
        *,
        by_sample: bool = False,
    ) -> float:
        """Return the root mean square of ``|error| / (atol + rtol max(|y|, |other|))``.

        With `by_sample` the largest of those of the samples, which the first axis counts.
        An entry of error 0 counts as 0 where the tolerance is 0, any other as infinite.
        """
        xp = self.xp
        if not prod(self.shape):
            return 0.0
        scale = xp.maximum(xp.abs(y), xp.abs(other)) * rtol + atol
        size = xp.abs(error)
        safe = xp.where(size > 0.0, scale, xp.ones_like(scale))
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            ratio = size / safe
            largest = float(xp.max(ratio))
            if not 0.0 < largest < np.inf:
                return largest
            # Squares of single precision overflow.
            squares = xp.reshape((ratio / largest) ** 2, (self._samples(by_sample), -1))
            return largest * float(xp.sqrt(xp.max(xp.mean(squares, axis=1))))

    def _samples(self, by_sample: bool) -> int:
        """Return how many norms an error has: one, or one for each sample."""
        return self.shape[0] if by_sample and self.shape else 1

    def tolerance(self, atol: Any) -> float | Native:
        """Return an absolute tolerance, a number or an array that broadcasts, in native form."""
        if np.ndim(atol) == 0:
            return float(atol)
        full = np.ascontiguousarray(np.broadcast_to(np.asarray(atol, dtype=float), self.shape))
        real = np.result_type(str(self.dtype).rpartition(".")[2]).type(0).real.dtype
        return self.xp.asarray(full.astype(real), device=self.device)

    def vector(self, numbers: np.ndarray) -> Any:
        """Return numbers of the host as a new array beside the states.

        Of their real precision, but single at least: half precision holds no times.
        """
        return self.xp.asarray(numbers.tolist(), dtype=self._real(), device=self.device)

    def plain(self) -> Backend | None:
        """Return the backend that takes over where this one cannot take an output, if any."""
        return None

    def combine(
        self, form: str, coefficients: Any, sources: Sequence[Native], check: bool
    ) -> tuple[tuple[Native, ...], bool]:
        """Return linear combinations with coefficients of a form, as `prepare` makes them.

        A form is how coefficients act: ``"scalar"``, ``"elementwise"``, ``"matrix"``, or
        ``"samples"``, a number for each entry of the first axis.
        """
        of_form = getattr(self, f"combine_{form}")
        combined: tuple[tuple[Native, ...], bool] = of_form(coefficients, sources, check)
        return combined

    def combine_scalar(
        self, coefficients: np.ndarray, sources: Sequence[Native], check: bool
    ) -> tuple[tuple[Native, ...], bool]:
        """Return ``sum_j c_oj * source_j`` for each row o of a matrix of numbers."""
        rows = coefficients.tolist()
        with _quietly():
            return self._combined([_weighted(row, sources) for row in rows], check)

    def prepare(self, coefficients: Sequence[Sequence[Any]], form: str) -> Sequence[Sequence[Any]]:
        """Cast coefficients that are no numbers to library, dtype and device of the states."""
        if form == "samples":
            axes = (-1, *[1] * (len(self.shape) - 1))
            return [[self.xp.reshape(self.vector(c), axes) for c in row] for row in coefficients]
        return [[self._cast(c) for c in row] for row in coefficients]

    def combine_elementwise(
        self, prepared: Sequence[Sequence[Any]], sources: Sequence[Native], check: bool
    ) -> tuple[tuple[Native, ...], bool]:
        """Return ``sum_j c_oj * source_j`` with coefficients that broadcast to the state."""
        with _quietly():
            return self._combined([_weighted(row, sources) for row in prepared], check)

    def combine_matrix(
        self, prepared: Sequence[Sequence[Any]], sources: Sequence[Native], check: bool
    ) -> tuple[tuple[Native, ...], bool]:
        """Return ``sum_j C_oj source_j``, matrices acting on the last axis."""
        with _quietly():
            return self._combined([self._acted(row, sources) for row in prepared], check)

    def combine_samples(
        self, prepared: Sequence[Sequence[Any]], sources: Sequence[Native], check: bool
    ) -> tuple[tuple[Native, ...], bool]:
        """Return ``sum_j c_oj * source_j`` with a number for each entry of the first axis."""
        if not str(self.dtype).endswith("16"):
            return self.combine_elementwise(prepared, sources, check)
        outputs = []
        with _quietly():
            for row in prepared:
                # Rounded term by term, as where a number multiplies an array.
                terms = zip(row, sources, strict=True)
                rounded = [self.xp.astype(c * source, self.dtype) for c, source in terms]
                outputs.append(sum(rounded[1:], start=rounded[0]))
            return self._combined(outputs, check)

    def _acted(self, row: Sequence[Any], sources: Sequence[Native]) -> Native:
        total = None
        for c, source in zip(row, sources, strict=True):
            if isinstance(c, float | complex):  # the identity, or zero
                term = c * source
            else:
                term = self.xp.matmul(c, source[..., None])[..., 0]
            total = term if total is None else total + term
        return total

    def _combined(self, outputs: list[Native], check: bool) -> tuple[tuple[Native, ...], bool]:
        return tuple(outputs), not check or all(self.is_finite(x) for x in outputs)

    def _cast(self, c: Any) -> Any:
        """Return a coefficient as a Python number or as an array of the states' precision."""
        if np.ndim(c) == 0:
            return c.item() if isinstance(c, np.generic | np.ndarray) else c
        dtype = self._real() if self.is_complex and not np.iscomplexobj(c) else self.dtype
        return self.xp.asarray(c, dtype=dtype, device=self.device)

    def _real(self) -> Any:
        """Return the real dtype of the precision of the states, single at least."""
        double = str(self.dtype).rpartition(".")[2] in ("float64", "complex128")
        return self.xp.float64 if double else self.xp.float32


def _quietly() -> np.errstate:
    """Keep NumPy from warning of what the check for finite entries reports."""
    return np.errstate(over="ignore", invalid="ignore")


def _weighted(row: Sequence[Any], sources: Sequence[Native]) -> Native:
    total = row[0] * sources[0]
    for c, source in zip(row[1:], sources[1:], strict=True):
        total = total + c * source
    return total
