"""Many samples in files: each written whole or not at all, and skipped where it is there already.

A folder belongs to one run. Sample i goes to the file whose name says so, whichever process writes
it; each file says what it was made with, so that two runs are never mixed.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from semilinear.diffusion.batches import Batches, Piece
from semilinear.diffusion.diffusion_plan import DiffusionPlan
from semilinear.diffusion.shard_files import (
    HALF_WRITTEN,
    files_in,
    name_of,
    opened,
    range_of,
    reading,
    written_whole,
)
from semilinear.errors import InvalidArgument, shown
from semilinear.given import whole_number

FORMAT = 1
"""Of the files."""

AGREEMENT = 1e-9
"""Relative; the numbers of one plan may differ that much between processors."""

NEGLIGIBLE = 1e-12


class Written(NamedTuple):
    """What `write_shards` did."""

    written: tuple[Path, ...]
    """The files that it wrote."""
    present: tuple[Path, ...]
    """Those that were there already."""
    samples: int
    """How many samples it computed."""


def write_shards(
    batches: Batches,
    folder: str | os.PathLike[str],
    count: int,
    *,
    shard_size: int = 1024,
    part: tuple[int, int] = (1, 1),
    about: Mapping[str, Any] | None = None,
    executor: Executor | None = None,
    window: int | None = None,
    progress: bool = False,
) -> Written:
    """Write samples 0 to ``count - 1`` as files, or a part of them.

    ``samples-FIRST-STOP.npz`` holds ``images``, samples FIRST to STOP - 1, with the plan's ``t``,
    its ``numbers``, the ``count`` that was asked for and a ``header`` in JSON. A file is there
    whole or not at all, under whatever signal: it is written beside its place and then renamed.
    Files that are there already are skipped. What a run that was killed left half written goes when
    the same part runs again; so no two live processes may have the same part of the same folder.

    Parameters
    ----------
    batches
        What the samples are. A shard size that is no multiple of its batch size has batches
        computed twice.
    folder
        Made if it is not there, but not the one that it lies in.
    count
        How many samples there will be. More of them may be asked for later, or fewer.
    shard_size
        Samples in a file.
    part
        ``(k, m)`` with 1 <= k <= m: files number k, k + m, k + 2 m, ... Processes that share a
        folder need nothing else to agree.
    about
        More that must be the same in all files, such as what names the model: names that the header
        does not have, and values for JSON.
    executor, window, progress
        As in `Batches.run`.

    Returns
    -------
    Written
        The files that were written, those that were there already, and how many samples were
        computed.

    Raises
    ------
    InvalidArgument
        If a file of another run lies in the folder: with another model, plan, seed or size of
        batches; if `about` has names of the header, such as seed, or values that JSON lacks.
    FileNotFoundError, FileExistsError
        If the folder that it lies in is not there, or it is a file; it is named.
    """
    shards = _shards(whole_number("count", count), whole_number("shard_size", shard_size), part)
    header = _header(batches, shard_size, about)
    place = Path(folder)
    place.mkdir(exist_ok=True)
    numbers = _numbers(batches.plan)
    longest = _longest(place)
    # A file that a run for more samples left holds the last shard and more.
    shards = [(first, max(stop, longest.get(first, 0))) for first, stop in shards]
    mine = {name_of(*shard) for shard in shards}
    there = {path.name for path in files_in(place)}
    for name in sorted(there & mine) or sorted(there)[:1]:
        _check(place / name, header, numbers)
    _clean(place, {first for first, _ in shards})
    missing = [shard for shard in shards if name_of(*shard) not in there]
    pieces = [piece for first, stop in missing for piece in batches.pieces(first, stop)]
    stream = batches.run(pieces, executor=executor, window=window, progress=progress)
    with contextlib.closing(stream):
        for first, stop in missing:
            images = _collected(stream, stop)
            arrays = {"images": images, "t": batches.plan.t, "numbers": numbers, "count": count}
            written_whole(place / name_of(first, stop), {**arrays, "header": json.dumps(header)})
    return Written(
        tuple(place / name_of(*shard) for shard in missing),
        tuple(place / name for name in sorted(there & mine)),
        sum(stop - first for first, stop in missing),
    )


def read_shards(folder: str | os.PathLike[str], count: int | None = None) -> np.ndarray:
    """Return the samples of a folder that `write_shards` filled, in their order.

    Of files that begin with the same sample, which a later run with more of them leaves, the
    longest counts.

    Parameters
    ----------
    folder
        Where the files are.
    count
        How many samples to return, the first. If None all that any run into this folder was asked
        for.

    Returns
    -------
    ndarray, shape (count, *shape)
        Samples 0 to ``count - 1``.

    Raises
    ------
    InvalidArgument
        If there is no such folder, `count` is no whole number of at least 1, there are fewer, some
        between are missing, or files of two runs are mixed.
    """
    place = Path(folder)
    if not place.is_dir():
        what = "is a file" if place.exists() else "is not there"
        raise InvalidArgument(f"folder={place} {what}; name the folder that write_shards filled")
    longest = _longest(place)
    if count is not None:
        count = whole_number("count", count)
    else:
        asked = [opened(place / name_of(*shard)).asked for shard in longest.items()]
        count = max([1, *asked, *longest.values()])
    chosen: list[tuple[int, int]] = []
    reached = 0
    while reached in longest and reached < count:
        chosen.append((reached, longest.pop(reached)))
        reached = chosen[-1][1]
    if reached < count:
        raise InvalidArgument(
            f"folder={place}: sample {reached} and others are missing, of {count}; complete them "
            "by the command that began it, or take fewer by count="
        )
    return _joined(place, chosen, count)


def _joined(place: Path, chosen: list[tuple[int, int]], count: int) -> np.ndarray:
    header, numbers, _ = opened(place / name_of(*chosen[0]))
    images = np.empty(0)
    for first, stop in chosen:
        path = place / name_of(first, stop)
        _check(path, header, numbers)
        with reading(path) as file:
            part = file["images"][: count - first]
        if first == 0:
            images = np.empty((count, *part.shape[1:]), part.dtype)
        images[first:stop] = part
    return images


def _shards(count: int, size: int, part: Any) -> list[tuple[int, int]]:
    try:
        k, m = (whole_number("part", number) for number in part)
    except (TypeError, ValueError):
        k, m = 1, 0
    if not k <= m:
        raise InvalidArgument(f"part={part!r} must be (k, m) with 1 <= k <= m, such as (3, 8)")
    return [(first, min(first + size, count)) for first in range((k - 1) * size, count, m * size)]


def _longest(place: Path) -> dict[int, int]:
    """Return where the longest of the files that begin with the same sample stops, by that."""
    longest: dict[int, int] = {}
    for first, stop in map(range_of, files_in(place)):
        longest[first] = max(stop, longest.get(first, 0))
    return longest


def _header(batches: Batches, shard_size: int, about: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what all files of a run have in common, as JSON gives it back."""
    plan = batches.plan
    header = {
        "format": FORMAT,
        "method": plan.name,
        "nfe": plan.nfe,
        "schedule": repr(plan.schedule),
        "prediction": plan.prediction,
        "seed": batches.seed,
        "shape": batches.shape,
        "dtype": str(batches.like.dtype),
        "batch_size": batches.batch_size,
        "pad": batches.pad,
        "shard_size": shard_size,
    }
    more = _about(about)
    if taken := sorted(set(header) & set(more)):
        raise InvalidArgument(
            f"about: the files say {', '.join(taken)} of the run already; take other names"
        )
    found: dict[str, Any] = json.loads(json.dumps(header))
    return {**found, **more}


def _about(about: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what else files say, as JSON gives it back."""
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(about or {})))
    except (TypeError, ValueError) as error:
        raise InvalidArgument(
            f"about={shown(about)} must be a dict of what JSON takes, such as text, int and float: "
            f"{error}"
        ) from None
    return found


def _numbers(plan: DiffusionPlan) -> np.ndarray:
    """Return the times and all coefficients of a plan, of arrays two means each."""
    rows = [c for row in plan.rows for c in (*row.coefficients, *(row.tell or ()))]
    return np.array([*plan.times, *(x for c in rows for x in _told(c))], dtype=float)


def _told(coefficient: Any) -> tuple[float, ...]:
    if np.ndim(coefficient) == 0:
        return (float(coefficient),)
    flat = np.ravel(coefficient)
    return float(flat.mean()), float((flat * np.cos(np.arange(flat.size))).mean())


def _check(path: Path, header: Mapping[str, Any], numbers: np.ndarray) -> None:
    """Refuse a file of another run."""
    found, others, _ = opened(path)
    names = [key for key in {**header, **found} if _text(header.get(key)) != _text(found.get(key))]
    differences = [f"{key} is {found.get(key)!r} there, {header.get(key)!r} here" for key in names]
    same = others.shape == numbers.shape
    if not differences and not (
        same and np.allclose(others, numbers, rtol=AGREEMENT, atol=NEGLIGIBLE)
    ):
        differences = ["it was made with another time grid, ending, noise or weights"]
    if differences:
        raise InvalidArgument(
            f"{path} belongs to another run: {'; '.join(differences)}. Name another directory, or "
            "the same options"
        )


def _text(value: Any) -> str:
    """Return a value as JSON, where NaN is what it is."""
    return json.dumps(value, sort_keys=True)


def _clean(place: Path, firsts: set[int]) -> None:
    """Remove what a killed run of this part left half written, by the samples that begin files.

    Where they end does not matter: the last file of a run for more samples holds more.
    """
    for path in place.glob(".samples-*.part"):
        found = HALF_WRITTEN.fullmatch(path.name)
        if found is not None and int(found[1]) in firsts:
            path.unlink(missing_ok=True)


def _collected(stream: Iterator[tuple[Piece, np.ndarray]], stop: int) -> np.ndarray:
    parts = []
    for piece, samples in stream:
        parts.append(samples)
        if piece.stop == stop:
            break
    return np.concatenate(parts)
