"""Results of work-precision studies: tables, documents, and the work that an error takes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from semilinear.errors import InvalidArgument, UnknownName, shown
from semilinear.given import number
from semilinear.studies import text

MEASURES = ("evaluations", "seconds", "steps")


@dataclass(frozen=True)
class Point:
    """One run.

    Parameters
    ----------
    tolerance
        Relative tolerance of an adaptive run, None on a fixed grid.
    steps, rejected
        Steps made, and attempts refused.
    evaluations
        Of N, those of refused attempts included.
    seconds
        Median time of a whole solve, coefficients included; NaN if it was not measured.
    error
        Relative error at t1, infinite where the run failed.
    """

    tolerance: float | None
    steps: int
    rejected: int
    evaluations: int
    seconds: float
    error: float


@dataclass(frozen=True)
class Curve:
    """What one method did, at fixed or at adaptive steps.

    Parameters
    ----------
    method
        Its name.
    order
        As declared.
    adaptive
        Whether its steps were chosen by tolerances.
    points
        From coarse to fine.
    """

    method: str
    order: int
    adaptive: bool
    points: tuple[Point, ...]

    @property
    def label(self) -> str:
        """The method, and whether its steps were adaptive."""
        return f"{self.method}, adaptive" if self.adaptive else self.method


@dataclass(frozen=True)
class WorkPrecision:
    """Result of `work_precision`.

    Parameters
    ----------
    problem
        Name of the problem, or of its type if it has none.
    t_span, start, repeats
        As given.
    timing
        ``"alone"``, or ``"shared"`` if an executor ran several solves at a time: such seconds are
        no measure of what one solve takes.
    reference, disagreement
        What errors are measured against; if it was computed, its relative difference from a check.
    curves
        For each method one at fixed steps, one at adaptive steps, or both.
    """

    problem: str
    t_span: tuple[float, float]
    start: str
    repeats: int
    timing: str
    reference: str
    disagreement: float | None
    curves: tuple[Curve, ...]

    def table(self) -> str:
        """Return the study as aligned text, one line for each run; ``-`` where nothing is known."""
        rows = [["method", "rtol", "steps", "rejected", "nfev", "seconds", "error"]]
        for curve in self.curves:
            for p in curve.points:
                tolerance = "-" if p.tolerance is None else f"{p.tolerance:.0e}"
                counts = [str(p.steps), str(p.rejected), str(p.evaluations)]
                seconds = text.number(p.seconds, ".2e")
                rows.append([curve.method, tolerance, *counts, seconds, f"{p.error:.1e}"])
        t0, t1 = self.t_span
        title = f"{self.problem}, t = {t0:g} .. {t1:g}; errors against {self.reference}"
        timing = f"seconds: median of {self.repeats}"
        if self.repeats == 0:
            timing = "seconds: not measured"
        elif self.timing == "shared":
            timing += ", taken while an executor ran other solves"
        return "\n".join([title, timing, "", text.aligned(rows)])

    def work_at(self, error: float, *, measure: str = "evaluations") -> dict[str, float]:
        """Return the work at which each curve reaches an error, by its label.

        Between two runs the logarithms are interpolated linearly; NaN where the error does not lie
        between those of two neighbouring runs.

        Parameters
        ----------
        error
            Relative error at t1.
        measure
            ``"evaluations"``, ``"seconds"`` or ``"steps"``.

        Raises
        ------
        InvalidArgument
            If the measure is unknown or the error not positive.
        """
        UnknownName.check("measure", measure, MEASURES)
        level = number(error)
        if not 0 < level < math.inf:
            raise InvalidArgument(f"error={shown(error)} must be positive and finite")
        return {
            curve.label: _crossing([(getattr(p, measure), p.error) for p in curve.points], level)
            for curve in self.curves
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the study as plain Python objects; None stands for NaN and infinity."""
        return text.plain(asdict(self))

    def to_json(self) -> str:
        """Return the study as a JSON document."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False)

    def to_csv(self) -> str:
        """Return the study as a CSV document, one row for each run.

        NaN and None become empty cells, infinity ``inf``.
        """
        head = ["problem", "method", "order", "adaptive", "tolerance", "steps", "rejected"]
        rows = [
            [self.problem, curve.method, curve.order, curve.adaptive, *asdict(point).values()]
            for curve in self.curves
            for point in curve.points
        ]
        return text.csv_text([*head, "evaluations", "seconds", "error"], rows)


def _crossing(runs: Sequence[tuple[float, float]], error: float) -> float:
    """Return the work at an error, by the first neighbours that have it between them."""
    usable = [(work, e) for work, e in runs if 0 < e < math.inf and work > 0]
    for (a, e), (b, f) in pairwise(usable):
        if f <= error <= e and f < e:
            part = math.log(e / error) / math.log(e / f)
            return float(a * (b / a) ** part)
    return math.nan
