"""Models and callers from other libraries; each module imports its own library, and lazily."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

MODULES = (
    "diffusers",
    "jax",
    "k_diffusion",
    "onnx",
    "torch",
    "torch_linearised",
    "torch_samples",
)
"""Loaded at first use."""


def __getattr__(name: str) -> ModuleType:
    if name not in MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
