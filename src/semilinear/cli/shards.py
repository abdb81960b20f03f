"""Many images in files: the options ``--shard``, ``--shard-size`` of ``semilinear sample``."""

from __future__ import annotations

import hashlib
import os
import re
from importlib import resources
from pathlib import Path

from semilinear.errors import InvalidArgument

SHARD_SIZE = 1024
"""Images in a file at most: a multiple of usual sizes of batches, or some would be made twice."""


def shard_option(text: str | None) -> tuple[int, int]:
    """Return (k, m) of ``K/M``; (1, 1) for None."""
    if text is None:
        return 1, 1
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    part = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= part[0] <= part[1]:
        raise InvalidArgument(f"--shard {text} must be K/M with 1 <= K <= M, such as 3/8")
    return part


def default_shard_size(count: int, parts: int, batch_size: int) -> int:
    """Return a number of images in a file that leaves work for every part, as far as it goes.

    Even, and in whole batches where that leaves work for every part.
    """
    if parts == 1:
        return SHARD_SIZE
    even = -(-count // parts)
    whole = -(-even // batch_size) * batch_size
    for size in (whole, even):
        if (parts - 1) * size < count:
            return min(size, SHARD_SIZE)
    return max(1, count // parts)


def check_folder(path: Path) -> None:
    """Refuse a directory that cannot be written to, before any work is done."""
    if path.suffix.lower() in (".png", ".npz"):
        raise InvalidArgument(
            f"--out {path}: --shard and --shard-size write many files; name a directory for them"
        )
    if path.exists() and not path.is_dir():
        raise InvalidArgument(f"--out {path} is there and is no directory; name another")
    if not path.parent.is_dir():
        raise InvalidArgument(f"--out {path}: there is no directory {path.parent}; make it first")
    if not os.access(path if path.exists() else path.parent, os.W_OK | os.X_OK):
        raise InvalidArgument(f"--out {path} cannot be written to")


def digest(model: Path | None) -> str:
    """Return what tells a model from others, by its files; the one of this package for None."""
    if model is None:
        own = resources.files("semilinear") / "models" / "mnist_eps.onnx"
        return hashlib.sha256(own.read_bytes()).hexdigest()[:16]
    content = model.read_bytes()
    made = hashlib.sha256(content)
    for path in _weights_beside(model, content):
        with path.open("rb") as file:
            made.update(hashlib.file_digest(file, "sha256").digest())
    return made.hexdigest()[:16]


LOCATION = re.compile(rb"\x0a\x08location\x12([\x00-\x7f]|[\x80-\xff][\x00-\x7f])", re.DOTALL)
"""An entry of a tensor's external data in an ONNX file: the key, and the length of what follows, a
varint of one byte or two."""


def _weights_beside(model: Path, content: bytes) -> list[Path]:
    """Return the files that hold weights of an ONNX file, as it names them."""
    names = set()
    for found in LOCATION.finditer(content):
        length = sum((byte & 0x7F) << (7 * i) for i, byte in enumerate(found[1]))
        names.add(content[found.end() : found.end() + length])
    paths = (model.parent / os.fsdecode(name) for name in sorted(names) if b"\0" not in name)
    # Weights inside of the file may look like such an entry by chance.
    return [path for path in paths if path.is_file()]
