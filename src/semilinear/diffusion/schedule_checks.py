"""Whether the formulas of a schedule agree with one another: of classes outside of the package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from semilinear.errors import InvalidArgument

if TYPE_CHECKING:
    from semilinear.diffusion.schedules_base import NoiseSchedule

PARTS = np.array([0.2113, 0.3547, 0.4961, 0.6403, 0.7887])
"""Times of the check, as parts of the domain up to t_start: away from its ends, where formulas are
singular, and from the entries of even tables."""

APART = 0.02
"""Of two times of a difference, to either side: tables have several entries in between."""

LONG = 20.0
"""A domain of this length is taken to count steps: times of the check are whole there."""

SAME = 1e-4
"""Of logarithms, and of times as parts of the domain."""

SAME_OF_TABLES = 2e-2
"""The same of what is linear between two entries: each table is interpolated by itself."""

NEAR = 1e-5
"""Parts of the domain that lie between two entries of a table."""

SLOPE = 0.1
"""Of derivatives, relative: those of tables are differences as well."""


def check_schedule(schedule: NoiseSchedule) -> None:
    """Refuse a schedule whose formulas contradict each other at a few times inside.

    Raises
    ------
    InvalidArgument
        If lambda does not fall, is not ln alpha - ln sigma, or `_t_of_lam` is not its inverse; if
        `_drift` or `_diffusion_squared` is no derivative; if a formula that may be overridden
        gives something else than the ones it follows from.
    """
    first = schedule.t_min
    length = schedule.t_start - first
    t, h = first + PARTS * length, APART * length
    if length >= LONG:
        t, h = np.round(t), max(1.0, float(np.round(h)))
    _check_shapes(schedule, t)
    lam = schedule.lam(t)
    if not (np.diff(lam) < 0).all():
        raise InvalidArgument(
            f"schedule={schedule!r}: lam must fall in t, but is {_listed(lam)} at t={_listed(t)}"
        )
    same = SAME_OF_TABLES if _is_table(schedule, t, NEAR * length) else SAME
    _check_values(schedule, t, lam, length, same)
    _check_slopes(schedule, t, h)


def _check_shapes(schedule: NoiseSchedule, t: Any) -> None:
    for name in ("lam", "log_alpha", "sigma", "drift", "diffusion_squared"):
        shape = np.shape(getattr(schedule, name)(t))
        if shape != t.shape:
            raise InvalidArgument(
                f"schedule={schedule!r}: _{name} gave shape {shape} for times of shape {t.shape}; "
                "it must return an array like t, a constant c as 0 * t + c"
            )


def _is_table(schedule: NoiseSchedule, t: Any, h: float) -> bool:
    """Tell whether all formulas are linear, or constant, around two of the times or more."""
    for rule in (schedule.log_alpha, schedule.sigma, schedule.lam):
        before, here, after = (rule(t + shift) for shift in (-h, 0.0, h))
        bend = np.abs(before - 2.0 * here + after)
        if np.sort(bend)[1] > 1e-13 * max(1.0, np.abs(here).max()):
            return False
    return True


def _check_values(schedule: NoiseSchedule, t: Any, lam: Any, length: float, same: float) -> None:
    log_alpha, alpha, sigma = schedule.log_alpha(t), schedule.alpha(t), schedule.sigma(t)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        pairs: tuple[Any, ...] = (
            ("lam", lam, "log_alpha - ln sigma", log_alpha - np.log(sigma), 1.0),
            ("ln alpha", np.log(alpha), "log_alpha", log_alpha, 1.0),
            ("ln rho", np.log(schedule.rho(t)), "-lam", -lam, 1.0),
        )
        _refuse_differences(schedule, t, pairs, same)
        # Now lambda can be believed.
        rho = np.exp(-lam)
        pairs = (
            ("t_of_lam(lam)", schedule.t_of_lam(lam), "t", t, length),
            ("t_of_rho(rho)", schedule.t_of_rho(rho), "t", t, length),
            ("alpha_of_lam(lam)", schedule.alpha_of_lam(lam), "alpha", alpha, alpha),
            ("sigma_of_lam(lam)", schedule.sigma_of_lam(lam), "sigma", sigma, sigma),
        )
        _refuse_differences(schedule, t, pairs, same)


def _refuse_differences(schedule: NoiseSchedule, t: Any, pairs: Any, same: float) -> None:
    for name, found, other, expected, unit in pairs:
        equal = np.abs(found - expected) <= same * unit
        if not equal.all():
            n = int(np.argmin(equal))
            raise InvalidArgument(
                f"schedule={schedule!r}: its formulas contradict each other: at t={t[n]:.6g} "
                f"{name} is {found[n]:.6g} and {other} is {expected[n]:.6g}; they must be equal"
            )


def _check_slopes(schedule: NoiseSchedule, t: Any, h: float) -> None:
    slopes = [
        (rule(t + h) - rule(t - h)) / (2.0 * h) for rule in (schedule.log_alpha, schedule.lam)
    ]
    pairs = (
        ("drift", schedule.drift(t), "d ln alpha / dt", slopes[0]),
        (
            "diffusion_squared",
            schedule.diffusion_squared(t),
            "-2 sigma^2 dlambda/dt",
            -2.0 * schedule.sigma(t) ** 2 * slopes[1],
        ),
    )
    for name, found, law, expected in pairs:
        same = np.abs(found - expected) <= SLOPE * np.abs(expected) + 1e-9
        # Some of the times may lie where a table has a kink.
        if 2 * np.count_nonzero(same) < len(t):
            n = int(np.argmin(same))
            raise InvalidArgument(
                f"schedule={schedule!r}: its formulas contradict each other: at t={t[n]:.6g} "
                f"{name} is {found[n]:.6g}, but {law} is about {expected[n]:.6g}"
            )


def _listed(values: Any) -> str:
    return ", ".join(f"{value:.6g}" for value in values)
