"""Which noise a sampler bears, and what it treats as N with it."""

from __future__ import annotations

from semilinear.diffusion.catalogue import Sampler
from semilinear.diffusion.noise_levels import NoiseLevel
from semilinear.diffusion.parameterisations import VELOCITY, Parameterisation
from semilinear.errors import InvalidArgument


def with_noise(sampler: Sampler, level: NoiseLevel | None) -> tuple[Sampler, NoiseLevel | None]:
    """Return the sampler with the quantity that a noise level is made for, and the level.

    None if the level is silent.

    Raises
    ------
    InvalidArgument
        If the sampler does not bear that noise.
    """
    if level is None or level.is_silent:
        return sampler, None
    cell = sampler.parameterisation
    wanted = level.quantity
    if wanted is not None and cell.quantity != wanted:
        if sampler.order > 1 or cell.quantity != "eps":
            raise InvalidArgument(
                f"noise={level!r} is defined with {wanted} as N, but {sampler.name} treats "
                f"{cell.quantity} so; choose a sampler in {wanted}, such as 'dpmpp_2m'"
            )
        # Without noise a step of order one is the same in both.
        sampler = sampler._replace(parameterisation=Parameterisation(wanted, cell.variable))
    _check(sampler, level)
    return sampler, level


def _check(sampler: Sampler, level: NoiseLevel) -> None:
    name, cell, method = sampler.name, sampler.parameterisation, sampler.method
    if cell.table is not None:
        raise InvalidArgument(
            f"noise={level!r}: {name} has a tabulated quantity, which is made for the ODE, and "
            "takes none"
        )
    if cell.quantity == VELOCITY:
        raise InvalidArgument(f"noise: {name} integrates dx/dt of the ODE and takes none")
    formulas = cell.formulas
    extrapolates = method.history > 0 and not level.splits
    if extrapolates and formulas is not None and formulas.follows_noise:
        raise InvalidArgument(
            f"noise={level!r}: {name} extrapolates {formulas.name} from past steps, which "
            "fresh noise spoils at once; choose a sampler in x0 such as 'dpmpp_2m' or "
            "'res_3m', or one without past values such as 'ddim'"
        )
    if level.splits and method.carries:
        raise InvalidArgument(
            f"noise={level!r} splits steps, which {name} with past values does not bear; "
            "choose a one-step method, or Tau with a sampler in x0"
        )
