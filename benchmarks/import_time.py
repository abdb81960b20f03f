"""Time that `import semilinear` adds to `import numpy`, in fresh processes.

Modules are read from byte code, as they are where a package is installed, whatever this process
does: it is written to a temporary folder in the round that is not counted.

    python benchmarks/import_time.py --top 15
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from tempfile import TemporaryDirectory
from time import perf_counter

from _timing import Measure, header, interleaved, machine, parser, table, verdict, write_json

TARGET_MS = 50.0
INSIDE = """
import numpy
from time import perf_counter
begun = perf_counter()
import semilinear
print(perf_counter() - begun)
"""
IMPORTS = {
    "python alone": "pass",
    "numpy": "import numpy",
    "numpy, semilinear": "import numpy, semilinear",
    "numpy, semilinear.diffusion": "import numpy, semilinear.diffusion",
}


def environment(cache: str) -> dict[str, str]:
    """Return this process's environment with byte code kept in a folder."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": cache}


def process(code: str, env: Mapping[str, str]) -> Measure:
    """Measure a whole process."""

    def measure() -> float:
        begun = perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, env=env)
        return perf_counter() - begun

    return measure


def inside(env: Mapping[str, str]) -> Measure:
    """Measure `import semilinear` within a process that has NumPy already."""
    return lambda: float(subprocess.check_output([sys.executable, "-c", INSIDE], env=env))


def contributors(count: int, env: Mapping[str, str]) -> list[tuple[str, float, float]]:
    """Return the modules that take longest themselves, NumPy's left out: own and cumulative ms."""
    command = [sys.executable, "-X", "importtime", "-c", "import numpy, semilinear"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    found = []
    for line in done.stderr.splitlines():
        own, total, module = line.removeprefix("import time:").split("|")
        if own.strip().isdigit():
            found.append((module.strip(), int(own) / 1e3, int(total) / 1e3))
    # Modules are listed as they finish: what comes after NumPy was loaded for semilinear.
    after = found[[module for module, _, _ in found].index("numpy") + 1 :]
    return sorted(after, key=lambda entry: -entry[1])[:count]


def main() -> None:
    """Measure and report."""
    options = parser(__doc__.split("\n", 1)[0])
    options.add_argument("--rounds", type=int, default=15)
    options.add_argument("--top", type=int, default=0, help="list so many of the slowest modules")
    given = options.parse_args()
    where = machine()
    print(header("Import time", where))
    with TemporaryDirectory() as cache:
        env = environment(cache)
        tasks = {name: process(code, env) for name, code in IMPORTS.items()}
        measured = interleaved(tasks | {"inside": inside(env)}, rounds=given.rounds, label="import")
        slowest = contributors(given.top, env)
    rows: list[tuple[str, float, float | None, str]] = [
        (name, 1e3 * measured.median(name), 1e3 * measured.minimum(name), "")
        for name in measured.samples
    ]
    added = 1e3 * measured.difference("numpy, semilinear", "numpy")
    rows.append(("semilinear adds", added, None, verdict(added, at_most=TARGET_MS)))
    print(table(("process", "median ms", "minimum ms", "target"), rows))
    print("\ninside: perf_counter around `import semilinear`, NumPy being there")
    if slowest:
        print("\n" + table(("module", "own ms", "with imports, ms"), slowest))
    results = {"milliseconds": {row[0]: row[1:3] for row in rows}, "slowest": slowest}
    write_json(given.json, where, results)


if __name__ == "__main__":
    main()
