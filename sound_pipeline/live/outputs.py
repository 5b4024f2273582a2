"""Output that --format names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TextIO

from sound_pipeline.errors import UserError
from sound_pipeline.live.output import (
    FORMATS,
    TOP_CLASSES,
    CsvOutput,
    JsonLinesOutput,
    Output,
    TextOutput,
)
from sound_pipeline.live.statistics import SessionStatistics
from sound_pipeline.system.program import standard_output


def make_output(
    kind: str,
    labels: Sequence[str],
    statistics: SessionStatistics,
    *,
    windows: bool = False,
    top: int = TOP_CLASSES,
) -> Output:
    """Output for a format: a live view where text goes to a terminal, else lines.

    Args:
      kind: one of `FORMATS`.
      labels: the classes, in the order of the scores.
      statistics: of the session; a live view shows them as they change.
      windows: whether every window is reported too (JSON lines only).
      top: how many classes of a window are shown.

    Raises:
      UserError: no such format, or windows asked of one that has none; standard output is closed.
    """
    if kind not in FORMATS:
        raise UserError(f"--format={kind}: no such format; give {', '.join(FORMATS)}")
    if windows and kind != "jsonl":
        raise UserError(f"--windows: --format={kind} has events only; give --format=jsonl as well")
    stream = standard_output()
    if kind == "jsonl":
        return JsonLinesOutput(labels, stream, windows=windows, top=top)
    if kind == "csv":
        return CsvOutput(stream)
    if has_screen(stream, os.environ):
        # Not above: a tenth of a second that no pipe has to wait for.
        from sound_pipeline.live.terminal import TerminalView

        return TerminalView(labels, statistics, stream, top=top)
    return TextOutput(stream)


def has_screen(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether a stream is a terminal whose cursor can be moved."""
    return stream.isatty() and environment.get("TERM", "") not in ("dumb", "unknown")
