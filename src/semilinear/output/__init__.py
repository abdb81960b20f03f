"""What a run leaves behind: states, a continuous solution, events, and the result around them."""

from __future__ import annotations

from semilinear.output.dense_output import DenseOutput, Interpolant
from semilinear.output.events import parse_events
from semilinear.output.recording import Recorder
from semilinear.output.solution import Solution, make_solution

__all__ = ["DenseOutput", "Interpolant", "Recorder", "Solution", "make_solution", "parse_events"]
