"""Batches on executors: a bounded window, one model for a process, and failures that say where."""

from __future__ import annotations

import functools
import gc
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import weakref
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from concurrent.futures import ThreadPoolExecutor as Threads
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import many_models
from many_models import COUNT, LOUD, SHAPE, alone, batches, many
from semilinear import InvalidArgument, diffusion
from semilinear.diffusion.executors import workers_of


class Counting(Executor):
    """An executor that runs nothing until a result is asked for, and counts."""

    def __init__(self) -> None:
        self.open: list[Future[Any]] = []
        self.most = self.cancelled = self.ran = 0

    def submit(self, function: Any, /, *arguments: Any, **options: Any) -> Any:
        executor = self

        class Lazy(Future[Any]):
            def result(self, timeout: float | None = None) -> Any:
                executor.open.remove(self)
                executor.ran += 1
                return function(*arguments, **options)

            def cancel(self) -> bool:
                executor.cancelled += self in executor.open
                return True

        self.open.append(Lazy())
        self.most = max(self.most, len(self.open))
        return self.open[-1]


@pytest.mark.parametrize(("window", "most"), [(1, 1), (3, 3), (None, 4)])
def test_no_more_than_the_window_are_in_flight(window: int | None, most: int) -> None:
    executor = Counting()
    np.testing.assert_array_equal(many(executor=executor, window=window), alone("tab3"))
    assert executor.most == most
    assert executor.ran == 7
    assert executor.cancelled == 0


def test_the_number_of_workers_is_known(executor: Executor, request: Any) -> None:
    known = {"threads": 3, "processes": 2, "dask": 2}
    assert workers_of(executor) == known[request.node.callspec.params["executor"]]
    assert workers_of(Counting()) == 0


def test_giving_up_cancels_what_has_not_begun() -> None:
    executor = Counting()
    run = batches().run(batches().pieces(0, COUNT), executor=executor, window=5)
    next(run)
    run.close()
    assert (executor.ran, executor.cancelled) == (1, 4)


def test_an_interrupt_cancels_what_has_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = Counting()

    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("semilinear.diffusion.batches._compute", interrupted)
    with pytest.raises(KeyboardInterrupt):
        many(executor=executor, window=5)
    assert (executor.ran, executor.cancelled) == (1, 4)


@pytest.mark.parametrize("shared", [True, False])
def test_a_failure_names_the_samples_and_ends_the_run(executor: Executor, shared: bool) -> None:
    noise = diffusion.SeededNoise(LOUD, np.empty((COUNT, *SHAPE), np.float32)).initial()
    largest = [part.max() for part in np.split(noise[:48], 6)]
    second, first = sorted(largest)[-2:]
    number = largest.index(first)
    assert number >= 2
    assert first > 1.2 * second
    limit = float(first + second) / 2
    factory = functools.partial(many_models.fails_beyond, limit)
    with pytest.raises(AttributeError, match="no such layer") as raised:
        many(factory=factory, seed=LOUD, executor=executor if shared else None)
    note = f"in the batch of samples {8 * number} to {8 * number + 7}"
    assert raised.value.__notes__ == [note]


def test_a_process_that_dies_is_told() -> None:
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(1, mp_context=context) as executor,
        pytest.raises(BrokenExecutor) as raised,
    ):
        many(factory=many_models.dies, executor=executor)
    assert raised.value.__notes__ == ["in the batch of samples 0 to 7"]


def test_what_cannot_be_pickled_is_named_with_a_remedy(processes: Executor) -> None:
    with pytest.raises(InvalidArgument, match=r"cannot be sent .*give a factory that is a functio"):
        many(factory=lambda: many_models.rational(), executor=processes)


def test_what_dask_cannot_pickle_is_named_too(dask: Executor) -> None:
    """It pickles what others do not, such as lambdas, and says no when a batch is submitted."""
    found = many(factory=lambda: many_models.rational(), executor=dask)
    np.testing.assert_array_equal(found, alone("tab3"))
    lock = threading.Lock()
    with pytest.raises(InvalidArgument, match=r"cannot be sent .*lock.*give a factory that is"):
        many(factory=lambda: (lock, many_models.rational())[1], executor=dask)


def test_a_dask_client_is_no_executor_and_has_one(dask: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"^executor=<Client.* here executor\.get_executor\("):
        many(executor=dask._client)


def test_a_mistake_in_a_model_that_cannot_be_pickled_either() -> None:
    with Threads(2) as threads, pytest.raises(AttributeError, match="has no attribute 'missing'"):
        many(factory=lambda: lambda x, t: x.missing, executor=threads)


# --- The model of a process -----------------------------------------------------------------------


def test_a_process_makes_its_model_once(processes: Executor, tmp_path: Path) -> None:
    run = batches(functools.partial(many_models.logged, str(tmp_path)))
    for _ in range(2):
        list(run.run(run.pieces(0, 400), executor=processes))
    makers = [path.name.split("-")[0] for path in tmp_path.iterdir()]
    assert 1 <= len(makers) <= 2
    assert len(set(makers)) == len(makers)
    assert str(os.getpid()) not in makers


@pytest.mark.parametrize(("model_per", "most"), [("process", 1), ("thread", 3)])
def test_threads_share_a_model_or_make_their_own(model_per: str, most: int) -> None:
    makers: list[int] = []
    met = threading.Barrier(3)

    def factory() -> Any:
        makers.append(threading.get_ident())
        return many_models.rational()

    def first_call(executor: Executor) -> None:
        list(executor.map(lambda _: met.wait(60), range(3)))

    with Threads(3) as threads:
        first_call(threads)
        found = many(factory=factory, model_per=model_per, executor=threads, batch_size=1)
    np.testing.assert_array_equal(found, alone("tab3"))
    assert 1 <= len(makers) <= most
    assert len(set(makers)) == len(makers)


def test_each_thread_has_its_own_model_if_asked_for() -> None:
    run = batches(lambda: lambda x, t: x, model_per="thread")
    with Threads(1) as one, Threads(1) as other:
        models = [run.model(), one.submit(run.model).result(), other.submit(run.model).result()]
        assert one.submit(run.model).result() is models[1]
    assert len(set(map(id, models))) == 3
    shared = batches(lambda: lambda x, t: x)
    with Threads(1) as one:
        assert one.submit(shared.model).result() is shared.model()


def test_a_model_goes_with_its_run() -> None:
    class Model:
        def __call__(self, x: np.ndarray, t: float) -> np.ndarray:
            return x

    kept: list[Any] = []

    def factory() -> Any:
        model = Model()
        kept.append(weakref.ref(model))
        return model

    with Threads(2) as threads:
        many(factory=factory, executor=threads)
    gc.collect()
    assert kept[0]() is None


def test_bits_depend_on_no_mpi(tmp_path: Path) -> None:
    """One rank distributes and one works, as under a cluster's queue."""
    pytest.importorskip("mpi4py")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    mpiexec = shutil.which("mpiexec", path=path)
    if mpiexec is None:
        pytest.skip("no mpiexec")
    script = tmp_path / "many.py"
    script.write_text("""
import many_models
from mpi4py.futures import MPIPoolExecutor
from semilinear import diffusion
from semilinear.diffusion.executors import workers_of
from semilinear.diffusion.many import sample_many

if __name__ == "__main__":
    plan = diffusion.plan(diffusion.VPLinear(), method="ddpm", nfe=6)
    with MPIPoolExecutor() as executor:
        given = (many_models.rational, plan, (3,), 50)
        shared = sample_many(*given, seed=1, batch_size=8, executor=executor)
        assert (shared == sample_many(*given, seed=1, batch_size=8)).all()
        assert workers_of(executor) == 1
        print("the same")
""")
    python = [sys.executable, "-W", "error", "-m", "mpi4py.futures", str(script)]
    run = subprocess.run(
        [mpiexec, "-n", "2", *python], capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert run.stdout == "the same\n", run.stderr
