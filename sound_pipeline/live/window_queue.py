"""Queue of windows for the model: those that can't wait are superseded by newer ones."""

from __future__ import annotations

import collections
import threading
from typing import NamedTuple

from sound_pipeline.live.segments import Item, Quiet, Window

# A gate that opens and closes faster than the model answers: beyond so many the oldest windows go.
_MOST_WINDOWS = 8
# Of a recording that need not keep up with the clock.
_MOST_ITEMS = 64


class QueuedItem(NamedTuple):
    """An item of a segmenter, and when it was complete.

    Attributes:
      item: window, end of a segment or quiet.
      ended_at: `time.monotonic()` at the end of its sound.
    """

    item: Item
    ended_at: float


class WindowQueue:
    """A queue from the thread that hears to the one that labels; bounded, in order.

    In a live stream a window makes room for the next one of its segment, and is counted as
    skipped; the sound itself never waits. In a replay the one that hears waits instead.
    """

    def __init__(self, is_live: bool) -> None:
        """Starts empty."""
        self._is_live = is_live
        self._items: collections.deque[QueuedItem] = collections.deque()
        self._changed = threading.Condition()
        self._is_closed = False
        self._taken: QueuedItem | None = None
        self.skipped = 0

    def put(self, waiting: QueuedItem) -> None:
        """Adds an item; waits, where the stream can, while the queue is full."""
        with self._changed:
            if self._is_live:
                self._make_room(waiting.item)
            else:
                self._changed.wait_for(lambda: len(self._items) < _MOST_ITEMS or self._is_closed)
            self._items.append(waiting)
            self._changed.notify_all()

    def get(self) -> QueuedItem | None:
        """Next item; waits for one. None once the queue is closed and empty."""
        with self._changed:
            self._taken = None  # whoever asks for the next is done with the last
            self._changed.wait_for(lambda: self._items or self._is_closed)
            if not self._items:
                return None
            self._changed.notify_all()
            self._taken = self._items.popleft()
            return self._taken

    def unanswered_from(self, end: int) -> int:
        """Position before which all sound has had its answer.

        Args:
          end: of the stream, where nothing waits.
        """
        with self._changed:
            waiting = [item.item for item in self._items]
            if self._taken is not None:
                waiting.append(self._taken.item)
            return min((_start(item) for item in waiting), default=end)

    def close(self) -> None:
        """Says that nothing more will come."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()

    def clear(self) -> None:
        """Drops what waits: nobody will take it."""
        with self._changed:
            self._items.clear()
            self._is_closed = True
            self._changed.notify_all()

    def _make_room(self, item: Item) -> None:
        if isinstance(item, Quiet) and self._items and isinstance(self._items[-1].item, Quiet):
            self._items.pop()  # the newer says all that the older did
        if not isinstance(item, Window):
            return
        windows = [
            (waiting, waiting.item.segment)
            for waiting in self._items
            if isinstance(waiting.item, Window)
        ]
        older = [waiting for waiting, segment in windows if segment == item.segment]
        if not older and len(windows) >= _MOST_WINDOWS:
            older = [windows[0][0]]
        for waiting in older:
            self._items.remove(waiting)
            self.skipped += 1


def _start(item: Item) -> int:
    """Position from which an item speaks of the stream."""
    if isinstance(item, Window):
        return item.start
    return item.until if isinstance(item, Quiet) else item.end
