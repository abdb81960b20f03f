"""Time that a solver takes per step, apart from the model: stored arrays stand for its answers.

float32, one thread, steps with a full history only. `advance` of the plan logrhoab2 (the state and
three values of eps, as many as diffusers' DEIS of order 3 uses) on NumPy arrays and on CPU tensors,
against diffusers, against the fused kernel alone on memory that is there already, and against a
copy.

    python benchmarks/step_overhead.py --rounds 15
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy and torch are loaded

import warnings
from collections.abc import Sequence
from math import prod
from time import perf_counter
from typing import Any

import numpy as np
from _timing import (
    Measure,
    Rounds,
    header,
    interleaved,
    machine,
    parser,
    table,
    verdict,
    write_json,
)

from semilinear import diffusion
from semilinear.kernels.numba_ import scalar_one

SHAPES = ((1, 4, 64, 64), (64, 3, 32, 32), (256, 3, 64, 64))
HISTORY = 3
ANSWERS = 4
"""Arrays that stand for answers in turn: one more than a state keeps."""

NUMPY, TORCH, DIFFUSERS = "advance, NumPy", "advance, torch", "diffusers DEIS order 3"
KERNEL, COPY = "fused kernel alone", "copy"


def arrays(shape: tuple[int, ...]) -> list[np.ndarray]:
    """Return a state and the answers."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape, dtype=np.float32) for _ in range(1 + ANSWERS)]


def advancing(x: Any, answers: Sequence[Any], steps: int) -> Measure:
    """Measure the steps of a run of `advance` that find a full history."""
    made = diffusion.plan(diffusion.VPLinear(), method="logrhoab2", steps=steps)

    def measure() -> float:
        state = made.start(x)
        for n in range(HISTORY):
            state = made.advance(state, answers[n % ANSWERS])
        begun = perf_counter()
        for n in range(HISTORY, steps):
            state = made.advance(state, answers[n % ANSWERS])
        return (perf_counter() - begun) / (steps - HISTORY)

    return measure


def scheduling(x: Any, answers: Sequence[Any], steps: int) -> Measure:
    """Measure the same steps of diffusers' scheduler."""
    from diffusers import DEISMultistepScheduler

    scheduler = DEISMultistepScheduler(solver_order=3)

    def measure() -> float:
        scheduler.set_timesteps(steps)
        y, times = x, list(scheduler.timesteps)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for n in range(HISTORY):
                y = scheduler.step(answers[n % ANSWERS], times[n], y, return_dict=False)[0]
            begun = perf_counter()
            for n in range(HISTORY, steps):
                y = scheduler.step(answers[n % ANSWERS], times[n], y, return_dict=False)[0]
            return (perf_counter() - begun) / (steps - HISTORY)

    return measure


def kernel(x: np.ndarray, answers: Sequence[np.ndarray], steps: int) -> Measure:
    """Measure the kernel with as many sources as a step of order 3 has."""
    sources = tuple(a.reshape(-1) for a in (x, *answers[:HISTORY]))
    out = np.empty_like(sources[0])
    weights = np.array([[0.9, 0.4, -0.3, 0.1]])

    def measure() -> float:
        begun = perf_counter()
        for _ in range(HISTORY, steps):
            scalar_one(out, sources, weights)
        return (perf_counter() - begun) / (steps - HISTORY)

    return measure


def copying(x: np.ndarray, steps: int) -> Measure:
    """Measure a copy into memory that is there already."""
    out = np.empty_like(x)

    def measure() -> float:
        begun = perf_counter()
        for _ in range(HISTORY, steps):
            np.copyto(out, x)
        return (perf_counter() - begun) / (steps - HISTORY)

    return measure


def tasks(shape: tuple[int, ...], steps: int) -> dict[str, Measure]:
    """Return what can be measured here: torch and diffusers are optional."""
    x, *answers = arrays(shape)
    found = {NUMPY: advancing(x, answers, steps)}
    try:
        import torch
    except ImportError:
        print("torch is not installed: its rows are left out\n")
    else:
        torch.set_num_threads(1)
        tensors = [torch.from_numpy(a) for a in (x, *answers)]
        found[TORCH] = advancing(tensors[0], tensors[1:], steps)
        try:
            found[DIFFUSERS] = scheduling(tensors[0], tensors[1:], steps)
        except ImportError:
            print("diffusers is not installed: its row is left out\n")
    found[KERNEL] = kernel(x, answers, steps)
    found[COPY] = copying(x, steps)
    return found


def row(shape: tuple[int, ...], name: str, measured: Rounds) -> dict[str, Any]:
    """Return one line of the report."""
    has_diffusers = DIFFUSERS in measured.samples
    faster = measured.ratio(DIFFUSERS, name) if has_diffusers else None
    above = measured.ratio(name, KERNEL)
    target = ""
    if name in (NUMPY, TORCH) and shape != SHAPES[0]:
        target = verdict(above, at_most=1.15)
    elif name in (NUMPY, TORCH) and faster is not None:
        target = verdict(faster, at_least=80 if name == NUMPY else 60)
    return {
        "shape": "x".join(map(str, shape)),
        "task": name,
        "median_us": 1e6 * measured.median(name),
        "minimum_us": 1e6 * measured.minimum(name),
        "kernels": above,
        "diffusers_ratio": faster,
        "target": target,
    }


def main() -> None:
    """Measure and report."""
    options = parser(__doc__.split("\n", 1)[0])
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--steps", type=int, help="steps of a run (50, 20 and 20 by default)")
    given = options.parse_args()
    where = machine("numba", "torch", "diffusers")
    print(header("Step overhead", where))
    rows = []
    for shape, steps in zip(SHAPES, (50, 20, 20), strict=True):
        count = given.steps or steps
        # Two thirds of the rounds for arrays that take a second to be sampled once.
        rounds = given.rounds if prod(shape) < 1_000_000 else max(3, 2 * given.rounds // 3)
        measured = interleaved(tasks(shape, count), rounds=rounds, label="x".join(map(str, shape)))
        rows += [row(shape, name, measured) for name in measured.samples]
    columns = ("shape", "task", "median us", "minimum us", "x kernel", "diffusers /", "target")
    print(table(columns, [tuple(r.values()) for r in rows]))
    print("\nratios: medians over rounds, pair by pair; 'diffusers /' says how many times faster")
    write_json(given.json, where, rows)


if __name__ == "__main__":
    main()
