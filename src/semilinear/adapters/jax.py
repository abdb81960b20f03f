"""Plans inside JAX: a whole run as one `jax.lax.scan`, and run states as pytrees.

`sample` is a pure function: it can be jitted, differentiated and mapped. It runs the table of a
plan (`Plan.table`). Importing this module registers `semilinear.course.State` with JAX.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from semilinear.answers import checked_array
from semilinear.course import State
from semilinear.errors import InvalidArgument, MissingDependency, ModelOutputError, shown
from semilinear.plan import Plan
from semilinear.plan_table import Table
from semilinear.propagators.base import refuse_real_state

try:
    import jax
    import jax.numpy as jnp
except ImportError:
    raise MissingDependency.of("jax", "jax") from None

__all__ = ["KeyNoise", "register", "sample"]


class KeyNoise:
    """Normal numbers from a key, for ``plan.start(x, noise=...)``: those of `sample`.

    Draw number i after k evaluations is ``jax.random.normal(fold_in(fold_in(key, k), i))``.

    Parameters
    ----------
    key
        One key of `jax.random` for the whole array, or an array of keys, one for each sample along
        the first axis: then a sample depends on its own key alone.
    like
        An array like the states; real.
    """

    def __init__(self, key: Any, like: Any) -> None:
        if not jnp.issubdtype(getattr(key, "dtype", None), jax.dtypes.prng_key):
            try:
                key = jax.random.wrap_key_data(jnp.asarray(key))
            except (TypeError, ValueError):
                raise InvalidArgument(
                    f"key={shown(key)} is no key; make one of a number by jax.random.key(0)"
                ) from None
        shape = tuple(like.shape)
        if not jnp.issubdtype(like.dtype, jnp.floating):
            raise InvalidArgument(f"like has dtype {like.dtype}; noise is for real states")
        if key.shape not in ((), shape[:1]):
            raise InvalidArgument(
                f"key has shape {key.shape}; give one key, or one for each of the samples along "
                f"the first axis of shape {shape}"
            )
        self.key, self.shape, self.dtype = key, shape, like.dtype

    def __call__(self, k: Any, i: Any) -> Any:
        """Return draw number i after k evaluations."""

        def drawn(key: Any, shape: tuple[int, ...]) -> Any:
            own = jax.random.fold_in(jax.random.fold_in(key, k), i)
            return jax.random.normal(own, shape, self.dtype)

        if self.key.ndim:
            return jax.vmap(lambda key: drawn(key, self.shape[1:]))(self.key)
        return drawn(self.key, self.shape)


def sample(model: Callable[[Any, Any], Any], x: Any, plan: Plan | Table, *, key: Any = None) -> Any:
    """Run a model through a plan, as one `jax.lax.scan` over its evaluations.

    It equals the run by ``start`` and ``advance`` up to rounding. Nothing looks for NaN.

    Parameters
    ----------
    model
        ``model(x, t)``, traced once; t is an array of shape () in the real dtype of x, at least
        float32. The output is like x.
    x
        State at the start of the plan, any shape. Its sums are made in single precision at least.
    plan
        Of `semilinear.diffusion.plan`, or any other that has a `Plan.table`; or its table. That may
        be traced: a function that has it as an argument is compiled once for all plans of the same
        size, and can be differentiated by the weights and times of a sampler.
    key
        For plans with noise; see `KeyNoise`.

    Returns
    -------
    jax.Array
        The state at the end, like x.

    Raises
    ------
    InvalidArgument
        If the plan draws and there is no key, or if it has complex coefficients and x is real.
    ModelOutputError
        If the model's output is not like x.

    Examples
    --------
    >>> import jax
    >>> from semilinear import diffusion
    >>> from semilinear.adapters.jax import sample
    >>> plan = diffusion.plan(diffusion.VPLinear(), steps=10)
    >>> x = jax.random.normal(jax.random.key(0), (4, 2))
    >>> jax.jit(lambda x: sample(lambda x, t: 0.5 * x, x, plan))(x).shape
    (4, 2)
    """
    x = checked_array(jnp.asarray(x), "x")
    if not isinstance(plan, Plan | Table):
        raise InvalidArgument(f"plan={plan!r} must be a plan of a fixed grid, or its table")
    program = plan.table() if isinstance(plan, Plan) else plan
    is_complex = jnp.iscomplexobj(program.matrices)
    if is_complex and not jnp.iscomplexobj(x):
        raise refuse_real_state("x")
    if program.draws and key is None:
        raise InvalidArgument("key is missing: this method is stochastic; sample(..., key=...)")
    noise = KeyNoise(key, x) if program.draws else None
    real = jnp.finfo(x.dtype).dtype
    kind = jnp.promote_types(real, jnp.complex64 if is_complex else jnp.float32)

    def through(matrix: Any, found: tuple[Any, ...], k: Any) -> tuple[Any, ...]:
        drawn = (noise(k, i) for i in range(program.draws)) if noise is not None else ()
        sources = (*found, *drawn)
        # Not a product of matrices, which devices may round to fewer digits.
        return tuple(
            sum(c * source for c, source in zip(row, sources, strict=True)).astype(x.dtype)
            for row in matrix
        )

    def evaluation(slots: tuple[Any, ...], row: tuple[Any, Any, Any]) -> tuple[Any, None]:
        matrix, t, k = row
        answer = _like(model(slots[0], t), x)
        return through(matrix, (*slots, answer), k), None

    rows = (
        jnp.asarray(program.matrices, kind),
        # At least single precision: in half, 999 may be 1000.
        jnp.asarray(program.times, jnp.promote_types(real, jnp.float32)),
        jnp.arange(1, len(program.times) + 1),
    )
    first = through(jnp.asarray(program.opening, kind), (x,), 0)
    slots, _ = jax.lax.scan(evaluation, first, rows)
    return slots[0]


def _like(answer: Any, x: Any) -> Any:
    shape, dtype = getattr(answer, "shape", None), getattr(answer, "dtype", None)
    if (shape, dtype) != (x.shape, x.dtype):
        found = type(answer).__name__ if dtype is None else f"shape {shape} and dtype {dtype}"
        advice = ""
        if x.dtype.itemsize == 2 and dtype == jnp.float32:
            advice = " (t is float32: end with astype(x.dtype))"
        raise ModelOutputError(
            f"model returned {found}{advice}; it must return an array like x, shape {x.shape} and "
            f"dtype {x.dtype}"
        )
    return answer


class _Fixed:
    """All of a state but its arrays and key; equal for equal places in runs of equal plans."""

    def __init__(self, state: State) -> None:
        run = state.run
        if isinstance(run.noise, KeyNoise):
            run = run._replace(noise=None)
        self.state = state._replace(x=None, slots=(), run=run)
        self.key = (*self.state[1:6], state.code, run.backend.key, *run[1:])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Fixed) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


def _flatten(state: State) -> tuple[tuple[Any, KeyNoise | None], _Fixed]:
    library = state.run.backend.xp.__name__
    if library != "jax.numpy":
        raise InvalidArgument(
            f"state belongs to a run on arrays of {library}, which JAX cannot go on with; start "
            "the run from an array of jax.numpy"
        )
    if getattr(state.t, "shape", ()):
        raise InvalidArgument(
            "state belongs to a run with times for each sample, which is no pytree; jit the model"
        )
    noise = state.run.noise
    return (state.slots, noise if isinstance(noise, KeyNoise) else None), _Fixed(state)


def _unflatten(fixed: _Fixed, arrays: Iterable[Any]) -> State:
    slots, noise = arrays
    state = fixed.state
    run = state.run if noise is None else state.run._replace(noise=noise)
    return state._replace(x=slots[state.code.asked], slots=slots, run=run)


def _flatten_noise(noise: KeyNoise) -> tuple[tuple[Any], tuple[Any, ...]]:
    return (noise.key,), (noise.shape, noise.dtype)


def _unflatten_noise(fixed: tuple[Any, ...], arrays: Iterable[Any]) -> KeyNoise:
    noise = KeyNoise.__new__(KeyNoise)
    (noise.key,) = arrays
    noise.shape, noise.dtype = fixed
    return noise


@cache
def register() -> None:
    """Register `State` and `KeyNoise` as pytrees; done when this module is imported.

    Leaves are the arrays that a run keeps, and its key; place and plan are static. So
    ``jax.jit(plan.advance)`` compiles each place of a plan once, for all runs; start these with
    ``check_finite=False``.
    """
    jax.tree_util.register_pytree_node(KeyNoise, _flatten_noise, _unflatten_noise)
    jax.tree_util.register_pytree_node(State, _flatten, _unflatten)


register()
