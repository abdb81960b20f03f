"""Grids of images: each pixel, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from semilinear import InvalidArgument
from semilinear.plot import GAP, image_grid


@given(
    count=st.integers(1, 7),
    columns=st.integers(1, 9),
    channels=st.sampled_from([None, 1, 3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_image_grid_writes_each_pixel(
    tmp_path_factory: pytest.TempPathFactory,
    count: int,
    columns: int,
    channels: int | None,
    seed: int,
) -> None:
    path = tmp_path_factory.mktemp("grid") / "images.png"
    height, width = 5, 4
    shape = (count, height, width) if channels is None else (count, channels, height, width)
    levels = np.random.default_rng(seed).integers(0, 256, shape)
    image_grid(levels / 127.5 - 1, path, columns=columns)
    pixels = np.rint(imread(path)[..., :3] * 255).astype(int)
    columns = min(columns, count)
    rows = -(-count // columns)
    assert pixels.shape[:2] == (rows * (height + GAP) + GAP, columns * (width + GAP) + GAP)
    rest = np.ones(pixels.shape[:2], dtype=bool)
    for i in range(count):
        row, column = divmod(i, columns)
        top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
        place = np.s_[top : top + height, left : left + width]
        expected = levels[i] if channels is None else levels[i].transpose(1, 2, 0)
        assert np.array_equal(
            pixels[place], np.broadcast_to(expected.reshape(height, width, -1), (height, width, 3))
        )
        rest[place] = False
    assert (pixels[rest] == 255).all()


def test_image_grid_cuts_off_values_out_of_range(tmp_path: Path) -> None:
    path = tmp_path / "images.png"
    image_grid(np.array([[[-7.0, -1.0, 0.0, 1.0, 7.0]]], dtype=np.float16), path)
    row = np.rint(imread(path)[GAP, GAP:-GAP, 0] * 255)
    assert row.tolist() == [0, 0, 128, 255, 255]


@pytest.mark.parametrize("shape", [(4, 4), (2, 2, 4, 4), (1, 1, 1, 4, 4), (0, 4, 4)])
def test_image_grid_refuses_other_shapes(shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="images has shape"):
        image_grid(np.zeros(shape), tmp_path / "images.png")
    assert not (tmp_path / "images.png").exists()


def test_image_grid_refuses_bad_values(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="NaN"):
        image_grid(np.full((1, 2, 2), np.nan), tmp_path / "images.png")
    for columns in (0, 2.5, "2"):
        with pytest.raises(InvalidArgument, match=f"columns={columns!r} must be a whole number"):
            image_grid(np.zeros((1, 2, 2)), tmp_path / "images.png", columns=columns)
