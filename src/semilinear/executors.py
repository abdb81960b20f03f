"""Executors of `concurrent.futures`: what is one, and what cannot be sent to its processes."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from semilinear.errors import InvalidArgument

Result = TypeVar("Result")

PICKLING = (pickle.PicklingError, AttributeError, TypeError)
"""What is raised where something cannot be pickled, and elsewhere too."""


def checked_executor(executor: Any) -> Executor | None:
    """Return an executor or None, or refuse what is neither."""
    if executor is None or isinstance(executor, Executor):
        return executor
    remedy = "such as concurrent.futures.ProcessPoolExecutor()"
    if hasattr(executor, "get_executor"):
        remedy = "here executor.get_executor(pure=False)"
    raise InvalidArgument(
        f"executor={executor!r} must be an object of type concurrent.futures.Executor, {remedy}, "
        "or None"
    )


def submitted(
    executor: Executor,
    function: Callable[..., Result],
    *arguments: Any,
    unsendable: Callable[[BaseException], InvalidArgument],
) -> Future[Result]:
    """Return the future of a call.

    Some executors pickle at once, and wrap what that raises: `unsendable` makes the error of it.
    """
    try:
        return executor.submit(function, *arguments)
    except PICKLING as error:
        raise unsendable(error.__cause__ or error) from error


def is_of_pickling(values: Iterable[Any], error: Exception) -> bool:
    """Tell whether what a future raised is that one of the values cannot be pickled."""
    for value in values:
        try:
            pickle.dumps(value)
        except Exception as own:
            if (type(own), str(own)) == (type(error), str(error)):
                return True
    return False


def check_bare(maker: Any, said: Callable[[TypeError], str]) -> None:
    """Refuse what cannot be called without arguments; `said` makes the message."""
    try:
        inspect.signature(maker).bind()
    except TypeError as error:
        raise InvalidArgument(said(error)) from None
    except ValueError:
        pass  # some compiled functions do not say what they take
