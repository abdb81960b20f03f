"""Studies as aligned text, as JSON and as CSV."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells in columns: the first to the left, all others to the right."""
    first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(first), *map(str.rjust, row[1:], others)]) for row in rows
    )


def number(value: float, form: str) -> str:
    """Return a formatted number, ``-`` for NaN."""
    return "-" if math.isnan(value) else format(value, form)


def plain(data: dict[str, Any]) -> dict[str, Any]:
    """Return nested data as JSON has them: lists for tuples, None for NaN and infinity."""
    return dict(json.loads(json.dumps(data), parse_constant=lambda constant: None))


def csv_text(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a CSV document; numbers as Python writes them, empty cells for NaN and None."""
    stream = StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    for row in rows:
        writer.writerow(["" if value is None or value != value else value for value in row])
    return stream.getvalue()
