"""There and back on the MNIST model: what encoding and sampling with 50 + 50 evaluations lose.

Samples of the model itself (`sample` with 50 steps) and, if a file has them, test images. Root mean
square over pixels: pooled over the samples, in the median, and at most.

    python benchmarks/round_trip.py --images mnist.npz
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from _timing import header, machine, parser, table, write_json

from semilinear import diffusion
from semilinear.adapters.onnx import mnist_eps
from semilinear.diffusion.round_trip import round_trip
from semilinear.progress import Progress

SCHEDULE = diffusion.VPLinear()
NFE, AIM = 50, 1e-3
IMAGE = (1, 28, 28)
CASES = (
    ("unipc3", "mixed", 1e-3),
    ("unipc3", "quadratic", 1e-3),
    ("tab3", "quadratic", 1e-3),
    ("tab3", "mixed", 1e-3),
    ("logrhoab3", "mixed", 1e-3),
    ("dpmpp_3m", "mixed", 1e-3),
    ("unipc3", "mixed", 1e-2),
    ("tab3", "quadratic", 1e-2),
)
"""Method, grid and where it ends at the data; the first are the defaults."""


def main() -> None:
    """Measure and report."""
    options = parser((__doc__ or "").partition("\n")[0])
    options.add_argument("--samples", type=int, default=64)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--threads", type=int, help="of onnxruntime; all cores by default")
    options.add_argument("--images", type=Path, metavar="FILE", help=".npz with x_test, in 0..255")
    given = options.parse_args()
    model = mnist_eps(threads=given.threads)
    rng = np.random.default_rng(given.seed)
    noise = rng.standard_normal((given.samples, *IMAGE)).astype(np.float32)
    noise *= np.float32(SCHEDULE.sigma(SCHEDULE.t_start))
    data = {"own samples": diffusion.sample(model, noise, SCHEDULE, steps=NFE)}
    if given.images:
        pixels = np.load(given.images)["x_test"][: given.samples]
        data["test images"] = pixels.reshape(-1, *IMAGE).astype(np.float32) / 127.5 - 1
    rows = []
    with Progress(len(CASES) * len(data), label="there and back") as bar:
        for method, grid, t_end in CASES:
            for name, x in data.items():
                found = round_trip(
                    model, x, SCHEDULE, method=method, grid=grid, nfe=NFE, t_end=t_end
                )
                pooled = float(np.sqrt((found.rms**2).mean()))
                within = f"{(found.rms <= AIM).mean():.0%}"
                worst = float(found.rms.max())
                rows.append(
                    (method, grid, t_end, name, pooled, float(np.median(found.rms)), worst, within)
                )
                bar.update(len(rows))
    where = machine("onnxruntime")
    title = f"There and back, {given.samples} samples, {NFE} + {NFE} evaluations, seed {given.seed}"
    print(header(title, where))
    head = ("method", "grid", "t_end", "of", "rms", "median", "largest", f"<= {AIM:g}")
    print(table(head, rows))
    write_json(given.json, where, rows)


if __name__ == "__main__":
    main()
