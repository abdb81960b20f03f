"""Table, verdicts and picture of docs/quality.md, from the results of quality.py.

    python report.py --samples 10000

Distances are means over the seeds. Behind each is half a 95 % interval: 1.96 standard deviations of
the bootstrap. Rows that began with the same noise are compared draw by draw.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import classifier
import numpy as np
from frechet import distance
from matplotlib.ticker import NullFormatter
from quality import RESULTS, stored
from rows import ABLATION, BUDGETS, MANY, THEIRS, Chosen, Own, group

from semilinear.plot.figures import Line, finished, log_log

sys.path.append(str(Path(__file__).resolve().parents[1]))
from _pages import written

HERE = Path(__file__).resolve().parent
DOCS = HERE.parents[1] / "docs"
PAGE, PICTURE, ALL = DOCS / "quality.md", DOCS / "_static" / "quality.png", HERE / "TABLE.md"
BEST, AUTO = "best of semilinear", Chosen().name
DDIM = Own("ddim", "quadratic", "t_end").name
FIRST = 3
"""Rows at the head of a budget, of which the page has a section."""

SHOWN = ("ddim quadratic t_end", "tab3 quadratic t_end", "tab3 uniform even", "unipc3 uniform even")
DISTANCES = (0.3, 0.4, 0.6, 1, 2, 3, 4, 6)
"""What is written beside the axis of the picture."""
"""Lines of the picture beside those of diffusers, the choice, and the best."""


class Estimate(NamedTuple):
    """A distance, and how it varies from draw to draw."""

    value: float
    draws: np.ndarray
    by_seed: dict[int, float]

    @property
    def seeds(self) -> int:
        """How many seeds it is the mean of."""
        return len(self.by_seed)

    @property
    def half_width(self) -> float:
        """Half of a 95 % interval."""
        return 1.96 * float(self.draws.std())

    def minus(self, other: Estimate) -> Estimate:
        """Return the difference, which varies less than either if both began with one noise."""
        by_seed = {s: d - other.by_seed[s] for s, d in self.by_seed.items() if s in other.by_seed}
        return Estimate(self.value - other.value, self.draws - other.draws, by_seed)


Estimates = dict[tuple[str, int], Estimate]
Limit = tuple[tuple[str, int], Estimate]
"""The row with the most evaluations, more than any of the table."""


def estimates(results: Iterable[dict[str, Any]]) -> Estimates:
    """Return the mean over seeds of each row and budget."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for result in results:
        found.setdefault((result["row"], result["nfe"]), []).append(result)
    return {
        key: Estimate(
            float(np.mean([r["distance"] for r in of_row])),
            np.mean([r["draws"] for r in of_row], axis=0),
            {r["seed"]: r["distance"] for r in of_row},
        )
        for key, of_row in found.items()
        if all(r["distance"] is not None for r in of_row)  # not finite is of no use
    }


def ranked(found: Estimates, nfe: int, among: Callable[[str], bool]) -> list[tuple[str, Estimate]]:
    """Return the rows of a budget, the least distance first; none that has fewer seeds."""
    seeds = max(e.seeds for e in found.values())
    rows = [(r, e) for (r, n), e in found.items() if n == nfe and among(r) and e.seeds == seeds]
    return sorted(rows, key=lambda pair: pair[1].value)


def best(found: Estimates, nfe: int, among: Callable[[str], bool]) -> tuple[str, Estimate] | None:
    """Return the least distance at a budget."""
    return next(iter(ranked(found, nfe, among)), None)


def open_ones(found: Estimates, nfe: int, first: Estimate) -> list[str]:
    """Return our rows with fewer seeds that are ahead of the best of a budget on those."""
    ahead = []
    for (row, n), estimate in found.items():
        shared = [s for s in estimate.by_seed if s in first.by_seed]
        if n == nfe and ours(row) and shared and estimate.seeds < first.seeds:
            apart = float(np.mean([estimate.by_seed[s] - first.by_seed[s] for s in shared]))
            if apart < 0:
                ahead.append(f"`{row}` by {-apart:.3f}")
    return sorted(ahead)


def ours(row: str) -> bool:
    """Whether a row is a sampler of this package by its name, and not the choice."""
    return row != AUTO and not theirs(row)


def theirs(row: str) -> bool:
    """Whether a row is diffusers'."""
    return row.startswith("diffusers")


def sections(found: Estimates) -> list[tuple[str, list[str]]]:
    """Return the rows of the page under their headings."""
    known = list(dict.fromkeys(row for row, nfe in found if nfe <= BUDGETS[-1]))
    ablation = [row.name for row in ABLATION]
    heads = {row for n in BUDGETS for row, _ in ranked(found, n, ours)[:FIRST]}
    main = [row.name for row in group("main") if row.name.endswith((" even", " lower"))]
    main += [row.name for row in group("noisy") + group("refined") if row.name.endswith(" tau=0")]
    named = (
        ("Ingredients of DEIS, one after the other", ablation),
        ("diffusers", [row.name for row in THEIRS]),
        ("Chosen by `diffusion.choose`", [AUTO]),
        (f"Among the best {FIRST} of some budget", sorted(heads.difference(ablation))),
        ("Samplers without noise", [r for r in main if r not in {*ablation, *heads}]),
    )
    return [(title, [row for row in rows if row in known]) for title, rows in named]


def table(found: Estimates, parts: Iterable[tuple[str, list[str]]]) -> str:
    """Return a table, a heading in bold above each group of rows."""
    budgets = sorted({nfe for _, nfe in found if nfe <= BUDGETS[-1]})
    least = {nfe: best(found, nfe, lambda _: True) for nfe in budgets}
    lines = [
        f"| | {' | '.join(map(str, budgets))} |",
        "|".join(["", " --- ", *(" ---: " for _ in budgets), ""]),
    ]
    seeds = max(e.seeds for e in found.values())
    for title, rows in parts:
        if rows:
            lines.append(f"| **{title}** |{' |' * len(budgets)}")
        for row in rows:
            cells = [cell(found.get((row, n)), row in (least[n] or ()), seeds) for n in budgets]
            lines.append(f"| {row} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(estimate: Estimate | None, bold: bool, seeds: int) -> str:
    """Return a distance with half of its interval, marked where it has fewer seeds."""
    if estimate is None:
        return "-"
    text = f"{estimate.value:.3f} ± {estimate.half_width:.3f}"
    text += "" if estimate.seeds == seeds else f" ({estimate.seeds})"
    return f"**{text}**" if bold else text


def met(holds: bool) -> str:
    """Say whether an aim is reached."""
    return "met" if holds else "MISSED"


def verdicts(found: Estimates, limit: Limit | None) -> list[str]:
    """Return what the figures say of the aims."""
    lines = []
    ddim = found.get((DDIM, 10))
    tab3 = best(found, 10, lambda row: row.startswith("tab3"))
    if limit and ddim and tab3:
        end = limit[1].value
        part = (tab3[1].value - end) / (ddim.value - end)
        lines.append(
            f"10 evaluations: `{tab3[0]}` leaves {part:.2f} of the gap that `{DDIM}` leaves to "
            f"the distance after many evaluations; at most 0.5: {met(part <= 0.5)}."
        )
    for nfe in sorted({n for _, n in found if n <= BUDGETS[-1]}):
        own, other = best(found, nfe, ours), best(found, nfe, theirs)
        if own and other:
            apart = own[1].minus(other[1])
            lines.append(
                f"{nfe} evaluations: best `{own[0]}`, by {apart.value:+.3f} ± "
                f"{apart.half_width:.3f} from `{other[0]}`; at most 0: "
                f"{met(apart.value <= 0)}."
            )
        chosen = found.get((AUTO, nfe))
        if own and chosen:
            apart, unit = chosen.minus(own[1]), own[1].value
            lines.append(
                f"{nfe} evaluations: `{AUTO}` is {apart.value / unit:+.1%} ± "
                f"{apart.half_width / unit:.1%} from the best; within 5 %: "
                f"{met(apart.value <= 0.05 * unit)}."
            )
        if own and (ahead := open_ones(found, nfe, own[1])):
            lines.append(f"{nfe} evaluations: ahead of that on fewer seeds: {', '.join(ahead)}.")
    return lines


def picture(found: Estimates, limit: Limit | None) -> None:
    """Draw distance against evaluations, and across it the distance after many."""
    budgets = sorted({nfe for _, nfe in found if nfe <= BUDGETS[-1]})
    least = {n: pair[1].value for n in budgets if (pair := best(found, n, ours))}
    shown = {BEST: least}
    seeds = max(e.seeds for e in found.values())
    for name in (*SHOWN, AUTO, *(row.name for row in THEIRS)):
        of_row = {n: found[name, n] for n in budgets if (name, n) in found}
        fewer = " (fewer seeds)" if any(e.seeds < seeds for e in of_row.values()) else ""
        shown[name + fewer] = {n: estimate.value for n, estimate in of_row.items()}
    drawn = [
        Line(name, list(points), list(points.values()), dashed=theirs(name))
        for name, points in shown.items()
        if points
    ]
    figure, axes = log_log(drawn)
    axes.lines[0].set(linewidth=5, alpha=0.35)  # "auto" lies on it
    if limit:
        (row, nfe), estimate = limit
        label = f"{row}, {nfe} evaluations"
        axes.axhline(estimate.value, color="0.4", linewidth=0.8, linestyle=":", label=label)
        figure.legends[0].remove()
        figure.legend(loc="outside right upper", fontsize="small", frameon=False)
    axes.set_yticks(DISTANCES, labels=[str(d) for d in DISTANCES])
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(budgets, labels=[str(n) for n in budgets])
    axes.set_xlabel("evaluations of the network")
    axes.set_ylabel("Frechet distance in the classifier's features")
    PICTURE.parent.mkdir(exist_ok=True)
    finished(figure, PICTURE)


def heading(results: Sequence[dict[str, Any]], limit: Limit | None, real: float) -> str:
    """Return the lines above the table."""
    seeds = sorted({r["seed"] for r in results})
    samples = results[0]["samples"]
    lines = [
        f"{samples} samples, seeds {', '.join(map(str, seeds))}; all begin with the same noise.",
        "What samplers draw on the way depends on the device and the batch: one sampler under two",
        "names (`seeds2`, `dpmpp_2s_sde`) may have two figures.",
    ]
    if samples < 10_000:
        lines += [
            "**A first table**: the full one has 10,000 samples and three seeds. Few samples make",
            "all distances too large, by about the same.",
        ]
    lines += [
        "Behind a distance in brackets: the number of its seeds, where it has fewer.",
        f"10,000 real training images: {real:.3f}.",
    ]
    if limit:
        (row, nfe), estimate = limit
        lines.append(f"`{row}` with {nfe} evaluations: {cell(estimate, False, len(seeds))}.")
    return "\n".join(lines)


def main() -> None:
    """Write the page and the picture."""
    made = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    made.add_argument("--samples", type=int, default=10_000, help="results with so many samples")
    made.add_argument("--results", type=Path, default=RESULTS)
    given = made.parse_args()
    results = [r for r in stored(given.results) if r["samples"] == given.samples]
    if not results:
        raise SystemExit(f"{given.results} has no results with {given.samples} samples")
    found = estimates(results)
    limit = max(
        (item for item in found.items() if item[0][1] == MANY),
        key=lambda item: item[0][1],
        default=None,
    )
    real = distance(classifier.real_moments("test"), classifier.real_moments("train"))
    by_budget = sorted((r for r in results if "chosen" in r), key=lambda r: r["nfe"])
    chosen = [f"- {r['nfe']}: {r['chosen']}." for r in by_budget]
    page = PAGE.read_text(encoding="utf-8")
    about = heading(results, limit, real)
    everything = sorted({row for row, nfe in found if nfe <= BUDGETS[-1]})
    ALL.write_text(
        f"# All rows\n\nMade by `report.py`; what they are: [README.md](README.md).\n\n{about}\n\n"
        f"{table(found, [('All rows', everything)])}\n",
        encoding="utf-8",
    )
    parts = {
        "table": f"{about}\n\n{table(found, sections(found))}",
        "verdicts": "\n".join(f"- {line}" for line in verdicts(found, limit)),
        "choices": "\n".join(dict.fromkeys(chosen)),
    }
    for name, text in parts.items():
        page = written(page, name, text)
    PAGE.write_text(page, encoding="utf-8")
    picture(found, limit)


if __name__ == "__main__":
    main()
