"""Files of shards: their names, what they say of themselves, and how they are written."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from semilinear.errors import InvalidArgument

NAME = re.compile(r"samples-(\d{8,})-(\d{8,})\.npz")
HALF_WRITTEN = re.compile(r"\.samples-(\d{8,})-\d{8,}\.npz\..*\.part")


def name_of(first: int, stop: int) -> str:
    """Return the name of the file with samples first to stop - 1."""
    return f"samples-{first:08d}-{stop:08d}.npz"


def range_of(path: Path) -> tuple[int, int]:
    """Return (first, stop) of a file."""
    found = NAME.fullmatch(path.name)
    assert found is not None
    return int(found[1]), int(found[2])


def files_in(place: Path) -> list[Path]:
    """Return the files of a folder, in no order."""
    return [path for path in place.iterdir() if NAME.fullmatch(path.name)]


class Contents(NamedTuple):
    """What a file says of itself."""

    header: dict[str, Any]
    numbers: np.ndarray
    asked: int
    """How many samples there were to be."""


@contextlib.contextmanager
def reading(path: Path) -> Iterator[Any]:
    """Open a file, and say which one it is if it is none of this package, or damaged."""
    try:
        # Opened here: NumPy leaves open what is no archive after all.
        with path.open("rb") as stream, np.load(stream) as file:
            yield file
    except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        raise InvalidArgument(
            f"{path} is not a file that this package wrote, or is damaged; remove it, or name "
            "another directory"
        ) from None


def opened(path: Path) -> Contents:
    """Return what a file says of itself; refuse one with another number of samples than its name.

    The samples themselves are not read.
    """
    first, stop = range_of(path)
    with reading(path) as file:
        with file.zip.open("images.npy") as member:
            version = np.lib.format.read_magic(member)
            read = np.lib.format.read_array_header_1_0
            shape = (read if version == (1, 0) else np.lib.format.read_array_header_2_0)(member)[0]
        if shape[:1] != (stop - first,):
            raise ValueError(shape)
        header = dict(json.loads(str(file["header"])))
        return Contents(header, file["numbers"], int(file["count"]))


def written_whole(path: Path, arrays: Mapping[str, Any]) -> None:
    """Write a file beside its place, and then rename it."""
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
