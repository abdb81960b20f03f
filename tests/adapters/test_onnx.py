"""Diffusion models in ONNX files: what is accepted and what is refused."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semilinear.adapters.onnx import OnnxModel, mnist_eps
from semilinear.errors import InvalidArgument, MissingDependency, ModelOutputError

pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")

Input = tuple[str, str, Sequence[int | str]]

X: Input = ("x", "FLOAT", ("n", 2, 3))
T: Input = ("t", "FLOAT", ("n",))


def write(path: Path, inputs: Sequence[Input], nodes: Sequence[Any], *outputs: Input) -> Path:
    """Write an ONNX file with these inputs, nodes (type, inputs, output, attributes), outputs."""
    onnx = pytest.importorskip("onnx", reason="makes the small ONNX files")
    helper = onnx.helper

    def values(given: Sequence[Input]) -> list[Any]:
        types = onnx.TensorProto
        return [
            helper.make_tensor_value_info(name, getattr(types, kind), shape)
            for name, kind, shape in given
        ]

    graph = helper.make_graph(
        [helper.make_node(op, ins, [out], **attributes) for op, ins, out, attributes in nodes],
        "test",
        values(inputs),
        values(outputs),
        [helper.make_tensor("column", onnx.TensorProto.INT64, [3], [-1, 1, 1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return path


def product(path: Path, x: Input = X, t: Input = T, *, swap: bool = False) -> Path:
    """Write the model x t, with the time as one number a sample or one for all."""
    onnx = pytest.importorskip("onnx", reason="makes the small ONNX files")
    kind = getattr(onnx.TensorProto, x[1])
    nodes = [
        ("Cast", [t[0]], "cast", {"to": kind}),
        ("Reshape", ["cast", "column"], "factor", {}),
        ("Mul", [x[0], "factor"], "y", {}),
    ]
    return write(path, (t, x) if swap else (x, t), nodes, ("y", x[1], x[2]))


def batch(n: int, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(n).standard_normal((n, 2, 3)).astype(dtype)


# --- models that are accepted


@pytest.mark.parametrize("names", [("x", "t"), ("sample", "timestep"), ("latent", "level")])
@pytest.mark.parametrize("swap", [False, True])
def test_the_inputs_are_told_apart(tmp_path: Path, names: tuple[str, str], swap: bool) -> None:
    x, t = (names[0], *X[1:]), (names[1], *T[1:])
    model = OnnxModel(product(tmp_path / "m.onnx", x, t, swap=swap))
    y = model(batch(2), [0.5, 3.0])
    np.testing.assert_array_equal(y, batch(2) * np.array([0.5, 3.0], "f4")[:, None, None])


@pytest.mark.parametrize("kind", ["FLOAT", "DOUBLE", "INT64"])
@pytest.mark.parametrize("shape", [(), (1,), ("n",), ("other",)])
@pytest.mark.parametrize("t", [3, 3.0, np.float64(3), np.full(4, 3), [3.0] * 4])
def test_a_common_time(tmp_path: Path, kind: str, shape: tuple[int | str, ...], t: Any) -> None:
    model = OnnxModel(product(tmp_path / "m.onnx", t=("t", kind, shape)), threads=1)
    y = model(batch(4), t)
    np.testing.assert_array_equal(y, 3 * batch(4))
    assert y.dtype == np.float32


@pytest.mark.parametrize(
    ("kind", "dtype"), [("FLOAT", "float32"), ("DOUBLE", "float64"), ("FLOAT16", "float16")]
)
def test_the_type_of_the_image_is_the_models(tmp_path: Path, kind: str, dtype: str) -> None:
    model = OnnxModel(product(tmp_path / "m.onnx", ("x", kind, X[2])))
    assert model.dtype == dtype
    assert model(batch(3, dtype), 2.0).dtype == dtype
    other = "float32" if dtype != "float32" else "float64"
    with pytest.raises(InvalidArgument, match=rf"x has dtype {other}.*astype\('{dtype}'\)"):
        model(batch(3, other), 2.0)


def test_a_time_of_rank_0_is_passed_as_such(tmp_path: Path) -> None:
    nodes = [
        ("Constant", [], "axis", {"value_ints": [0]}),
        ("Constant", [], "one", {"value_floats": [1.0]}),
        ("Unsqueeze", ["t", "axis"], "row", {}),
        ("Concat", ["row", "one"], "pair", {"axis": 0}),  # fails if the row has rank 2
        ("ReduceSum", ["pair"], "sum", {"keepdims": 0}),
        ("Mul", ["x", "sum"], "y", {}),
    ]
    path = write(tmp_path / "m.onnx", (X, ("t", "FLOAT", ())), nodes, ("y", *X[1:]))
    np.testing.assert_array_equal(OnnxModel(path)(batch(2), 0.5), 1.5 * batch(2))


def test_the_shape_of_a_sample(tmp_path: Path) -> None:
    model = OnnxModel(str(product(tmp_path / "m.onnx", ("x", "FLOAT", ("n", 2, "width")))))
    assert model.sample_shape == (2, None)
    assert model.path == tmp_path / "m.onnx"
    assert repr(str(tmp_path / "m.onnx")) in repr(model)
    assert model(np.ones((5, 2, 7), np.float32), 0.5).shape == (5, 2, 7)


def test_an_image_that_is_not_contiguous(tmp_path: Path) -> None:
    model = OnnxModel(product(tmp_path / "m.onnx"))
    x = np.arange(24, dtype=np.float32).reshape(3, 2, 4).T[:, :, ::-1]
    np.testing.assert_array_equal(model(x, 0.25), x / 4)


@pytest.fixture(scope="module")
def scaling(tmp_path_factory: pytest.TempPathFactory) -> OnnxModel:
    return OnnxModel(product(tmp_path_factory.mktemp("onnx") / "m.onnx"), threads=1)


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=1, max_size=6))
def test_each_sample_gets_its_own_time(scaling: OnnxModel, times: list[float]) -> None:
    x = batch(len(times))
    expected = x * np.array(times, np.float32)[:, None, None]
    np.testing.assert_array_equal(scaling(x, times), expected)


# --- models and files that are refused

REFUSED: dict[str, tuple[Input, ...]] = {
    "one input": (X,),
    "three inputs": (X, T, ("mask", "FLOAT", ("n",))),
    "two images": (X, ("y", "FLOAT", ("n", 2, 3))),
    "two times": (("a", "FLOAT", ("n",)), T),
    "an image called t": (("x", "FLOAT", ("n",)), ("t", "FLOAT", ("n", 2, 3))),
    "a time called x": (("x", "FLOAT", ("n",)), T),
    "an image of integers": (("x", "INT64", ("n", 2, 3)), T),
    "a time of type int32": (X, ("t", "INT32", ("n",))),
    "a time that is an image": (X, ("t", "FLOAT", ("n", 1))),
}


@pytest.mark.parametrize("inputs", REFUSED.values(), ids=REFUSED)
def test_other_inputs_are_refused(tmp_path: Path, inputs: tuple[Input, ...]) -> None:
    name, kind, shape = inputs[0]
    nodes = [("Identity", [name], "out", {})]
    path = write(tmp_path / "m.onnx", inputs, nodes, ("out", kind, shape))
    with pytest.raises(InvalidArgument) as caught:
        OnnxModel(path)
    message = str(caught.value)
    types = {"FLOAT": "float", "INT64": "int64", "INT32": "int32"}
    for name, kind, shape in inputs:
        assert f"{name}: tensor({types[kind]}) {list(shape)}" in message
    assert str(path) in message
    assert "expected two inputs" in message


def test_a_shape_that_the_network_does_not_bear_is_named(tmp_path: Path) -> None:
    """Its sizes are left open, and its layers do not fit."""
    x = ("x", "FLOAT", ("n", "height", "width"))
    nodes = [("Reshape", ["x", "column"], "flat", {}), ("Add", ["x", "flat"], "y", {})]
    model = OnnxModel(write(tmp_path / "m.onnx", (x, T), nodes, ("y", *x[1:])), threads=1)
    with pytest.raises(
        ModelOutputError, match=r"run on x of shape \(2, 2, 3\);.*--shape"
    ) as caught:
        model(batch(2), 0.5)
    assert "\n" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_two_outputs_are_refused(tmp_path: Path) -> None:
    nodes = [("Identity", ["x"], "mean", {}), ("Identity", ["x"], "variance", {})]
    outputs = [(name, *X[1:]) for name in ("mean", "variance")]
    path = write(tmp_path / "m.onnx", (X, T), nodes, *outputs)
    with pytest.raises(InvalidArgument, match=r"mean: .*, variance: .* as outputs; expected one"):
        OnnxModel(path)


@pytest.mark.parametrize("content", [b"", b"not a model", None], ids=["empty", "text", "absent"])
def test_a_file_that_is_no_model(
    tmp_path: Path, content: bytes | None, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    reason = "is not a file" if content is None else "is not an ONNX model"
    with pytest.raises(InvalidArgument, match=f"{re.escape(repr(str(path)))} {reason}"):
        OnnxModel(path)
    with pytest.raises(InvalidArgument, match="is not a file"):
        OnnxModel(tmp_path)
    assert capfd.readouterr() == ("", "")


def test_a_model_whose_output_is_not_like_x(tmp_path: Path) -> None:
    nodes = [("Concat", ["x", "x"], "y", {"axis": 1})]
    model = OnnxModel(write(tmp_path / "m.onnx", (X, T), nodes, ("y", "FLOAT", ("n", 4, 3))))
    with pytest.raises(ModelOutputError, match=r"float32 of shape \(2, 4, 3\) for .*\(2, 2, 3\)"):
        model(batch(2), 0.5)


@pytest.mark.parametrize("threads", [0, -1, True, 2.5, "2"])
def test_a_number_of_threads_that_is_none(threads: Any) -> None:
    with pytest.raises(InvalidArgument, match=f"threads={threads!r} must be a whole number"):
        mnist_eps(threads=threads)


def test_without_onnxruntime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependency, match=r"'onnxruntime'.*semilinear\[onnx\]"):
        mnist_eps()


# --- arguments that are refused


@pytest.mark.parametrize("shape", [(2, 3), (4, 2, 4), (4, 3, 2), (4, 2, 3, 1), ()])
def test_x_of_another_shape(scaling: OnnxModel, shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidArgument, match=rf"{re.escape(str(shape))}.*takes \(any, 2, 3\)"):
        scaling(np.zeros(shape, np.float32), 0.5)


def test_x_without_samples(scaling: OnnxModel) -> None:
    with pytest.raises(InvalidArgument, match=r"x has shape \(0, 2, 3\), without samples"):
        scaling(np.empty((0, 2, 3), np.float32), 0.5)


def test_a_batch_of_another_size_than_the_models(tmp_path: Path) -> None:
    path = product(tmp_path / "m.onnx", ("x", "FLOAT", (2, 2, 3)), ("t", "FLOAT", (2,)))
    model = OnnxModel(path)
    np.testing.assert_array_equal(model(batch(2), 0.5), batch(2) / 2)
    with pytest.raises(InvalidArgument, match=r"shape \(3, 2, 3\).*takes \(2, 2, 3\)"):
        model(batch(3), 0.5)


def test_x_that_is_no_array(scaling: OnnxModel) -> None:
    with pytest.raises(InvalidArgument, match=r"NumPy array, not builtins\.list"):
        scaling(batch(2).tolist(), 0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("t", [[0.1, 0.2], np.zeros((3, 1)), "noon", None, 1j])
def test_t_that_is_no_time(scaling: OnnxModel, t: Any) -> None:
    with pytest.raises(
        InvalidArgument, match=r"t has dtype .* expected one real number, or an array of 3"
    ):
        scaling(batch(3), t)


@pytest.mark.parametrize("t", [0.5, [1.0, 2.0, 2.5], 1e30, math.inf, math.nan])
def test_a_fraction_where_the_time_is_an_integer(tmp_path: Path, t: Any) -> None:
    model = OnnxModel(product(tmp_path / "m.onnx", t=("t", "INT64", ("n",))))
    with pytest.raises(InvalidArgument, match="not a whole number that fits into int64"):
        model(batch(3), t)


@pytest.mark.parametrize("shape", [(), (1,)])
def test_different_times_where_the_model_takes_one(tmp_path: Path, shape: tuple[int, ...]) -> None:
    model = OnnxModel(product(tmp_path / "m.onnx", t=("t", "FLOAT", shape)))
    with pytest.raises(InvalidArgument, match="one time for all"):
        model(batch(2), [0.1, 0.2])
