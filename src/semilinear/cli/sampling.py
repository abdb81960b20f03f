"""``semilinear sample``: images from an eps-model."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from semilinear import diffusion, methods
from semilinear.course import State
from semilinear.diffusion.endings import FINALS
from semilinear.diffusion.predictions import PREDICTIONS
from semilinear.errors import InvalidArgument
from semilinear.kernels import COMPILED_FROM
from semilinear.progress import Progress

SUFFIXES = (".png", ".npz")


def add_sample(commands: Any) -> None:
    """Add the command ``sample``."""
    command = commands.add_parser(
        "sample",
        help="sample images from an eps-model",
        description="Sample images by a DEIS method, from the MNIST model of this package or from "
        "an ONNX model of your own.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = command.add_argument
    add("-n", type=int, default=64, help="number of images")
    add("--method", default="tab3", help="a name that `semilinear methods` lists")
    count = command.add_mutually_exclusive_group()
    count.add_argument("--steps", type=int, help="number of steps")
    count.add_argument("--nfe", type=int, help="budget of evaluations per image (10 if neither)")
    add("--grid", default="uniform", choices=sorted(diffusion.grids.GRIDS), help="time grid")
    add("--t-start", type=float, help="where the grid begins, the noisy end")
    add("--t-end", type=float, help="where the grid ends (0.1 for --final denoise)")
    add("--final", default="denoise", choices=FINALS, help="the ending")
    add("--start", default="ramp", choices=methods.STARTS, help="start of multistep methods")
    add("--model", type=Path, help="ONNX eps-model; the MNIST model of the package if not given")
    add("--schedule", default="vp_linear", choices=sorted(diffusion.SCHEDULES), help="noise")
    add("--prediction", default="eps", choices=tuple(PREDICTIONS))
    add("--shape", help="shape of one image, such as 3,32,32, if the model leaves it open")
    add("--seed", type=int, default=0, help="image i depends on the seed and on i only")
    add("--batch-size", type=int, default=64, help="images at a time")
    add("--threads", type=int, help="threads of the model")
    add("--out", type=Path, default=Path("samples.png"), help="a .png picture or a .npz array")
    command.set_defaults(run=_sample)


def _sample(options: argparse.Namespace) -> int:
    from semilinear.adapters.onnx import OnnxModel, mnist_eps

    _check_sample(options)
    if options.model is None:
        model = mnist_eps(threads=options.threads)
    else:
        model = OnnxModel(options.model, threads=options.threads)
    plan = _diffusion_plan(options)
    shape = _shape(options, model.sample_shape)
    dtype = np.dtype(model.dtype)
    begun = perf_counter()
    _compile(plan, dtype)
    ready = perf_counter()
    timed = _Timed(model)
    images = _images(timed, plan, shape, dtype, options)
    total = perf_counter() - ready
    _write(options.out, images, plan)
    print(
        f"{options.n} images by {plan.name} with {plan.nfe} evaluations each: "
        f"{timed.seconds:.2f} s in the model, {total - timed.seconds:.3f} s in the solver "
        f"(and {ready - begun:.2f} s to load its kernels) -> {options.out}"
    )
    return 0


def _check_sample(options: argparse.Namespace) -> None:
    least = (
        ("-n", options.n, 1),
        ("--batch-size", options.batch_size, 1),
        ("--seed", options.seed, 0),
    )
    for name, value, bound in least:
        if value < bound:
            raise InvalidArgument(f"{name}={value} must be at least {bound}")
    if options.out.suffix not in SUFFIXES:
        raise InvalidArgument(f"--out {options.out} must end in .png or .npz")
    own = (
        ("--schedule", options.schedule, "vp_linear"),
        ("--prediction", options.prediction, "eps"),
    )
    for name, value, trained in own:
        if options.model is None and value != trained:
            raise InvalidArgument(
                f"{name}={value}: the MNIST model of this package was trained with {trained}; "
                "give a model of your own with --model"
            )


def _compile(plan: diffusion.DiffusionPlan, dtype: np.dtype) -> None:
    """Run once through the plan on zeros, which compiles or loads every kernel that it needs."""
    zeros = np.zeros(COMPILED_FROM, dtype=dtype)
    diffusion.follow(plan, lambda x, t: zeros, zeros)


def _diffusion_plan(options: argparse.Namespace) -> diffusion.DiffusionPlan:
    nfe = options.nfe
    if nfe is None and options.steps is None:
        nfe = 10
    t_end = options.t_end
    if t_end is None and options.final == "denoise" and options.schedule == "vp_linear":
        t_end = 0.1
    return diffusion.plan(
        diffusion.SCHEDULES[options.schedule](),
        method=options.method,
        steps=options.steps,
        nfe=nfe,
        grid=options.grid,
        prediction=options.prediction,
        t_start=options.t_start,
        t_end=t_end,
        final=options.final,
        start=options.start,
    )


def _shape(options: argparse.Namespace, known: Sequence[int | None] | None) -> tuple[int, ...]:
    if options.shape is not None:
        parts = options.shape.split(",")
        if not all(part.strip().isdigit() and int(part) > 0 for part in parts):
            raise InvalidArgument(
                f"--shape {options.shape} must be whole numbers with commas, such as 3,32,32"
            )
        shape = tuple(int(part) for part in parts)
    elif known is None or any(size is None for size in known):
        raise InvalidArgument(
            f"--shape is needed: the model leaves the shape of an image open ({known})"
        )
    else:
        shape = tuple(int(size) for size in known if size is not None)
    if options.out.suffix == ".png" and (len(shape) != 3 or shape[0] not in (1, 3)):
        raise InvalidArgument(
            f"--out {options.out}: samples of shape {shape} are no pictures (c, h, w) with one or "
            "three channels; write a .npz"
        )
    return shape


class _Timed:
    """A model that counts the seconds spent in it."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.seconds = 0.0

    def __call__(self, x: Any, t: float) -> Any:
        begun = perf_counter()
        output = self.model(x, t)
        self.seconds += perf_counter() - begun
        return output


def _noise(seed: int, index: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return the noise of one image, float32, whatever the batch around it."""
    stream = np.random.Philox(key=seed, counter=[0, 0, 0, index])
    return np.random.Generator(stream).standard_normal(shape, dtype=np.float32)


def _images(
    model: _Timed,
    plan: diffusion.DiffusionPlan,
    shape: tuple[int, ...],
    dtype: np.dtype,
    options: argparse.Namespace,
) -> np.ndarray:
    images = np.empty((options.n, *shape), dtype=dtype)
    scale = np.float32(plan.schedule.sigma(plan.t[0]))
    batches = range(0, options.n, options.batch_size)
    with Progress(len(batches) * plan.nfe, label="sampling") as bar:
        for number, first in enumerate(batches):
            last = min(first + options.batch_size, options.n)
            noise = np.stack([_noise(options.seed, i, shape) for i in range(first, last)])
            x = (scale * noise).astype(dtype)
            before = number * plan.nfe

            def show(state: State, before: int = before) -> None:
                bar.update(before + state.evaluation)

            images[first:last] = diffusion.follow(plan, model, x, callback=show)
    return images


def _write(path: Path, images: np.ndarray, plan: diffusion.DiffusionPlan) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npz":
        np.savez(path, images=images, t=plan.t, nfe=plan.nfe, method=plan.name)
        return
    from semilinear.plot import image_grid

    image_grid(images, path)
