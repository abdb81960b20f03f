"""Write the trained network of mnist_unet.py as an ONNX file.

    python export.py WEIGHTS.safetensors OUT.onnx [--check]

The graph is written out node by node rather than traced, which needs no torch and gives the same
bytes for the same weights, and it is arranged for inference:

* The affine part of a normalisation is merged into the linear map that follows where there is one:
  into the embedding of the noise level (`n2`) or into the 1 x 1 convolution of q, k and v (`n`).
* All embeddings of the noise level come out of one matrix product.
* Reshape back to an image leaves the batch axis to be inferred (-1). With a batch axis kept (0)
  onnxruntime knows every size beforehand and reuses buffers that have left the cache: its 1.32 took
  7 % longer at a batch of 64.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx_graph import Graph
from safetensors import safe_open

BETA_0, BETA_1, SD = 0.1, 20.0, 0.6164  # as in mnist_unet.py, which `--check` confirms
GROUPS, HEADS = 8, 4
BLOCKS = ("d0", "d1", "m0", "m1", "u0", "u1", "u2", "u3")
OPSET, IR_VERSION = 17, 8
Weights = dict[str, NDArray[np.float32]]


class UNetGraph(Graph):
    """The nodes of the network, named after the modules of mnist_unet.py."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.weights = weights
        self.modulation: dict[str, tuple[str, str]] = {}

    def weight(self, name: str) -> str:
        """Store a weight of the network under its own name."""
        return self.constant(name, self.weights[name])

    def conv(self, name: str, x: str, *, stride: int = 1) -> str:
        """Convolve `x`, zero-padded by half the size of the kernel."""
        w, b = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        size = self.weights[w].shape[2]
        shape = {"kernel_shape": [size] * 2, "pads": [size // 2] * 4, "strides": [stride] * 2}
        return self.node("Conv", name, x, w, b, **shape)

    def normalise(self, name: str, x: str, channels: int, side: int) -> str:
        """Group normalisation without its affine part."""
        one = self.constant("group_scale", np.ones(GROUPS))
        zero = self.constant("group_shift", np.zeros(GROUPS))
        x = self.reshape(f"{name}.grouped", x, 0, GROUPS, -1)
        x = self.node("InstanceNormalization", f"{name}.unit", x, one, zero, epsilon=1e-5)
        return self.reshape(f"{name}.image", x, -1, channels, side, side)

    def affine(self, name: str, x: str) -> str:
        """Scale and shift the channels in one pass: a BatchNormalization of mean 0, variance 1."""
        gamma, beta = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        c = self.weights[gamma].size
        mean = self.constant(f"zeros_{c}", np.zeros(c))
        var = self.constant(f"ones_{c}", np.ones(c))
        return self.node(
            "BatchNormalization", f"{name}.affine", x, gamma, beta, mean, var, epsilon=0.0
        )

    def linear(self, name: str, x: str, w: NDArray[np.floating], b: NDArray[np.floating]) -> str:
        """Return x w^T + b."""
        weight, bias = self.constant(f"{name}.weight", w), self.constant(f"{name}.bias", b)
        return self.node("Gemm", name, x, weight, bias, transB=1)

    def residual(self, name: str, x: str, side: int) -> str:
        """Return the block Residual of mnist_unet.py."""
        c, c_in = self.weights[f"{name}.c1.weight"].shape[:2]
        h = self.affine(f"{name}.n1", self.normalise(f"{name}.n1", x, c_in, side))
        h = self.conv(f"{name}.c1", self.silu(f"{name}.n1", h))
        scale, shift = self.modulation[name]
        h = self.node("Mul", f"{name}.scaled", self.normalise(f"{name}.n2", h, c, side), scale)
        h = self.silu(f"{name}.n2", self.node("Add", f"{name}.shifted", h, shift))
        kept = self.conv(f"{name}.skip", x) if c != c_in else x
        return self.node("Add", name, self.conv(f"{name}.c2", h), kept)

    def attention(self, name: str, x: str, side: int) -> str:
        """Return the block Attention of mnist_unet.py, its pixels on the last axis throughout."""
        c = self.weights[f"{name}.o.weight"].shape[0]
        w, b = qkv_map(self.weights, name)
        self.weights |= {f"{name}.qkv.weight": w, f"{name}.qkv.bias": b}
        qkv = self.conv(f"{name}.qkv", self.normalise(f"{name}.n", x, c, side))
        heads = self.reshape(f"{name}.heads", qkv, 0, 3 * HEADS, c // HEADS, side * side)
        q, k, v = self.split(f"{name}.part", heads, (HEADS,) * 3)
        q = self.node("Transpose", f"{name}.qt", q, perm=[0, 1, 3, 2])
        p = self.node("Softmax", f"{name}.p", self.node("MatMul", f"{name}.qk", q, k), axis=-1)
        p = self.node("Transpose", f"{name}.pt", p, perm=[0, 1, 3, 2])
        y = self.reshape(f"{name}.y", self.node("MatMul", f"{name}.vp", v, p), -1, c, side, side)
        return self.node("Add", name, self.conv(f"{name}.o", y), x)

    def noise_level(self, t: str) -> tuple[str, str, str]:
        """Return log(sigma / alpha), alpha and sigma of shape (n, 1, 1, 1).

        With m = -log alpha and u = tanh m, sigma^2 = 2 u / (1 + u), accurate as t -> 0.
        """
        t = self.reshape("t.image", t, 0, 1, 1, 1)
        slope = self.constant("beta.slope", (BETA_1 - BETA_0) / 4)
        m = self.node("Mul", "m.slope", t, slope)
        m = self.node("Add", "m.beta", m, self.constant("beta.start", BETA_0 / 2))
        m = self.node("Mul", "m", m, t)
        u = self.node("Tanh", "u", m)
        u_plus_1 = self.node("Add", "u.plus_1", u, self.constant("one", 1.0))
        var = self.node("Div", "var.half", u, u_plus_1)
        sigma = self.node("Sqrt", "sigma", self.node("Add", "var", var, var))
        alpha = self.node("Exp", "alpha", self.node("Neg", "log_alpha", m))
        return self.node("Add", "log_s", self.node("Log", "log_sigma", sigma), m), alpha, sigma

    def modulate(self, log_s: str) -> None:
        """Embed the noise level; cut the embedding into a scale and a shift for each block."""
        level = self.node("Mul", "level", log_s, self.constant("quarter", 0.25))
        level = self.reshape("level.flat", level, 0, 1)
        freq = self.constant("freq", np.exp(np.linspace(0.0, np.log(100.0), 24)))
        angle = self.node("Mul", "angle", level, freq)
        sin, cos = self.node("Sin", "sin", angle), self.node("Cos", "cos", angle)
        e = self.concatenate("waves", level, sin, cos)
        for name in ("emb.0", "emb.2"):
            w, b = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
            e = self.silu(name, self.linear(name, e, w, b))
        maps = [modulation_map(self.weights, name) for name in BLOCKS]
        weight, bias = (np.concatenate(parts) for parts in zip(*maps, strict=True))
        e = self.reshape("e.image", self.linear("e", e, weight, bias), 0, len(bias), 1, 1)
        halves = [len(b) // 2 for _, b in maps for _ in range(2)]
        pieces = iter(self.split("e.part", e, halves))
        self.modulation = {name: (next(pieces), next(pieces)) for name in BLOCKS}

    def core(self, y: str) -> str:
        """Return MnistUNet.core, for `y` of unit variance, after `modulate`."""
        # With one channel SpaceToDepth orders the pixels of a block as pixel_unshuffle does.
        h0 = self.conv("inp", self.node("SpaceToDepth", "unshuffled", y, blocksize=2))
        h1 = self.residual("d0", h0, 14)
        h2 = self.conv("ds", h1, stride=2)
        h3 = self.attention("a1", self.residual("d1", h2, 7), 7)
        x = self.attention("ma", self.residual("m0", h3, 7), 7)
        x = self.concatenate("u0.in", self.residual("m1", x, 7), h3)
        x = self.concatenate("u1.in", self.attention("ua", self.residual("u0", x, 7), 7), h2)
        x = self.upsample("upsampled", self.residual("u1", x, 7))
        x = self.residual("u2", self.concatenate("u2.in", self.conv("up", x), h1), 14)
        x = self.residual("u3", self.concatenate("u3.in", x, h0), 14)
        x = self.affine("no", self.normalise("no", x, self.weights["no.bias"].size, 14))
        x = self.conv("out", self.silu("no", x))
        return self.node("DepthToSpace", "core", x, blocksize=2, mode="CRD")

    def upsample(self, name: str, x: str) -> str:
        """Double both sides of the image `x` by repeating its pixels."""
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
        scales = self.constant("scales", np.array([1.0, 1.0, 2.0, 2.0]))
        return self.node("Resize", name, x, "", scales, nearest_mode="floor", **how)

    def eps(self, x: str, t: str) -> str:
        """Return MnistUNet.forward in terms of the variance of x, w = sigma^2 + SD^2 alpha^2:

        eps = (sigma / w) x - (SD alpha / sqrt(w)) core(x / sqrt(w), sigma / alpha).
        """
        log_s, alpha, sigma = self.noise_level(t)
        self.modulate(log_s)
        signal = self.node("Mul", "signal", alpha, self.constant("sd", SD))
        w = self.node("Add", "w", "var", self.node("Mul", "signal.var", signal, signal))
        root = self.node("Sqrt", "w.root", w)
        core = self.core(self.node("Div", "x.unit", x, root))
        kept = self.node("Mul", "kept", x, self.node("Div", "kept.factor", sigma, w))
        update = self.node("Mul", "update", core, self.node("Div", "update.factor", signal, root))
        return self.node("Sub", "eps", kept, update)


def modulation_map(weights: Weights, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Linear map from the embedding to (scale, shift), merged with the affine part of n2.

    (gamma h + beta)(1 + scale) + shift = h gamma (1 + scale) + (beta (1 + scale) + shift).
    """
    w, b = (weights[f"{name}.e.{kind}"].astype(np.float64) for kind in ("weight", "bias"))
    gamma, beta = (weights[f"{name}.n2.{kind}"].astype(np.float64) for kind in ("weight", "bias"))
    (w_scale, w_shift), (b_scale, b_shift) = np.split(w, 2), np.split(b, 2)
    weight = [gamma[:, None] * w_scale, beta[:, None] * w_scale + w_shift]
    bias = [gamma * (1 + b_scale), beta * (1 + b_scale) + b_shift]
    return np.concatenate(weight), np.concatenate(bias)


def qkv_map(weights: Weights, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The 1 x 1 convolution to (q, k, v), merged with the affine part of n and 1 / sqrt(d)."""
    w, b = (weights[f"{name}.qkv.{kind}"].astype(np.float64) for kind in ("weight", "bias"))
    gamma, beta = (weights[f"{name}.n.{kind}"].astype(np.float64) for kind in ("weight", "bias"))
    c = gamma.size
    factor = np.repeat([(c // HEADS) ** -0.5, 1.0], [c, 2 * c])
    b = factor * (b + w[:, :, 0, 0] @ beta)
    w = factor[:, None, None, None] * w * gamma[:, None, None]
    return w.astype(np.float32), b.astype(np.float32)


def build(path: Path) -> onnx.ModelProto:
    """Return the ONNX model of the network whose weights are in the safetensors file `path`."""
    with safe_open(path, "np") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        training = file.metadata() or {}
    unet = UNetGraph(dict(weights))
    unet.eps("x", "t")
    image: list[str | int | None] = ["n", 1, 28, 28]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, image),
        helper.make_tensor_value_info("t", TensorProto.FLOAT, ["n"]),
    ]
    outputs = [helper.make_tensor_value_info("eps", TensorProto.FLOAT, image)]
    constants = list(unet.initializers.values())
    graph = helper.make_graph(unet.nodes, "mnist_unet", inputs, outputs, constants)
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, producer_name="semilinear")
    model.ir_version = IR_VERSION
    helper.set_model_props(model, properties(path, weights, training))
    onnx.checker.check_model(model, full_check=True)
    return model


def properties(path: Path, weights: Weights, training: dict[str, str]) -> dict[str, str]:
    """What the file says about itself, in ONNX's metadata_props."""
    own = {
        "description": "noise prediction eps(x, t) for MNIST digits on the scale [-1, 1]",
        "prediction": "eps",
        "schedule": "variance preserving, linear beta",
        "beta_0": str(BETA_0),
        "beta_1": str(BETA_1),
        "time": "0 < t <= 1, one per image",
        "parameters": str(sum(w.size for w in weights.values())),
        "weights_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "licence": "Apache-2.0; the data, MNIST, is usually given as CC BY-SA 3.0",
    }
    return dict(sorted((own | {f"training.{k}": v for k, v in training.items()}).items()))


def check(weights: Path, exported: Path) -> None:
    """Print how far onnxruntime is from torch, and float32 in torch from float64.

    The second difference is what rounding alone does to this network.
    """
    import onnxruntime
    import torch
    from mnist_unet import load

    net, exact = load(weights), load(weights).double()
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    print("     t   n  |onnx - torch|  |float32 - float64|")
    for t in (1e-3, 1e-2, 0.1, 0.3, 0.5, 0.7, 1.0):
        for n in (1, 17):
            x = rng.standard_normal((n, 1, 28, 28), np.float32)
            times = np.full(n, t, np.float32)
            (eps,) = session.run(None, {"x": x, "t": times})
            x32, t32 = torch.from_numpy(x), torch.from_numpy(times)
            reference = net(x32, t32)
            export = (torch.from_numpy(eps) - reference).abs().max().item()
            rounding = (reference - exact(x32.double(), t32.double())).abs().max().item()
            print(f"{t:6} {n:3}  {export:14.1e}  {rounding:19.1e}")


def main() -> None:
    """Export, and check the result if asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("weights", type=Path, help="safetensors file that train.py wrote")
    parser.add_argument("out", type=Path, help="ONNX file to write")
    parser.add_argument("--check", action="store_true", help="compare with torch")
    args = parser.parse_args()
    data = build(args.weights).SerializeToString(deterministic=True)
    args.out.write_bytes(data)
    print(f"{args.out}: {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")
    if args.check:
        check(args.weights, args.out)


if __name__ == "__main__":
    main()
