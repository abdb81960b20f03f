"""What every test gets: Hypothesis profiles, array libraries, executors, and the markers."""

from __future__ import annotations

import functools
import importlib
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

# Before anything imports matplotlib, which reads it once.
os.environ["MPLBACKEND"] = "Agg"

# No deadline and no complaint about slow generation: the machine's load must not decide a verdict.
untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", untimed, max_examples=25)
settings.register_profile("ci", untimed, max_examples=25, derandomize=True)
settings.register_profile("nightly", untimed, max_examples=500)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
settings.load_profile(PROFILE)

PROCESSES = 8
"""Of `pytest -n auto`, at most: each compiles for itself, and takes a gigabyte."""

ARRAY_LIBRARIES = {
    "numpy": "array_api_compat.numpy",
    "array_api_strict": "array_api_strict",
    "torch": "array_api_compat.torch",
}


@pytest.fixture(params=ARRAY_LIBRARIES)
def xp(request: pytest.FixtureRequest) -> ModuleType:
    """Return the array-API namespace of each library; a library that is absent is skipped."""
    pytest.importorskip(request.param)
    return importlib.import_module(ARRAY_LIBRARIES[request.param])


@functools.cache
def missing_for_gpu() -> str | None:
    """Return what keeps the tests marked ``gpu`` from running, or None if they can run."""
    try:
        import cupy
    except ImportError as error:
        return f"CuPy cannot be imported ({error}); install the extra cuda12 or cuda13"
    if not cupy.cuda.is_available():
        return "CuPy finds no CUDA device"
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Return the number of processes for `pytest -n auto`."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(PROCESSES, usable or 1)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked ``nightly`` or ``gpu``, saying why, where they do not run."""
    if item.get_closest_marker("nightly") and PROFILE != "nightly":
        pytest.skip("takes half a minute; set HYPOTHESIS_PROFILE=nightly")
    if item.get_closest_marker("gpu") and (reason := missing_for_gpu()):
        pytest.skip(reason)


@pytest.fixture(scope="session")
def processes() -> Iterator[Executor]:
    # Spawned workers know nothing but what is sent to them.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        yield executor


@pytest.fixture(scope="session")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Executor]:
    """Return the executor of a Dask cluster of two processes on this machine."""
    distributed = pytest.importorskip("distributed")
    scratch = str(tmp_path_factory.mktemp("dask"))
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", local_directory=scratch
        ) as cluster,
        distributed.Client(cluster) as client,
        client.get_executor(pure=False) as executor,
    ):
        yield executor


@pytest.fixture(params=["threads", "processes", "dask"])
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    if request.param == "threads":
        with ThreadPoolExecutor(3) as threads:
            yield threads
    else:
        yield request.getfixturevalue(request.param)
