"""Text of events and their figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt


def json_line(record: Mapping[str, Any]) -> str:
    """A record as one line of ASCII, line feed included."""
    return json.dumps(record, allow_nan=False) + "\n"


def top_scores(
    scores: npt.NDArray[np.floating[Any]], labels: Sequence[str], top: int
) -> list[tuple[str, float]]:
    """The `top` classes with the highest scores and those scores, the highest first."""
    order = np.argsort(-scores, kind="stable")[:top]
    return [(labels[index], float(scores[index])) for index in order]


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
