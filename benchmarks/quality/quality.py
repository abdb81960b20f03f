"""Quality of samplers on the MNIST model: Frechet distance in the features of a small classifier.

    python quality.py --weights mnist_unet.safetensors
    python quality.py --weights mnist_unet.safetensors --samples 1000 --seeds 1 --nfe 5 10

Runs what is missing in the file of results, one line of JSON for each run, and may be stopped and
started again at any time. `report.py` makes the table and the picture.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable
from pathlib import Path
from time import perf_counter
from typing import Any

import classifier
import numpy as np
import torch
from frechet import Reference, moments
from generating import Generator
from rows import BUDGETS, GROUPS, NAMED, Chosen, Own, Row, Theirs, runs, same

from semilinear import diffusion
from semilinear.progress import Progress

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.jsonl"
DRAWS, DRAWS_SEED = 100, 0
Key = tuple[str, int, int, int]
"""Row, budget, seed and number of samples: what a result belongs to."""


def stored(path: Path) -> list[dict[str, Any]]:
    """Return all results; a last line that was cut off does not count."""
    if not path.exists():
        return []
    lines = path.read_text().split("\n")
    return [json.loads(line) for line in lines[:-1] if line]


def key_of(result: dict[str, Any]) -> Key:
    """Return what a stored result belongs to."""
    return result["row"], result["nfe"], result["seed"], result["samples"]


class Measurement:
    """Distances of rows, appended to a file as they are found."""

    def __init__(
        self, generator: Generator, results: Path, folder: Path | None, where: str
    ) -> None:
        self.generator, self.results, self.folder = generator, results, folder
        self.where = where
        self.weights = classifier.load(device=generator.device)
        self.reference = Reference(classifier.real_moments("test"))

    def equal(self, plan: diffusion.DiffusionPlan, nfe: int, seed: int) -> dict[str, Any] | None:
        """Return the result of a row that made the samples of `plan`, if there is one.

        The same plan on the same noise gives the same samples: they need no second run.
        """
        for result in stored(self.results):
            of_run = result["nfe"], result["seed"], result["samples"]
            other = NAMED.get(result["row"])
            if of_run != (nfe, seed, self.generator.samples) or not isinstance(other, Own):
                continue
            if same(plan, other.plan(nfe)):
                return result | {"as": other.name}
        return None

    def find(self, row: Row, nfe: int, seed: int) -> dict[str, Any]:
        """Return the result of one run, which may be that of another row."""
        if isinstance(row, Theirs):
            return self.measure(row, nfe, seed)
        plan = self.generator.plan(row, nfe)
        # Whoever wants the images needs them made.
        equal = self.equal(plan, nfe, seed) if self.folder is None else None
        found = equal or self.measure(row, nfe, seed)
        chosen = {"chosen": self.generator.choose(nfe).reason} if isinstance(row, Chosen) else {}
        return found | {"row": row.name} | chosen

    def measure(self, row: Row, nfe: int, seed: int) -> dict[str, Any]:
        """Return the result of one run."""
        begun = perf_counter()
        images = self.generator.images(row, nfe, seed)
        seconds = perf_counter() - begun
        if self.folder is not None:
            name = f"{row.name} {nfe} {seed}.npy".replace("/", "-")
            np.save(self.folder / name, images.cpu().numpy().astype(np.float16))
        values = classifier.all_features(self.weights, classifier.as_saved(images))
        finite = bool(np.isfinite(values).all())
        drawn = self.reference.bootstrap(values, draws=DRAWS, seed=DRAWS_SEED) if finite else ()
        result: dict[str, Any] = {
            "row": row.name,
            "nfe": nfe,
            "seed": seed,
            "samples": len(values),
            "used": self.generator.evaluations(row, nfe),
            "distance": round(self.reference.distance(moments(values)), 6) if finite else None,
            "draws": [float(f"{value:.3g}") for value in drawn],
            "seconds": round(seconds, 2),
            "device": self.where,
        }
        return result

    def append(self, result: dict[str, Any]) -> None:
        """Store a result."""
        with self.results.open("a") as file:
            file.write(json.dumps(result) + "\n")

    def run(self, todo: Iterable[tuple[Row, int, int]], *, minutes: float) -> None:
        """Run and store, until the time is over."""
        todo = list(todo)
        total = sum(nfe for _, nfe, _ in todo)
        begun, done = perf_counter(), 0
        with Progress(total, label="quality") as bar:
            for row, nfe, seed in todo:
                if perf_counter() - begun > 60 * minutes:
                    break
                self.append(self.find(row, nfe, seed))
                done += nfe
                bar.update(done)
        print(f"{done} of {total} evaluations of a batch done; results in {self.results}")


def arguments() -> argparse.Namespace:
    """Return the options."""
    made = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    made.add_argument(
        "--weights",
        type=Path,
        default=os.environ.get("SEMILINEAR_MNIST_WEIGHTS"),
        help="of the network, safetensors; else the environment's SEMILINEAR_MNIST_WEIGHTS",
    )
    made.add_argument("--samples", type=int, default=10_000)
    made.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3], help="0 is the pilot's")
    made.add_argument("--nfe", type=int, nargs="+", default=list(BUDGETS))
    made.add_argument("--groups", nargs="+", choices=GROUPS, default=list(GROUPS))
    made.add_argument("--rows", nargs="+", default=["*"], help='patterns such as "tab3 * even"')
    made.add_argument("--batch", type=int, help="images at once; 2500 on a GPU, else 250")
    made.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "float16"),
        help="of convolutions and products; float16 on a GPU, else float32",
    )
    made.add_argument(
        "--onnx",
        action="store_true",
        help="the network of the package by onnxruntime: on a CPU in float32, the fastest",
    )
    made.add_argument("--minutes", type=float, default=float("inf"), help="begin no run after")
    made.add_argument("--results", type=Path, default=RESULTS)
    made.add_argument("--images", type=Path, metavar="FOLDER", help="keep the images here")
    made.add_argument("--list", action="store_true", help="say what would be run, and stop")
    return made.parse_args()


def main() -> None:
    """Run what is missing."""
    given = arguments()
    known = {key_of(result) for result in stored(given.results)}
    planned = runs(given.groups, given.nfe, given.rows)
    todo = [
        (row, nfe, seed)
        for row, nfe in planned
        for seed in given.seeds
        if (row.name, nfe, seed, given.samples) not in known
    ]
    if given.list:
        print("\n".join(f"{nfe:5d} {seed:3d}  {row.name}" for row, nfe, seed in todo))
        return
    if given.weights is None:
        raise SystemExit("give --weights, the safetensors file of benchmarks/mnist_model")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batch = given.batch or (2500 if device == "cuda" else 250)
    dtype = given.dtype or ("float16" if device == "cuda" else "float32")
    if given.onnx and (device, dtype) != ("cpu", "float32"):
        raise SystemExit(
            f"--onnx is for float32 on a CPU, and this would run in {dtype} on {device}"
        )
    generator = Generator(
        given.weights,
        device=device,
        samples=given.samples,
        batch=batch,
        dtype=getattr(torch, dtype),
        onnx=given.onnx,
    )
    where = f"{torch.cuda.get_device_name() if device == 'cuda' else 'CPU'}, {dtype}"
    where += ", onnxruntime" if given.onnx else ""
    Measurement(generator, given.results, given.images, where).run(todo, minutes=given.minutes)


if __name__ == "__main__":
    main()
