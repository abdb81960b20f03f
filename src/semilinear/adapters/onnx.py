"""Diffusion models in ONNX files, run by onnxruntime on the CPU."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from semilinear.errors import InvalidArgument, MissingDependency, ModelOutputError
from semilinear.given import whole_number

_NAMES = (("x", "t"), ("sample", "timestep"))
_IMAGE_TYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(float16)": np.dtype(np.float16),
}
_TIME_TYPES: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(int64)": np.dtype(np.int64),
}
_EXPECTED = (
    "expected two inputs: an image of rank 2 or more, the first axis the batch, of type float, "
    "double or float16; and a time of rank 0 or 1 and type float, double or int64. They are told "
    "apart by the names x and t or sample and timestep, else by rank"
)


class OnnxModel:
    """A diffusion model, model(x, t), in an ONNX file.

    Instances may be shared between threads: they have no state but the session of onnxruntime,
    which is safe to run from several threads at a time.

    Parameters
    ----------
    path : str or os.PathLike
        An ONNX file whose graph has one output and exactly two inputs, an image and a time. These
        are named ``x`` and ``t`` or ``sample`` and ``timestep``; if they have other names, then the
        time is the one input of rank 0 or 1. Its type is float, double or int64.
    threads : int, optional
        Threads for one evaluation; by default as many as the machine has cores.

    Attributes
    ----------
    path : pathlib.Path
        The file.
    batch : int or None
        How many samples it takes at a time, no more and no less; None for any number.
    sample_shape : tuple of int or None
        Shape of one sample, that is of ``x`` without its batch axis; None for a size that is free.
    dtype : numpy.dtype
        What ``x`` must be, and what comes out.
    whole_times : bool
        Whether it takes whole times only.

    Raises
    ------
    MissingDependency
        If onnxruntime is not installed.
    InvalidArgument
        If there is no such file, it is not an ONNX model, or its inputs are others than those.
    """

    path: Path
    batch: int | None
    sample_shape: tuple[int | None, ...]
    dtype: np.dtype[Any]
    whole_times: bool

    def __init__(self, path: str | os.PathLike[str], *, threads: int | None = None) -> None:
        self.path = Path(path)
        self._session = _open(self.path, threads)
        image, time = _inputs(self.path, self._session.get_inputs())
        outputs = self._session.get_outputs()
        if len(outputs) != 1:
            raise InvalidArgument(
                f"path={os.fspath(path)!r}: the model has {_listing(outputs)} as outputs; "
                "expected one output. Export it with the prediction alone"
            )
        self.dtype = _IMAGE_TYPES[image.type]
        self.batch, *sample = (n if isinstance(n, int) else None for n in image.shape)
        self.sample_shape = tuple(sample)
        self._image, self._time, self._output = image.name, time.name, outputs[0].name
        self._time_dtype = _TIME_TYPES[time.type]
        self.whole_times = self._time_dtype.kind == "i"
        self._time_rank = len(time.shape)
        self._one_time = time.shape in ([], [1])

    def __repr__(self) -> str:
        return f"OnnxModel({os.fspath(self.path)!r})"

    def __call__(self, x: NDArray[Any], t: ArrayLike) -> NDArray[Any]:
        """Evaluate the model.

        Parameters
        ----------
        x : ndarray, shape (n, *sample_shape)
            Samples, of the type `dtype`.
        t : float or array_like, shape (n,)
            One time for all samples, or one for each.

        Returns
        -------
        ndarray
            The prediction: a new array of the shape and type of `x`.

        Raises
        ------
        InvalidArgument
            If `x` has another shape or type than the model takes, if `t` has another shape, or if
            it has values that the model cannot take: fractions where the model's time is an
            integer, different times where it has one for all samples.
        ModelOutputError
            If onnxruntime cannot run the model on `x`, such as on a shape that it leaves open but
            does not bear, or the prediction has another shape or type than `x`.
        """
        self._check(x)
        feeds = {self._image: x, self._time: self._times(t, len(x))}
        output = self._run(feeds, x.shape)
        if output.shape != x.shape or output.dtype != x.dtype:
            raise ModelOutputError(
                f"{self!r} returned {output.dtype} of shape {output.shape} for x of {x.dtype} and "
                f"shape {x.shape}; the prediction must be like x"
            )
        return output

    def _run(self, feeds: dict[str, NDArray[Any]], shape: tuple[int, ...]) -> NDArray[Any]:
        try:
            output: NDArray[Any] = self._session.run([self._output], feeds)[0]
        except Exception as error:  # onnxruntime's exceptions have no base class but this
            raise ModelOutputError(
                f"{self!r} cannot be run on x of shape {shape}; give samples of the shape that it "
                f"was made for (--shape on the command line): {' '.join(str(error).split())}"
            ) from error
        return output

    def _check(self, x: object) -> None:
        """Refuse an `x` that is not for this model."""
        if not isinstance(x, np.ndarray):
            kind = f"{type(x).__module__}.{type(x).__qualname__}"
            raise InvalidArgument(f"x must be a NumPy array, not {kind}; convert it first")
        if x.dtype != self.dtype:
            raise InvalidArgument(
                f"x has dtype {x.dtype}, but the model takes {self.dtype}; "
                f"pass x.astype({self.dtype.name!r})"
            )
        shape = (self.batch, *self.sample_shape)
        if x.ndim and len(x) == 0:
            raise InvalidArgument(f"x has shape {x.shape}, without samples; give one at least")
        if x.ndim != len(shape) or any(
            m not in (None, n) for m, n in zip(shape, x.shape, strict=True)
        ):
            sizes = ", ".join("any" if m is None else str(m) for m in shape)
            raise InvalidArgument(
                f"x has shape {x.shape}, but the model takes ({sizes}), the batch first; reshape x"
            )

    def _times(self, t: ArrayLike, n: int) -> NDArray[Any]:
        """Return `t` as the model takes it, for `n` samples."""
        times = np.asarray(t)
        if times.dtype.kind not in "fiu" or times.shape not in ((), (n,)):
            raise InvalidArgument(
                f"t has dtype {times.dtype} and shape {times.shape}; "
                f"expected one real number, or an array of {n}, one per sample"
            )
        if self._one_time and np.any(times != times.flat[0]):
            raise InvalidArgument(
                "t differs between samples, but the model takes one time for all of them; "
                "evaluate each time by itself, or export the model with a time per sample"
            )
        whole = (np.abs(times) < 2.0**63) & (times == np.floor(times))
        if self.whole_times and not np.all(whole):
            raise InvalidArgument(
                f"t={t!r} is not a whole number that fits into int64, which the model takes; "
                "map the times to the model's time steps first"
            )
        times = np.broadcast_to(times, n)[: 1 if self._one_time else n].astype(self._time_dtype)
        return times.reshape(()) if self._time_rank == 0 else times


def mnist_eps(*, threads: int | None = None) -> OnnxModel:
    """Return the noise prediction for MNIST digits that comes with this package.

    eps(x, t) for x = alpha(t) x_0 + sigma(t) eps of shape (n, 1, 28, 28), float32, with images x_0
    on the scale [-1, 1] and times 0 < t <= 1, where alpha and sigma are those of the
    variance-preserving SDE with beta(t) = 0.1 + 19.9 t. What it was trained on and how well it
    predicts is in ``models/PROVENANCE.md``.

    Parameters
    ----------
    threads : int, optional
        As in `OnnxModel`.

    Returns
    -------
    OnnxModel
        A new session each time.

    Raises
    ------
    MissingDependency
        If onnxruntime is not installed.
    """
    file = resources.files("semilinear") / "models" / "mnist_eps.onnx"
    with resources.as_file(file) as path:
        return OnnxModel(path, threads=threads)


def _open(path: Path, threads: int | None) -> Any:
    """Start a session of onnxruntime on the file `path`."""
    # 0: onnxruntime's default, the number of cores
    count = 0 if threads is None else whole_number("threads", threads)
    if not path.is_file():
        raise InvalidArgument(f"path={os.fspath(path)!r} is not a file; give that of an ONNX model")
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependency.of("onnxruntime", "onnx") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = count
    options.log_severity_level = 4  # fatal: what goes wrong is raised, and need not be logged too
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions have no base class but this
        raise InvalidArgument(
            f"path={os.fspath(path)!r} is not an ONNX model that onnxruntime "
            f"{onnxruntime.__version__} can load: {error}"
        ) from error


def _inputs(path: Path, inputs: Sequence[Any]) -> tuple[Any, Any]:
    """Return the image and the time among the model's `inputs`."""
    by_name = {value.name: value for value in inputs}
    low = [value for value in inputs if len(value.shape) <= 1]
    pair = next((names for names in _NAMES if set(names) == set(by_name)), None)
    if pair is not None:
        image, time = (by_name[name] for name in pair)
    elif len(inputs) == 2 and len(low) == 1:
        (time,) = low
        (image,) = (value for value in inputs if value is not time)
    else:
        image = time = None
    if (
        image is None
        or len(image.shape) < 2
        or len(time.shape) > 1
        or image.type not in _IMAGE_TYPES
        or time.type not in _TIME_TYPES
    ):
        raise InvalidArgument(
            f"path={os.fspath(path)!r}: the model has {_listing(inputs)} as inputs; {_EXPECTED}"
        )
    return image, time


def _listing(values: Sequence[Any]) -> str:
    """Name the inputs or outputs of a model, with types and shapes."""
    return ", ".join(f"{v.name}: {v.type} {v.shape}" for v in values) or "nothing"
