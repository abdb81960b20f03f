"""The documentation is run: its examples with their output, its links, its tables.

A fenced ``python`` block runs in the namespace of its page; a ``sh`` block whose lines begin with
``semilinear`` goes through the command line. A ``text`` block directly below either is its output.
A comment directly above a fence says what a block needs (``<!-- needs: torch -->``) or that it is
not run (``<!-- skip -->``).
"""

from __future__ import annotations

import importlib.util
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from semilinear import cli

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = "```"
FLOAT = re.compile(r"(?<![\w.])-?(?:\d+\.\d*(?:e[+-]?\d+)?|\d+e[+-]?\d+)")
TOLERANCE = 0.1
"""Relative; the second digit of an error may differ between processors."""


@dataclass
class Block:
    """A fenced block: where it begins, the comment above it, and the output shown below it."""

    language: str
    line: int
    comment: str
    source: str
    output: str | None = None

    @property
    def commands(self) -> list[list[str]]:
        lines = self.source.replace("\\\n", " ").splitlines()
        return [shlex.split(line, comments=True) for line in lines if line.strip()]

    @property
    def runs(self) -> bool:
        if self.comment == "skip":
            return False
        if self.language == "sh":
            return all(command[:1] == ["semilinear"] for command in self.commands)
        return self.language == "python"

    @property
    def missing(self) -> list[str]:
        """Libraries that the block needs and that are not installed."""
        names = self.comment.removeprefix("needs:").split(",") if "needs:" in self.comment else []
        return [name for name in map(str.strip, names) if importlib.util.find_spec(name) is None]


def page_id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page; an output block goes to the block above it."""
    found: list[Block] = []
    lines = text.splitlines()
    end = -1  # the line after which the last block ended
    i = 0
    while i < len(lines):
        if not lines[i].startswith(FENCE):
            i += 1
            continue
        close = next(k for k in range(i + 1, len(lines)) if lines[k].startswith(FENCE))
        above = lines[i - 1].strip() if i else ""
        comment = above[4:-3].strip() if above.startswith("<!--") else ""
        source = "\n".join(lines[i + 1 : close]) + "\n"
        block = Block(lines[i].removeprefix(FENCE).strip(), i + 1, comment, source)
        directly_below = not any(line.strip() for line in lines[end + 1 : i])
        if block.language == "text" and found and found[-1].runs and directly_below:
            found[-1].output = source
        else:
            found.append(block)
        end = close
        i = close + 1
    return found


def same_output(expected: str, found: str) -> bool:
    """Compare words exactly and numbers with a decimal point or an exponent to `TOLERANCE`."""
    words = [FLOAT.sub("#", text).split() for text in (expected, found)]
    numbers = [[float(x) for x in FLOAT.findall(text)] for text in (expected, found)]
    return words[0] == words[1] and all(
        abs(a - b) <= TOLERANCE * abs(a) for a, b in zip(*numbers, strict=True)
    )


def run(block: Block, page: Path, module: ModuleType) -> None:
    if block.language == "sh":
        for command in block.commands:
            assert cli.main(command[1:]) == 0, shlex.join(command)
        return
    # Line numbers of a traceback are those of the page.
    code = compile("\n" * block.line + block.source, str(page), "exec", dont_inherit=True)
    exec(code, module.__dict__)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_examples_run(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    module = ModuleType("example")
    monkeypatch.setitem(sys.modules, "example", module)
    left_out = []
    for block in (b for b in blocks(page.read_text(encoding="utf-8")) if b.runs):
        if block.missing:
            left_out.append(f"line {block.line} needs {', '.join(block.missing)}")
            continue
        run(block, page, module)
        printed = capsys.readouterr().out
        if block.output is not None:
            assert same_output(block.output, printed), f"line {block.line} prints:\n{printed}"
    if left_out:
        pytest.skip(f"all but some examples of {page_id(page)} passed: {'; '.join(left_out)}")


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        ("etdab4  4  4.05  2.0e-04", "etdab4 4 3.97   1.9e-04", True),
        ("etdab4 4", "etdab4 5", False),
        ("order 4.05", "order 3.05", False),
        ("(10, 4)", "(10, 5)", False),
        ("order 4.05", "order 4.05 more", False),
    ],
)
def test_outputs_are_compared(expected: str, found: str, same: bool) -> None:
    assert same_output(expected, found) is same


def test_blocks_are_found() -> None:
    text = "a\n\n<!-- skip -->\n```sh\nx\n```\n\n```python\nprint(1)\n```\n\n```text\n1\n```\n"
    skipped, example = blocks(text)
    assert not skipped.runs
    assert (example.line, example.source, example.output) == (8, "print(1)\n", "1\n")


def prose(text: str) -> str:
    """Return a page without its fenced blocks and inline code."""
    text = re.sub(rf"^{FENCE}.*?^{FENCE}", "", text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`[^`\n]*`", "", text)


def links(page: Path) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text(encoding="utf-8"))):
        if not re.match(r"[a-z]+:", target):
            yield target


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page, as code hosts make them."""
    text = re.sub(rf"^{FENCE}.*?^{FENCE}", "", page.read_text("utf-8"), flags=re.DOTALL | re.M)
    headings = re.findall(r"^#+ +(.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_resolve(page: Path) -> None:
    dead = []
    for target in links(page):
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        known = file.exists() and (not anchor or anchor in anchors(file))
        if not known:
            dead.append(target)
    assert not dead


def test_the_file_map_names_files_that_exist() -> None:
    text = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w/]+\.py)`", text))
    source = [f"/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "src").rglob("*.py")]
    source += ["/tests/test_architecture.py"]
    assert len(named) > 30
    assert not {name for name in named if not any(path.endswith(f"/{name}") for path in source)}


CITED = re.compile(
    r"([A-Z][a-z]+)(?:(?:, [A-Z][a-z]+)* and [A-Z][a-z]+| et al\.)? \(?((?:1[789]|20)\d\d[a-z]?)\b"
)
"""First author and year, as in "Zhang and Chen (2022)"."""

ENTRY = re.compile(r"^- (?:[a-z]+ )*([A-Z][a-z]+), [^(\n]*\((\d{4}[a-z]?)\)", re.MULTILINE)


def test_what_is_cited_is_in_the_references() -> None:
    references = ROOT / "docs" / "references.md"
    listed = ENTRY.findall(references.read_text(encoding="utf-8"))
    cited = {
        source
        for page in PAGES
        if page != references
        for source in CITED.findall(" ".join(page.read_text(encoding="utf-8").split()))
    }
    assert not cited - set(listed)
    assert len(listed) == len(set(listed)) > 40


def test_method_tables_are_up_to_date() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "make_methods.py"))
    text = script["PAGE"].read_text(encoding="utf-8")
    assert script["updated"](text) == text, "run: python docs/make_methods.py"
