"""Sound of a stream, kept until its events are known."""

from __future__ import annotations

import collections
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

LONGEST_SECONDS = 60.0
"""Of one event's sound; what comes after is not kept."""
MOST_SECONDS = 600.0
"""Of sound that waits for its answer: 100 MB at 44.1 kHz."""


class _Block(NamedTuple):
    """Samples of a stream, and where they lie in it."""

    start: int
    samples: npt.NDArray[np.float32]

    @property
    def end(self) -> int:
        return self.start + len(self.samples)


class EventAudio:
    """Latest sound of a stream, and the beginnings of the events that go on.

    Bounded: besides the last `history_seconds` before what has been answered, it holds the first
    `longest_seconds` of every event marked within that time, however long that event goes on. While
    answers are late, as where a model is still loading, it holds all that waits for them, but
    `most_seconds` at the most.
    """

    def __init__(
        self,
        sample_rate_hz: int,
        *,
        longest_seconds: float = LONGEST_SECONDS,
        history_seconds: float = 30.0,
        most_seconds: float = MOST_SECONDS,
    ) -> None:
        """Starts with nothing.

        Args:
          sample_rate_hz: of the stream.
          longest_seconds: of one event's sound; what comes after is not kept.
          history_seconds: how long an event may have gone on before it is marked first, and may be
            awaited after it was marked last: more than the time in which events are merged.
          most_seconds: of sound that is held at once, events' beginnings aside.
        """
        self._longest = round(longest_seconds * sample_rate_hz)
        self._history = round(history_seconds * sample_rate_hz)
        self._most = round(most_seconds * sample_rate_hz)
        self._end = 0
        self._answered: int | None = None
        self._first: int | None = None
        self._recent: collections.deque[_Block] = collections.deque()
        self._older: list[_Block] = []  # of events only
        self._marks: dict[int, int] = {}  # an event's start: where the stream was when marked

    @property
    def held_samples(self) -> int:
        """Number of samples held."""
        return sum(len(block.samples) for block in (*self._older, *self._recent))

    def add(self, start: int, samples: npt.NDArray[np.float32]) -> None:
        """Takes the next block of the stream.

        Args:
          start: its position, in samples from the start of the stream; at the end of the block
            before, or later where samples were lost.
          samples: float32 [n], mono; not to be changed afterwards.
        """
        if self._first is None:
            self._first = self._end = start
        if start > self._end:  # lost on the way: silence, which takes no memory
            nothing = np.broadcast_to(np.float32(0), start - self._end)
            self._recent.append(_Block(self._end, nothing))
        self._recent.append(_Block(start, samples))
        self._end = start + len(samples)
        answered = self._end if self._answered is None else min(self._answered, self._end)
        oldest = max(answered - self._history, self._end - self._most)
        marks = {first: last for first, last in self._marks.items() if last >= oldest}
        if len(marks) < len(self._marks):
            self._marks = marks
            self._older = [block for block in self._older if self._is_marked(block)]
        while self._recent and self._recent[0].end <= oldest:
            block = self._recent.popleft()
            if self._is_marked(block):
                self._older.append(block)

    def answered(self, position: int) -> None:
        """Says that all sound before a position has had its answer; what is after it is kept.

        Args:
          position: in samples from the start of the stream.
        """
        self._answered = position

    def mark(self, start: int) -> None:
        """Says where an event that goes on has started; again and again while it does."""
        self._marks[start] = self._end if self._answered is None else self._answered

    def cut(self, start: int, end: int) -> npt.NDArray[np.float32] | None:
        """Sound from one position to another: float32 [n], `longest_seconds` at most.

        What was lost on the way to the program is silence.

        Returns:
          The sound; None where some of it isn't held any more.
        """
        cut = np.zeros(max(0, min(end - start, self._longest)), np.float32)
        found = 0
        for block in (*self._older, *self._recent):
            first, last = max(block.start, start), min(block.end, start + len(cut))
            if first < last:
                cut[first - start : last - start] = block.samples[
                    first - block.start : last - block.start
                ]
                found += last - first
        heard = min(start + len(cut), self._end) - max(start, self._first or 0)
        return cut if found >= heard else None

    def _is_marked(self, block: _Block) -> bool:
        return any(block.start < mark + self._longest and mark < block.end for mark in self._marks)
