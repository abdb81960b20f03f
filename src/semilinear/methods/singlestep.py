"""One-step methods of diffusion samplers, as tableaux for any linear part.

They are named by the papers that brought them: DPM-Solver (Lu et al. 2022a), whose last order
condition holds at z = 0 only, and RES (Zhang et al. 2023), which satisfies the stiff order
conditions of Hochbruck and Ostermann (2005) for every z.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from semilinear.errors import InvalidArgument
from semilinear.methods.tableau import Tableau, exponential_runge_kutta, inner_node
from semilinear.phi import ZERO, Phi, phi

HALF, THIRD = Fraction(1, 2), Fraction(1, 3)


def dpm2(c2: Fraction | int = HALF) -> Tableau:
    """Return the two-stage method of DPM-Solver-2: ``b_2 = phi_1 / (2 c_2)``.

    Parameters
    ----------
    c2
        Node of the second stage, 0 < c2 <= 1; r_1 of the paper.

    Raises
    ------
    InvalidArgument
        If c2 is no rational number in (0, 1].

    References
    ----------
    Lu et al. (2022a), "DPM-Solver", algorithm 4; as 2S: Lu et al. (2022b), "DPM-Solver++".
    """
    c2 = inner_node("c2", c2)
    return exponential_runge_kutta(
        f"dpm2(c2={c2})",
        (0, c2),
        {},
        {2: phi(1) / (2 * c2)},
        order=2,
        stiff_order=2,
        reference="Lu et al. (2022a), DPM-Solver, algorithm 4",
    )


def dpm3(c2: Fraction | int = THIRD, c3: Fraction | int = 2 * THIRD) -> Tableau:
    """Return the three-stage method of DPM-Solver-3.

    ``a_32 = (c_3^2 / c_2) phi_2(c_3 z)``, ``b_3 = phi_2 / c_3``, ``b_2 = 0``: order three for c3 =
    2/3, else two.

    Parameters
    ----------
    c2, c3
        Nodes, 0 < c2 < c3 <= 1; r_1 and r_2 of the paper.

    Raises
    ------
    InvalidArgument
        If c2 or c3 is no rational number in (0, 1], or c2 is not less than c3.

    References
    ----------
    Lu et al. (2022a), "DPM-Solver", algorithm 5.
    """
    c2, c3 = inner_node("c2", c2), inner_node("c3", c3)
    if c2 >= c3:
        raise InvalidArgument(f"c2={c2}, c3={c3}: need c2 < c3")
    order = 3 if c3 == 2 * THIRD else 2
    return exponential_runge_kutta(
        f"dpm3(c2={c2}, c3={c3})",
        (0, c2, c3),
        {(3, 2): (c3**2 / c2) * phi(2, 0, c3)},
        {3: phi(2) / c3},
        order=order,
        stiff_order=order,
        reference="Lu et al. (2022a), DPM-Solver, algorithm 5",
    )


def dpm12() -> Tableau:
    """Return DPM-Solver-12: `dpm2` with exponential Euler embedded.

    Its stages end in the middle of a step, and so does what the estimate sees.

    References
    ----------
    Lu et al. (2022a), "DPM-Solver", adaptive step size.
    """
    return _pair("dpm12", dpm2(), (phi(1), ZERO))


def dpm23() -> Tableau:
    """Return DPM-Solver-23: `dpm3` with `dpm2` of c2 = 1/3 embedded.

    Its stages end at 2/3 of a step, and so does what the estimate sees.

    References
    ----------
    Lu et al. (2022a), "DPM-Solver", adaptive step size.
    """
    return _pair("dpm23", dpm3(), (*dpm2(THIRD).b, ZERO))


def _pair(name: str, high: Tableau, embedded: tuple[Phi, ...]) -> Tableau:
    return replace(high, name=name, embedded=embedded, embedded_order=high.order - 1)


def res3(c2: Fraction | int = HALF, c3: Fraction | int = 1) -> Tableau:
    """Return the three-stage method of stiff order three.

    With ``gamma = (3 c_3^2 - 2 c_3) / (c_2 (2 - 3 c_2))``: ``b_3 = phi_2 / (gamma c_2 + c_3)``,
    ``b_2 = gamma b_3``, ``a_32 = gamma c_2 phi_2(c_2 z) + (c_3^2 / c_2) phi_2(c_3 z)``.

    Parameters
    ----------
    c2, c3
        Nodes in (0, 1], not equal, c2 not 2/3.

    Raises
    ------
    InvalidArgument
        If c2 or c3 is no rational number in (0, 1], they are equal, c2 is 2/3, or gamma c2 + c3 is
        0.

    References
    ----------
    Hochbruck and Ostermann (2005), "Explicit exponential Runge-Kutta methods", eq. 5.9; Zhang et
    al. (2023), "Improved order analysis and design of exponential integrator for diffusion models".
    """
    c2, c3 = inner_node("c2", c2), inner_node("c3", c3)
    if c2 == c3 or c2 == 2 * THIRD:
        raise InvalidArgument(f"c2={c2}, c3={c3}: need c2 != c3 and c2 != 2/3")
    gamma = (3 * c3**2 - 2 * c3) / (c2 * (2 - 3 * c2))
    total = gamma * c2 + c3
    if total == 0:
        raise InvalidArgument(f"c2={c2}, c3={c3}: gamma c2 + c3 is 0")
    return exponential_runge_kutta(
        f"res3(c2={c2}, c3={c3})",
        (0, c2, c3),
        {(3, 2): gamma * c2 * phi(2, 0, c2) + (c3**2 / c2) * phi(2, 0, c3)},
        {2: (gamma / total) * phi(2), 3: phi(2) / total},
        order=3,
        stiff_order=3,
        reference="Hochbruck and Ostermann (2005), eq. 5.9; Zhang et al. (2023), RES",
    )
