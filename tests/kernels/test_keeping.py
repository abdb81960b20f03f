"""Copies of answers that are made in the pass over memory, against the pass and a copy apart."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from semilinear.kernels import COMPILED_FROM, backend_for, keeping_backend_for  # noqa: E402

SHAPE = (2, 3, 16, 16)
ROWS = np.array([[0.7, -1.3, 0.4], [0.1, 0.2, 0.3]])


def tensors(dtype, count=3):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(SHAPE, generator=generator, dtype=dtype) for _ in range(count)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("at", [0, 1, 2, None])
@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_the_pass_is_the_same_and_the_copy_is_made(dtype, at, rows, layout) -> None:
    states = tensors(dtype)
    answer = tensors(dtype, 4)[-1].to(memory_format=layout)
    place = torch.full(SHAPE, torch.nan, dtype=dtype)
    backend, plain = keeping_backend_for(states[0]), backend_for(states[0])
    handed = backend.receive(answer, place)
    assert handed is place
    sources = [backend.take(x) for x in states]
    if at is not None:
        sources[at] = backend.take(handed)
        states[at] = answer
    found, finite = backend.combine_scalar(ROWS[:rows], tuple(sources), True)
    expected, _ = plain.combine_scalar(ROWS[:rows], tuple(map(plain.take, states)), True)
    assert finite
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert torch.equal(place, answer)
    # It is over: what comes next is written by nobody.
    place.fill_(1.0)
    backend.combine_scalar(ROWS[:1], tuple(map(plain.take, states)), True)
    assert (place == 1.0).all()


def test_an_answer_that_no_pass_reads_is_there_when_it_is_looked_at() -> None:
    first, answer = tensors(torch.float32, 2)
    backend, place = keeping_backend_for(first), torch.zeros(SHAPE)
    native = backend.take(backend.receive(answer, place))
    assert backend.is_finite(native)
    assert torch.equal(place, answer)
    answer[0, 0, 0, 0] = torch.inf
    native = backend.take(backend.receive(answer, place))
    assert not backend.is_finite(native)
    native = backend.take(backend.receive(answer, place))
    _, finite = backend.combine_scalar(ROWS[:1, :2], (native, backend.take(first)), True)
    assert not finite
    assert torch.equal(place, answer)


def test_a_copied_backend_does_not_mistake_the_memory_of_its_answers() -> None:
    first, answer = tensors(torch.float32, 2)
    backend, place = keeping_backend_for(first), torch.zeros(SHAPE)
    backend.is_finite(backend.take(backend.receive(first, place)))
    backend, place = copy.deepcopy((backend, place))
    handed = backend.receive(answer.to(memory_format=torch.channels_last), place)
    assert np.array_equal(backend.take(handed), answer.numpy().ravel())


def test_only_what_compiled_kernels_serve_is_kept_so() -> None:
    assert keeping_backend_for(torch.zeros(COMPILED_FROM)) is not None
    assert keeping_backend_for(torch.zeros(COMPILED_FROM - 1)) is None
    assert keeping_backend_for(torch.zeros(COMPILED_FROM, requires_grad=True)) is None
    assert keeping_backend_for(torch.zeros(COMPILED_FROM, dtype=torch.bfloat16)) is None


@pytest.mark.parametrize("size", [256, 1023, 1024, 1025, 2048, 3001])
def test_every_entry_of_every_block(size) -> None:
    states = [torch.randn(size, generator=torch.Generator().manual_seed(s)) for s in range(3)]
    for last in (1.0, torch.nan):
        states[1][-1] = last
        backend, plain = keeping_backend_for(states[0]), backend_for(states[0])
        handed = backend.receive(states[1], torch.full((size,), 7.0))
        sources = tuple(backend.take(x) for x in (states[0], handed, states[2]))
        (found,), finite = backend.combine_scalar(ROWS[:1], sources, True)
        (expected,), _ = plain.combine_scalar(ROWS[:1], tuple(map(plain.take, states)), True)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(handed.numpy(), states[1].numpy())
        assert finite is (last == 1.0)
