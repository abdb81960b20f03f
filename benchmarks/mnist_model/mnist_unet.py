"""A small continuous-time noise-prediction U-Net for 28 x 28 grey images.

The forward process is the linear variance-preserving SDE, beta(t) = beta_0 + (beta_1 - beta_0) t
(Song et al. 2021, "Score-based generative modeling through SDEs", appendix C), so that
x_t = alpha(t) x_0 + sigma(t) eps with log alpha(t) = -(beta_1 - beta_0) t^2 / 4 - beta_0 t / 2.

Inside is a network preconditioned after Karras et al. 2022, "Elucidating the design space of
diffusion-based generative models", section 5: it depends on the noise level s = sigma / alpha only.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BETA_0, BETA_1 = 0.1, 20.0
SD = 0.6164  # standard deviation of the MNIST pixels on the scale [-1, 1]
GROUPS = 8


def alpha_sigma(t: Tensor) -> tuple[Tensor, Tensor]:
    """Signal and noise scale, (alpha, sigma) with alpha^2 + sigma^2 = 1, at the times `t`.

    Notes
    -----
    sigma^2 = 1 - exp(2 log alpha) = 2 u / (1 + u) with u = tanh(-log alpha). The second form keeps
    full relative accuracy as t -> 0 without expm1, for which ONNX has no operator.
    """
    log_alpha = -0.25 * (BETA_1 - BETA_0) * t**2 - 0.5 * BETA_0 * t
    u = torch.tanh(-log_alpha)
    return torch.exp(log_alpha), torch.sqrt(2 * u / (1 + u))


class Residual(nn.Module):
    """Two normalised 3 x 3 convolutions; the embedded noise level scales and shifts in between."""

    def __init__(self, c_in: int, c: int, emb: int) -> None:
        super().__init__()
        self.n1, self.c1 = nn.GroupNorm(GROUPS, c_in), nn.Conv2d(c_in, c, 3, padding=1)
        self.e = nn.Linear(emb, 2 * c)
        self.n2, self.c2 = nn.GroupNorm(GROUPS, c), nn.Conv2d(c, c, 3, padding=1)
        self.skip = nn.Conv2d(c_in, c, 1) if c_in != c else nn.Identity()
        _zero(self.c2)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        """Return skip(x) + update(x, e) for x of shape (n, c_in, h, w) and e of shape (n, emb)."""
        h = self.c1(F.silu(self.n1(x)))
        scale, shift = self.e(e)[:, :, None, None].chunk(2, 1)
        update: Tensor = self.c2(F.silu(self.n2(h) * (1 + scale) + shift))
        kept: Tensor = self.skip(x)
        return kept + update


class Attention(nn.Module):
    """Multi-head self-attention over the pixels, added to its input."""

    def __init__(self, c: int, heads: int = 4) -> None:
        super().__init__()
        self.heads, self.n = heads, nn.GroupNorm(GROUPS, c)
        self.qkv, self.o = nn.Conv2d(c, 3 * c, 1), nn.Conv2d(c, c, 1)
        _zero(self.o)

    def forward(self, x: Tensor) -> Tensor:
        """Return x + attention(x) for x of shape (n, c, h, w)."""
        n, c, h, w = x.shape
        qkv = self.qkv(self.n(x)).reshape(n, 3, self.heads, c // self.heads, h * w)
        q, k, v = qkv.transpose(3, 4).unbind(1)
        y = F.scaled_dot_product_attention(q, k, v).transpose(2, 3).reshape(n, c, h, w)
        update: Tensor = self.o(y)
        return x + update


class MnistUNet(nn.Module):
    """eps(x, t): the noise in x = alpha(t) x_0 + sigma(t) eps, images x_0 on the scale [-1, 1].

    Parameters
    ----------
    c : int
        Channels at 14 x 14; there are 2 c at 7 x 7.
    emb : int
        Length of the embedding of the noise level.
    """

    freq: Tensor

    def __init__(self, *, c: int = 32, emb: int = 128) -> None:
        super().__init__()
        freq = torch.exp(torch.linspace(0, math.log(100), 24))
        self.register_buffer("freq", freq, persistent=False)
        self.emb = nn.Sequential(nn.Linear(49, emb), nn.SiLU(), nn.Linear(emb, emb), nn.SiLU())
        self.inp = nn.Conv2d(4, c, 3, padding=1)
        self.d0 = Residual(c, c, emb)
        self.ds = nn.Conv2d(c, 2 * c, 3, stride=2, padding=1)
        self.d1, self.a1 = Residual(2 * c, 2 * c, emb), Attention(2 * c)
        self.m0, self.ma = Residual(2 * c, 2 * c, emb), Attention(2 * c)
        self.m1 = Residual(2 * c, 2 * c, emb)
        self.u0, self.ua = Residual(4 * c, 2 * c, emb), Attention(2 * c)
        self.u1 = Residual(4 * c, 2 * c, emb)
        self.up = nn.Conv2d(2 * c, c, 3, padding=1)
        self.u2, self.u3 = Residual(2 * c, c, emb), Residual(2 * c, c, emb)
        self.no, self.out = nn.GroupNorm(GROUPS, c), nn.Conv2d(c, 4, 3, padding=1)
        _zero(self.out)

    def core(self, y: Tensor, s: Tensor) -> Tensor:
        """Evaluate the network proper, for `y` of unit variance and noise levels `s` (n,)."""
        level = (torch.log(s) / 4)[:, None]
        angle = level * self.freq
        e = self.emb(torch.cat([level, angle.sin(), angle.cos()], 1))
        h0 = self.inp(F.pixel_unshuffle(y, 2))
        h1 = self.d0(h0, e)
        h2 = self.ds(h1)
        h3 = self.a1(self.d1(h2, e))
        x = self.m1(self.ma(self.m0(h3, e)), e)
        x = self.ua(self.u0(torch.cat([x, h3], 1), e))
        x = self.u1(torch.cat([x, h2], 1), e)
        x = self.up(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        x = self.u2(torch.cat([x, h1], 1), e)
        x = self.u3(torch.cat([x, h0], 1), e)
        return F.pixel_shuffle(self.out(F.silu(self.no(x))), 2)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """Predict eps for images `x` (n, 1, 28, 28) at the times `t` (n,), 0 < t <= 1.

        With y = x / alpha = x_0 + s eps and v = s^2 + SD^2, the prediction is
        (s / v) y - (SD / sqrt(v)) core(y / sqrt(v), s).
        """
        alpha, sigma = (a[:, None, None, None] for a in alpha_sigma(t))
        y, s = x / alpha, sigma / alpha
        v = s * s + SD * SD
        return (s / v) * y - (SD / v.sqrt()) * self.core(y / v.sqrt(), s[:, 0, 0, 0])


def load(path: Path) -> MnistUNet:
    """Return the network in evaluation mode with the weights of the safetensors file `path`."""
    from safetensors.torch import load_file

    net = MnistUNet()
    net.load_state_dict(load_file(path))
    return net.eval().requires_grad_(False)


def _zero(conv: nn.Conv2d) -> None:
    """Start `conv` at zero, so that its branch contributes nothing before training."""
    nn.init.zeros_(conv.weight)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
