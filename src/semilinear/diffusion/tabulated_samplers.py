"""DPM-Solver-v3: an Adams method with a tabulated quantity as N, over lambda."""

from __future__ import annotations

from semilinear.diffusion.catalogue import Sampler
from semilinear.diffusion.parameterisations import Parameterisation
from semilinear.diffusion.tabulated import Tabulated
from semilinear.errors import InvalidArgument
from semilinear.given import whole_number
from semilinear.methods import Multistep, etdab

_REFERENCE = "Zheng et al. (2023), DPM-Solver-v3"
HIGHEST = 6


def dpm_solver_v3(table: Tabulated, *, order: int = 3, corrector: bool = False) -> Sampler:
    """Return DPM-Solver-v3 with a table, for `plan`, `sample`, `choose` and whatever takes one.

    The predictor extrapolates g by its last `order` values; a corrector interpolates it by as many,
    of which the newest lies at the predicted state. One evaluation a step.

    Parameters
    ----------
    table
        The model's l, s, b.
    order
        Number of values of g, 1 to 6; published up to 3.
    corrector
        Whether predicted states are corrected; then the order must be 2 at least.

    Returns
    -------
    Sampler
        Of the quantity `table`, over lambda.

    Raises
    ------
    InvalidArgument
        If the table is none, or for another order.

    Notes
    -----
    ``lower_end=True`` of `plan` is the published ``lower_order_final``. While the order grows, the
    corrector here has one value more than the published one. The variants "pseudo-order" and "half
    corrector" are left out.

    References
    ----------
    Zheng et al. (2023), "DPM-Solver-v3: improved diffusion ODE solver with empirical model
    statistics".

    Examples
    --------
    >>> from semilinear import diffusion
    >>> table = diffusion.Tabulated([-6.0, 6.0], 1.0, 0.0, 0.0)  # x_0 as N
    >>> own = diffusion.dpm_solver_v3(table, order=2)
    >>> diffusion.plan(diffusion.VPLinear(), method=own, steps=8, grid="lambda")
    Plan(dpm_solver_v3_2, steps=8, nfe=8)
    """
    if not isinstance(table, Tabulated):
        raise InvalidArgument(f"table={table!r} must be a diffusion.Tabulated(lam, l, s, b)")
    lowest = 2 if corrector else 1
    order = whole_number("order", order)
    if not lowest <= order <= HIGHEST:
        raise InvalidArgument(
            f"order={order!r} must be a whole number from {lowest} to {HIGHEST}"
            + (" with a corrector" if corrector else "")
        )
    cell = Parameterisation(table, "lambda")
    if not corrector:
        return Sampler(f"dpm_solver_v3_{order}", cell, etdab(order), _REFERENCE)
    name = f"dpm_solver_v3_{order}c"
    method = Multistep(name, order, "PEC", order, _REFERENCE, corrector=order)
    return Sampler(name, cell, method, _REFERENCE)
