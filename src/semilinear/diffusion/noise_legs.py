"""The parts of a step that a noise level gives, checked."""

from __future__ import annotations

import sys
from math import inf, isfinite
from typing import Any

from semilinear.diffusion.noise_levels import FORWARD, ROUNDING, STRONGEST, Leg, NoiseLevel
from semilinear.errors import InvalidArgument, shown
from semilinear.given import number

EPSILON = sys.float_info.epsilon


def checked_legs(
    noise: NoiseLevel,
    legs: Any,
    lam: float,
    lam_next: float,
    t_next: float,
    *,
    evaluations: int = 1,
) -> list[Leg]:
    """Return the parts that a rule gave for the step to t_next, or refuse them.

    Parameters
    ----------
    lam, lam_next
        Where the step begins and ends, in lambda.
    evaluations
        Of the method on one part.

    Raises
    ------
    InvalidArgument
        If they are no list of legs; if one has no number, goes the wrong way, or lies where the
        method has no limit; if none asks the model, or `noise` does not say that it splits steps.
    """
    place = noise, t_next
    if not isinstance(legs, list) or not legs or not all(isinstance(leg, Leg) for leg in legs):
        said, step = _words(*place)
        raise InvalidArgument(
            f"{said} gave {shown(legs)} for {step}; legs must return a list of diffusion.Leg"
        )
    for leg in legs:
        value = number(leg.tau_squared)
        if not (0 <= value <= STRONGEST or value == FORWARD):
            said, step = _words(*place)
            raise InvalidArgument(
                f"{said} gave tau_squared={shown(leg.tau_squared)} on {step}; it must lie between "
                f"0 and {STRONGEST:.0e}, as tau between 0 and {STRONGEST**0.5:.0f} does, or be "
                "-1, the forward process"
            )
    last = legs[-1]
    end = number(last.lam)
    # Equal where both are infinite.
    there = end == lam_next or abs(end - lam_next) <= ROUNDING * max(1.0, abs(lam_next)) < inf
    if not there or number(last.t) != t_next:
        said, step = _words(*place)
        raise InvalidArgument(
            f"{said} ended {step} at t={shown(last.t)}, lam={shown(last.lam)}; the last leg must "
            f"be Leg({lam_next:.6g}, tau_squared, t_next)"
        )
    for leg in legs[:-1]:
        _check_inner(leg, place, evaluations)
    _check_kinds(legs, place)
    _check_ways(legs, lam, lam_next, place)
    return legs


def _words(noise: NoiseLevel, t_next: float) -> tuple[str, str]:
    """Return what messages call a noise level, and a step."""
    return f"noise={noise!r}", f"the step to t={t_next:.6g}"


def _check_inner(leg: Leg, place: tuple[NoiseLevel, float], evaluations: int) -> None:
    """Refuse an end inside of a step that is also a time, or infinite without a limit there."""
    end = number(leg.lam)
    # Where the model is asked once, at the start, a step to sigma = 0 is its x_0.
    limit = isfinite(end) or (end > 0 and evaluations == 1)
    if limit and leg.t is None:
        return
    said, step = _words(*place)
    if leg.t is not None:
        raise InvalidArgument(
            f"{said} gave t={shown(leg.t)} for a leg inside of {step}; only the last leg has a "
            "time, the others end where lam says: give Leg(lam, tau_squared)"
        )
    remedy = ""
    if end > 0:
        remedy = ", or choose a method with one evaluation a step, such as 'ddim'"
    raise InvalidArgument(
        f"{said} gave lam={shown(leg.lam)} for a leg inside of {step}; end it at a finite "
        f"number{remedy}"
    )


def _check_ways(
    legs: list[Leg], lam: float, lam_next: float, place: tuple[NoiseLevel, float]
) -> None:
    """Refuse noise that is taken away, and steps of the sampler towards more noise."""
    start = lam
    for n, leg in enumerate(legs, start=1):
        end = lam_next if n == len(legs) else leg.lam
        forward = leg.tau_squared == FORWARD
        rise = 0.0 if end == start else end - start  # both may be infinite
        # A part without length may go either way by rounding.
        if (rise if forward else -rise) > 64 * EPSILON * max(1.0, min(abs(start), abs(end))):
            law = "only the forward process, tau_squared=-1, leads to more noise: lam must rise"
            if forward:
                law = "the forward process leads to more noise: lam must fall"
            said, step = _words(*place)
            raise InvalidArgument(
                f"{said}: leg {n} of {len(legs)} of {step} goes from lam={start:.6g} to "
                f"lam={end:.6g} with tau_squared={leg.tau_squared:.6g}; {law}"
            )
        start = end


def _check_kinds(legs: list[Leg], place: tuple[NoiseLevel, float]) -> None:
    """Refuse several legs, or the forward process, of what does not split; and no evaluation."""
    forward = [leg.tau_squared == FORWARD for leg in legs]
    if all(forward):
        said, step = _words(*place)
        raise InvalidArgument(
            f"{said} gave only the forward process for {step}, in which the model has no part; "
            "give a leg with tau_squared of at least 0 as well, from where it may be asked"
        )
    if not place[0].splits and (len(legs) > 1 or any(forward)):
        said, step = _words(*place)
        raise InvalidArgument(
            f"{said} gave {len(legs)} legs for {step}; a noise level with several, or with the "
            "forward process, must say splits = True in its class"
        )
