"""What several commands do with files that are named on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semilinear.errors import InvalidArgument

PICTURES = (".png", ".pdf", ".svg")


def check_picture(path: Path | None) -> None:
    """Refuse the name of a picture in an unknown format, before any work is done."""
    if path is not None and path.suffix not in PICTURES:
        raise InvalidArgument(f"--plot {path} must end in one of {', '.join(PICTURES)}")


def write_study(study: Any, json: Path | None, csv: Path | None) -> None:
    """Write a study to the files that are named, and say so."""
    for path, text in ((json, study.to_json), (csv, study.to_csv)):
        if path is not None:
            path.write_text(text(), encoding="utf-8")
            print(f"-> {path}")
