"""Calls on an executor: in order, a bounded number at a time, cancelled when one fails."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

from semilinear.errors import InvalidArgument
from semilinear.executors import PICKLING, is_of_pickling, submitted

Item = TypeVar("Item")
Result = TypeVar("Result")

WINDOW = 4
"""Calls in flight at least, and where an executor does not say how many workers it has."""

REMEDY = (
    "give a factory that is a function of a module, such as functools.partial(OnnxModel, "
    "'file.onnx'), or take a ThreadPoolExecutor"
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
                pending.append(submitted(executor, function, shared, item, unsendable=_unsendable))
            result = _result(pending[0], shared)
            pending.popleft()
            yield result
    finally:
        for future in pending:
            future.cancel()


def _result(future: Future[Result], shared: Any) -> Result:
    try:
        return future.result()
    except PICKLING as error:
        if is_of_pickling((shared,), error):
            raise _unsendable(error) from error
        raise


def _unsendable(error: BaseException) -> InvalidArgument:
    return InvalidArgument(
        f"factory, plan or like cannot be sent to the executor's processes ({error}): {REMEDY}"
    )
