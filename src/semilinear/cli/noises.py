"""The option ``--noise`` of ``semilinear sample``."""

from __future__ import annotations

from dataclasses import fields

from semilinear.diffusion import Ancestral, Churn, Eta, NoiseLevel, Tau, TauWithin
from semilinear.errors import InvalidArgument, UnknownName

LEVELS: dict[str, type[NoiseLevel]] = {
    "tau": Tau,
    "within": TauWithin,
    "eta": Eta,
    "ancestral": Ancestral,
    "churn": Churn,
}
"""Noise levels by the name of the option; the number after it is their first parameter."""

HELP = (
    "how much noise enters: a number tau (0: the ODE, 1: the reverse SDE), or tau=, within=, eta=, "
    "ancestral=, churn= with a number; further parameters after commas, such as "
    "churn=40,low=0.05,high=50,scale=1.003; what the method's name says if not given"
)


def noise_option(text: str | None) -> NoiseLevel | None:
    """Return the noise level that an option names, None for none.

    Raises
    ------
    InvalidArgument
        If it is not of the form ``NUMBER`` or ``NAME=NUMBER[,PARAMETER=NUMBER...]``, or a number
        is outside of its range.
    """
    if text is None:
        return None
    first, *rest = text.split(",")
    name, equals, value = first.partition("=")
    if not equals:
        name, value = "tau", first
    level = LEVELS.get(name.strip())
    if level is None:
        raise UnknownName.among("--noise", name.strip(), LEVELS)
    main, *others = (field.name for field in fields(level))  # type: ignore[arg-type]
    given = {main: _number(text, value)}
    for part in rest:
        key, _, value = part.partition("=")
        if key.strip() not in others:
            raise InvalidArgument(
                f"--noise {text}: {name.strip()} has the parameters {', '.join(others)}, and not "
                f"{key.strip()!r}"
            )
        given[key.strip()] = _number(text, value)
    try:
        return level(**given)
    except InvalidArgument as error:
        raise InvalidArgument(f"--noise {text}: {error}") from None


def _number(text: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise InvalidArgument(
            f"--noise {text} must be a number or such as eta=0.5 or churn=40,low=0.05,high=50"
        ) from None
