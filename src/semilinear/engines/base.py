"""What an engine is: a problem and a method, ready to run from a state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np

from semilinear.adaptive import AdaptiveCourse
from semilinear.errors import InvalidArgument, ModelOutputError
from semilinear.kernels import Backend
from semilinear.kernels.reference import plain_array
from semilinear.output import Recorder
from semilinear.propagators import Propagator

NUMPY = np.ndarray, np.generic


class Engine(ABC):
    """A run that is about to be made.

    Attributes
    ----------
    evaluations
        Evaluations of N so far.
    steps, rejected
        Steps made, and attempts refused, so far.
    failure
        Why the run ended before its time; empty if it did not.
    most
        Evaluations of N that adaptive steps may cost; without limit by default.
    linear
        The linear part for which the values of N hold that the engine shows to a recorder.
    """

    def __init__(
        self, linear: Propagator, nonlinear: Callable[..., Any], args: tuple[Any, ...]
    ) -> None:
        self.linear, self.nonlinear, self.args = linear, nonlinear, args
        self.evaluations = 0
        self.steps = 0
        self.rejected = 0
        self.failure = ""
        self.most = np.inf
        self._held: tuple[Any, int] = (None, 0)

    def evaluate(self, y: Any, t: float) -> Any:
        """Return N(t, y), counted.

        With NumPy states N gets an array of its own and what it returns is copied, if it is an
        array: N may write to the one, and return the other again and again. Other libraries' arrays
        go to and fro as they are.
        """
        self.evaluations += 1
        if isinstance(y, NUMPY):
            output = self.nonlinear(t, y.copy(), *self.args)
            plain = plain_array(output) if hasattr(output, "__array__") else None
            return output if plain is None else np.array(plain, order="C")
        output = self.nonlinear(t, y, *self.args)
        self._check_held(output)
        return output

    def _check_held(self, output: Any) -> None:
        """Refuse an N that overwrites what it returned before, which tensors of PyTorch count."""
        held, version = self._held
        if held is not None and held._version != version:
            raise ModelOutputError(
                f"evaluation {self.evaluations} overwrote the tensor that nonlinear had returned "
                "before; return a new one each time"
            )
        try:
            self._held = output, output._version
        except (AttributeError, RuntimeError):  # no tensor, or one without a count of versions
            self._held = None, 0

    def has_spent(self, t: float) -> bool:
        """Tell whether no evaluation is left; then the run fails at t."""
        if self.evaluations < self.most:
            return False
        self.failure = self.out_of_evaluations(t)
        return True

    def out_of_evaluations(self, t: float) -> str:
        """Say that a run ends for want of evaluations."""
        return (
            f"max_nfe={self.most:.0f}: evaluations ran out at t = {t:.9g}, after {self.steps} "
            "steps; allow more, or give larger tolerances"
        )

    def slope(self, y: Any, t: float) -> Any:
        """Return N as the engine shows it to a recorder."""
        return self.evaluate(y, t)

    @abstractmethod
    def run(self, y: Any, recorder: Recorder) -> None:
        """Make the run and show its grid points to the recorder."""


def check_sees_time(engine: Engine, course: AdaptiveCourse, y: Any) -> None:
    """Refuse a method whose estimate does not see how N depends on time, if N does.

    Costs five evaluations, of such methods only.

    Raises
    ------
    InvalidArgument
        With the remedy.
    """
    if not course.is_blind_to_time:
        return
    t0, t1 = course.t0, course.t1
    backend = Backend(y)
    places = (0.0, 0.0123, 0.309, 0.618, 0.951)
    taken = [backend.take(engine.evaluate(y, t0 + c * (t1 - t0))) for c in places]
    values = [value for value in taken if value is not None]
    if len(values) < len(taken):
        return  # what is wrong with them is said where they are used
    if any(backend.largest(values[0] - value) > 0.0 for value in values[1:]):
        raise InvalidArgument(
            f"method: the error estimate of {course.name} does not see a change of {course.asks} "
            f"with time, and {course.asks} depends on t; take zoto_bowman43 or etdpec, or fix the "
            "steps"
        )
