"""What a model gave back, or was given, and what is wrong with it: checks and messages."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj, is_jax_array

from semilinear.errors import InvalidArgument, ModelOutputError, NonFiniteError, is_traced
from semilinear.kernels import Backend

GROWN, GROWN_SINGLE = 1e100, 1e18
"""Moduli beyond which a state of double or lower precision has grown by instability: squares of the
next steps overflow."""


def wrong_output(
    where: str, output: Any, backend: Backend, *, like: str = "the state"
) -> ModelOutputError:
    """Return the error for an output that is no array like what the backend was made for."""
    return ModelOutputError(
        f"{where} returned {described(output, backend)}; it must return an array like {like}, "
        f"shape {backend.shape} and dtype {backend.dtype}"
    )


def overflowed(where: str) -> NonFiniteError:
    """Return the error for a state that overflowed although N was finite."""
    return NonFiniteError(
        f"the state overflowed in the step after {where}, whose output was finite: the solution "
        "grows beyond the range of its dtype, or given steps are too long for the method to be "
        "stable; then take smaller ones or a method of lower order"
    )


def bad_output(where: str, bad: str, largest: float, dtype: Any, asks: str) -> NonFiniteError:
    """Return the error for N that is not finite at a finite state.

    Parameters
    ----------
    where
        The evaluation and its time.
    bad
        Which entries are not finite, as text.
    largest
        Largest modulus of an entry of the state.
    dtype
        Of the state.
    asks
        What made the answer: ``"N"``, or ``"the model"``.
    """
    double = str(dtype).endswith(("float64", "complex128"))
    cause = f"check {asks} there"
    if largest > (GROWN if double else GROWN_SINGLE):
        cause = (
            "the state has grown to it: the steps are too long for this method to be stable, or "
            "the solution blows up; take smaller steps or another method"
        )
    return NonFiniteError(
        f"{where} returned NaN or infinity in {bad}, at a finite state whose largest entry "
        f"is {largest:.3g} in modulus; {cause}"
    )


def described(output: Any, backend: Backend) -> str:
    """Say what an output is that is not like the state, and why that may be."""
    shape, dtype = getattr(output, "shape", None), str(getattr(output, "dtype", ""))
    if shape is None or not dtype:
        return f"{type(output).__name__}{wrapped(output)}"
    found = f"shape {tuple(shape)} and dtype {dtype}"
    if tuple(shape) != backend.shape:
        if len(shape) > 2 and tuple(shape) == _with_variance(backend.shape):
            found += f" (a variance beside the answer? return output[:, :{backend.shape[1]}])"
        return found
    wanted = str(backend.dtype)
    if dtype.rpartition(".")[2] == wanted.rpartition(".")[2]:
        kind = type(output)
        return f"{found}, but as {kind.__module__}.{kind.__name__}, not in the library of the state"
    if "complex" in dtype and not backend.is_complex:
        return f"{found} (a complex problem needs a complex state from the start)"
    if dtype.endswith("float16") and wanted.endswith(("float32", "float64")):
        return f"{found} (diffusion.in_dtype makes a model of a half-precision network)"
    if wanted.endswith(("float32", "complex64")) and dtype.endswith(("float64", "complex128")):
        return f"{found} (NumPy scalars such as np.cos(t) are float64: keep them out of float32)"
    return found


def _with_variance(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of an answer with a learned variance in as many channels again."""
    return (*shape[:1], *(2 * channels for channels in shape[1:2]), *shape[2:])


def wrapped(output: Any) -> str:
    """Say how the array is taken out of what a network returned around it; "" if none is there."""
    if hasattr(getattr(output, "sample", None), "shape"):
        return (
            ", with the array in its attribute sample: return output.sample, or wrap the network "
            "by semilinear.adapters.torch.eps_model(network)"
        )
    if isinstance(output, tuple | list) and output and hasattr(output[0], "shape"):
        return ", with arrays in it: return the one that is meant, such as output[0]"
    return ""


def copied(array: Any) -> Any:
    """Return a copy, in memory of its own; arrays of JAX, which never change, as they are."""
    clone = getattr(array, "clone", None)  # of PyTorch; it is recorded for gradients
    if clone is not None:
        return clone()
    if isinstance(array, np.ndarray):
        return array.copy()
    numbers = isinstance(array, np.generic) or not hasattr(array, "shape")
    if numbers or is_jax_array(array) or not is_array_api_obj(array):
        return array  # what is of no library, is refused where it is used
    return array_namespace(array).asarray(array, copy=True)


def read_only(array: Any) -> Any:
    """Return a view that cannot be written to, where the library has such a thing."""
    if isinstance(array, np.ndarray):
        array = array.view()
        array.flags.writeable = False
    return array


def refuse_traced(value: Any, argument: str) -> None:
    """Refuse a number that JAX traces, whose value nothing can be computed from here."""
    if is_traced(value):
        raise InvalidArgument(
            f"{argument} is traced by JAX and has no value yet; run the plan by diffusion.follow("
            "..., check_finite=False), which asks at plain numbers, inside of jax.jit as well"
        )


def refuse_sparse(x: Any, argument: str) -> None:
    """Refuse a sparse array as a state."""
    if hasattr(x, "toarray"):
        raise InvalidArgument(
            f"{argument} is a sparse array, and states are full; give {argument}.toarray()"
        )


def checked_array(x: Any, argument: str) -> Any:
    """Return `x` if it is an array of real or complex floating numbers, or refuse it."""
    if not hasattr(x, "dtype") or not hasattr(x, "shape"):
        raise InvalidArgument(
            f"{argument} must be an array, got {type(x).__name__}; use numpy.asarray({argument})"
        )
    refuse_sparse(x, argument)
    if isinstance(x, np.matrix | np.ma.MaskedArray):
        raise InvalidArgument(
            f"{argument} is a {type(x).__name__} of NumPy, with arithmetic of its own; pass a "
            f"plain array, such as numpy.array({argument})"
        )
    if not getattr(x.dtype, "isnative", True):
        raise InvalidArgument(
            f"{argument} has dtype {x.dtype}, in the byte order of other machines; use "
            f"{argument}.astype({argument}.dtype.newbyteorder('='))"
        )
    name = str(x.dtype).rpartition(".")[2]
    if not name.startswith(("float", "complex", "bfloat")):
        raise InvalidArgument(
            f"{argument} has dtype {x.dtype}; it must be real or complex floating, for example "
            "float32"
        )
    return x


def checked_samples(x: Any, argument: str) -> Any:
    """Return an array whose first axis can count samples, or refuse what is none."""
    if not checked_array(x, argument).shape:
        raise InvalidArgument(f"{argument} has no axis; its first must count the samples")
    return x
