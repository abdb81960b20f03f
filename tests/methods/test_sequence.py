"""The steps of a run: what is evaluated where, and what is handed on from step to step."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from semilinear import methods
from semilinear.methods import Multistep, sequence
from semilinear.methods.rows import BASE, Combine, Evaluate, Step
from semilinear.methods.simplified import dpm_multistep, sa_solver, unipc

COUNT = 9
METHODS = {
    **{
        name: method
        for name in methods.names()
        if isinstance(method := methods.get(name), methods.GridMethod)
    },
    **{f"ipndm{k}": methods.ipndm(k) for k in range(1, 5)},
    **{m.name: m for m in (dpm_multistep(3), unipc(1), unipc(3, "bh1"), sa_solver(3, 4))},
    **{m.name: m for m in (sa_solver(3, 2), sa_solver(2, 2, mode="PECE"))},
}
MULTISTEP = {name: method for name, method in METHODS.items() if isinstance(method, Multistep)}

each_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
each_multistep = pytest.mark.parametrize("method", MULTISTEP.values(), ids=MULTISTEP)
each_start = pytest.mark.parametrize("start", methods.STARTS)


class Value(NamedTuple):
    """Where a value of N was taken: the grid point, and the state's name in its step."""

    point: float
    state: str


def follow(steps: list[Step]) -> list[dict[str, Value | None]]:
    """Run through the steps with values of N that know where they come from.

    Return what each step found.
    """
    found: dict[str, Value | None] = {BASE: None}
    history = []
    for n, step in enumerate(steps):
        history.append(found)
        values = dict(found)
        for instruction in step.instructions:
            if isinstance(instruction, Combine):
                assert set(instruction.sources) <= set(values), "a row reads what nobody wrote"
                values[instruction.dst] = None
            elif isinstance(instruction, Evaluate):
                assert instruction.state in values
                values[instruction.slot] = Value(n + float(instruction.at), instruction.state)
        assert {old for _, old in step.carry} <= set(values)
        found = {new: values[old] for new, old in step.carry}
    return history


@each_start
@each_method
def test_steps_find_what_they_read_and_bring_a_state(method: methods.Method, start: str) -> None:
    steps = sequence(method, COUNT, start=start)
    assert len(steps) == COUNT
    for found in follow(steps):
        assert BASE in found


@each_start
@each_multistep
def test_past_values_are_those_of_their_grid_points(method: Multistep, start: str) -> None:
    steps = sequence(method, COUNT, start=start)
    corrected = {"P": BASE, "PEC": "P", "PECE": "y+"}[method.mode]
    for n, found in enumerate(follow(steps)):
        past = {name: value for name, value in found.items() if name != BASE}
        for name, value in past.items():
            offset = int(name.removeprefix("N[").removesuffix("]"))
            assert value is not None
            assert value.point == n + offset
            by_start = start == "rk" and value.point < method.history
            first = value.point == (method.history if start == "rk" else 0)
            assert value.state == (BASE if by_start or first else corrected)


@each_start
@each_multistep
def test_weights_look_at_values_that_are_there(method: Multistep, start: str) -> None:
    for n, step in enumerate(sequence(method, COUNT, start=start)):
        assert step.history <= n
        for row in step.instructions:
            for _, weight in row.inputs if isinstance(row, Combine) else ():
                assert all(-step.history <= q <= 1 for q in getattr(weight, "nodes", ()))


def but_the_last_again(method: Multistep, counts: list[int]) -> list[int]:
    """The second evaluation of PECE serves the next step: the last step has none."""
    if method.mode == "PECE":
        counts[-1] -= 1
    return counts


@each_multistep
def test_the_ramp_grows_to_the_whole_history(method: Multistep) -> None:
    steps = sequence(method, COUNT)
    assert [step.history for step in steps] == [min(n, method.history) for n in range(COUNT)]
    per_step = method.evaluations
    first = 1 if method.mode == "P" else per_step + 1
    counts = [first] + [per_step] * (COUNT - 1)
    assert [step.evaluations for step in steps] == but_the_last_again(method, counts)


@each_multistep
def test_runge_kutta_starts_keep_the_order(method: Multistep) -> None:
    steps = sequence(method, COUNT, start="rk")
    starting, rest = steps[: method.history], steps[method.history :]
    stages = {1: 2, 2: 2, 3: 5, 4: 5, 5: 8, 6: 8}[method.order]
    assert [step.evaluations for step in starting] == [stages] * method.history
    assert {step.history for step in starting} <= {0}
    assert {step.history for step in rest} == {method.history}
    first = 1 if method.mode == "P" else method.evaluations + 1
    counts = [first] + [method.evaluations] * (len(rest) - 1)
    assert [step.evaluations for step in rest] == but_the_last_again(method, counts)


@each_start
@each_multistep
def test_the_steady_step_is_one_object(method: Multistep, start: str) -> None:
    steps = sequence(method, COUNT, start=start)
    steady = steps[method.history + 1 : -1 if method.mode == "PECE" else None]
    assert len({id(step) for step in steady}) == 1
    assert sequence(method, COUNT, start=start) == steps, "made once, so plans can be compared"


@each_start
@pytest.mark.parametrize("count", range(1, 6))
def test_a_run_shorter_than_the_history(count: int, start: str) -> None:
    method = methods.etdpec(6)
    steps = sequence(method, count, start=start)
    assert len(steps) == count
    follow(steps)


def test_one_step_methods_repeat_one_step() -> None:
    for method in METHODS.values():
        if not isinstance(method, Multistep):
            steps = sequence(method, COUNT)
            assert steps == sequence(method, COUNT, start="rk")
            assert len({id(step) for step in steps}) == 1
            assert steps[0].carry == ((BASE, "y+"),)


@each_start
@each_multistep
def test_the_degree_falls_again_towards_the_end(method: Multistep, start: str) -> None:
    """DPM-Solver++ and UniPC: the last step looks at no past value, the one before it at one."""
    steps = sequence(method, COUNT, start=start, lower_end=True)
    plain = sequence(method, COUNT, start=start)
    first = method.history if start == "rk" else 0
    for n, (step, other) in enumerate(zip(steps, plain, strict=True)):
        assert step.history == (other.history if n < first else min(other.history, COUNT - 1 - n))
    history = follow(steps)
    for found in history:
        assert BASE in found
    lowered = COUNT - max(1, method.history)
    assert steps[:lowered] == plain[:lowered]
    counts = [sum(step.evaluations for step in made) for made in (steps, plain)]
    assert counts[0] == counts[1], "a lower degree costs the same"


@each_multistep
@pytest.mark.parametrize("count", [1, 2, 3, COUNT])
def test_without_a_last_correction_no_state_is_evaluated_at_the_end(
    method: Multistep, count: int
) -> None:
    steps = sequence(method, count, correct_end=False)
    corrected = sequence(method, count)
    assert steps[:-1] == corrected[:-1]
    asked = [float(row.at) for row in steps[-1].instructions if isinstance(row, Evaluate)]
    assert 1.0 not in asked
    evaluations = sum(step.evaluations for step in steps)
    saved = 0 if method.mode == "P" else 1
    assert evaluations == sum(step.evaluations for step in corrected) - saved
    # One value of N at each grid point but the last; two of PECE where a step has been corrected.
    assert evaluations == count + (count - 1) * (method.mode == "PECE")


@each_multistep
def test_a_lowered_end_meets_the_ramp_in_a_short_run(method: Multistep) -> None:
    for count in range(1, 2 * method.values + 2):
        steps = sequence(method, count, lower_end=True, correct_end=False)
        degrees = [min(n, count - 1 - n, method.history) for n in range(count)]
        assert [step.history for step in steps] == degrees
        follow(steps)


@each_start
@each_method
def test_no_steps(method: methods.Method, start: str) -> None:
    assert sequence(method, 0, start=start, correct_end=False) == []


def test_past_values_that_are_there_shorten_the_ramp() -> None:
    method = methods.get("etdab4")
    steps = sequence(method, COUNT, known=2, lower_end=True)
    assert [step.history for step in steps] == [2, 3, 3, 3, 3, 3, 2, 1, 0]
    assert sequence(method, COUNT, known=3)[0].history == 3


def test_the_predictor_is_read_before_the_corrector_is_made() -> None:
    """P, E, C and, for PECE, E again: the order of the letters is the order of the rows."""
    for name, letters in {"etdab3": "P", "etdpec3": "PEC", "etdpece3": "PECE"}.items():
        steady = sequence(methods.get(name), COUNT)[-2]
        kinds = "".join("E" if isinstance(row, Evaluate) else "C" for row in steady.instructions)
        assert kinds == {"P": "EC", "PEC": "CEC", "PECE": "CECE"}[letters]
