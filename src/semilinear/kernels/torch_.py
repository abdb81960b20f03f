"""CPU tensors of PyTorch through the kernels for NumPy arrays, sharing their memory.

Nothing is copied and nothing is imported: a tensor brings its library along. Tensors that record
gradients or may carry tangents, other devices and other dtypes are served by the reference kernels.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from semilinear.kernels.numba_ import NumPyBackend
from semilinear.kernels.reference import Backend, Native

DTYPES = ("torch.float32", "torch.float64", "torch.complex64", "torch.complex128")


def shares_memory(x: Any) -> bool:
    """Tell whether the tensor can be seen as a NumPy array without a copy or a lost gradient."""
    is_plain = (
        x.device.type == "cpu"
        and str(x.dtype) in DTYPES
        and not (x.requires_grad or x.is_conj() or x.is_neg() or carries_tangents())
    )
    try:
        return is_plain and x.data_ptr() >= 0
    except RuntimeError:  # wrapped by a transform of torch.func
        return False


def carries_tangents() -> bool:
    """Tell whether tensors may have forward-mode derivatives at present, which NumPy would lose."""
    level: int = getattr(sys.modules.get("torch.autograd.forward_ad"), "_current_level", -1)
    return level >= 0


class TorchBackend(NumPyBackend):
    """Compiled kernels on the memory of CPU tensors."""

    def __init__(self, like: Any) -> None:
        super().__init__(like.detach().numpy())
        self.tensor_dtype = like.dtype

    @property
    def threads(self) -> int:
        # As many as operators of PyTorch take for this tensor.
        return int(sys.modules["torch"].get_num_threads())

    def take(self, array: Any) -> Native | None:
        try:
            if array.dtype is not self.tensor_dtype or array.requires_grad or carries_tangents():
                return None
            return super().take(array.numpy())
        except (AttributeError, RuntimeError, TypeError):
            # Not a tensor, on another device, or with a lazy conjugate: the caller sorts it out.
            return None

    def give(self, native: Native) -> Any:
        return sys.modules["torch"].from_numpy(native.reshape(self.shape))

    def vector(self, numbers: np.ndarray) -> Any:
        return sys.modules["torch"].from_numpy(super().vector(numbers))

    def plain(self) -> Backend | None:
        return Backend(self.give(np.empty(self.size, self.dtype)))
