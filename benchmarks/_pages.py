"""Text that a benchmark writes into a page, between comments of its name."""

from __future__ import annotations

import re
from pathlib import Path

RESULTS = Path(__file__).resolve().parent / "RESULTS.md"


def written(page: str, name: str, text: str) -> str:
    """Return a page with new text between the comments of a name."""
    pattern = rf"(<!-- generated: {name} -->\n).*?(<!-- end -->)"
    found, count = re.subn(
        pattern, lambda m: f"{m[1]}\n{text}\n\n{m[2]}", page, count=1, flags=re.DOTALL
    )
    if not count:
        raise ValueError(f"the page has no comment <!-- generated: {name} --> with an end")
    return found
