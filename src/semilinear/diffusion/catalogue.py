"""The samplers by name: each is a cell of (quantity, variable, method, noise), nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

from semilinear.diffusion.noise_levels import Eta, NoiseLevel, RhoPower, Tau, TauWithin
from semilinear.diffusion.noise_splits import Ancestral
from semilinear.diffusion.parameterisations import Parameterisation
from semilinear.errors import InvalidArgument, UnknownName, shown
from semilinear.methods import (
    CLASSICAL,
    GridMethod,
    MethodInfo,
    MethodTable,
    Multistep,
    dpm_fast,
    etd2rk,
    etdab,
    ipndm,
    ipndm_v,
    lawson,
)
from semilinear.methods.etdrk import ETD4RK
from semilinear.methods.simplified import dpm_multistep, exact, sa_solver, unipc
from semilinear.methods.singlestep import dpm2, dpm3, res3


class Sampler(NamedTuple):
    """A parameterisation with a method, and perhaps noise.

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
    noise
        The noise that it adds by its name; none for the ODE.
    exact
        The method with its true weights, where those of `method` are simplified as published.
    """

    name: str
    parameterisation: Parameterisation
    method: GridMethod
    reference: str
    noise: NoiseLevel | None = None
    exact: GridMethod | None = None

    @property
    def order(self) -> int:
        """Order without noise, with starting values that are accurate enough."""
        return self.method.order


Family = Callable[[int, str], Sampler]
"""From order and name to a sampler."""

# Weights that do not look at the variable: rho, which reaches sigma = 0 on every schedule.
EPS_RHO = Parameterisation("eps", "rho")
EPS_LAMBDA = Parameterisation("eps", "lambda")
X0_LAMBDA = Parameterisation("x0", "lambda")
X0_RHO = Parameterisation("x0", "rho")
FLOW_T = Parameterisation("flow", "t")

_DEIS = "Zhang and Chen (2022)"
_DPMPP = "Lu et al. (2022b), DPM-Solver++"
_SEEDS = "Gonzalez et al. (2023), SEEDS"
_RES = "Zhang et al. (2023), RES"


def _published(
    name: str, cell: Parameterisation, method: Multistep, noise: NoiseLevel | None = None
) -> Sampler:
    return Sampler(name, cell, method, method.reference, noise, exact(method))


def _adams(cell: Parameterisation, reference: str, more: int = 0) -> Family:
    """Return Adams-Bashforth with as many values of N as the name says, or `more`."""
    return lambda k, name: Sampler(name, cell, etdab(k + more), reference)


_ORDERED: dict[str, Family] = {
    "tab#": _adams(Parameterisation("eps", "t"), _DEIS, more=1),
    "rhoab#": _adams(EPS_RHO, _DEIS, more=1),
    "logrhoab#": _adams(EPS_LAMBDA, _DEIS, more=1),
    "unipc#": lambda p, name: _published(name, X0_LAMBDA, unipc(p)),
    "unipc#_bh2": lambda p, name: _published(f"unipc{p}", X0_LAMBDA, unipc(p)),
    "unipc#_bh1": lambda p, name: _published(name, X0_LAMBDA, unipc(p, "bh1")),
    "res_#m": _adams(X0_LAMBDA, _RES),
    "flow_ab#": _adams(FLOW_T, "Adams-Bashforth on the flow ODE"),
}
"""Samplers of any order up to 9, which stands in their names for #; some of them have a place of
their own in the table."""


def _of_order(family: str, order: int) -> Sampler:
    return _ORDERED[family](order, family.replace("#", str(order)))


def _deis() -> Iterator[Sampler]:
    yield Sampler("ddim", EPS_RHO, etdab(1), "Song, Meng and Ermon (2020), eta = 0")
    yield Sampler("euler", Parameterisation("velocity", "t"), etdab(1), "probability flow, Euler")
    yield Sampler("ei_score", Parameterisation("score", "t"), etdab(1), f"{_DEIS}, ingredient 1")
    for r in range(1, 7):
        for family in ("tab#", "rhoab#", "logrhoab#"):
            yield _of_order(family, r)
    for tableau in CLASSICAL.values():
        reference = f"{_DEIS}, rhoRK; {tableau.reference}"
        yield Sampler(f"rho_{tableau.name}", EPS_RHO, lawson(tableau), reference)
    for k in range(1, 5):
        true = None if k == 1 else etdab(k)
        yield Sampler(f"ipndm{k}", EPS_RHO, ipndm(k), f"{_DEIS}, iPNDM", exact=true)
    for k in range(1, 5):
        true = None if k < 3 else etdab(k)
        yield Sampler(f"ipndm_v{k}", EPS_RHO, ipndm_v(k), ipndm_v(k).reference, exact=true)


def _dpm_solver() -> Iterator[Sampler]:
    for prefix, cell in (("dpm_solver", EPS_LAMBDA), ("dpmpp", X0_LAMBDA)):
        for single in (dpm2(), dpm3()):
            # The same stages; in x0 they are of the later paper.
            reference = single.reference if cell is EPS_LAMBDA else _DPMPP
            yield Sampler(f"{prefix}_{single.order}s", cell, single, reference)
        for values in (2, 3):
            yield _published(f"{prefix}_{values}m", cell, dpm_multistep(values))
    for rest, suffix in enumerate(("", "1", "2")):
        fast = dpm_fast(3 + rest)
        yield Sampler(f"dpm_solver_fast{suffix}", EPS_LAMBDA, fast, fast.reference)
    yield Sampler("dpmpp_2s_sde", X0_LAMBDA, dpm2(), f"{_SEEDS}, c2 = 1/2", Tau(1.0))
    yield Sampler("dpmpp_3s_sde", X0_LAMBDA, dpm3(), f"{_SEEDS}, c = 1/3, 2/3", Tau(1.0))
    for values in (2, 3):
        yield _published(f"dpmpp_{values}m_sde", X0_LAMBDA, dpm_multistep(values), Tau(1.0))


def _predictor_corrector() -> Iterator[Sampler]:
    for order in range(1, 7):
        yield _of_order("unipc#", order)
        yield _of_order("unipc#_bh1", order)
    yield _published("sa_solver", X0_LAMBDA, sa_solver(), TauWithin())
    yield _published("sa_solver_pece", X0_LAMBDA, sa_solver(mode="PECE"), TauWithin())
    yield _published("sa_solver3", X0_LAMBDA, sa_solver(3, 4), TauWithin())
    yield _published("sa_solver3_pece", X0_LAMBDA, sa_solver(3, 4, mode="PECE"), TauWithin())


def _refined() -> Iterator[Sampler]:
    yield Sampler("res_2s", X0_LAMBDA, etd2rk(Fraction(1, 2)), _RES)
    yield Sampler("res_3s", X0_LAMBDA, res3(), _RES)
    yield _of_order("res_#m", 2)
    yield _of_order("res_#m", 3)


def _stochastic() -> Iterator[Sampler]:
    yield Sampler("ddpm", X0_LAMBDA, etdab(1), "Ho, Jain and Abbeel (2020)", Eta(1.0))
    yield Sampler("seeds1", X0_LAMBDA, etdab(1), _SEEDS, Tau(1.0))
    yield Sampler("seeds2", X0_LAMBDA, dpm2(), _SEEDS, Tau(1.0))
    yield Sampler("seeds3", X0_LAMBDA, dpm3(), _SEEDS, Tau(1.0))
    for k in range(1, 4):
        yield Sampler(f"er_sde{k}", X0_RHO, etdab(k), "Cui et al. (2023), ER-SDE", RhoPower())
    yield Sampler("euler_ancestral", EPS_RHO, etdab(1), "k-diffusion, Euler a", Ancestral())
    yield Sampler("dpm2_ancestral", EPS_LAMBDA, dpm2(), "k-diffusion, DPM2 a", Ancestral())
    yield Sampler("dpmpp_2s_ancestral", X0_LAMBDA, dpm2(), "k-diffusion, DPM++ 2S a", Ancestral())


def _flow() -> Iterator[Sampler]:
    for values in range(2, 5):
        yield _of_order("flow_ab#", values)
    # On a flow path nothing is linear in this cell: Heun's method and the classical one of order 4.
    yield Sampler("flow_heun2", FLOW_T, etd2rk(), "Heun (1900) on the flow ODE")
    yield Sampler("flow_rk4", FLOW_T, ETD4RK, "Kutta (1901) on the flow ODE")


_FAMILIES = (_deis, _dpm_solver, _predictor_corrector, _refined, _stochastic, _flow)
_REGISTRY = {sampler.name: sampler for family in _FAMILIES for sampler in family()}

ALIASES = {
    "deis": "tab3",
    "dpm_solver1": "ddim",
    "dpm_solver_1": "ddim",
    "dpmpp_1": "ddim",
    "flow_euler": "ddim",
    "heun": "rho_heun2",
    "edm_heun": "rho_heun2",
    "dpm2": "dpm_solver_2s",
    "unipc": "unipc2",
    "uni_pc": "unipc3_bh1",
    "uni_pc_bh2": "unipc3",
    "unipc_bh1": "unipc2_bh1",
    "unipc_bh2": "unipc2",
    "er_sde": "er_sde3",
    "ipndm": "ipndm4",
    "ipndm_v": "ipndm_v4",
    "dpm_solver_1s": "ddim",
    "sa_solver_pec": "sa_solver",
    "seeds_1": "seeds1",
    "seeds_2": "seeds2",
    "seeds_3": "seeds3",
    "res_multistep": "res_2m",
    "euler_a": "euler_ancestral",
    **{f"lms{k + 1}": f"rhoab{k}" for k in range(1, 5)},
    **{f"unipc{k}_bh2": f"unipc{k}" for k in range(1, 7)},
}


STAGE_NOISE = "where the noise of the stage is part of that of the step and not drawn anew"
"""What is different here from single-step samplers of the SDE elsewhere."""

ELSEWHERE = {
    "auto": "needs a model: use diffusion.sample(..., method='auto') or "
    "diffusion.choose(model, x, schedule).plan()",
    "dpm_solver_v3": "needs a table: use method=diffusion.dpm_solver_v3(diffusion.Tabulated(lam, "
    "l, s, b))",
    "dpmpp_sde": f"is 'dpmpp_2s_sde' here, {STAGE_NOISE}",
}
"""What is no sampler by its name alone, and where it is."""


def names() -> MethodTable:
    """Return all samplers by name (aliases left out) with order, history and evaluations per step.

    A dictionary from name to `MethodInfo` that shows itself as a table.
    """
    return MethodTable((name, info(name)) for name in _REGISTRY)


def get(method: str | Sampler) -> Sampler:
    """Return a sampler by name or alias; a `Sampler` is returned as it is.

    Raises
    ------
    InvalidArgument
        If `method` is neither a name nor a `Sampler`, or its parts are of other types.
    UnknownName
        If there is no sampler of that name.

    Examples
    --------
    >>> from semilinear import diffusion
    >>> sampler = diffusion.get("dpmpp_2m")
    >>> sampler.parameterisation.quantity, sampler.order
    ('x0', 2)
    """
    if isinstance(method, Sampler):
        _check(method)
        return method
    if not isinstance(method, str):
        raise InvalidArgument(
            f"method={shown(method)} must be a name or a diffusion.Sampler(name, parameterisation, "
            "method, reference): a method of the core becomes a sampler with a quantity and a "
            'variable, such as diffusion.Parameterisation("eps", "t")'
        )
    name = ALIASES.get(method.lower(), method.lower())
    if name in ELSEWHERE:
        raise InvalidArgument(f"method={method!r} {ELSEWHERE[name]}")
    found = _REGISTRY.get(name) or _any_order(name)
    if found is None:
        unknown = UnknownName.among("method", method, [*_REGISTRY, *ALIASES])
        raise UnknownName(f"{unknown}{_orders(name)}")
    return found


def _orders(name: str) -> str:
    """Say which orders the family has that a name means, "" if it means none."""
    for family in _ORDERED:
        if re.fullmatch(family.replace("#", "[0-9]+"), name):
            first, last = (family.replace("#", str(order)) for order in (1, 9))
            return f" Orders go from {first} to {last}."
    return ""


def _check(sampler: Sampler) -> None:
    """Refuse a sampler with parts of other types."""
    kinds: tuple[tuple[str, Any, str], ...] = (
        ("parameterisation", Parameterisation, 'diffusion.Parameterisation("eps", "t")'),
        ("method", GridMethod, "semilinear.methods.etdab(2)"),
        ("exact", GridMethod | None, "semilinear.methods.etdab(2), or None"),
    )
    for part, kind, example in kinds:
        value = getattr(sampler, part)
        if not isinstance(value, kind):
            raise InvalidArgument(
                f"method: {part}={shown(value)} of a diffusion.Sampler must be an object such as "
                f"{example}"
            )


@cache
def _any_order(name: str) -> Sampler | None:
    """Return a sampler of a family whose order is not in the table, if the name means one."""
    for family in _ORDERED:
        order = re.fullmatch(family.replace("#", "([1-9])"), name)  # tab33 is a slip
        if order is not None:
            return _of_order(family, int(order[1]))
    return None


def info(method: str | Sampler) -> MethodInfo:
    """Return order, number of past values and evaluations per step of a sampler.

    Raises
    ------
    InvalidArgument, UnknownName
        As in `get`.
    """
    s = get(method)
    m = s.method
    return MethodInfo(s.name, s.order, None, m.history, m.evaluations, s.reference)
