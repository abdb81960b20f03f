"""Time of a step of a scheduler in a pipeline's loop, apart from the network.

`step` of `SemilinearScheduler` against that of diffusers' `DEISMultistepScheduler`, orders 1 to 3,
side by side in one run: CPU tensors of float32, stored tensors in the place of the network's
answers, timesteps as pipelines hand them in. Only steps with a full history count. Both run on as
many threads as `--threads` gives PyTorch, one by default.

    python benchmarks/diffusers_step.py --rounds 15
    python benchmarks/diffusers_step.py --rounds 15 --threads 2
"""

from __future__ import annotations

import warnings
from math import prod
from time import perf_counter
from typing import Any

import torch
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
from diffusers import DEISMultistepScheduler

from semilinear.adapters.diffusers import SemilinearScheduler

SHAPES = ((1, 4, 64, 64), (64, 3, 32, 32), (256, 3, 64, 64))
TARGETS = {SHAPES[0]: 15, SHAPES[2]: 8}
"""How many times faster a step of order 3 has to be."""

ORDERS = (1, 2, 3)
HISTORY = 3
ANSWERS = 4
"""Tensors that stand for answers in turn."""

OURS, STOCK = "SemilinearScheduler", "DEISMultistepScheduler"


def stepping(scheduler: Any, tensors: list[torch.Tensor], steps: int) -> Measure:
    """Measure the mean time of the steps that find a full history, all but the last two."""
    first, *answers = tensors

    def measure() -> float:
        scheduler.set_timesteps(steps)
        sample, seconds = first, 0.0
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            for n, t in enumerate(scheduler.timesteps):
                begun = perf_counter()
                sample = scheduler.step(answers[n % ANSWERS], t, sample, return_dict=False)[0]
                if HISTORY <= n < steps - 2:
                    seconds += perf_counter() - begun
        return seconds / (steps - 2 - HISTORY)

    return measure


def tasks(shape: tuple[int, ...], steps: int) -> dict[Any, Measure]:
    """Return a measure for each scheduler and order."""
    torch.manual_seed(0)
    tensors = [torch.randn(shape) for _ in range(1 + ANSWERS)]
    found: dict[Any, Measure] = {}
    for order in ORDERS:
        for name, kind in ((STOCK, DEISMultistepScheduler), (OURS, SemilinearScheduler)):
            scheduler = kind(solver_order=order, lower_order_final=False)
            found[name, order] = stepping(scheduler, tensors, steps)
    return found


def row(shape: tuple[int, ...], order: int, measured: Rounds) -> dict[str, Any]:
    """Return one line of the report."""
    faster = measured.ratio((STOCK, order), (OURS, order))
    wanted = TARGETS.get(shape) if order == max(ORDERS) else None
    return {
        "shape": "x".join(map(str, shape)),
        "order": order,
        "stock_us": 1e6 * measured.median((STOCK, order)),
        "ours_us": 1e6 * measured.median((OURS, order)),
        "times_faster": faster,
        "target": "" if wanted is None else verdict(faster, at_least=wanted),
    }


def main() -> None:
    """Measure and report."""
    options = parser(__doc__.split("\n", 1)[0])
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--threads", type=int, default=1)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    where = machine("numba", "torch", "diffusers")
    print(header(f"Steps of schedulers, {given.threads} thread(s)", where))
    rows = []
    for shape, steps in zip(SHAPES, (50, 30, 14), strict=True):
        rounds = given.rounds if prod(shape) < 1_000_000 else max(3, given.rounds // 2)
        label = "x".join(map(str, shape))
        measured = interleaved(tasks(shape, steps), rounds=rounds, label=label)
        rows += [row(shape, order, measured) for order in ORDERS]
    columns = ("shape", "order", f"{STOCK}, us", f"{OURS}, us", "times faster", "target")
    print(table(columns, [tuple(r.values()) for r in rows]))
    print("\nmedians over rounds; 'times faster' is the median of ratios taken in the same round")
    write_json(given.json, where, rows)


if __name__ == "__main__":
    main()
