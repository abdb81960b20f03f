"""The shape of the source: imports point one way, optional libraries load late, files are short."""

from __future__ import annotations

import ast
import graphlib
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1] / "src" / "semilinear"
FILES = sorted(ROOT.rglob("*.py"))

# A part is a module or a subpackage directly below semilinear; here is what it may import of the
# others. The lowest part comes first, and any part may import itself.
METHODS = {"errors", "given", "phi", "methods"}
OPERATORS = {"errors", "given", "immutable", "kernels", "propagators"}
RUN = METHODS | OPERATORS | {"answers", "lowering", "segments", "course"}
PLAN = RUN | {"phi_tables", "coefficients", "program", "lazy_segments", "plan", "plan_table"}
SOLVE = PLAN | {
    "_version",
    "adaptive",
    "arguments",
    "choice",
    "engines",
    "executors",
    "output",
    "progress",
    "solve",
    "stepping",
    "time_grid",
}
APPLICATIONS = SOLVE | {"fft", "problems", "studies", "diffusion"}
ALLOWED: dict[str, set[str]] = {
    "_version": set(),
    "errors": set(),
    "given": {"errors"},
    "immutable": set(),
    # Two towers that never see each other: what a method is, and what an operator does.
    "phi": {"errors"},
    "methods": METHODS - {"methods"},
    "kernels": {"errors"},
    "propagators": OPERATORS - {"propagators"},
    "fft": {"kernels"},
    # The only places where they meet, and what runs the plan.
    "lowering": METHODS,
    "segments": METHODS | {"lowering"},
    "answers": {"errors", "kernels"},
    "phi_tables": METHODS | OPERATORS,
    "coefficients": METHODS | OPERATORS | {"phi_tables"},
    "course": RUN - {"course"},
    "program": PLAN - {"program", "lazy_segments", "plan", "course"},
    "lazy_segments": PLAN - {"lazy_segments", "plan", "course"},
    "plan_table": METHODS | {"lowering", "segments"},
    "plan": PLAN - {"plan"},
    "progress": set(),
    "executors": {"errors"},
    "time_grid": {"errors", "given"},
    "stepping": PLAN,
    # Adaptive steps; what a run leaves behind; what runs a problem, and what solves it.
    "adaptive": PLAN - {"plan"},
    "output": PLAN | {"time_grid"},
    "arguments": OPERATORS | {"answers"},
    "choice": METHODS | OPERATORS | {"arguments"},
    "engines": PLAN | {"adaptive", "arguments", "output", "stepping"},
    "solve": SOLVE - {"solve"},
    # What uses the solver; only studies look problems up, by name.
    "problems": SOLVE,
    "studies": SOLVE | {"problems"},
    "diffusion": SOLVE,
    "adapters": APPLICATIONS,
    "plot": APPLICATIONS,
    "cli": APPLICATIONS | {"adapters", "plot"},
    "__init__": APPLICATIONS | {"adapters", "plot"},
    "__main__": {"cli"},
}

# Libraries that only the named part imports, at whatever depth of the code.
OWNERS = {
    "numba": "kernels",
    "llvmlite": "kernels",
    "cupy": "kernels",
    "torch": "adapters",
    "jax": "adapters",
    "onnxruntime": "adapters",
    "diffusers": "adapters",
    "tqdm": "adapters",
    "matplotlib": "plot",
}

# Methods are data, and their coefficients are exact: nothing that computes in floating point.
EXACT = {"phi", "methods"}
EXACT_IMPORTS = {
    "__future__",
    "collections",
    "dataclasses",
    "fractions",
    "functools",
    "itertools",
    "math",
    "semilinear",
    "typing",
}

MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 60


def imported(source: str, module: str, *, is_package: bool = False) -> set[str]:
    """Return the absolute dotted names that the source of `module` imports, wherever it does.

    ``from a import b`` counts as ``a.b``, since b may be a module; so does a call of
    ``import_module`` with a literal name.
    """
    package = module if is_package else module.rpartition(".")[0]
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import():
                names |= {alias.name for alias in node.names}
            case ast.ImportFrom():
                base = "." * node.level + (node.module or "")
                base = importlib.util.resolve_name(base, package)
                names |= {f"{base}.{alias.name}" for alias in node.names}
            case ast.Call(
                func=ast.Name(id="import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                names.add(importlib.util.resolve_name(name, package))
    return names


def part_of(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imports_of(path: Path) -> set[str]:
    is_package = path.name == "__init__.py"
    inside = path.relative_to(ROOT).with_suffix("").parts
    module = ".".join(("semilinear", *(inside[:-1] if is_package else inside)))
    return imported(path.read_text(encoding="utf-8"), module, is_package=is_package)


def parts_imported(path: Path) -> set[str]:
    """Return the parts of semilinear that a file imports; a name that is no part is __init__'s."""
    found = set()
    for name in imports_of(path):
        if name.partition(".")[0] == "semilinear":
            part = name.split(".")[1] if "." in name else "__init__"
            found.add(part if part in ALLOWED else "__init__")
    return found


def foreign_imports(path: Path) -> set[str]:
    return {name for name in imports_of(path) if name.partition(".")[0] != "semilinear"}


def file_id(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


each_file = pytest.mark.parametrize("path", FILES, ids=file_id)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import numpy as np, scipy.linalg", {"numpy", "scipy.linalg"}),
        ("from semilinear.phi import Phi", {"semilinear.phi.Phi"}),
        ("from semilinear import phi", {"semilinear.phi"}),
        ("from . import dense", {"semilinear.propagators.dense"}),
        ("from ..phi import Phi", {"semilinear.phi.Phi"}),
        ("def f():\n    from .. import plot", {"semilinear.plot"}),
        ("if x:\n    import cupy", {"cupy"}),
        ("importlib.import_module('torch')", {"torch"}),
        ("import_module('.dense', __package__)", {"semilinear.propagators.dense"}),
        ("import_module(name)", set()),
    ],
)
def test_imports_are_read_from_the_source(source: str, expected: set[str]) -> None:
    assert imported(source, "semilinear.propagators.scalar") == expected
    assert imported(source, "semilinear.propagators", is_package=True) == expected


def test_the_table_points_one_way() -> None:
    order = list(graphlib.TopologicalSorter(ALLOWED).static_order())
    assert set(order) == set(ALLOWED), "the table allows a part that it does not name"
    assert (ALLOWED["phi"] | ALLOWED["methods"]) & OPERATORS == {"errors", "given"}
    assert (ALLOWED["kernels"] | ALLOWED["propagators"]) & METHODS == {"errors", "given"}


@each_file
def test_imports_point_one_way(path: Path) -> None:
    part = part_of(path)
    assert part in ALLOWED, f"{part} is new: name it in ALLOWED, with what it may import"
    forbidden = parts_imported(path) - ALLOWED[part] - {part}
    assert not forbidden, f"{file_id(path)} imports {sorted(forbidden)}"


@each_file
def test_optional_libraries_have_one_owner(path: Path) -> None:
    # Every component of a name counts: array_api_compat.torch imports torch.
    foreign = {
        component
        for name in foreign_imports(path)
        for component in name.split(".")
        if OWNERS.get(component, part_of(path)) != part_of(path)
    }
    assert not foreign, f"{file_id(path)} imports {sorted(foreign)}"


@pytest.mark.parametrize("path", [path for path in FILES if part_of(path) in EXACT], ids=file_id)
def test_methods_are_exact(path: Path) -> None:
    inexact = {name.partition(".")[0] for name in imports_of(path)} - EXACT_IMPORTS
    assert not inexact, f"{file_id(path)} imports {sorted(inexact)}"


def test_import_loads_no_optional_library() -> None:
    late = [*OWNERS, "dask", "distributed", "scipy.integrate", "scipy.optimize"]
    code = f"import sys, semilinear.diffusion; print(*sorted(set({late}) & set(sys.modules)))"
    command = [sys.executable, "-W", "error", "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == []


def test_parts_that_load_late_are_attributes() -> None:
    code = """
import sys, semilinear as sl
late = "adapters", "diffusion", "fft", "plot", "problems", "studies"
assert not {f"semilinear.{name}" for name in late} & set(sys.modules)
assert all(getattr(sl, name).__name__ == f"semilinear.{name}" for name in late)
assert {*late} <= {*dir(sl)} and callable(sl.plot.error_plot)
assert not {"torch", "jax", "onnxruntime", "diffusers"} & set(sys.modules)
assert callable(sl.adapters.onnx.mnist_eps)
assert not hasattr(sl.adapters, "nosuch")
"""
    command = [sys.executable, "-W", "error", "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_files_are_short() -> None:
    lengths = {file_id(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert not {name: n for name, n in lengths.items() if n > MAX_FILE_LINES}


def functions(source: str) -> Iterator[tuple[str, int]]:
    """Yield the place and the number of lines of each function, its docstring not counted."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node, clean=False) is not None else node.body
            lines = body[-1].end_lineno - body[0].lineno + 1 if body else 0
            yield f"{node.lineno}: {node.name}", lines


def test_functions_are_short() -> None:
    lengths = {
        f"{file_id(path)}:{place}": lines
        for path in FILES
        for place, lines in functions(path.read_text(encoding="utf-8"))
    }
    assert not {place: n for place, n in lengths.items() if n > MAX_FUNCTION_LINES}
