"""The runs of a study, one after the other or on an executor, with the same results."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, as_completed
from typing import TypeVar

from semilinear.errors import InvalidArgument
from semilinear.progress import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")


def gather(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    weights: Sequence[int],
    executor: Executor | None,
    progress: bool,
    label: str,
) -> list[Result]:
    """Return ``function(item)`` for each item, in their order.

    Parameters
    ----------
    function
        A function of a module, so that it can be pickled.
    items
        What it is called with.
    weights
        How much work each is, for the progress bar.
    executor
        Where to call it; here, one after the other, if None.

    Raises
    ------
    InvalidArgument
        If an item cannot be sent to the executor's processes. What a call raises is passed on, and
        the calls that have not begun are cancelled.
    """
    with Progress(sum(weights), label=label, show=progress) as bar:
        done = 0
        if executor is None:
            results = []
            for item, weight in zip(items, weights, strict=True):
                results.append(function(item))
                done += weight
                bar.update(done)
            return results
        futures: list[Future[Result]] = []
        try:
            futures.extend(_submitted(executor, function, item) for item in items)
            shares = dict(zip(futures, weights, strict=True))
            for future in as_completed(futures):
                future.result()
                done += shares[future]
                bar.update(done)
            return [future.result() for future in futures]
        except PICKLING as error:
            if _is_of_pickling(items, error):
                raise _unsendable(error) from error
            raise
        finally:
            for future in futures:
                future.cancel()


PICKLING = (pickle.PicklingError, AttributeError, TypeError)
"""What is raised where something cannot be pickled, and elsewhere too."""


def _submitted(
    executor: Executor, function: Callable[[Item], Result], item: Item
) -> Future[Result]:
    """Return the future of a call. Some executors pickle at once, and wrap what that raises."""
    try:
        return executor.submit(function, item)
    except PICKLING as error:
        raise _unsendable(error.__cause__ or error) from error


def _is_of_pickling(items: Sequence[object], error: Exception) -> bool:
    """Tell whether an error that a future has is that of pickling an item."""
    for item in items:
        try:
            pickle.dumps(item)
        except Exception as own:
            if (type(own), str(own)) == (type(error), str(error)):
                return True
    return False


def _unsendable(error: BaseException) -> InvalidArgument:
    """Return the error for what cannot be pickled, with what to do."""
    return InvalidArgument(
        f"problem, method or spacing cannot be sent to the executor's processes ({error}): give "
        "the problem as a name of semilinear.problems.names() or as a function of a module that "
        "makes it, such as functools.partial(problems.hochbruck_ostermann, points=31), or take a "
        "ThreadPoolExecutor"
    )
