"""Rows with noise: one draw for each part of a step, shared by all that comes after it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import pytest

from semilinear import methods
from semilinear.methods import Multistep, Tableau, sequence
from semilinear.methods.noise import TRANSITION, with_noise
from semilinear.methods.rows import BASE, NEW, Combine, Draw, Evaluate, Increment, Step
from semilinear.methods.simplified import dpm_multistep, sa_solver, unipc
from semilinear.methods.singlestep import dpm2, dpm3, res3
from semilinear.phi import phi

HALF = Fraction(1, 2)
METHODS = {
    **{
        name: method
        for name in methods.names()
        if isinstance(method := methods.get(name), methods.GridMethod)
    },
    **{m.name: m for m in (dpm2(), dpm3(), res3(), res3(1, HALF))},
    **{m.name: m for m in (dpm_multistep(3), unipc(3), sa_solver(), sa_solver(mode="PECE"))},
    **{f"lawson({name})": methods.lawson(t) for name, t in methods.CLASSICAL.items()},
}
each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)


def steps(method: Tableau | Multistep) -> list[Step]:
    return list({id(s): s for s in sequence(method, 9)}.values())


def increments(row: Combine) -> dict[str, Increment]:
    return {name: weight for name, weight in row.inputs if isinstance(weight, Increment)}


def silent(row: Combine | Evaluate) -> Combine | Evaluate:
    if not isinstance(row, Combine):
        return row
    noise = increments(row)
    return replace(row, inputs=tuple(pair for pair in row.inputs if pair[0] not in noise))


@each_method
def test_every_row_sees_the_noise_of_all_before_it(method: Tableau | Multistep) -> None:
    for step in steps(method):
        noisy = with_noise(step)
        positions = {row.position for row in step.instructions if isinstance(row, Combine)}
        for row in noisy.instructions:
            if not isinstance(row, Combine):
                continue
            here = row.position
            parts = [(w.frm, w.to) for w in increments(row).values()]
            # They tile the step up to here, and end at positions of rows.
            assert [frm for frm, _ in parts] == [Fraction(0), *(to for _, to in parts)][:-1]
            assert parts[-1][1] == here
            assert {to for _, to in parts} == {p for p in positions if p <= here}
            assert {w.at for w in increments(row).values()} == {here}


@each_method
def test_each_part_is_drawn_once_before_it_is_read(method: Tableau | Multistep) -> None:
    for step in steps(method):
        drawn: dict[str, tuple[Fraction, Fraction] | None] = {}
        for row in with_noise(step).instructions:
            if isinstance(row, Draw):
                assert row.slot not in drawn
                drawn[row.slot] = None
            elif isinstance(row, Combine):
                for name, weight in increments(row).items():
                    assert name in drawn
                    assert drawn[name] in (None, (weight.frm, weight.to)), "one draw, one part"
                    drawn[name] = weight.frm, weight.to
        assert None not in drawn.values(), "what is drawn is read"


@each_method
def test_what_a_step_does_without_noise_stays(method: Tableau | Multistep) -> None:
    for step in steps(method):
        noisy = with_noise(step)
        plain = [
            replace(
                row, inputs=tuple(pair for pair in row.inputs if pair[0] not in increments(row))
            )
            if isinstance(row, Combine)
            else row
            for row in noisy.instructions
            if not isinstance(row, Draw)
        ]
        assert tuple(plain) == step.instructions
        assert (noisy.carry, noisy.history, noisy.raw) == (step.carry, step.history, step.raw)
        assert noisy.evaluations == step.evaluations
        assert with_noise(step) is noisy, "made once, so that steps are grouped"


def test_predictor_and_corrector_share_their_draw() -> None:
    """SA-Solver, algorithm 1: the same xi in both."""
    step = with_noise(sa_solver().step(1, evaluated=True))
    assert sum(isinstance(row, Draw) for row in step.instructions) == 1
    rows = [row for row in step.instructions if isinstance(row, Combine)]
    assert increments(rows[0]) == increments(rows[1])
    assert isinstance(step.instructions[0], Draw)


def test_stages_cut_a_step_where_they_lie() -> None:
    step = with_noise(res3(1, HALF).step())
    u2, u3, new = (row for row in step.instructions if isinstance(row, Combine))
    first, second = Increment(Fraction(0), HALF, HALF), Increment(HALF, Fraction(1), Fraction(1))
    assert increments(u3) == {"z1": first}
    whole = {"z1": replace(first, at=Fraction(1)), "z2": second}
    assert increments(u2) == increments(new) == whole


def test_a_transition_is_the_linear_part_and_its_noise() -> None:
    draw, row = TRANSITION.instructions
    assert isinstance(draw, Draw)
    assert isinstance(row, Combine)
    assert row.states == ((BASE, phi(0)),)
    assert increments(row) == {draw.slot: Increment(Fraction(0), Fraction(1), Fraction(1))}
    assert TRANSITION.carry == ((BASE, NEW),)
    assert TRANSITION.evaluations == 0


def test_a_difference_of_states_gains_nothing() -> None:
    """Both states have seen the same noise."""
    zero = phi(0) - phi(0)
    plain = dpm2().step()
    difference = Combine("e", states=(("U2", phi(0)), ("y+", zero)), inputs=())
    step = with_noise(replace(plain, instructions=(*plain.instructions, difference)))
    assert step.instructions[-1] == difference
    assert step.instructions[:-1] == with_noise(plain).instructions


def test_parts_follow_one_another() -> None:
    for method in (dpm3(), methods.get("luan_ostermann5")):
        last = [row for row in with_noise(method.step()).instructions if isinstance(row, Combine)][
            -1
        ]
        parts = list(increments(last).values())
        assert all(one.to == other.frm for one, other in pairwise(parts))
        assert parts[-1].to == 1
