"""Passes in slices on several threads: the bits of one pass, whoever else computes."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from semilinear.kernels import slices
from semilinear.kernels.numba_ import scalar_one, scalar_two
from semilinear.kernels.slices import SLICE, in_slices

ROWS = np.array([[0.7, -1.3, 0.4], [0.1, 0.2, 0.3]])


def arrays(size: int, dtype: Any, count: int = 3) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(size)
    found = random.standard_normal((count, 2, size))
    made = found[:, 0] + 1j * found[:, 1] if np.dtype(dtype).kind == "c" else found[:, 0]
    return tuple(made.astype(dtype))


def entries(pieces: float, dtype: Any) -> int:
    """Return how many entries fill so many slices."""
    return int(pieces * SLICE) // np.dtype(dtype).itemsize


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("pieces", [0.5, 1.99, 2, 3.3])
def test_slices_give_the_bits_of_one_pass(dtype: Any, threads: int, pieces: float) -> None:
    size = entries(pieces, dtype) + 1
    sources = arrays(size, dtype)
    one, two = (np.empty(size, dtype) for _ in range(2))
    assert not in_slices(scalar_two, (one, two), sources, ROWS, threads=threads)
    alone = [np.empty(size, dtype) for _ in range(2)]
    scalar_two(*alone, sources, ROWS)
    np.testing.assert_array_equal(one, alone[0])
    np.testing.assert_array_equal(two, alone[1])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_what_is_not_finite_is_found_in_every_slice(threads: int) -> None:
    size = entries(3, np.float32) + 5
    x = arrays(size, np.float32, 1)[0]
    out = np.empty_like(x)
    for place in (0, size // 2, size - 1):
        bad = x.copy()
        bad[place] = np.nan
        assert in_slices(scalar_one, (out,), (bad,), ROWS[:1, :1], threads=threads)
        assert np.isnan(out[place])
        assert np.isnan(out).sum() == 1
    assert not in_slices(scalar_one, (out,), (x,), ROWS[:1, :1], threads=threads)


def test_small_passes_and_one_thread_ask_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "_pool", None)  # calling it would fail
    for size, threads in ((entries(1.99, np.float64), 8), (entries(4, np.float64), 1)):
        (x,) = arrays(size, np.float64, 1)
        out = np.empty_like(x)
        assert not in_slices(scalar_one, (out,), (x,), np.array([[2.0]]), threads=threads)
        np.testing.assert_array_equal(out, 2 * x)


def test_many_runs_side_by_side() -> None:
    size = entries(3, np.float64)
    sources = [arrays(size + i, np.float64) for i in range(6)]

    def one(own: tuple[np.ndarray, ...]) -> np.ndarray:
        out = np.empty_like(own[0])
        for _ in range(5):
            in_slices(scalar_one, (out,), own, ROWS[:1], threads=3)
        return out

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(one, sources))
    for out, own in zip(found, sources, strict=True):
        alone = np.empty_like(out)
        scalar_one(alone, own, ROWS[:1])
        np.testing.assert_array_equal(out, alone)


def test_the_calling_thread_computes_all_where_no_thread_begins(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    over = ThreadPoolExecutor(1)
    over.shutdown()
    monkeypatch.setattr(slices, "_pool", lambda *_: over)
    (x,) = arrays(entries(2, np.float64), np.float64, 1)
    out = np.empty_like(x)
    assert not in_slices(scalar_one, (out,), (x,), np.array([[3.0]]), threads=2)
    np.testing.assert_array_equal(out, 3 * x)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_has_threads_of_its_own() -> None:
    script = """
        import os, warnings
        import numpy as np
        from semilinear.kernels.numba_ import scalar_one
        from semilinear.kernels.slices import SLICE, in_slices

        warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
        x = np.ones(SLICE // 2)

        def doubled():
            out = np.empty_like(x)
            in_slices(scalar_one, (out,), (x,), np.array([[2.0]]), threads=4)
            return bool((out == 2.0).all())

        assert doubled()
        child = os.fork()
        if child == 0:
            os._exit(0 if doubled() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        print("same", flush=True)
    """
    run = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "same"), done.stderr


def test_tensors_take_the_threads_of_their_library() -> None:
    torch = pytest.importorskip("torch")
    from semilinear.kernels import backend_for, keeping_backend_for

    size, before = entries(3, np.float32) + 5, torch.get_num_threads()
    states = [torch.from_numpy(x) for x in arrays(size, np.float32)]
    found = {}
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            backend, keeping = backend_for(states[0]), keeping_backend_for(states[0])
            assert backend.threads == keeping.threads == threads
            place = torch.empty(size)
            handed = keeping.receive(states[1], place)
            sources = tuple(backend.take(x) for x in states)
            kept = (sources[0], keeping.take(handed), sources[2])
            outputs = [
                *backend.combine_scalar(ROWS, sources, True)[0],
                *keeping.combine_scalar(ROWS[:1], kept, True)[0],
            ]
            assert torch.equal(place, states[1])
            found[threads] = outputs
    finally:
        torch.set_num_threads(before)
    for outputs in found.values():
        np.testing.assert_array_equal(outputs, found[1])
