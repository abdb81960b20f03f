"""Many samples, batch by batch, here or on any executor: the same bits wherever a batch runs."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing, contextmanager
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from semilinear.answers import checked_array
from semilinear.course import State
from semilinear.diffusion.arrays import as_like, on_host
from semilinear.diffusion.diffusion_plan import DiffusionPlan
from semilinear.diffusion.executors import WINDOW, in_order, workers_of
from semilinear.diffusion.following import follow
from semilinear.diffusion.models import Model
from semilinear.diffusion.noise import SeededNoise, refuse_complex_like, whole_seed
from semilinear.errors import InvalidArgument
from semilinear.executors import check_bare, checked_executor
from semilinear.given import flag, whole_number
from semilinear.immutable import Immutable
from semilinear.progress import Progress

Factory = Callable[[], Model]
"""A function without arguments that makes a model."""

MODEL_PER = ("process", "thread")
"""What has a model of its own."""


class Piece(NamedTuple):
    """The samples from number `first` to `stop`, which is not among them; all in one batch."""

    first: int
    stop: int


Run = Generator[tuple[Piece, np.ndarray], None, None]


class Batches(Immutable):
    """Samples by their number, computed in batches.

    Sample i is entry ``i % batch_size`` of batch ``i // batch_size``. Its noise depends on the seed
    and on i alone, and with ``pad=True`` it always meets the model in the same place of the same
    batch: so its bits depend neither on the range that is asked for nor on where the batch runs.

    Immutable. Sent to another process, it brings the factory along; a process keeps the model of
    the run that it worked for last, and makes it once.

    Parameters
    ----------
    factory
        A function without arguments that returns the model, ``model(x, t)``. For one process and
        its threads ``lambda: model``; for other processes one that can be pickled: a function or
        class of a module, or such as ``functools.partial(OnnxModel, "file.onnx", threads=1)``. It
        is pickled with every batch, so let it read what is large from a file.
    plan
        Of `diffusion.plan`.
    shape
        Shape of one sample.
    seed
        An integer from 0 to 2^64 - 1.
    batch_size
        Samples at a time. Networks differ between batch sizes in their last bits.
    like
        An array of the library, dtype and device to compute in, such as ``np.empty(0)`` for float64
        or ``torch.empty(0, device="cuda")``; float32 NumPy by default. Results are NumPy arrays.
    pad
        Whether a batch is computed whole, with the samples around, where only a part of it is
        asked for. Without it the last batch of a range is smaller, and costs less.
    model_per
        ``"process"``: the threads of a process share a model and may call it at the same time, as
        suits onnxruntime's sessions and networks that keep nothing between calls. ``"thread"``:
        each thread makes its own.

    Examples
    --------
    >>> import numpy as np
    >>> from semilinear import diffusion
    >>> plan = diffusion.plan(diffusion.VPLinear(), nfe=10)
    >>> batches = diffusion.Batches(lambda: lambda x, t: x, plan, (3,), seed=0, batch_size=8)
    >>> [(piece, x.shape) for piece, x in batches.run(batches.pieces(6, 10))]
    [(Piece(first=6, stop=8), (2, 3)), (Piece(first=8, stop=10), (2, 3))]
    """

    def __init__(
        self,
        factory: Factory,
        plan: DiffusionPlan,
        shape: Sequence[int],
        *,
        seed: int,
        batch_size: int = 64,
        like: Any = None,
        pad: bool = True,
        model_per: str = "process",
    ) -> None:
        self.factory = _checked_factory(factory)
        self.plan = _checked_plan(plan)
        self.shape = _checked_shape(shape)
        self.seed = whole_seed(seed, "which all batches share")
        self.batch_size = whole_number("batch_size", batch_size)
        self.like = np.empty(0, np.float32) if like is None else _checked_like(like)
        self.pad = flag("pad", pad)
        self.model_per = model_per
        if model_per not in MODEL_PER:
            raise InvalidArgument(f"model_per={model_per!r} must be 'process' or 'thread'")
        self._token = secrets.token_hex(16)
        self._lock = threading.RLock()
        self._models: Any = threading.local() if model_per == "thread" else _Place()

    def __copy__(self) -> Batches:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Batches:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        options = {
            name: getattr(self, name) for name in ("seed", "batch_size", "like", "pad", "model_per")
        }
        return _received, (self._token, (self.factory, self.plan, self.shape), options)

    def pieces(self, first: int, stop: int) -> list[Piece]:
        """Return the samples from number `first` to `stop` - 1, cut where batches end."""
        first, stop = whole_number("first", first, least=0), whole_number("stop", stop, least=0)
        cuts = range(first - first % self.batch_size + self.batch_size, stop, self.batch_size)
        ends = [first, *cuts, stop]
        return [Piece(a, b) for a, b in pairwise(ends) if a < b]

    def run(
        self,
        pieces: Iterable[Piece],
        *,
        executor: Executor | None = None,
        window: int | None = None,
        progress: bool = False,
    ) -> Run:
        """Return an iterator over pieces, in their order, and their samples.

        Nothing begins before the first is asked for. What fails, or an interrupt, ends the run and
        cancels the batches that have not begun; what a model raises is passed on, with a note of
        the samples it was raised for.

        Parameters
        ----------
        pieces
            Of `pieces`.
        executor
            Where to compute; here, one after the other, if None. Any `concurrent.futures.Executor`:
            of threads, of spawned processes, ``client.get_executor()`` of Dask, of mpi4py.futures.
        window
            Batches in flight or waiting to be taken, at most: by default twice the number of
            workers, at least 4.
        progress
            Whether to draw a progress bar.

        Raises
        ------
        InvalidArgument
            If the executor is none, or factory, plan or like cannot be sent to its processes.
        """
        todo = tuple(pieces)
        executor = checked_executor(executor)
        if executor is None:
            return self._here(todo, progress)
        if window is None:
            window = max(WINDOW, 2 * workers_of(executor))
        return self._sent(todo, executor, whole_number("window", window), progress)

    def compute(self, piece: Piece, callback: Callable[[State], None] | None = None) -> np.ndarray:
        """Return the samples of a piece; `callback` as in `diffusion.sample`."""
        first, stop = piece
        if self.pad:
            first -= first % self.batch_size
            stop = first + self.batch_size
        shape = (stop - first, *self.shape)
        double = str(self.like.dtype).rpartition(".")[2] == "float64"
        host = np.empty(shape, np.float64 if double else np.float32)
        scale = self.plan.schedule.sigma(self.plan.t[0])
        x = as_like(scale * SeededNoise(self.seed, host, first=first).initial(), self.like)
        noise = SeededNoise(self.seed, x, first=first) if self.plan.stochastic else None
        result = on_host(follow(self.plan, self.model(), x, seed=noise, callback=callback))
        return result[piece.first - first : piece.stop - first]

    def model(self) -> Model:
        """Return the model of this process, or of this thread; made when it is first needed."""
        with self._lock:
            if not hasattr(self._models, "model"):
                made = self.factory()
                if not callable(made):
                    raise InvalidArgument(
                        f"factory={self.factory!r} made {made!r}, which is no model(x, t)"
                    )
                self._models.model = made
        model: Model = self._models.model
        return model

    def _here(self, pieces: Sequence[Piece], progress: bool) -> Run:
        nfe = self.plan.nfe
        with Progress(len(pieces) * nfe, label="sampling", show=progress) as bar:
            for number, piece in enumerate(pieces):

                def show(state: State, before: int = number * nfe) -> None:
                    bar.update(before + state.evaluation)

                with _noted(piece):
                    samples = self.compute(piece, show)
                yield piece, samples

    def _sent(
        self, pieces: Sequence[Piece], executor: Executor, window: int, progress: bool
    ) -> Run:
        results = in_order(executor, _compute, self, pieces, window=window)
        with Progress(len(pieces), label="sampling", show=progress) as bar, closing(results):
            for number, piece in enumerate(pieces, start=1):
                with _noted(piece):
                    samples = next(results)
                bar.update(number)
                yield piece, samples


class _Place:
    """Where the model of a process is kept."""


_last: dict[str, Batches] = {}
"""What was received from another process last, by its token: a process keeps one model."""

_receiving = threading.Lock()


def _received(token: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Batches:
    """Unpickle: return what this process has already, with its model."""
    with _receiving:
        if token not in _last:
            _last.clear()
            _last[token] = Batches(*arguments, **options)
        return _last[token]


def _compute(batches: Batches, piece: Piece) -> np.ndarray:
    """Compute a piece; what executors are given."""
    return batches.compute(piece)


@contextmanager
def _noted(piece: Piece) -> Iterator[None]:
    """Add to an exception for which samples it was raised."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in the batch of samples {piece.first} to {piece.stop - 1}")
        raise


def _checked_factory(factory: Any) -> Factory:
    check_bare(
        factory,
        lambda error: (
            f"factory={factory!r} must make a model without arguments ({error}); for a "
            "model itself give lambda: model, and bind arguments with functools.partial"
        ),
    )
    made: Factory = factory
    return made


def _checked_plan(plan: Any) -> DiffusionPlan:
    if not isinstance(plan, DiffusionPlan):
        raise InvalidArgument(f"plan={plan!r} must be made by semilinear.diffusion.plan")
    if plan.t.ndim > 1:
        raise InvalidArgument(
            "plan has times for each sample of one batch; give a plan that serves every batch"
        )
    if plan.t[0] < plan.t[-1]:
        raise InvalidArgument("plan encodes; give one that samples, with direction='sample'")
    return plan


def _checked_like(like: Any) -> Any:
    refuse_complex_like(checked_array(like, "like"))
    return like


def _checked_shape(shape: Any) -> tuple[int, ...]:
    if not isinstance(shape, Sequence) or isinstance(shape, str):
        raise InvalidArgument(f"shape={shape!r} must be that of one sample, such as (3, 32, 32)")
    return tuple(whole_number("shape", size) for size in shape)
