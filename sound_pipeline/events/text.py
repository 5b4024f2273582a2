"""Text of events and messages."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

# What would break a line in two or steer a terminal: control characters, halves of surrogate
# pairs (from file names that aren't UTF-8), line and paragraph separators.
_UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}


def json_line(record: Mapping[str, Any]) -> str:
    """A record as one line of ASCII, line feed included."""
    return json.dumps(record, allow_nan=False) + "\n"


def top_scores(
    scores: npt.NDArray[np.floating[Any]], labels: Sequence[str], top: int
) -> list[tuple[str, float]]:
    """The `top` classes with the highest scores and those scores, the highest first."""
    order = np.argsort(-scores, kind="stable")[:top]
    return [(labels[index], float(scores[index])) for index in order]


def printable(text: str) -> str:
    """A text with escapes for what would break its line in two or steer a terminal."""
    return "".join(
        character.encode("unicode_escape").decode("ascii")
        if unicodedata.category(character) in _UNPRINTABLE
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


def clock_text(seconds: float) -> str:
    """A duration as hours, minutes and whole seconds: 1:02:03, or 2:03 within the first hour."""
    minutes, rest = divmod(int(round(seconds, 3)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def latency_text(seconds: float) -> str:
    """A latency with the unit and the digits that suit it: 4.1 ms, 63 ms, 12.3 s."""
    milliseconds = 1000 * seconds
    if milliseconds < 9.95:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds:.0f} ms" if milliseconds < 999.5 else f"{seconds:.1f} s"
