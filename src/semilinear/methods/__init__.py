"""Methods as data. Adding one is a constant in one of these files; everything else follows.

``names()`` lists what there is, ``get(name)`` fetches it; parameterised families are functions:
``etd2rk(c2)``, ``lawson(tableau)``, ``etdab(values)``, ``etdpec(order)``, ``ipndm(values)``,
``ipndm_v(values)``; those of diffusion samplers: ``dpm2(c2)``, ``dpm3(c2, c3)``, ``res3(c2, c3)``,
``dpm12()``, ``dpm23()``, ``dpm_fast(evaluations)``, ``dpm_multistep(values)``, ``unipc(order)``,
``sa_solver(predictor, corrector)``.
"""

from __future__ import annotations

from semilinear.errors import InvalidArgument, UnknownName, shown
from semilinear.methods import adams, butcher, etdrk, pairs, variable_order
from semilinear.methods import lawson as _lawson
from semilinear.methods.adams import etdab, etdpec, ipndm, ipndm_v
from semilinear.methods.butcher import CLASSICAL, Butcher
from semilinear.methods.etdrk import etd2rk
from semilinear.methods.info import MethodInfo, MethodTable
from semilinear.methods.lawson import lawson
from semilinear.methods.multistep import Multistep
from semilinear.methods.ratios import distance
from semilinear.methods.sequence import STARTS, GridMethod, Method, sequence
from semilinear.methods.simplified import dpm_multistep, sa_solver, unipc
from semilinear.methods.singlestep import dpm2, dpm3, dpm12, dpm23, res3
from semilinear.methods.tableau import Tableau, exponential_runge_kutta
from semilinear.methods.tapered import Tapered, dpm_fast
from semilinear.methods.variable_order import VariableOrder

__all__ = [
    "CLASSICAL",
    "STARTS",
    "Butcher",
    "GridMethod",
    "Method",
    "MethodInfo",
    "MethodTable",
    "Multistep",
    "Tableau",
    "Tapered",
    "VariableOrder",
    "butcher",
    "distance",
    "dpm2",
    "dpm3",
    "dpm12",
    "dpm23",
    "dpm_fast",
    "dpm_multistep",
    "etd2rk",
    "etdab",
    "etdpec",
    "exponential_runge_kutta",
    "get",
    "info",
    "ipndm",
    "ipndm_v",
    "lawson",
    "names",
    "res3",
    "sa_solver",
    "sequence",
    "unipc",
]

_REGISTRY: dict[str, Method] = {
    value.name: value
    for module in (etdrk, pairs, _lawson, adams, variable_order)
    for value in vars(module).values()
    if isinstance(value, Method)
}

ALIASES: dict[str, str] = {
    "exponential_euler": "etd1",
    "norsett_euler": "etd1",
    "etdrk2": "etd2rk",
    "etdrk3": "etd3rk",
    "etdrk4": "etd4rk",
    "cox_matthews4": "etd4rk",
    "etd34": "krogstad4",
    "etdrk4b": "krogstad4",
    "exprk4s5": "hochbruck_ostermann4",
    "exprk4s6": "luan4",
    "exprk5s8": "luan_ostermann5",
    "if4": "lawson4",
    "integrating_factor4": "lawson4",
    "lawson5": "lawson54",
    "zb32": "zoto_bowman32",
    "zb43": "zoto_bowman43",
}


OF_SCIPY = ("bdf", "dop853", "lsoda", "radau", "rk23", "rk45")
"""Names that `scipy.integrate.solve_ivp` knows."""


def names() -> MethodTable:
    """Return all methods by name (aliases left out) with order, history and evaluations per step.

    A dictionary from name to `MethodInfo` that shows itself as a table.
    """
    return MethodTable((name, info(name)) for name in sorted(_REGISTRY))


def get(method: str | Method) -> Method:
    """Return a method by name or alias; a method object is returned as it is.

    Parameters
    ----------
    method
        A name of `names`, in upper or lower case, an alias, or a method object.

    Raises
    ------
    InvalidArgument
        If `method` is neither a name nor a method object.
    UnknownName
        If there is no method of that name.
    """
    if isinstance(method, Method):
        return method
    if not isinstance(method, str):
        raise InvalidArgument(
            f"method={shown(method)} must be a name or a method object; see "
            "semilinear.methods.names()"
        )
    name = method.lower()
    name = ALIASES.get(name, name)
    if name in OF_SCIPY:
        raise UnknownName(
            f"method={method!r} is a name of scipy.integrate.solve_ivp, whose methods are not "
            "here; leave method out for the default, or see semilinear.methods.names()"
        )
    if name not in _REGISTRY:
        raise UnknownName.among("method", method, [*_REGISTRY, *ALIASES])
    return _REGISTRY[name]


def info(method: str | Method) -> MethodInfo:
    """Return order, stiff order, number of past values and evaluations per step of a method.

    Parameters
    ----------
    method
        As in `get`.

    Raises
    ------
    InvalidArgument, UnknownName
        As in `get`.
    """
    m = get(method)
    embedded = None if isinstance(m, Multistep) else m.embedded_order or None
    return MethodInfo(
        m.name, m.order, m.stiff_order, m.history, m.evaluations, m.reference, embedded
    )
