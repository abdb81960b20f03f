"""Write the tables of docs/methods.md from the registries: ``python docs/make_methods.py``."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from semilinear import diffusion, methods
from semilinear.diffusion import catalogue

PAGE = Path(__file__).with_name("methods.md")
END = "<!-- end -->"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def solve_table(kind: type[methods.Tableau] | type[methods.Multistep]) -> str:
    """Return the methods of one kind; only multistep methods have past values."""
    chosen = [methods.info(name) for name in methods.names() if isinstance(methods.get(name), kind)]
    multistep = kind is methods.Multistep
    column = ["past values"] if multistep else []
    head = ["name", "order", "stiff order", *column, "evaluations per step", "reference"]
    rows = []
    for m in sorted(chosen, key=lambda m: (m.evaluations if multistep else 0, m.order, m.name)):
        past = [m.history] if multistep else []
        rows.append([f"`{m.name}`", m.orders, m.stiff_order, *past, m.evaluations, m.reference])
    return table(head, rows)


def sampler_table() -> str:
    """Return the samplers in the order of their registry."""
    head = ["name", "order", "N", "variable", "past values", "evaluations per step", "noise"]
    head.append("reference")
    rows = []
    for name in diffusion.names():
        m, chosen = diffusion.info(name), catalogue.get(name)
        order = f"{m.order}" if chosen.exact is None else f"{m.order} ({chosen.exact.order})"
        told = [chosen.parameterisation.quantity, chosen.parameterisation.variable]
        noise = "" if chosen.noise is None else f"`{type(chosen.noise).__name__}`"
        rows.append([f"`{name}`", order, *told, m.history, m.evaluations, noise, m.reference])
    return table(head, rows)


def aliases(names: dict[str, str]) -> str:
    """Return other names as a sentence."""
    pairs = ", ".join(f"`{a}` for `{b}`" for a, b in sorted(names.items()))
    return textwrap.fill(f"Other names: {pairs}.", 100)


def sections() -> dict[str, str]:
    """Return what stands between the markers, by name."""
    return {
        "one-step": solve_table(methods.Tableau),
        "multistep": solve_table(methods.Multistep),
        "aliases": aliases(methods.ALIASES),
        "samplers": sampler_table() + "\n\n" + aliases(catalogue.ALIASES),
    }


def updated(text: str) -> str:
    """Return the page with its tables made anew."""
    for name, section in sections().items():
        begin = f"<!-- generated: {name} -->\n"
        before, found, rest = text.partition(begin)
        _, closed, after = rest.partition(END)
        if not found or not closed:
            raise SystemExit(f"{PAGE} needs the markers {begin.strip()} and {END}")
        text = f"{before}{begin}\n{section}\n\n{END}{after}"
    return text


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
