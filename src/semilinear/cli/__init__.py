"""The command line: ``semilinear solve``, ``order``, ``work-precision``, ``sample``, lists."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor

from semilinear._version import __version__
from semilinear.cli import listing, sampling, solving, studying
from semilinear.errors import (
    InvalidArgument,
    MissingDependency,
    ModelOutputError,
    NonFiniteError,
)

ERRORS = (InvalidArgument, MissingDependency, ModelOutputError, NonFiniteError, BrokenExecutor)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0; 1 for a solve that did not reach its end; 2 for an argument at fault; 130 if interrupted.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        status = int(options.run(options))
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # The reader went away (a pager, head): nothing is wrong. Keep Python from saying otherwise.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(f"semilinear {options.command}: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except (*ERRORS, OSError) as error:
        notes = "".join(f" ({note})" for note in getattr(error, "__notes__", ()))
        print(f"semilinear {options.command}: {error}{notes}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="semilinear", description="Exponential integrators for semilinear ODEs."
    )
    parser.add_argument("--version", action="version", version=f"semilinear {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    solving.add_solve(commands)
    studying.add_order(commands)
    studying.add_work_precision(commands)
    sampling.add_sample(commands)
    listing.add_methods(commands)
    listing.add_problems(commands)
    return parser
