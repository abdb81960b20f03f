"""Studies on executors: the same to the last bit, and clear about what cannot be sent."""

from __future__ import annotations

import dataclasses
import functools
import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from io import StringIO
from types import SimpleNamespace
from typing import Any

import pytest

import study_problems
from semilinear import InvalidArgument, order_study, problems, work_precision

METHODS = ["etd4rk", "lawson4", "etdab4", "hochbruck_ostermann4"]
STEPS = (10, 20, 40)
integral = functools.partial(problems.hochbruck_ostermann, form="integral", points=15)


@pytest.fixture(scope="module")
def processes() -> Iterator[Executor]:
    # Spawned workers know nothing but what is sent to them.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        yield executor


@pytest.fixture(params=["threads", "processes"])
def executor(request: pytest.FixtureRequest, processes: Executor) -> Iterator[Executor]:
    if request.param == "processes":
        yield processes
    else:
        with ThreadPoolExecutor(3) as threads:
            yield threads


@pytest.mark.parametrize("problem", ["coupled", integral, problems.burgers], ids=str)
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
