"""What the documentation of public functions must say."""

from __future__ import annotations

import inspect
from types import ModuleType

import pytest

import semilinear
from semilinear import diffusion, methods

MODULES: tuple[ModuleType, ...] = (semilinear, diffusion, methods)

FUNCTIONS = {
    f"{module.__name__}.{name}": value
    for module in MODULES
    for name in module.__all__
    if inspect.isfunction(value := getattr(module, name)) and inspect.signature(value).parameters
}
"""Public functions that take arguments."""


@pytest.mark.parametrize("name", FUNCTIONS)
def test_public_functions_say_what_they_raise(name: str) -> None:
    assert "\nRaises\n------\n" in (inspect.getdoc(FUNCTIONS[name]) or "")
