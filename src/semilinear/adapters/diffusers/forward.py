"""The forward process of a scheduler: noise on data, for training, img2img and inpainting."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch

from semilinear.answers import wrapped
from semilinear.errors import InvalidArgument


class ForwardProcess:
    """x = alpha x_0 + sigma eps at the timesteps of a scheduler."""

    @abstractmethod
    def _scales(self, timesteps: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """Return (alpha, sigma) at timesteps, one of each or one for all."""

    def add_noise(
        self, original_samples: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor
    ) -> torch.Tensor:
        """Return ``alpha x_0 + sigma noise``.

        Parameters
        ----------
        original_samples
            x_0; one sample may get several noises.
        noise
            Standard normal numbers, like x_0.
        timesteps
            One for all samples, or one for each. Once a pipeline has set the begin index, the place
            of the run counts in their stead: before its first step where it begins, then where it
            stands.
        """
        check_real(original_samples=original_samples, noise=noise)
        return self._mixed(
            original_samples, noise, self._scales_of(original_samples, noise, timesteps)
        )

    def scale_noise(
        self, sample: torch.Tensor, timestep: torch.Tensor, noise: torch.Tensor
    ) -> torch.Tensor:
        """Return the same as `add_noise`, under the name that pipelines of flows call."""
        check_real(sample=sample)
        return self.add_noise(sample, noise, timestep)

    def get_velocity(
        self, sample: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor
    ) -> torch.Tensor:
        """Return ``v = alpha noise - sigma x_0``, what a v-prediction is trained on."""
        check_real(sample=sample, noise=noise)
        alpha, sigma = self._scales_of(sample, noise, timesteps)
        return self._mixed(sample, noise, (-sigma, alpha))

    def _scales_of(
        self, x_0: torch.Tensor, noise: torch.Tensor, timesteps: torch.Tensor | float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return (alpha, sigma) for samples, at one timestep for all or one for each."""
        of_one = x_0.shape[:1] == (1,) and noise.shape[1:] == x_0.shape[1:]
        if noise.shape != x_0.shape and not of_one:
            raise InvalidArgument(
                f"noise has shape {tuple(noise.shape)}; it must be like the samples, "
                f"{tuple(x_0.shape)}, or give several noises to one sample"
            )
        told = torch.as_tensor(timesteps)
        if told.shape not in ((), (1,), noise.shape[:1]):
            raise InvalidArgument(
                f"timesteps has shape {tuple(told.shape)}; give one for all samples, or one for "
                f"each of {noise.shape[0]}"
            )
        return self._scales(told)

    @staticmethod
    def _mixed(
        x_0: torch.Tensor, noise: torch.Tensor, factors: tuple[np.ndarray, np.ndarray]
    ) -> torch.Tensor:
        """Return a linear combination in at least float32, in the dtype of x_0."""
        dtype = torch.promote_types(x_0.dtype, torch.float32)
        shape = (-1, *[1] * (x_0.ndim - 1))
        a, b = (
            torch.from_numpy(np.ascontiguousarray(f)).to(device=x_0.device, dtype=dtype)
            for f in factors
        )
        mixed: torch.Tensor = a.reshape(shape) * x_0.to(dtype) + b.reshape(shape) * noise.to(dtype)
        return mixed.to(x_0.dtype)


def check_real(**tensors: torch.Tensor) -> None:
    """Refuse, by their names, what is no tensor, and whole numbers, such as images of bytes."""
    for name, tensor in tensors.items():
        if not isinstance(tensor, torch.Tensor):
            raise InvalidArgument(
                f"{name} must be a tensor, got {type(tensor).__name__}{wrapped(tensor)}"
            )
        if not tensor.is_floating_point():
            raise InvalidArgument(
                f"{name} has dtype {tensor.dtype}; convert it to floating point, and images to "
                "[-1, 1]: image.float() / 127.5 - 1"
            )
