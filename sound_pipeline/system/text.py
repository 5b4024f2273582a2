"""Text that may go to a terminal, a log or a line of a table, whatever names files have."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Sequence
from typing import Any, TextIO

# What would break a line in two or steer a terminal: control characters, halves of surrogate
# pairs (from file names that aren't UTF-8), line and paragraph separators.
_UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}
# What shows the text after it in another order (Unicode Standard Annex 9): a name with U+202E may
# look like another's.
_REORDERING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
_MARKS = "\u061c\u200e\u200f"
# What spreadsheets take for the start of a formula.
_FORMULA_MARKS = ("=", "+", "-", "@")


def printable(text: str) -> str:
    """A text with escapes for what would break its line, steer a terminal or reorder the rest."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in _UNPRINTABLE
        or unicodedata.bidirectional(character) in _REORDERING
        or character in _MARKS
        else character
        for character in text
    )


def encodable(text: str, stream: TextIO) -> str:
    """A text with escapes for what a stream can't encode: not every terminal has UTF-8."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def one_line(text: str) -> str:
    """A message without line breaks or other control characters."""
    return printable(" ".join(text.split()))


def spreadsheet_row(values: Sequence[Any]) -> str:
    """A row of a CSV that people open in a spreadsheet, line feed included.

    Texts are printable, and one that a spreadsheet would take for a formula has an apostrophe
    before it, which shows it as it is. Files that are read again are not written so.
    """
    cells = [_no_formula(printable(value)) if isinstance(value, str) else value for value in values]
    row = io.StringIO()
    csv.writer(row, lineterminator="\n").writerow(cells)
    return row.getvalue()


def _no_formula(text: str) -> str:
    return f"'{text}" if text.lstrip().startswith(_FORMULA_MARKS) else text
