"""From rows to segments: what runs between two evaluations, as one pass over memory.

Rows between two evaluations are linear, so they compose: every value that is still needed
afterwards is one linear combination of what the segment finds (the slots) and the answer. A
segment's `Code` is its structure, made once for all steps of the same shape; its numbers are sums
of products of the coefficients of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from semilinear.lowering import Ask, Item, Lowered, Mix
from semilinear.methods.rows import BASE

Reference = tuple[int, int]
"""(0 for this step, 1 for the next one, ...; index of the coefficient within its step)."""

Product = tuple[Reference, ...]
Form = dict[int, list[Product]]
"""Linear form over the environment: index -> sum of products of coefficients."""


@dataclass(frozen=True, slots=True, eq=False)
class Code:
    """Structure of a segment; compared by identity.

    `pick` takes the sources out of (slots, answer, draws), `keep` the new slots out of (slots,
    answer, draws, outputs); `asked` is the slot that the model sees next; `completes` tells how
    many steps end here.
    """

    pick: Callable[[tuple[Any, ...]], tuple[Any, ...]]
    keep: Callable[[tuple[Any, ...]], tuple[Any, ...]]
    asked: int
    slots: tuple[str, ...]
    sources: tuple[int, ...]
    recipe: tuple[Form, ...]
    completes: int
    draws: int
    plain: tuple[int, ...] | None
    reach: int
    """From how many steps, this one and those after it, coefficients are read."""


class Segment(NamedTuple):
    """A code with its numbers: a matrix of outputs times sources."""

    code: Code
    coefficients: Any


@lru_cache(maxsize=1024)
def opening(
    step: Lowered,
    slots: tuple[str, ...] = (BASE,),
    carry: tuple[tuple[str, str], ...] = ((BASE, BASE),),
    following: tuple[Lowered, ...] = (),
    *,
    completes: int = 0,
) -> Code:
    """Return the code that runs before the first evaluation of a step that nothing runs into.

    Coefficients of the step count as those of the next one: (1, index).

    Parameters
    ----------
    slots
        Names of what the segment finds.
    carry
        Which of them the step sees, under which name: how an attempt is taken up or given up.
    following
        The steps after it, if it asks for nothing itself; see `between`.
    completes
        Whether the step before is complete with it.
    """
    blocks, last = _until_asking((step, *following))
    return _compile(slots, [([], carry), *blocks], last, completes=completes)


@lru_cache(maxsize=4096)
def between(
    step: Lowered, ask: int, slots: tuple[str, ...], following: tuple[Lowered, ...] = ()
) -> Code:
    """Return the code that runs after evaluation number `ask` of a step.

    Parameters
    ----------
    slots
        Names of what the segment finds.
    following
        The steps after this one if `ask` is its last, up to the first that asks; none at the end of
        the run.
    """
    names = (*slots, step.asks[ask].answer)
    rest = _until_ask(step, ask + 1)
    if ask + 1 < len(step.asks):
        return _compile(names, [(rest, None)], step)
    blocks, last = _until_asking(following)
    ended = [step, *following] if last is None else [step, *following[:-1]]
    keep = (BASE, *(name for each in ended for name in each.shown))
    completes = sum(not each.passive for each in ended)
    return _compile(names, [(rest, step.carry), *blocks], last, keep=keep, completes=completes)


@lru_cache(maxsize=1024)
def closing(
    step: Lowered, slots: tuple[str, ...], keep: tuple[str, ...], *, completes: int = 0
) -> Code:
    """Return the code that runs after the last evaluation of a step and keeps `keep` of it.

    What comes next is decided on these values: an attempt that is rejected has lost nothing.
    """
    last = len(step.asks) - 1
    names = (*slots, step.asks[last].answer)
    block = (_until_ask(step, last + 1), None)
    return _compile(names, [block], None, keep=keep, completes=completes)


@lru_cache(maxsize=1024)
def settling(slots: tuple[str, ...], carry: tuple[tuple[str, str], ...]) -> Code:
    """Return the code that completes a step and renames what is kept; nothing is asked after it."""
    keep = tuple(new for new, _ in carry)
    return _compile(slots, [([], carry)], None, keep=keep, completes=1)


def _until_ask(step: Lowered, number: int) -> list[Item]:
    """Return the mixes since the evaluation before `number`, and that ask itself."""
    seen = 0
    taken: list[Item] = []
    for item in step.items:
        if isinstance(item, Ask):
            if seen == number:
                return [*taken, item]
            seen += 1
        elif seen == number:
            taken.append(item)
    return taken


Block = tuple[list[Item], tuple[tuple[str, str], ...] | None]
"""Items, and the renaming after them where a step ends."""


def _until_asking(steps: tuple[Lowered, ...]) -> tuple[list[Block], Lowered | None]:
    """Return all before the first ask of steps, of which none but the last asks, and that step."""
    blocks = [(_until_ask(step, 0), None if step.asks else step.carry) for step in steps]
    return blocks, steps[-1] if steps and steps[-1].asks else None


def _compile(
    names: tuple[str, ...],
    blocks: list[Block],
    last: Lowered | None,
    *,
    keep: tuple[str, ...] = (BASE,),
    completes: int = 0,
) -> Code:
    """Compile blocks of items, the last of them belonging to the step `last`."""
    values: dict[str, Form] = {name: {i: [()]} for i, name in enumerate(names)}
    ask: Ask | None = None
    draws = 0
    for block, (items, carry) in enumerate(blocks):
        for item in items:
            if isinstance(item, Ask):
                ask = item
            elif isinstance(item, Mix):
                values[item.dst] = _mixed(values, item, block)
            else:
                values[item.name] = {len(names) + draws: [()]}
                draws += 1
        if carry is not None:
            values = {new: values[old] for new, old in carry if old in values}
    if ask is None or last is None:
        live, asked = {name: values[name] for name in keep if name in values}, BASE
    else:
        shown = set(keep) - {BASE}
        needed = _needed_after(last, ask) | {ask.state} | shown
        live, asked = {n: form for n, form in values.items() if n in needed}, ask.state
    return _finish(len(names) + draws, draws, live, asked, completes=completes)


def _mixed(values: dict[str, Form], mix: Mix, block: int) -> Form:
    total: Form = {}
    for offset, source in enumerate(mix.sources):
        reference = (block, mix.first + offset)
        for index, products in values[source].items():
            total.setdefault(index, []).extend((*p, reference) for p in products)
    return total


def _needed_after(step: Lowered, ask: Ask) -> set[str]:
    position = step.items.index(ask)
    needed = {old for _, old in step.carry}
    for item in reversed(step.items[position + 1 :]):
        if isinstance(item, Mix):
            needed.discard(item.dst)
            needed.update(item.sources)
        elif isinstance(item, Ask):
            needed.discard(item.answer)
            needed.add(item.state)
        else:
            needed.discard(item.name)
    return needed - {ask.answer}


def _finish(count: int, draws: int, live: dict[str, Form], asked: str, *, completes: int) -> Code:
    outputs: list[Form] = []
    kept: list[int] = []
    for form in live.values():
        if len(form) == 1 and next(iter(form.values())) == [()]:
            kept.append(next(iter(form)))
        elif form in outputs:
            kept.append(count + outputs.index(form))
        else:
            kept.append(count + len(outputs))
            outputs.append(form)
    sources = tuple(sorted({index for form in outputs for index in form}))
    names = tuple(live)
    return Code(
        _getter(sources),
        _getter(kept),
        names.index(asked),
        names,
        sources,
        tuple(outputs),
        completes,
        draws,
        _plain(outputs, sources),
        _reach(outputs),
    )


def _reach(outputs: list[Form]) -> int:
    """Return one more than the highest number of a step that is referred to."""
    products = [p for form in outputs for found in form.values() for p in found]
    return 1 + max((step for product in products for step, _ in product), default=-1)


def _plain(outputs: list[Form], sources: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the coefficients of the one output if it is a row of this step as it stands."""
    if len(outputs) != 1:
        return None
    products = [outputs[0][source] for source in sources]
    if any(len(p) != 1 or len(p[0]) != 1 or p[0][0][0] != 0 for p in products):
        return None
    return tuple(p[0][0][1] for p in products)


def _getter(indices: Sequence[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    if len(indices) > 1:
        return itemgetter(*indices)
    if not indices:
        return _nothing
    return itemgetter(slice(indices[0], indices[0] + 1))


def _nothing(env: tuple[Any, ...]) -> tuple[Any, ...]:
    return ()


def numbers(code: Code, *steps: Any, matrix: bool) -> list[Any]:
    """Return the coefficients of a segment, outputs by sources.

    Parameters
    ----------
    steps
        Coefficients of this step and of those after it that the segment runs into: numbers, arrays
        over steps, arrays over the entries of a state, or matrices.
    matrix
        Whether two-dimensional coefficients multiply as matrices.
    """

    def product(references: Product) -> Any:
        value: Any = None
        for block, index in references:
            factor = steps[block][index]
            if value is None:  # not 1.0 * factor: a copy of every array
                value = factor
            else:  # later rows act on earlier ones from the left
                value = _matmul(factor, value) if matrix else factor * value
        return 1.0 if value is None else value

    def entry(products: list[Product]) -> Any:
        total = product(products[0])
        for references in products[1:]:
            total = total + product(references)
        return total

    return [
        [entry(form[index]) if index in form else 0.0 for index in code.sources]
        for form in code.recipe
    ]


def _matmul(left: Any, right: Any) -> Any:
    if np.ndim(left) == 2 and np.ndim(right) == 2:
        return left @ right
    return left * right
