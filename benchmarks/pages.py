"""Tables as Markdown: printed, or put between their marks in a document, so that no figure is copied by hand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


def table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; numbers that are no whole ones with three digits."""
    lines = [titles, ["---"] * len(titles), *([_cell(one) for one in row] for row in rows)]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


@dataclass(frozen=True)
class Page:
    """Where tables go: to the terminal, or between ``<!-- table NAME ... -->`` and ``<!-- end NAME -->`` of a document.

    ``made`` says what they were printed by and with; it stands in the mark.
    """

    document: Path | None
    made: str

    def expect(self, names: Iterable[str]) -> None:
        """Raise LookupError where the document lacks a table's marks: better before hours of measuring than after."""
        if self.document is not None:
            text = self.document.read_text("utf-8")
            for name in names:
                replaced(text, name, "", self.made)

    def put(self, name: str, text: str) -> None:
        """Show a table at once; raises LookupError where the document has no such mark."""
        if self.document is None:
            print(f"**{name}**\n\n{text}\n", flush=True)
        else:
            written = replaced(self.document.read_text("utf-8"), name, text, self.made)
            self.document.write_text(written, encoding="utf-8")


def replaced(page: str, name: str, text: str, made: str) -> str:
    """A page with the text between the marks of a table exchanged; raises LookupError without such marks."""
    marks = re.compile(rf"<!-- table {re.escape(name)}\b.*?-->.*?<!-- end {re.escape(name)} -->", re.DOTALL)
    block = f"<!-- table {name}: {made} -->\n\n{text}\n\n<!-- end {name} -->"
    written, count = marks.subn(lambda _: block, page)
    if count != 1:
        raise LookupError(f"the document has {count} tables {name!r}, not one")
    return written


def _cell(value: object) -> object:
    return f"{value:.3f}" if isinstance(value, float) else value
