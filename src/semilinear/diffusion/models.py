"""Models as runs take them, and what those that are put around others say of themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from semilinear.diffusion.schedules import NoiseSchedule
from semilinear.errors import InvalidArgument, shown

Model = Callable[[Any, float], Any]


def checked_model(model: Any, argument: str) -> Model:
    """Return a model, or refuse what cannot be called."""
    if not callable(model):
        raise InvalidArgument(f"{argument}={shown(model)} must be callable as {argument}(x, t)")
    return model  # type: ignore[no-any-return]


class MadeFor(NamedTuple):
    """What a combinator takes the answers of its model for: see `made_for`."""

    schedule: NoiseSchedule
    prediction: str


def made_for(model: Model, mark: MadeFor | None) -> Model:
    """Return a model that says what it was made for, so that others can refuse it."""
    if mark is not None:
        model.made_for = mark  # type: ignore[attr-defined]
    return model


def mark_of(model: Any) -> MadeFor | None:
    """Return what a model was made for, if it says so."""
    return getattr(model, "made_for", None)


def check_made_for(
    model: Any,
    schedule: NoiseSchedule,
    prediction: str,
    *,
    argument: str = "model",
    user: str = "the run",
) -> None:
    """Refuse a model that was made for another schedule or prediction than its user has."""
    mark, wanted = mark_of(model), MadeFor(schedule, prediction)
    if mark is None or mark == wanted:
        return
    which = "prediction" if mark.prediction != prediction else "schedule"
    raise InvalidArgument(
        f"{argument}: what was put around it was made for {which}={shown(getattr(mark, which))}, "
        f"and {user} has {which}={shown(getattr(wanted, which))}; give both the same {which}"
    )
