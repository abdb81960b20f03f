"""The language in which every method is written: straight-line rows with symbolic weights.

A step is a sequence of instructions: ``Combine`` (a linear combination of states and of values of
N), ``Evaluate`` (ask for N at a state), ``Draw`` (noise). What a method *is* stands in these rows
and nowhere else; a plan fills the weights in with numbers for a propagator and a grid.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

from semilinear.methods.ratios import Ratio
from semilinear.phi import Phi

BASE = "y"
"""Name of the state at the start of a step."""

NEW = "y+"
"""Name of the state at the end of a step."""

PREDICTED = "P"
"""Name of a first approximation of it."""

BEFORE = "y before"
"""Name of the state at the start of a step that asks for nothing, and is run into."""

ERROR = "E"
"""Name of an estimate of its error."""

ERROR_BEFORE = "E before"
"""Name of that of the step before a step that asks for nothing, and is run into."""

UNIT = "1"
"""Name of an array of ones like the state, which known terms of the equation multiply."""


@dataclass(frozen=True)
class Lagrange:
    """Weight of the value of N at one node of an interpolation polynomial.

    ``int Psi(t_{n+1}, s) B(s) l_j(s) ds`` over the step, where l_j is the Lagrange polynomial of
    the grid points ``t_{n+q}``, q in `nodes`, which is 1 at ``nodes[j]``.

    Published samplers simplify it: with theta = (s - t_n) / h, ``(m, weight)`` in `moments` puts
    `weight` in the place of ``int Psi B theta^m ds / h = m! phi_{m+1}``.
    """

    j: int
    nodes: tuple[int, ...]
    moments: tuple[tuple[int, Phi], ...] = ()


@dataclass(frozen=True)
class Increment:
    """Weight of standard normal noise: what enters over a part of a step, seen later in it.

    ``Psi(at, to) S`` with ``S^2`` the variance of ``int_frm^to Psi(to, s) dW(s)``.
    """

    frm: Fraction
    to: Fraction
    at: Fraction


@dataclass(frozen=True)
class Spaced:
    """Weight of a value of N that depends on the spacing of the grid: ``ratio * weight``.

    Published weights for variable steps that are not the exact ones; see `methods.ratios`.
    """

    ratio: Ratio
    weight: Phi


@dataclass(frozen=True)
class Remainder:
    """Weight of the array of ones: what the weights of a row leave of the known part of N.

    A linear part may know a part m(t) of N beforehand. Then N - m is the polynomial, and m is
    integrated as it is: ``int_0^to Psi(to, s) B(s) m(s) ds - sum_j weight_j m(t_j)`` is what a row
    at `to` lacks whose weights see all of N.

    Parameters
    ----------
    to
        Position of the row.
    inputs
        ``(position, weight)`` of its values of N; whole numbers are grid points.
    """

    to: Fraction
    inputs: tuple[tuple[Fraction, Phi | Lagrange | Spaced], ...]


Weight = Phi | Lagrange | Increment | Spaced | Remainder


@dataclass(frozen=True)
class Combine:
    """``dst = sum Psi-weight * state + h * sum weight * N``."""

    dst: str
    states: tuple[tuple[str, Phi], ...]
    inputs: tuple[tuple[str, Weight], ...]

    @property
    def sources(self) -> tuple[str, ...]:
        """Names that are read, states first."""
        return tuple(name for name, _ in (*self.states, *self.inputs))

    @property
    def is_state(self) -> bool:
        """Whether the row makes a state, and not a difference of states."""
        return any(name == BASE for name, _ in self.states)

    @property
    def position(self) -> Fraction:
        """Where in the step the value lies: where the flow takes the base state, else its end."""
        for name, weight in self.states:
            if name == BASE:
                return max(to for (_, _, to), _ in weight)
        return Fraction(1)


@dataclass(frozen=True)
class Evaluate:
    """Ask for N at `state`, at the position `at` of the step; the answer is kept in `slot`."""

    state: str
    at: Fraction
    slot: str


@dataclass(frozen=True)
class Draw:
    """Draw standard normal noise into `slot`; rows that read the same slot share it."""

    slot: str


Instruction = Combine | Evaluate | Draw


@dataclass(frozen=True, eq=False)
class Step:
    """One step: instructions, and what the next step finds under which name.

    Steps are compared by identity: a method makes each of its steps once.

    Parameters
    ----------
    instructions
        In the order in which they run.
    carry
        (name in the next step, name in this step); must bring ``"y"``.
    history
        How many grid points before the start of the step the weights look at.
    raw
        Whether slots hold answers as the model gives them, whatever a plan would turn them into.
    passive
        Whether it is no step of the method, but what lies between two of them.
    shown
        Names, as the next step finds them, that can be read once the step is complete, and that
        nothing else needs.
    """

    instructions: tuple[Instruction, ...]
    carry: tuple[tuple[str, str], ...]
    history: int = 0
    raw: bool = False
    passive: bool = False
    shown: tuple[str, ...] = ()
    evaluations: int = field(init=False)

    def __post_init__(self) -> None:
        count = sum(isinstance(i, Evaluate) for i in self.instructions)
        object.__setattr__(self, "evaluations", count)
