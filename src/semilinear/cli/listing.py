"""``semilinear methods`` and ``semilinear problems``."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any

from semilinear import diffusion, methods
from semilinear.diffusion import catalogue

WIDTH = 100
"""Columns of the other names, as wide as the table above them."""


def add_methods(commands: Any) -> None:
    """Add the command ``methods``."""
    command = commands.add_parser("methods", help="list all methods and their other names")
    command.set_defaults(run=_list_methods)


def add_problems(commands: Any) -> None:
    """Add the command ``problems``."""
    command = commands.add_parser("problems", help="list the problems of semilinear.problems")
    command.set_defaults(run=_list_problems)


def _list_methods(options: argparse.Namespace) -> int:
    print("semilinear.solve (multistep methods: the order with start='rk'; the ramp lowers it)\n")
    print(methods.names())
    print(f"\n{_other_names(methods.ALIASES)}")
    print("\nsemilinear.diffusion (likewise)\n")
    print(diffusion.names())
    print(f"\n{_other_names(catalogue.ALIASES)}")
    return 0


def _other_names(names: dict[str, str]) -> str:
    """Return aliases as a paragraph."""
    pairs = ", ".join(f"{other} for {name}" for other, name in sorted(names.items()))
    return textwrap.fill(f"other names: {pairs}", WIDTH)


def _list_problems(options: argparse.Namespace) -> int:
    from semilinear import problems

    found = [problems.get(name) for name in problems.names()]
    rows = [("name", "state", "t", "known by", "reference")]
    for p in found:
        known = "exact solution" if p.exact is not None else f"{len(p.known)} values"
        shape = " x ".join(map(str, p.y0.shape))
        rows.append((p.name, shape, f"{p.t_span[0]:g} .. {p.t_span[1]:g}", known, p.reference))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        print("  ".join([*map(str.ljust, row, widths), row[4]]))
    return 0
