"""A scheduler for the pipelines of diffusers; importing this module imports diffusers and torch."""

from __future__ import annotations

from semilinear.errors import MissingDependency

try:
    import diffusers
    import torch  # noqa: F401
except ModuleNotFoundError as error:
    if error.name not in ("diffusers", "torch"):
        raise
    raise MissingDependency.of("diffusers", "diffusers") from None

from semilinear.adapters.diffusers.scheduler import SemilinearScheduler

__all__ = ["SemilinearScheduler"]

# diffusers looks the classes of configurations up by name in its own module, and takes keys of a
# class that it does not find there for mistakes.
setattr(diffusers, SemilinearScheduler.__name__, SemilinearScheduler)
