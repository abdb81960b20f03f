"""Steps as mixes, asks and draws: what segments are cut from."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from semilinear.methods.rows import Combine, Draw, Step


class Mix(NamedTuple):
    """``dst = sum_i coefficient_i * source_i``, coefficients by index within the step."""

    dst: str
    sources: tuple[str, ...]
    first: int


class Noise(NamedTuple):
    """Draw noise under a name."""

    name: str


class Ask(NamedTuple):
    """Evaluate at a state; the answer appears under a name."""

    state: str
    answer: str
    at: Any


Item = Mix | Ask | Noise


@dataclass(frozen=True, slots=True, eq=False)
class Lowered:
    """A step as mixes and asks."""

    items: tuple[Item, ...]
    carry: tuple[tuple[str, str], ...]
    asks: tuple[Ask, ...]
    shown: tuple[str, ...] = ()
    passive: bool = False


@lru_cache(maxsize=1024)
def lower(step: Step, *, told: bool) -> Lowered:
    """Lower a step to mixes and asks.

    Parameters
    ----------
    told
        Whether an answer must first be turned into N = p * state + q * answer; p and q are then the
        last coefficients of the step, two for each evaluation in order.
    """
    items: list[Item] = []
    own, tell = 0, sum(len(i.sources) for i in step.instructions if isinstance(i, Combine))
    for instruction in step.instructions:
        if isinstance(instruction, Combine):
            items.append(Mix(instruction.dst, instruction.sources, own))
            own += len(instruction.sources)
        elif isinstance(instruction, Draw):
            items.append(Noise(instruction.slot))
        elif told and not step.raw:
            answer = f"answer for {instruction.slot}"
            items.append(Ask(instruction.state, answer, instruction.at))
            items.append(Mix(instruction.slot, (instruction.state, answer), tell))
            tell += 2
        else:
            items.append(Ask(instruction.state, instruction.slot, instruction.at))
    asks = tuple(item for item in items if isinstance(item, Ask))
    return Lowered(tuple(items), step.carry, asks, step.shown, step.passive)
