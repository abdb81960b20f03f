"""The runs of a study, one after the other or on an executor, with the same results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, as_completed
from typing import TypeVar

from semilinear.errors import InvalidArgument
from semilinear.executors import PICKLING, is_of_pickling, submitted
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
            futures.extend(
                submitted(executor, function, item, unsendable=_unsendable) for item in items
            )
            shares = dict(zip(futures, weights, strict=True))
            for future in as_completed(futures):
                future.result()
                done += shares[future]
                bar.update(done)
            return [future.result() for future in futures]
        except PICKLING as error:
            if is_of_pickling(items, error):
                raise _unsendable(error) from error
            raise
        finally:
            for future in futures:
                future.cancel()


def _unsendable(error: BaseException) -> InvalidArgument:
    """Return the error for what cannot be pickled, with what to do."""
    return InvalidArgument(
        f"problem, method or spacing cannot be sent to the executor's processes ({error}): give "
        "the problem as a name of semilinear.problems.names() or as a function of a module that "
        "makes it, such as functools.partial(problems.hochbruck_ostermann, points=31), or take a "
        "ThreadPoolExecutor"
    )
