"""Results as text, in the formats that other programs read.

A label track is what Audacity exports and imports (its manual, "Importing and Exporting Labels"):
start, end and text, separated by tabs. A selection table is what Raven Pro saves (its manual,
"Selection tables"): a header and a row a selection, separated by tabs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from sound_pipeline.events.text import json_line
from sound_pipeline.label.journal import EventRow, Result
from sound_pipeline.system.text import printable, spreadsheet_row


class EventFormat(NamedTuple):
    """A way to write results.

    Attributes:
      suffix: what a recording's name is followed by in the name of a file for it alone.
      header: the text before all results, given the number of classes an event has.
      body: the text for one result, given that number and the highest frequency the model hears.
      holds_many: whether one file may hold the results of several recordings, errors included.
    """

    suffix: str
    header: Callable[[int], str]
    body: Callable[[Result, int, float], str]
    holds_many: bool


def _csv_header(top: int) -> str:
    others = [f"{name}_{place}" for place in range(2, top + 1) for name in ("label", "score")]
    return spreadsheet_row(
        ["path", "type", "start_seconds", "end_seconds", "label", "score", *others, "reason"]
    )


def _csv_body(result: Result, top: int, max_hz: float) -> str:
    del max_hz
    path, none = result.path, [""] * (2 * top + 2)
    if result.error:
        return spreadsheet_row([path, "error", *none, result.error])
    if not result.events:
        return spreadsheet_row([path, "nothing", *none, result.reason])
    return "".join(
        spreadsheet_row(
            [
                path,
                "event",
                event.start_seconds,
                event.end_seconds,
                event.label,
                event.score,
                *_others(event, top),
                "",
            ]
        )
        for event in result.events
    )


def _others(event: EventRow, top: int) -> list[Any]:
    """The other labels and their scores, side by side, in as many columns as there are."""
    others = event.others[: top - 1]
    known: list[Any] = [value for label, score in others for value in (printable(label), score)]
    return known + [""] * (2 * (top - 1) - len(known))


def _json_body(result: Result, top: int, max_hz: float) -> str:
    del max_hz
    if result.error:
        return json_line({"type": "error", "path": result.path, "reason": result.error})
    if not result.events:
        return json_line({"type": "nothing", "path": result.path, "reason": result.reason})
    return "".join(
        json_line(
            {
                "type": "event",
                "path": result.path,
                "start_seconds": event.start_seconds,
                "end_seconds": event.end_seconds,
                "label": event.label,
                "score": event.score,
                **({"others": dict(event.others)} if top > 1 else {}),
            }
        )
        for event in result.events
    )


def _audacity_body(result: Result, top: int, max_hz: float) -> str:
    del max_hz

    def text(event: EventRow) -> str:
        if top == 1:
            return printable(event.label)
        ranked = ((event.label, event.score), *event.others)
        return ", ".join(f"{printable(label)} {score:.2f}" for label, score in ranked)

    return "".join(
        f"{event.start_seconds:.6f}\t{event.end_seconds:.6f}\t{text(event)}\n"
        for event in result.events
    )


def _raven_header(top: int) -> str:
    others = [f"{name} {place}" for place in range(2, top + 1) for name in ("Label", "Score")]
    columns = ["Selection", "View", "Channel", "Begin Time (s)", "End Time (s)"]
    return _tabbed([*columns, "Low Freq (Hz)", "High Freq (Hz)", "Label", "Score", *others])


def _raven_body(result: Result, top: int, max_hz: float) -> str:
    high = min(max_hz, result.sample_rate_hz / 2)
    return "".join(
        _tabbed(
            [
                number,
                "Spectrogram 1",
                1,
                f"{event.start_seconds:.3f}",
                f"{event.end_seconds:.3f}",
                "0.0",
                f"{high:.1f}",
                printable(event.label),
                event.score,
                *_others(event, top),
            ]
        )
        for number, event in enumerate(result.events, start=1)
    )


def _tabbed(values: Sequence[Any]) -> str:
    return "\t".join(map(str, values)) + "\n"


def _no_header(top: int) -> str:
    del top
    return ""


FORMATS = {
    "csv": EventFormat(".events.csv", _csv_header, _csv_body, True),
    "jsonl": EventFormat(".events.jsonl", _no_header, _json_body, True),
    "audacity": EventFormat(".labels.txt", _no_header, _audacity_body, False),
    "raven": EventFormat(".selections.txt", _raven_header, _raven_body, False),
}
