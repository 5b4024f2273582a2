"""Recordings of a list, one after the other: a list may have millions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from sound_pipeline.datasets.recordings import Recording
from sound_pipeline.datasets.tables import Row


class Listed(NamedTuple):
    """A recording as it is listed.

    Attributes:
      recording: its path is that of a file if it was found in a folder; in a table it may be
        spelled otherwise, or there may be no such file.
      class_place: sorts its class among the others; alike in all recordings of a class.
      row: what lists it; None if it was found in a folder. Those from tables come first.
    """

    recording: Recording
    class_place: tuple[float, str]
    row: Row | None


@dataclass(frozen=True)
class Listing:
    """Source of the recordings of a data set.

    Attributes:
      name: the manifest's.
      clip_seconds: the manifest's.
      where: the list, to begin an error message with.
      source: the CSV file or files, or the folder.
      advice: what to do where files are missing.
      grouping: how source recordings are told apart, to say after 'source recordings: 12, '.
      parts: the manifest's.
      remarks: the manifest's `listing_remarks`.
      stream: reads the list, each time it is called, and yields all recordings in the manifest's
        order; none is held. Raises UserError where it comes to something unusable.
    """

    name: str
    clip_seconds: float
    where: str
    source: str
    advice: str
    stream: Callable[[], Iterator[Listed]]
    grouping: str
    parts: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
