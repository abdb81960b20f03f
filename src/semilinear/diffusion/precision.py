"""Models in another precision than the state."""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace

from semilinear.answers import wrong_output
from semilinear.diffusion.models import Model, checked_model, made_for, mark_of
from semilinear.errors import InvalidArgument, shown
from semilinear.kernels import Backend


def in_dtype(model: Model, dtype: Any) -> Model:
    """Return a model that is evaluated in one dtype and answers in that of the state.

    A state of float32 around a network of half precision keeps what each step adds to it; a state
    of half precision loses what is below its last digit.

    Parameters
    ----------
    model
        ``model(x, t)``; its answer may be of any floating dtype.
    dtype
        Of the array library of the state, or its name, such as ``"float16"`` or ``"bfloat16"``.

    Returns
    -------
    Model
        ``model(x, t)`` with answers in the dtype of x.

    Raises
    ------
    InvalidArgument
        If the model cannot be called. The model that is returned raises it if the library of the
        state has no such dtype.
    ModelOutputError
        By the model that is returned, if `model` answers in another shape.

    Examples
    --------
    >>> import numpy as np
    >>> model = in_dtype(lambda x, t: x / 3, "float16")
    >>> answer = model(np.ones((1, 2), dtype=np.float32), 0.5)
    >>> answer.dtype.name, bool(answer[0, 0] == np.float32(np.float16(1) / np.float16(3)))
    ('float32', True)
    """
    checked_model(model, "model")

    def cast(x: Any, t: float) -> Any:
        xp = array_namespace(x)
        kind = getattr(xp, dtype, None) if isinstance(dtype, str) else dtype
        try:
            given = None if kind is None else xp.astype(x, kind)
        except (TypeError, ValueError, AttributeError):  # which of them, libraries disagree
            given = None
        if given is None:
            raise InvalidArgument(
                f"dtype={shown(dtype)} is no dtype of {xp.__name__.rpartition('.')[2]}, the "
                "library of the state; pass one of its dtypes"
            )
        answer = model(given, t)
        if tuple(getattr(answer, "shape", ())) != tuple(x.shape):
            raise wrong_output(f"model at t = {t}", answer, Backend(x))
        return xp.astype(answer, x.dtype)

    return made_for(cast, mark_of(model))
