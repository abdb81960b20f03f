"""The samplers by name: each is a parameterisation and a method of the core, nothing else."""

from __future__ import annotations

from typing import NamedTuple

from semilinear.diffusion.parameterisations import Parameterisation
from semilinear.errors import InvalidArgument, UnknownName
from semilinear.methods import (
    CLASSICAL,
    GridMethod,
    MethodInfo,
    MethodTable,
    etdab,
    ipndm,
    lawson,
)


class Sampler(NamedTuple):
    """A parameterisation with a method.

    Parameters
    ----------
    name
        The name under which `diffusion.plan` knows it.
    parameterisation
        Quantity and variable.
    method
        The method of the core.
    reference
        Where it stands.
    """

    name: str
    parameterisation: Parameterisation
    method: GridMethod
    reference: str

    @property
    def order(self) -> int:
        """Order with starting values that are accurate enough."""
        return self.method.order


_DEIS = "Zhang and Chen (2022)"


def _samplers() -> list[Sampler]:
    # Weights that do not look at the variable: rho, which reaches sigma = 0 on every schedule.
    eps = Parameterisation("eps", "rho")
    found = [
        Sampler("ddim", eps, etdab(1), "Song, Meng and Ermon (2020), eta = 0"),
        Sampler("euler", Parameterisation("velocity", "t"), etdab(1), "probability flow, Euler"),
        Sampler("ei_score", Parameterisation("score", "t"), etdab(1), f"{_DEIS}, ingredient 1"),
    ]
    for r in range(1, 7):
        for variable, prefix in (("t", "tab"), ("rho", "rhoab"), ("lambda", "logrhoab")):
            parameterisation = Parameterisation("eps", variable)
            found.append(Sampler(f"{prefix}{r}", parameterisation, etdab(r + 1), _DEIS))
    for tableau in CLASSICAL.values():
        method = lawson(tableau)
        reference = f"{_DEIS}, rhoRK; {tableau.reference}"
        found.append(
            Sampler(f"rho_{tableau.name}", Parameterisation("eps", "rho"), method, reference)
        )
    found.extend(Sampler(f"ipndm{k}", eps, ipndm(k), f"{_DEIS}, iPNDM") for k in range(1, 5))
    return found


_REGISTRY = {sampler.name: sampler for sampler in _samplers()}

ALIASES = {"deis": "tab3", "dpm_solver1": "ddim", "heun": "rho_heun2"}


def names() -> MethodTable:
    """Return all samplers by name (aliases left out) with order, history and evaluations per step.

    A dictionary from name to `MethodInfo` that shows itself as a table.
    """
    return MethodTable((name, info(name)) for name in _REGISTRY)


def get(method: str | Sampler) -> Sampler:
    """Return a sampler by name or alias; a `Sampler` is returned as it is."""
    if isinstance(method, Sampler):
        return method
    if not isinstance(method, str):
        raise InvalidArgument(
            f"method={method!r} must be a name or a diffusion.Sampler(name, parameterisation, "
            "method, reference): a method of the core becomes a sampler with a quantity and a "
            'variable, such as diffusion.Parameterisation("eps", "t")'
        )
    name = ALIASES.get(method.lower(), method.lower())
    if name not in _REGISTRY:
        raise UnknownName.among("method", method, [*_REGISTRY, *ALIASES])
    return _REGISTRY[name]


def info(method: str | Sampler) -> MethodInfo:
    """Return order, number of past values and evaluations per step of a sampler."""
    s = get(method)
    m = s.method
    return MethodInfo(s.name, s.order, None, m.history, m.evaluations, s.reference)
