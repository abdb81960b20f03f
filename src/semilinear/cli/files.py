"""Files that are named on the command line: looked at before the work, written whole or not at all.

Every option that names a file to write keeps one rule, `check_output`, and writes by `write`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from semilinear.errors import InvalidArgument, MissingDependency

DATA = (".npz", ".json", ".csv")
"""Suffixes of files that are no pictures."""


def check_output(option: str, path: Path | None, *suffixes: str) -> None:
    """Refuse a file that cannot be written, before any work is done.

    Parameters
    ----------
    option
        Name of the option, such as ``--plot``.
    path
        What it names; None if it was not given.
    suffixes
        Those that it may have, in either case; without any, those of the pictures that matplotlib
        can write.

    Raises
    ------
    InvalidArgument
        If the suffix is another, the directory does not exist or cannot be written to, or the path
        is something else than a file that can be written.
    MissingDependency
        If it is a picture and there is no matplotlib.
    """
    if path is None:
        return
    suffix = path.suffix.lower()
    known = suffixes or _pictures(option)
    if suffix not in known:
        raise InvalidArgument(f"{option} {path} must end in {_either(known)}")
    if suffixes and suffix not in DATA:
        _pictures(option)
    folder = path.parent
    if not folder.is_dir():
        raise InvalidArgument(f"{option} {path}: there is no directory {folder}; make it first")
    if path.exists() and not path.is_file():
        raise InvalidArgument(f"{option} {path} is there and is no file; name another")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InvalidArgument(f"{option} {path}: the directory {folder} cannot be written to")
    if path.exists() and not os.access(path, os.W_OK):
        raise InvalidArgument(f"{option} {path} is there and cannot be written to; name another")


def write(path: Path | None, make: Callable[[Path], object]) -> None:
    """Write a file, if one is named, and say so.

    Parameters
    ----------
    path
        The file, which `check_output` has seen; None for none.
    make
        Writes what it holds to the path that it is given: one beside the file, which takes its
        place at the end. So a file is there whole, or as it was.
    """
    if path is None:
        return
    # Where a link leads, or the link itself would be replaced.
    place = path.resolve()
    beside = place.with_name(f".{place.stem}.{os.getpid()}{place.suffix.lower()}")
    try:
        make(beside)
        beside.replace(place)
    finally:
        beside.unlink(missing_ok=True)
    print(f"-> {path}")


def _pictures(option: str) -> tuple[str, ...]:
    """Return the suffixes of pictures that can be written."""
    try:
        from semilinear.plot.figures import new_figure
    except ImportError as error:
        raise MissingDependency(
            f"{option} needs matplotlib to draw ({error}); install it with: pip install matplotlib"
        ) from None
    known = set(new_figure(1, 1).canvas.get_supported_filetypes()) - {"pgf"}  # it calls LaTeX
    return tuple(f".{name}" for name in sorted(known))


def _either(names: tuple[str, ...]) -> str:
    if len(names) == 1:
        return names[0]
    return f"{', '.join(names[:-1])} or {names[-1]}"
