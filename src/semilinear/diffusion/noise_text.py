"""Noise levels in writing: for plans, the command line, and configurations that are files."""

from __future__ import annotations

from dataclasses import fields

from semilinear.diffusion.noise_levels import Eta, NoiseLevel, RhoPower, Tau, TauWithin
from semilinear.diffusion.noise_splits import Ancestral, Churn
from semilinear.errors import InvalidArgument, UnknownName

LEVELS: dict[str, type[NoiseLevel]] = {
    "tau": Tau,
    "within": TauWithin,
    "eta": Eta,
    "er_sde": RhoPower,
    "ancestral": Ancestral,
    "churn": Churn,
}
"""Noise levels by name; the number after it is their first parameter."""

FUNCTIONS = ("phi",)
"""Parameters that are functions, which cannot be written."""


def written_noise(text: str, *, argument: str = "noise=") -> NoiseLevel:
    """Return the noise level of a text: ``NUMBER`` or ``NAME[=NUMBER][,PARAMETER=NUMBER...]``.

    A number alone is tau; a name alone has the defaults of its class.

    Parameters
    ----------
    text
        For example ``"0.5"``, ``"within=1,low=0.3"``, ``"er_sde"`` or
        ``"churn=40,low=0.05,high=50,scale=1.003"``.
    argument
        What stands before the text in messages.

    Raises
    ------
    InvalidArgument
        If it is not of that form, or a number is outside of its range.
    """
    said = f"{argument}{text}"
    first, *rest = text.split(",")
    name, equals, value = (part.strip() for part in first.partition("="))
    if not equals and name not in LEVELS:
        name, equals, value = "tau", "=", first
    level = LEVELS.get(name)
    if level is None:
        raise UnknownName.among(argument.rstrip("= "), name, LEVELS)
    parameters = [f.name for f in fields(level)]  # type: ignore[arg-type]
    main, *others = parameters
    given = {}
    if equals:
        if main in FUNCTIONS:
            raise InvalidArgument(
                f"{said}: {name} takes no number; its function of rho cannot be written"
            )
        given[main] = _number(said, value)
    for part in rest:
        key, _, value = part.partition("=")
        if key.strip() not in others:
            raise InvalidArgument(
                f"{said}: {name} has the parameters {', '.join(others)}, and not {key.strip()!r}"
            )
        given[key.strip()] = _number(said, value)
    try:
        made = level(**given)
    except InvalidArgument as error:
        raise InvalidArgument(f"{said}: {error}") from None
    if made.is_silent and not equals:
        raise InvalidArgument(f"{said} needs a number, such as {name}=40")
    return made


def _number(said: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise InvalidArgument(
            f"{said} must be a number or such as eta=0.5 or churn=40,low=0.05,high=50"
        ) from None
