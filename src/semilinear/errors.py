"""Exceptions: each names the argument at fault, what was wrong with it, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from math import prod
from typing import Any

LONGEST = 100
"""Characters of a value that a message shows."""

ENTRIES = 8
"""Of an array that a message shows."""


class InvalidArgument(ValueError):
    """An argument has a value that cannot be used."""


def is_traced(value: object) -> bool:
    """Tell whether a value is an array that JAX traces, which holds nothing yet."""
    return "Tracer" in type(value).__name__


def shown(value: object) -> str:
    """Return `value` as messages show it: in one short line, long arrays by their shape."""
    if is_traced(value):
        return "<traced by JAX>"
    shape, item = getattr(value, "shape", None), getattr(value, "item", None)
    if shape == () and callable(item):
        value = item()
    elif isinstance(shape, tuple) and prod(shape) > ENTRIES:
        return f"<array of shape {tuple(shape)}>"
    text = " ".join(repr(value).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} ..."


class UnknownName(InvalidArgument):
    """A name that is looked up (a method, a schedule, a problem) does not exist."""

    @classmethod
    def check(cls, argument: str, name: object, known: Collection[str]) -> None:
        """Refuse what is none of the `known` names."""
        if not (isinstance(name, str) and name in known):
            raise cls.among(argument, name, known)

    @classmethod
    def among(cls, argument: str, name: object, known: Iterable[str]) -> UnknownName:
        """Build the message for `name`, listing the nearest of the `known` names."""
        known = sorted(known)
        near = difflib.get_close_matches(str(name).lower(), known, n=4, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}?" if near else f"known: {', '.join(known)}."
        return cls(f"{argument}={shown(name)} is not known; {hint}")


class ModelOutputError(ValueError):
    """A nonlinear term or a diffusion model returned another shape or dtype than it must."""


class NonFiniteError(ArithmeticError):
    """A nonlinear term or a diffusion model returned NaN or infinity, or a state overflowed.

    Attributes
    ----------
    solution
        What `semilinear.solve` had reached until then, a `Solution`; None elsewhere.
    """

    solution: Any = None


class EvaluationLimitError(RuntimeError):
    """A run with adaptive steps would have needed more evaluations than it was allowed.

    Attributes
    ----------
    t
        The time that its steps had reached.
    steps
        How many were taken.
    nfe
        Evaluations that were made.
    """

    def __init__(self, message: str, *, t: float, steps: int, nfe: int) -> None:
        super().__init__(message)
        self.t, self.steps, self.nfe = t, steps, nfe

    def __reduce__(self) -> tuple[Any, ...]:
        return _limit_error, (str(self), self.t, self.steps, self.nfe)


def _limit_error(message: str, t: float, steps: int, nfe: int) -> EvaluationLimitError:
    return EvaluationLimitError(message, t=t, steps=steps, nfe=nfe)


class MissingDependency(ImportError):
    """A feature needs a package that is not installed."""

    @classmethod
    def of(cls, package: str, extra: str) -> MissingDependency:
        """Build the message that names the missing `package` and the `extra` that brings it."""
        return cls(
            f"this needs the package {package!r}; install it with: "
            f"pip install 'semilinear[{extra}]'"
        )
