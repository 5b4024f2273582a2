"""What waits for the model: in order, bounded, the newest window of a segment instead of older."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from sound_pipeline.live.segments import Item, Quiet, SegmentEnd, Window
from sound_pipeline.live.window_queue import QueuedItem, WindowQueue


def window(segment: int, end: int) -> Window:
    return Window(segment, 0, end, 0, end, np.zeros(end, np.float32))


def put(queue: WindowQueue, *items: Item) -> None:
    for item in items:
        queue.put(QueuedItem(item, 0.0))


def taken(queue: WindowQueue) -> list[Item]:
    queue.close()
    return [waiting.item for waiting in iter(queue.get, None)]


def test_a_live_window_takes_the_place_of_an_older_one_of_its_segment() -> None:
    queue = WindowQueue(is_live=True)
    end = SegmentEnd(1, 40, 40)
    newest, other = window(1, 30), window(2, 50)
    put(queue, window(1, 10), window(1, 20), newest, end, other)
    assert taken(queue) == [newest, end, other]
    assert queue.skipped == 2


def test_many_short_segments_lose_their_oldest_windows_but_not_their_ends() -> None:
    queue = WindowQueue(is_live=True)
    for segment in range(50):
        put(queue, window(segment, 10), SegmentEnd(segment, 10, 10))
    items = taken(queue)
    assert [item.segment for item in items if isinstance(item, SegmentEnd)] == list(range(50))
    assert [item.segment for item in items if isinstance(item, Window)] == list(range(42, 50))
    assert queue.skipped == 42


def test_of_quiet_only_the_latest_waits() -> None:
    queue = WindowQueue(is_live=True)
    put(queue, Quiet(1), Quiet(2), SegmentEnd(0, 3, 3), Quiet(4), Quiet(5))
    assert taken(queue) == [Quiet(2), SegmentEnd(0, 3, 3), Quiet(5)]


def test_a_replay_waits_for_the_model_and_skips_nothing() -> None:
    queue = WindowQueue(is_live=False)
    windows = [window(0, end) for end in range(1, 500)]
    writer = threading.Thread(
        target=lambda: (put(queue, *windows), queue.close()),  # type: ignore[func-returns-value]
        daemon=True,
    )
    writer.start()
    writer.join(0.2)
    assert writer.is_alive(), "it took everything at once"
    found = [waiting.item for waiting in iter(queue.get, None)]
    assert found == windows and queue.skipped == 0


@pytest.mark.parametrize("is_live", [True, False])
def test_clearing_frees_everyone(is_live: bool) -> None:
    queue = WindowQueue(is_live)
    put(queue, *(window(0, end) for end in range(1, 40)))
    queue.clear()
    assert queue.get() is None
