"""Multistep methods with the weights that diffusion samplers were published with.

With two nodes the published weights of DPM-Solver++ and UniPC replace the first moment of the exact
ones by a half of the zeroth, or of the step times the weight at its end; with three nodes those of
DPM-Solver++ take half of the second moment. The first two leave the order as it is, the last lowers
it to two; on few steps the simpler weights are often the better ones, since they damp.
"""

from __future__ import annotations

from typing import Literal

from semilinear.errors import InvalidArgument, UnknownName
from semilinear.given import whole_number
from semilinear.methods.multistep import Moments, Multistep
from semilinear.phi import phi

HALF: Moments = ((1, phi(1) / 2),)
"""M_1 = h M_0 / 2: DPM-Solver 2M, UniPC's B_2 = e^z - 1."""

END: Moments = ((1, phi(0, 1, 1) / 2),)
"""M_1 = h^2 B(t + h) / 2: UniPC's B_1 = z, SA-Solver."""

HALF_SECOND: Moments = ((2, phi(3)),)
"""M_2 = phi_3 in the place of 2 phi_3: the divided difference of DPM-Solver++ 3M."""

_LU = "Lu et al. (2022b), DPM-Solver++"


def dpm_multistep(values: int) -> Multistep:
    """Return the multistep DPM-Solver (in eps) or DPM-Solver++ (in x0) with 2 or 3 values of N.

    Parameters
    ----------
    values
        Number of values of N, the newest included.

    Raises
    ------
    InvalidArgument
        If `values` is neither 2 nor 3.

    References
    ----------
    Lu et al. (2022b), "DPM-Solver++", algorithm 2, for two values; their code for three.
    """
    values = whole_number("values", values, least=2, most=3)
    simplified = ((2, HALF), (3, HALF_SECOND))[: values - 1]
    return Multistep(f"dpm{values}m", values, "P", 2, _LU, simplified=simplified)


def unipc(order: int, variant: Literal["bh1", "bh2"] = "bh2") -> Multistep:
    """Return UniPC of an order: a predictor with `order` values of N, a corrector with one more.

    The observed order is ``order + 1``.

    Parameters
    ----------
    order
        p of the paper, at least 1.
    variant
        B(h): it matters where there are two nodes only.

    Raises
    ------
    InvalidArgument
        If `order` is no whole number of at least 1, or `variant` not one of these.

    References
    ----------
    Zhao et al. (2023), "UniPC: a unified predictor-corrector framework for fast sampling of
    diffusion models".
    """
    if variant not in ("bh1", "bh2"):
        raise InvalidArgument(f"variant={variant!r} must be 'bh1' or 'bh2'")
    order = whole_number("order", order)
    return Multistep(
        f"unipc{order}" + ("_bh1" if variant == "bh1" else ""),
        order,
        "PEC",
        order + 1,
        "Zhao et al. (2023), UniPC",
        simplified=((2, END if variant == "bh1" else HALF),),
    )


def sa_solver(
    predictor: int = 2, corrector: int = 2, *, mode: Literal["PEC", "PECE"] = "PEC"
) -> Multistep:
    """Return SA-Solver for a noise level tau.

    Parameters
    ----------
    predictor
        Number of values of N in the predictor.
    corrector
        Number of nodes of the corrector, the predicted point included.
    mode
        Whether N is evaluated again at the corrected state.

    Raises
    ------
    InvalidArgument
        If `predictor` or `corrector` is no whole number of at least 1.
    UnknownName
        If `mode` is neither ``"PEC"`` nor ``"PECE"``.

    References
    ----------
    Xue et al. (2023), "SA-Solver", algorithm 1; the weights of two nodes as in its code for few
    steps.
    """
    UnknownName.check("mode", mode, ("PEC", "PECE"))
    predictor = whole_number("predictor", predictor)
    corrector = whole_number("corrector", corrector)
    again = "_pece" if mode == "PECE" else ""
    return Multistep(
        f"sa_solver{predictor}{corrector}{again}",
        predictor,
        mode,
        min(predictor + 1, corrector),
        "Xue et al. (2023), SA-Solver",
        corrector=corrector,
        simplified=((2, END),),
    )


def exact(method: Multistep) -> Multistep:
    """Return the same method with the exact weights of its nodes."""
    order = method.values if method.mode == "P" else method.order
    return Multistep(
        f"{method.name}_exact",
        method.values,
        method.mode,
        order,
        method.reference,
        corrector=method.corrector,
    )
