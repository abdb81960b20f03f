"""Grids of images, pixel for pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import imsave

from semilinear.errors import InvalidArgument
from semilinear.given import whole_number

GAP = 2
"""Pixels between images of a grid, white."""


def image_grid(images: Any, path: str | Path, *, columns: int = 8) -> None:
    """Write images as one PNG, row by row, pixel for pixel.

    Parameters
    ----------
    images
        Shape (n, c, h, w) with c = 1 or 3, or (n, h, w): grey or RGB, values from -1 to 1; values
        beyond are cut off.
    path
        Where to write it; its folder must exist.
    columns
        Images per row, fewer if there are fewer.

    Raises
    ------
    InvalidArgument
        If the shape is another one or values are not finite.
    """
    pixels = np.asarray(images)
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    if pixels.ndim != 4 or pixels.shape[1] not in (1, 3) or pixels.size == 0:
        raise InvalidArgument(
            f"images has shape {np.shape(images)}; it must be (n, h, w) or (n, c, h, w) with c = 1 "
            "or 3, and not empty"
        )
    if not np.isfinite(pixels).all():
        raise InvalidArgument("images has NaN or infinite entries; all must be finite")
    n, _, height, width = pixels.shape
    columns = min(whole_number("columns", columns), n)
    rows = -(-n // columns)
    bytes_ = np.rint((np.clip(pixels.astype(np.float64), -1, 1) + 1) * 127.5).astype(np.uint8)
    canvas = np.full((rows * (height + GAP) + GAP, columns * (width + GAP) + GAP, 3), 255, np.uint8)
    for i, image in enumerate(bytes_):
        top = GAP + i // columns * (height + GAP)
        left = GAP + i % columns * (width + GAP)
        # One channel fills all three.
        canvas[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    imsave(path, canvas, format="png")
