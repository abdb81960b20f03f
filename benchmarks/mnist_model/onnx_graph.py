"""A list of ONNX nodes and constants in the making."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper


class Graph:
    """Nodes in order of evaluation; every node and constant is referred to by its name."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: NDArray[np.generic] | Sequence[int] | float) -> str:
        """Store `value` under `name` (int64 for a sequence of integers, else float32)."""
        dtype = np.int64 if isinstance(value, Sequence) else np.float32
        self.initializers[name] = numpy_helper.from_array(np.asarray(value, dtype), name)
        return name

    def node(self, op: str, name: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of type `op` whose one output is called `name`."""
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def reshape(self, name: str, x: str, *shape: int) -> str:
        """Give `x` another shape, in which 0 stands for an axis that is kept."""
        target = self.constant("shape_" + "x".join(map(str, shape)), shape)
        return self.node("Reshape", name, x, target)

    def silu(self, name: str, x: str) -> str:
        """Return x sigmoid(x)."""
        return self.node("Mul", f"{name}.silu", x, self.node("Sigmoid", f"{name}.sigmoid", x))

    def concatenate(self, name: str, *parts: str) -> str:
        """Join the `parts` along axis 1."""
        return self.node("Concat", name, *parts, axis=1)

    def split(self, name: str, x: str, sizes: Sequence[int]) -> list[str]:
        """Cut `x` along axis 1 into pieces of the given `sizes`."""
        names = [f"{name}.{i}" for i in range(len(sizes))]
        inputs = [x, self.constant(f"{name}.sizes", sizes)]
        self.nodes.append(helper.make_node("Split", inputs, names, name, axis=1))
        return names
