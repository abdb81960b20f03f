"""What the benchmarks share: interleaved rounds, a description of the machine, tables, JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from semilinear import __version__
from semilinear.progress import Progress

Measure = Callable[[], float]
"""Runs a task once and returns the seconds that it took, however it counts them."""


class Rounds:
    """Seconds of several tasks, one sample of each task in every round.

    The tasks take turns (A B C A B C ...), so that what disturbs the machine for a while disturbs
    all of them alike. Compare two tasks by `ratio`, which pairs samples of the same round.
    """

    def __init__(self, samples: Mapping[Any, Sequence[float]]) -> None:
        self.samples = {name: tuple(values) for name, values in samples.items()}

    def median(self, name: Hashable) -> float:
        """Return the median of a task, in seconds."""
        return median(self.samples[name])

    def minimum(self, name: Hashable) -> float:
        """Return the least sample of a task, in seconds."""
        return min(self.samples[name])

    def ratio(self, numerator: Hashable, denominator: Hashable) -> float:
        """Return the median over the rounds of one task's time divided by another's."""
        pairs = zip(self.samples[numerator], self.samples[denominator], strict=True)
        return median(a / b for a, b in pairs)

    def difference(self, minuend: Hashable, subtrahend: Hashable) -> float:
        """Return the median over the rounds of one task's time minus another's, in seconds."""
        pairs = zip(self.samples[minuend], self.samples[subtrahend], strict=True)
        return median(a - b for a, b in pairs)


def interleaved(tasks: Mapping[Any, Measure], *, rounds: int, label: str = "") -> Rounds:
    """Run all tasks in turn, `rounds` times, after one round that is not counted."""
    samples: dict[Any, list[float]] = {name: [] for name in tasks}
    with Progress((rounds + 1) * len(tasks), label=label) as bar:
        for number in range(rounds + 1):
            for position, (name, measure) in enumerate(tasks.items()):
                seconds = measure()
                if number:
                    samples[name].append(seconds)
                bar.update(number * len(tasks) + position + 1)
    return Rounds(samples)


def per_call(function: Callable[[], Any], *, number: int) -> Measure:
    """Return a measure of the mean time of `number` calls."""

    def measure() -> float:
        begun = perf_counter()
        for _ in range(number):
            function()
        return (perf_counter() - begun) / number

    return measure


def parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options that all benchmarks have."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--json", type=Path, metavar="FILE", help="write the results here too")
    return made


def machine(*packages: str) -> dict[str, Any]:
    """Describe processor, date, Python and the versions of `packages` (None if not installed)."""
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "python": platform.python_version(),
        "versions": {"semilinear": __version__}
        | {name: _version(name) for name in ("numpy", *packages)},
    }


def header(title: str, where: Mapping[str, Any]) -> str:
    """Return the lines that open a report."""
    found = where["versions"].items()
    versions = ", ".join(f"{name} {version or '(not installed)'}" for name, version in found)
    return (
        f"# {title}\n\n{where['cpu']}, {where['cores']} cores, load {where['load']}, "
        f"{where['system']}; {where['date']}\nPython {where['python']}, {versions}\n"
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a Markdown table with aligned columns; text to the left, numbers to the right."""
    rows = [tuple(row) for row in rows]
    cells = [[_cell(value) for value in row] for row in rows]
    widths = [max(len(line[i]) for line in [columns, *cells]) for i in range(len(columns))]
    right = [any(isinstance(row[i], int | float) for row in rows) for i in range(len(columns))]

    def line(values: Sequence[str]) -> str:
        padded = [
            v.rjust(w) if r else v.ljust(w) for v, w, r in zip(values, widths, right, strict=True)
        ]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * (w - 1) + (":" if r else "-") for w, r in zip(widths, right, strict=True)]
    return "\n".join([line(columns), line(rule), *(line(row) for row in cells)])


def write_json(path: Path | None, where: Mapping[str, Any], results: Any) -> None:
    """Write the results of a benchmark with the machine that they were measured on."""
    if path is not None:
        path.write_text(json.dumps({"machine": where, "results": results}, indent=1) + "\n")


def verdict(value: float, *, at_most: float | None = None, at_least: float | None = None) -> str:
    """Say whether a figure meets its target."""
    if at_most is not None:
        return f"<= {at_most:g}: {'met' if value <= at_most else 'MISSED'}"
    if at_least is not None:
        return f">= {at_least:g}: {'met' if value >= at_least else 'MISSED'}"
    return ""


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cpu_model() -> str:
    """Return the processor's name where the system tells it, with family and model number."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    pairs = (line.split(":", 1) for line in text.partition("\n\n")[0].splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in pairs}
    name = fields.get("model name", platform.machine())
    numbers = [f"{key} {fields[key]}" for key in ("cpu family", "model") if key in fields]
    return f"{name} ({', '.join(numbers)})" if numbers else name


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
