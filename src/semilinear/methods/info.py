"""What a user chooses a method by."""

from __future__ import annotations

from typing import NamedTuple


class MethodInfo(NamedTuple):
    """What a user chooses by.

    Parameters
    ----------
    name
        Name under which the method is known.
    order
        Classical order, for a multistep method with starting values that are accurate enough.
    stiff_order
        Order that is kept on stiff parabolic problems; None for a sampler, whose ODE is not stiff
        once its linear part is exact.
    history
        Number of past values of N, besides the newest, that a step uses.
    evaluations
        Evaluations of N per step.
    reference
        Where the method stands.
    embedded_order
        Order of the embedded value, which makes an estimate of the local error; None without one.
    """

    name: str
    order: int
    stiff_order: int | None
    history: int
    evaluations: int
    reference: str
    embedded_order: int | None = None

    @property
    def orders(self) -> str:
        """The order, of a pair with the embedded order in brackets: ``5(4)``."""
        embedded = "" if self.embedded_order is None else f"({self.embedded_order})"
        return f"{self.order}{embedded}"


class MethodTable(dict[str, MethodInfo]):
    """Methods by name; shows itself as a table, where 5(4) is the order of a pair."""

    def __repr__(self) -> str:
        lines = [
            f"{'name':22}{'order':>6}{'stiff order':>12}{'past values':>12}{'evaluations':>12}"
        ]
        lines += [
            f"{m.name:22}{m.orders:>6}{'-' if m.stiff_order is None else m.stiff_order:>12}"
            f"{m.history:12}{m.evaluations:12}"
            for m in self.values()
        ]
        return "\n".join(lines)
