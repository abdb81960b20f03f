"""Calls on an executor: in order, a bounded number at a time, cancelled when one fails."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from semilinear.errors import InvalidArgument

Item = TypeVar("Item")
Result = TypeVar("Result")

WINDOW = 4
"""Calls in flight at least, and where an executor does not say how many workers it has."""

PICKLING = (pickle.PicklingError, AttributeError, TypeError)
"""What is raised where something cannot be pickled, and elsewhere too."""

REMEDY = (
    "give a factory that is a function of a module, such as functools.partial(OnnxModel, "
    "'file.onnx'), or take a ThreadPoolExecutor"
)


def checked_executor(executor: Any) -> Executor | None:
    """Return an executor or None, or refuse what is neither."""
    if executor is None or isinstance(executor, Executor):
        return executor
    remedy = "such as concurrent.futures.ThreadPoolExecutor()"
    if hasattr(executor, "get_executor"):
        remedy = "here executor.get_executor(pure=False)"
    raise InvalidArgument(
        f"executor={executor!r} must be an object of type concurrent.futures.Executor, {remedy}, "
        "or None"
    )


def workers_of(executor: Executor) -> int:
    """Return how many calls an executor runs at a time, 0 if it does not say.

    It is not part of the interface: the standard library and mpi4py have an attribute, Dask asks
    its scheduler.
    """
    for name in ("_max_workers", "num_workers"):
        found = getattr(executor, name, None)
        if isinstance(found, int):
            return found
    threads = getattr(getattr(executor, "_client", None), "nthreads", None)
    return sum(threads().values()) if callable(threads) else 0


def in_order(
    executor: Executor,
    function: Callable[[Any, Item], Result],
    shared: Any,
    items: Sequence[Item],
    *,
    window: int,
) -> Generator[Result, None, None]:
    """Yield ``function(shared, item)`` for each item, in their order.

    At most `window` calls are in flight or wait to be taken. When one raises, or the iteration is
    given up, those that have not begun are cancelled.

    Raises
    ------
    InvalidArgument
        If `shared` cannot be sent to the executor's processes.
    """
    pending: deque[Future[Result]] = deque()
    try:
        for number in range(len(items)):
            for item in items[number + len(pending) : number + window]:
                pending.append(_submitted(executor, function, shared, item))
            result = _result(pending[0], shared)
            pending.popleft()
            yield result
    finally:
        for future in pending:
            future.cancel()


def _submitted(
    executor: Executor, function: Callable[[Any, Item], Result], shared: Any, item: Item
) -> Future[Result]:
    """Return the future of a call. Some executors pickle at once, and wrap what that raises."""
    try:
        return executor.submit(function, shared, item)
    except PICKLING as error:
        raise _unsendable(error.__cause__ or error) from error


def _result(future: Future[Result], shared: Any) -> Result:
    try:
        return future.result()
    except PICKLING as error:
        if _is_of_pickling(shared, error):
            raise _unsendable(error) from error
        raise


def _is_of_pickling(shared: Any, error: Exception) -> bool:
    """Tell whether what a call raised is that its arguments cannot be pickled."""
    try:
        pickle.dumps(shared)
    except Exception as own:
        return (type(own), str(own)) == (type(error), str(error))
    return False


def _unsendable(error: BaseException) -> InvalidArgument:
    return InvalidArgument(
        f"factory, plan or like cannot be sent to the executor's processes ({error}): {REMEDY}"
    )
