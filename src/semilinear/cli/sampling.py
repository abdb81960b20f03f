"""``semilinear sample``: images from an eps-model."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from semilinear import diffusion, methods
from semilinear.cli.files import check_output, write
from semilinear.cli.help import DefaultsShown
from semilinear.cli.noises import HELP, noise_option
from semilinear.cli.runs import Clock, Timed, pool
from semilinear.cli.shards import SHARD_SIZE, check_folder, default_shard_size, digest, shard_option
from semilinear.diffusion.batches import Batches
from semilinear.diffusion.endings import FINALS
from semilinear.diffusion.fitting import choose
from semilinear.diffusion.many import gathered
from semilinear.diffusion.predictions import PREDICTIONS
from semilinear.diffusion.sampler import AUTO
from semilinear.diffusion.shards import write_shards
from semilinear.errors import InvalidArgument
from semilinear.kernels import COMPILED_FROM

BATCH = 64
"""Images at a time."""

LOWER_ENDS: dict[str, bool | str] = {"all": True, "zero": "zero"}
"""Words of ``--lower-end``, as `diffusion.plan` has them."""


def add_sample(commands: Any) -> None:
    """Add the command ``sample``."""
    command = commands.add_parser(
        "sample",
        help="sample images from an eps-model",
        description="Sample images by DEIS and its relatives, from the MNIST model of this package "
        "or from a model of your own.",
        formatter_class=DefaultsShown,
    )
    add = command.add_argument
    add("-n", type=int, default=64, help="number of images")
    add(
        "--method",
        default="tab3",
        help="a name that `semilinear methods` lists; or auto: the method, grid, ending "
        "and noise that suit the model, tried on some images",
    )
    _add_plan(command)
    add(
        "--model",
        type=Path,
        metavar="FILE",
        help="a model of your own in ONNX format; the MNIST model of the package if not given",
    )
    add(
        "--schedule",
        default="vp_linear",
        choices=sorted(diffusion.SCHEDULES),
        help="the noise schedule that the model was trained with",
    )
    add(
        "--prediction",
        default="eps",
        choices=tuple(PREDICTIONS),
        help="what the model predicts: the noise eps, the image x0, the score, v, or the velocity "
        "of a flow",
    )
    add("--shape", help="shape of one image, such as 3,32,32, if the model leaves it open")
    add("--seed", type=int, default=0, help="image i depends on the seed and on i only")
    add("--batch-size", type=int, help="images at a time; if not given 64, or as the model says")
    add("--threads", type=int, help="threads of the model; all cores if not given")
    add("--workers", type=int, help="processes that share the work, each with a model")
    add(
        "--out",
        type=Path,
        default=Path("samples.png"),
        metavar="PATH",
        help="a .png picture or a .npz array; with --shard or --shard-size a directory of arrays, "
        "where only what is missing is computed",
    )
    add("--shard", metavar="K/M", help="make only files number K, K + M, ... of the directory")
    add(
        "--shard-size",
        type=int,
        help=f"images in a file; if not given the M-th part of all, {SHARD_SIZE} at most",
    )
    command.set_defaults(run=_sample)


def _add_plan(command: argparse.ArgumentParser) -> None:
    add = command.add_argument
    count = command.add_mutually_exclusive_group()
    count.add_argument("--steps", type=int, help="number of steps")
    count.add_argument("--nfe", type=int, help="budget of evaluations per image (10 if neither)")
    add(
        "--grid",
        choices=sorted(diffusion.grids.GRIDS),
        help="time grid; if not given uniform in t, or that of Karras where t is the noise (edm)",
    )
    add("--t-start", type=float, help="where the grid begins, the noisy end")
    add(
        "--t-end",
        type=float,
        help="where the grid ends; if not given 0.1 for vp_linear and --final denoise, else where "
        "the schedule does",
    )
    add(
        "--final",
        default="denoise",
        choices=FINALS,
        help="the ending: the state at t_end, which has noise left; one step further, to none; or "
        "the image that one more evaluation at t_end predicts",
    )
    add(
        "--start",
        default="ramp",
        choices=methods.STARTS,
        help="the first steps of multistep methods: of rising order, or by a Runge-Kutta method",
    )
    add(
        "--lower-end",
        nargs="?",
        const="all",
        choices=tuple(LOWER_ENDS),
        help="lower the order of multistep methods to one towards the end; with zero, of a last "
        "step to sigma = 0 (--final zero) alone",
    )
    add("--noise", help=HELP)
    add("--exact", action="store_true", help="exact weights where published ones are simplified")


def _sample(options: argparse.Namespace) -> int:
    _check_sample(options)
    factory = _factory(options)
    model = Timed(factory())
    shape = _shape(options, model.model.sample_shape)
    fixed = model.model.batch
    size = _batch_size(options.batch_size, fixed)
    dtype = np.dtype(model.model.dtype)
    plan = _diffusion_plan(options, model, shape, dtype)
    clock = Clock(options.workers)
    if options.workers is None:
        _compile(plan, dtype)
        factory = model.itself
    clock.begin(model)
    batches = Batches(
        factory, plan, shape, seed=options.seed, batch_size=size,
        like=np.empty(0, dtype), pad=_sharded(options) or fixed is not None,
    )  # fmt: skip
    with pool(options.workers) as executor:
        if _sharded(options):
            part = shard_option(options.shard)
            own = options.shard_size or default_shard_size(options.n, part[1], size)
            done = write_shards(
                batches, options.out, options.n, shard_size=own, part=part,
                about={"model": digest(options.model)}, executor=executor, progress=True,
            )  # fmt: skip
            print(f"{done.samples} {clock.said(plan, model)}")
            there = f" ({len(done.present)} were there already)" if done.present else ""
            print(f"-> {len(done.written)} files in {options.out}{there}")
            return 0
        images = gathered(batches, 0, options.n, executor=executor, progress=True)
    print(f"{options.n} {clock.said(plan, model)}")
    _write(options.out, images, plan)
    return 0


def _sharded(options: argparse.Namespace) -> bool:
    return options.shard is not None or options.shard_size is not None


def _factory(options: argparse.Namespace) -> Callable[[], Any]:
    """Return what opens the model, here or in another process."""
    from semilinear.adapters.onnx import OnnxModel, mnist_eps

    threads = options.threads
    if threads is None and options.workers is not None:
        threads = max(1, (os.cpu_count() or 1) // options.workers)
    if options.model is None:
        return partial(mnist_eps, threads=threads)
    return partial(OnnxModel, options.model, threads=threads)


def _check_sample(options: argparse.Namespace) -> None:
    least = (
        ("-n", options.n, 1),
        ("--batch-size", options.batch_size, 1),
        ("--seed", options.seed, 0),
        ("--workers", options.workers, 1),
        ("--shard-size", options.shard_size, 1),
    )
    for name, value, bound in least:
        if value is not None and value < bound:
            raise InvalidArgument(f"{name}={value} must be at least {bound}")
    shard_option(options.shard)
    if _sharded(options):
        check_folder(options.out)
    else:
        check_output("--out", options.out, ".png", ".npz")
    if options.method == AUTO:
        _check_auto(options)
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


def _check_auto(options: argparse.Namespace) -> None:
    """Refuse options beside ``--method auto`` that it chooses itself."""
    chosen = (
        ("--steps", options.steps, None),
        ("--grid", options.grid, None),
        ("--t-end", options.t_end, None),
        ("--final", options.final, "denoise"),
        ("--start", options.start, "ramp"),
        ("--lower-end", options.lower_end, None),
        ("--noise", options.noise, None),
        ("--exact", options.exact, False),
    )
    for name, value, default in chosen:
        if value != default:
            raise InvalidArgument(
                "--method auto chooses steps, grid, ending and noise for --nfe evaluations; leave "
                f"out {name}"
            )


def _compile(plan: diffusion.DiffusionPlan, dtype: np.dtype) -> None:
    """Run once through the plan on zeros, which compiles or loads every kernel that it needs."""
    zeros = np.zeros((1, COMPILED_FROM), dtype=dtype)
    diffusion.follow(plan, lambda x, t: zeros, zeros, seed=0)


def _diffusion_plan(
    options: argparse.Namespace, model: Any, shape: tuple[int, ...], dtype: np.dtype
) -> diffusion.DiffusionPlan:
    schedule = diffusion.SCHEDULES[options.schedule]()
    nfe = options.nfe
    if nfe is None and options.steps is None:
        nfe = 10
    if options.method == AUTO:
        fixed = model.model.batch
        fit = choose(
            model, np.empty((fixed or 1, *shape), dtype), schedule, nfe=nfe,
            prediction=options.prediction, t_start=options.t_start, progress=True,
            fixed_batch=fixed is not None, whole_times=model.model.whole_times,
        )  # fmt: skip
        print(fit.reason)
        return fit.plan()
    grid: Any = options.grid or _default_grid(schedule)
    if model.model.whole_times:
        grid = diffusion.WholeTimes(grid)
    t_end = options.t_end
    if t_end is None and options.final == "denoise" and options.schedule == "vp_linear":
        t_end = 0.1
    return diffusion.plan(
        schedule,
        method=options.method,
        steps=options.steps,
        nfe=nfe,
        grid=grid,
        prediction=options.prediction,
        t_start=options.t_start,
        t_end=t_end,
        final=options.final,
        start=options.start,
        noise=noise_option(options.noise),
        exact=options.exact,
        lower_end=LOWER_ENDS.get(options.lower_end, False),
    )


def _default_grid(schedule: diffusion.NoiseSchedule) -> Any:
    """Return the schedule's own grid, but uniform steps where those would be quadratic in t."""
    own = schedule.default_grid
    return "uniform" if own == "quadratic" else own


def _batch_size(asked: int | None, fixed: int | None) -> int:
    """Return how many images the model sees at a time."""
    if fixed is None:
        return BATCH if asked is None else asked
    if asked not in (None, fixed):
        raise InvalidArgument(
            f"--batch-size {asked}: the model was made for batches of {fixed}; leave it out"
        )
    return fixed


def _shape(options: argparse.Namespace, known: Sequence[int | None] | None) -> tuple[int, ...]:
    if options.shape is not None:
        parts = options.shape.split(",")
        if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
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
    if options.out.suffix.lower() == ".png" and (len(shape) != 3 or shape[0] not in (1, 3)):
        raise InvalidArgument(
            f"--out {options.out}: samples of shape {shape} are no pictures (c, h, w) with one or "
            "three channels; write a .npz"
        )
    return shape


def _write(out: Path, images: np.ndarray, plan: diffusion.DiffusionPlan) -> None:
    def make(path: Path) -> None:
        if path.suffix == ".npz":
            np.savez(path, images=images, t=plan.t, nfe=plan.nfe, method=plan.name)
            return
        from semilinear.plot import image_grid

        image_grid(images, path)

    write(out, make)
