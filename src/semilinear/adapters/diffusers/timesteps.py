"""Finding a timestep again, without waiting for the device that it is on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from semilinear.errors import InvalidArgument

ROUNDING = 1e-6
"""Relative; timesteps that went through float32 may differ so much."""


class IssuedTimesteps:
    """The timesteps that a scheduler gave out.

    Pipelines walk through the tensor itself, so where an entry lies in memory says which one it is.
    Others are compared by value.

    Parameters
    ----------
    tensor
        Where pipelines find it.
    values
        The same as numbers.
    """

    def __init__(self, tensor: torch.Tensor, values: list[float]) -> None:
        self.tensor, self.values = tensor, values
        self.size: int = tensor.element_size()

    def has(self, index: int) -> bool:
        """Tell whether an index is one of a timestep."""
        return 0 <= index < len(self.values)

    def no_index(self, index: int) -> str:
        """Return what to say of an index that is none."""
        return f"begin_index={index} is none of the {len(self.values)} timesteps, counted from 0"

    def is_at(self, timestep: Any, index: int) -> bool:
        """Tell whether a timestep is the one of an index."""
        if not self.has(index):
            return False
        if isinstance(timestep, torch.Tensor):
            if self._place(timestep) == index:
                return True
            return _equal(number(timestep), self.values[index], _slack(timestep))
        return _equal(float(timestep), self.values[index], ROUNDING)

    def index(self, timestep: Any, *, among: Sequence[int]) -> int:
        """Return the index of a timestep, one of `among`; the last of those that are equal."""
        slack = ROUNDING
        if isinstance(timestep, torch.Tensor):
            place = self._place(timestep)
            if place is not None and place in among:
                return place
            slack = _slack(timestep)
        value = number(timestep)
        nearest = self.values[min(among, key=lambda i: abs(self.values[i] - value))]
        if not _equal(value, nearest, slack):
            raise InvalidArgument(
                f"timestep={value:.9g} is none of those with which a step begins; the nearest is "
                f"{nearest:.9g}. Take them from scheduler.timesteps after set_timesteps"
            )
        return max(i for i in among if _equal(nearest, self.values[i], ROUNDING))

    def _place(self, timestep: torch.Tensor) -> int | None:
        """Return the index of the entry in whose memory a timestep lies, if it is one."""
        try:
            place, rest = divmod(timestep.data_ptr() - self.tensor.data_ptr(), self.size)
        except RuntimeError:  # a transform such as torch.func.jvp has wrapped it
            return None
        return None if rest else place

    def out_of_turn(self, timestep: Any, index: int) -> str:
        """Return what to say of a timestep in the place of another."""
        if not self.has(index):
            return self.no_index(index)
        return (
            f"timestep={number(timestep):.9g} is not the one whose turn it is, "
            f"{self.values[index]:.9g} (number {index} of {len(self.values)}): a run takes the "
            "timesteps in order; call set_timesteps to begin another"
        )


def number(timestep: Any) -> float:
    """Return a timestep as a number; one for each sample if they are equal."""
    if isinstance(timestep, torch.Tensor) and timestep.numel() > 1:
        first = timestep.reshape(-1)[0]
        if not bool((timestep == first).all()):
            raise InvalidArgument("timestep has entries that differ; all samples step together")
        return float(first)
    return float(timestep)


def _equal(value: float, other: float, slack: float) -> bool:
    return abs(value - other) <= slack * max(1.0, abs(other))


def _slack(timestep: torch.Tensor) -> float:
    if timestep.dtype in (torch.float16, torch.bfloat16):
        return float(torch.finfo(timestep.dtype).eps)
    return ROUNDING
