"""Many samples in files: each written whole or not at all, and skipped where it is there already.

A folder belongs to one run. Sample i goes to the file whose name says so, whichever process writes
it; each file says what it was made with, so that two runs are never mixed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from semilinear.diffusion.batches import Batches, Piece
from semilinear.diffusion.diffusion_plan import DiffusionPlan
from semilinear.errors import InvalidArgument, shown
from semilinear.given import whole_number

FORMAT = 1
"""Of the files."""

NAME = re.compile(r"samples-(\d{8,})-(\d{8,})\.npz")
HALF_WRITTEN = re.compile(r"\.samples-(\d{8,})-\d{8,}\.npz\..*\.part")

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
    its ``numbers`` and a ``header`` in JSON. A file is there whole or not at all, under whatever
    signal: it is written beside its place and then renamed. Files that are there already are
    skipped. What a run that was killed left half written goes when the same part runs again; so no
    two live processes may have the same part of the same folder.

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
    mine = {_name(*shard) for shard in shards}
    there = {path.name for path in _files(place)}
    for name in sorted(there & mine) or sorted(there)[:1]:
        _check(place / name, header, numbers)
    _clean(place, {first for first, _ in shards})
    missing = [shard for shard in shards if _name(*shard) not in there]
    pieces = [piece for first, stop in missing for piece in batches.pieces(first, stop)]
    stream = batches.run(pieces, executor=executor, window=window, progress=progress)
    with contextlib.closing(stream):
        for first, stop in missing:
            images = _collected(stream, stop)
            arrays = {"images": images, "t": batches.plan.t, "numbers": numbers}
            _write(place / _name(first, stop), {**arrays, "header": json.dumps(header)})
    return Written(
        tuple(place / _name(*shard) for shard in missing),
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
        How many samples to return, the first; all if None.

    Raises
    ------
    InvalidArgument
        If `count` is no whole number of at least 1, there are fewer, some between are missing, or
        files of two runs are mixed.
    FileNotFoundError, NotADirectoryError
        If there is no such folder; it is named.
    """
    place = Path(folder)
    if count is not None:
        count = whole_number("count", count)
    longest = _longest(place)
    chosen: list[tuple[int, int]] = []
    reached = 0
    while reached in longest and (count is None or reached < count):
        chosen.append((reached, longest.pop(reached)))
        reached = chosen[-1][1]
    if not chosen or (reached < count if count is not None else longest):
        raise InvalidArgument(
            f"folder={place}: sample {reached} and others are missing; complete them by the "
            "command that began it"
        )
    return _joined(place, chosen, reached if count is None else count)


def _joined(place: Path, chosen: list[tuple[int, int]], count: int) -> np.ndarray:
    header, numbers = _opened(place / _name(*chosen[0]))
    images = np.empty(0)
    for first, stop in chosen:
        path = place / _name(first, stop)
        _check(path, header, numbers)
        with np.load(path) as file:
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


def _name(first: int, stop: int) -> str:
    return f"samples-{first:08d}-{stop:08d}.npz"


def _range(path: Path) -> tuple[int, int]:
    found = NAME.fullmatch(path.name)
    assert found is not None
    return int(found[1]), int(found[2])


def _files(place: Path) -> list[Path]:
    return [path for path in place.iterdir() if NAME.fullmatch(path.name)]


def _longest(place: Path) -> dict[int, int]:
    """Return where the longest of the files that begin with the same sample stops, by that."""
    longest: dict[int, int] = {}
    for first, stop in map(_range, _files(place)):
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


def _opened(path: Path) -> tuple[dict[str, Any], np.ndarray]:
    try:
        # Opened here: NumPy leaves open what is no archive after all.
        with path.open("rb") as stream, np.load(stream) as file:
            return dict(json.loads(str(file["header"]))), file["numbers"]
    except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile):
        raise InvalidArgument(
            f"{path} is not a file that this package wrote; remove it, or name another directory"
        ) from None


def _check(path: Path, header: Mapping[str, Any], numbers: np.ndarray) -> None:
    """Refuse a file of another run."""
    found, others = _opened(path)
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


def _write(path: Path, arrays: Mapping[str, Any]) -> None:
    beside = path.with_name(f".{path.name}.{socket.gethostname()}-{os.getpid()}.part")
    try:
        with beside.open("wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())  # or the name could outlive a crash of the machine, and not it
        beside.replace(path)
    finally:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
