"""Studies on executors: the same to the last bit, and clear about what cannot be sent."""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import Executor, ThreadPoolExecutor
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import study_problems
from semilinear import InvalidArgument, order_study, problems, work_precision

METHODS = ["etd4rk", "lawson4", "etdab4", "hochbruck_ostermann4"]
STEPS = (10, 20, 40)
integral = functools.partial(problems.hochbruck_ostermann, form="integral", points=15)


@pytest.mark.parametrize(
    "problem", ["coupled", integral, problems.burgers], ids=["named", "partial", "function"]
)
def test_an_order_study_does_not_depend_on_the_executor(problem: Any, executor: Executor) -> None:
    # Without exact solution the reference comes from the executor too.
    alone = order_study(problem, METHODS, steps=STEPS)
    shared = order_study(problem, METHODS, steps=STEPS, executor=executor)
    # As text with all digits: NaN is not equal to itself.
    assert repr(shared) == repr(alone)


def test_work_precision_does_not_depend_on_the_executor(executor: Executor) -> None:
    options: dict[str, Any] = {"steps": STEPS, "tolerances": (1e-3, 1e-5), "repeats": 0}
    alone = work_precision(integral, ["zoto_bowman43", "etdab4"], **options)
    shared = work_precision(integral, ["zoto_bowman43", "etdab4"], executor=executor, **options)
    assert shared.to_csv() == alone.to_csv()
    assert (alone.timing, shared.timing) == ("alone", "shared")


def test_seconds_of_an_executor_are_marked(executor: Executor) -> None:
    study = work_precision("coupled", "etd1", steps=(2, 4), repeats=1, executor=executor)
    assert "taken while an executor ran other solves" in study.table()
    assert all(point.seconds > 0 for point in study.curves[0].points)


def test_a_problem_object_that_can_be_pickled_is_sent(processes: Executor) -> None:
    problem = problems.burgers(points=32)
    alone = order_study(problem, "etd2rk", steps=STEPS)
    assert order_study(problem, "etd2rk", steps=STEPS, executor=processes) == alone


def test_what_cannot_be_pickled_is_named_with_a_remedy(processes: Executor) -> None:
    for problem, options in (
        (problems.coupled(), {}),
        (problems.coupled, {"spacing": lambda x: x}),
        (lambda: problems.coupled(), {}),
    ):
        with pytest.raises(InvalidArgument, match=r"cannot be sent .*give the problem as a name"):
            order_study(problem, "etd1", steps=STEPS, executor=processes, **options)


def test_what_dask_cannot_pickle_is_named_too(dask: Executor) -> None:
    """It pickles what others do not, such as lambdas, and says no when a run is submitted."""
    study = order_study("coupled", "etd1", steps=STEPS, executor=dask, spacing=lambda x: x * x)
    assert study == order_study("coupled", "etd1", steps=STEPS, spacing=lambda x: x * x)
    lock = threading.Lock()
    with pytest.raises(InvalidArgument, match=r"cannot be sent .*lock.*give the problem as a name"):
        order_study(
            "coupled", "etd1", steps=STEPS, executor=dask, spacing=lambda x: (lock, x * x)[1]
        )


def test_a_dask_client_is_no_executor_and_has_one(dask: Any) -> None:
    with pytest.raises(
        InvalidArgument, match=r"^executor=<Client.* here executor\.get_executor\(pure=False\)"
    ):
        order_study("coupled", "etd1", steps=STEPS, executor=dask._client)


MPI = """
from mpi4py.futures import MPIPoolExecutor
from semilinear import order_study

if __name__ == "__main__":
    with MPIPoolExecutor() as executor:
        for problem in ("coupled", "burgers"):  # the second needs a reference
            alone = order_study(problem, ["etd4rk", "etdab4"], steps=(10, 20, 40))
            shared = order_study(
                problem, ["etd4rk", "etdab4"], steps=(10, 20, 40), executor=executor
            )
            assert repr(shared) == repr(alone)
        print("the same")
"""


def test_an_order_study_does_not_depend_on_mpi(tmp_path: Path) -> None:
    """One rank distributes and one works, as under a cluster's queue."""
    pytest.importorskip("mpi4py")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    mpiexec = shutil.which("mpiexec", path=path)
    if mpiexec is None:
        pytest.skip("no mpiexec")
    script = tmp_path / "study.py"
    script.write_text(MPI)
    python = [sys.executable, "-W", "error", "-m", "mpi4py.futures", str(script)]
    run = subprocess.run(
        [mpiexec, "-n", "2", *python], capture_output=True, text=True, check=False, timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert run.stdout == "the same\n", run.stderr


@pytest.mark.parametrize("nothing", [3, "threads", ThreadPoolExecutor, multiprocessing])
@pytest.mark.parametrize("study", [order_study, work_precision])
def test_what_is_no_executor_is_named(study: Any, nothing: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"^executor=.* must be an object of type concurrent"):
        study("coupled", "etd1", steps=STEPS, executor=nothing)


def test_threads_need_no_pickling() -> None:
    with ThreadPoolExecutor(2) as threads:
        study = order_study(problems.coupled(), "etd1", steps=STEPS, executor=threads)
    assert study == order_study(problems.coupled(), "etd1", steps=STEPS)


def test_a_mistake_in_n_is_not_taken_for_pickling(executor: Executor) -> None:
    with pytest.raises(AttributeError, match="missing"):
        order_study(study_problems.faulty, "etd1", steps=STEPS, executor=executor)


def test_a_mistake_in_n_that_cannot_be_pickled_either() -> None:
    problem = dataclasses.replace(problems.coupled(), nonlinear=lambda t, y: y.missing)
    with (
        ThreadPoolExecutor(2) as threads,
        pytest.raises(AttributeError, match="has no attribute 'missing'"),
    ):
        order_study(problem, "etd1", steps=STEPS, executor=threads)


def test_after_a_failure_the_other_runs_are_cancelled() -> None:
    calls: list[int] = []
    go_on = threading.Event()

    def nonlinear(t: float, y: Any) -> Any:
        calls.append(1)
        go_on.wait(60)
        raise RuntimeError("no")

    p = problems.coupled()
    given = {key: getattr(p, key) for key in ("linear", "t_span", "y0", "exact")}
    problem = SimpleNamespace(nonlinear=nonlinear, **given)
    with ThreadPoolExecutor(1) as threads:
        threading.Timer(0.2, go_on.set).start()
        with pytest.raises(RuntimeError, match="no"):
            order_study(problem, "etd1", steps=range(1, 200), executor=threads)
    assert len(calls) < 199


def test_the_progress_bar_counts_to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(StringIO):
        def isatty(self) -> bool:
            return True

    for workers in (None, ThreadPoolExecutor(2)):
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        order_study("coupled", ["etd1", "etd2rk"], steps=(2, 4), executor=workers, progress=True)
        # Two runs of two and four steps, one and two evaluations each.
        assert "order study [############################] 18/18" in terminal.getvalue()
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)
        order_study("coupled", "etd1", steps=(2, 4), executor=workers)
        assert terminal.getvalue() == ""
        if workers is not None:
            workers.shutdown()
