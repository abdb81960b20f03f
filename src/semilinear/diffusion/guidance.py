"""Classifier-free guidance: two predictions, extrapolated along their difference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from array_api_compat import array_namespace, device

from semilinear.answers import checked_samples, copied
from semilinear.diffusion.arrays import is_followed
from semilinear.diffusion.model_calls import asked, combined, on_schedule
from semilinear.diffusion.models import Model, check_made_for, checked_model, made_for, mark_of
from semilinear.errors import InvalidArgument
from semilinear.given import finite_number

Scale = float | Callable[[float], float]


def guided(
    conditional: Model, unconditional: Model, scale: Scale, *, rescale: float = 0.0
) -> Model:
    """Return the model ``u + w (c - u)`` of a conditional and an unconditional one.

    Parameters
    ----------
    conditional, unconditional
        ``model(x, t)``, both with the same prediction, whichever it is.
    scale
        The weight w, or a function of t. Where it is 1 only c is evaluated and where it is 0 only
        u, so that guidance on an interval of times (Kynkäänniemi et al. 2024) costs no more than
        that. Where samples have times of their own, it is asked for each. Derivatives by w are
        recorded where PyTorch or JAX follows it; then both are evaluated.
    rescale
        phi in [0, 1]: the result is multiplied by ``phi std(c) / std(result) + 1 - phi``, with the
        standard deviation of each sample over all axes but the first (Lin et al. 2023, section
        3.4). The paper's value is 0.7.

    Returns
    -------
    callable
        A model for `semilinear.diffusion.sample`; array library, shape and dtype are those of x.

    Raises
    ------
    InvalidArgument
        If a model cannot be called, one was made for another schedule or prediction than the other,
        `scale` is neither a finite number nor a function, or `rescale` lies outside [0, 1]. The
        model that is returned raises it where scale(t) is no finite number, and with `rescale` for
        states of fewer than two axes.
    ModelOutputError
        By the model that is returned, if one of the two answers in another shape or dtype.

    References
    ----------
    Ho and Salimans (2022), "Classifier-free diffusion guidance"; Lin et al. (2023), "Common
    diffusion noise schedules and sample steps are flawed".

    Examples
    --------
    >>> import numpy as np
    >>> model = guided(lambda x, t: 2 * x, lambda x, t: x, 3.0)
    >>> print(model(np.ones((1, 2)), 0.5))
    [[4. 4.]]
    """
    checked_model(conditional, "conditional")
    checked_model(unconditional, "unconditional")
    _check(scale, rescale)
    mark = mark_of(conditional) or mark_of(unconditional)
    if mark is not None:
        check_made_for(unconditional, *mark, argument="unconditional", user="conditional")

    def model(x: Any, t: float) -> Any:
        w = _at(scale, on_schedule(t, x), x)
        if isinstance(w, float) and w == 0.0 and not rescale:
            return asked(unconditional, x, t, "unconditional")
        c = asked(conditional, x, t, "conditional")
        if isinstance(w, float) and w == 1.0:
            return c
        c = copied(c)  # both may be one network with one buffer
        return _guided(c, asked(unconditional, x, t, "unconditional"), w, rescale)

    return made_for(model, mark)


def guided_batch(model: Model, scale: Scale, *, rescale: float = 0.0) -> Model:
    """Return the guided model of one network that answers both at once, on a doubled batch.

    Parameters
    ----------
    model
        ``model(x, t)``: x holds the batch twice along the first axis. The first half of the answer
        must be without the condition, the second with it, so the network's labels are those of
        "nothing" followed by the wanted ones.
    scale, rescale
        As in `guided`. The batch is doubled at every time, whatever the scale.

    Returns
    -------
    Model
        ``model(x, t)`` for the batch itself.

    Raises
    ------
    InvalidArgument
        As in `guided`; the model that is returned also raises it for states without axes.
    ModelOutputError
        By the model that is returned, if `model` answers in another shape or dtype than the doubled
        batch has.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.array([[0.0], [0.0], [1.0], [2.0]])
    >>> model = guided_batch(lambda x, t: x + labels, 3.0)
    >>> print(model(np.zeros((2, 1)), 0.5).tolist())
    [[3.0], [6.0]]
    """
    checked_model(model, "model")
    _check(scale, rescale)

    def both(x: Any, t: float) -> Any:
        count = checked_samples(x, "x").shape[0]
        xp = array_namespace(x)
        doubled = xp.concat([t, t], axis=0) if getattr(t, "shape", ()) else t
        answer = asked(model, xp.concat([x, x], axis=0), doubled, "model")
        w = _at(scale, on_schedule(t, x), x)
        return _guided(answer[count:, ...], answer[:count, ...], w, rescale)

    return made_for(both, mark_of(model))


def _guided(c: Any, u: Any, w: Any, rescale: float) -> Any:
    mixed = u + w * (c - u) if is_followed(w) else combined([w, 1.0 - w], [c, u])
    if not rescale:
        return mixed
    if len(c.shape) < 2:
        raise InvalidArgument(
            f"rescale={rescale}: x has shape {tuple(c.shape)}; samples of more than one entry are "
            "needed, along the first axis"
        )
    if 0 in c.shape:
        return mixed
    xp = array_namespace(c)
    target, found = _deviation(xp, c), _deviation(xp, mixed)
    safe = xp.where(found > 0.0, found, xp.ones_like(found))
    factor = xp.where(found > 0.0, rescale * target / safe + (1.0 - rescale), xp.ones_like(found))
    return mixed * xp.astype(factor, c.dtype)


def _deviation(xp: Any, x: Any) -> Any:
    """Return the standard deviation of each sample, shape (n, 1, ...)."""
    # Sums of half precision overflow.
    wide = xp.astype(x, xp.float32) if str(x.dtype).endswith("16") else x
    return xp.std(wide, axis=tuple(range(1, len(x.shape))), keepdims=True)


def _check(scale: Any, rescale: Any) -> None:
    if not callable(scale):
        _number("scale", scale)
    if not 0.0 <= finite_number("rescale", rescale) <= 1.0:
        raise InvalidArgument(f"rescale={rescale!r} must lie between 0 and 1")


def _number(argument: str, value: Any) -> Any:
    """Return a scale as a float; as an array without axes where derivatives are taken by it."""
    if not is_followed(value):
        return finite_number(argument, value)
    if tuple(value.shape):
        raise InvalidArgument(f"{argument} has shape {tuple(value.shape)}; give a number")
    if hasattr(value, "detach"):
        with suppress(RuntimeError):  # mapped by torch.func.vmap, it has many values
            finite_number(argument, value.detach())
    return value


def _at(scale: Scale, t: Any, x: Any) -> Any:
    """Return the scale at a time, a number; at times of samples also an array with one for each.

    Where derivatives are taken by it, it is an array of the dtype of x that multiplies x.
    """
    if not callable(scale):
        value = _number("scale", scale)
    elif not np.ndim(t):
        value = _number(f"scale(t={t})", scale(t))
    else:
        each = [_number(f"scale(t={time})", scale(float(time))) for time in t]
        if not any(is_followed(one) for one in each):
            return each[0] if all(one == each[0] for one in each) else np.array(each)
        return _stacked(each, x)
    return _like(value, x) if is_followed(value) else value


def _like(value: Any, x: Any) -> Any:
    """Return a scale that is followed in the dtype of x, whose library has to be the same."""
    xp, own = array_namespace(x), array_namespace(value)
    if xp is not own:
        raise InvalidArgument(
            f"scale is followed by {own.__name__}, but x is an array of {xp.__name__}; give "
            "float(scale), or samples of that library"
        )
    return xp.astype(value, x.dtype)


def _stacked(each: Sequence[Any], x: Any) -> Any:
    """Return numbers of samples, some of them followed, as an array that multiplies x."""
    xp = array_namespace(x)
    same = [
        _like(one, x) if is_followed(one) else xp.asarray(one, dtype=x.dtype, device=device(x))
        for one in each
    ]
    return xp.reshape(xp.stack(same), (-1, *[1] * (len(x.shape) - 1)))
