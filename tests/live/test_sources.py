"""Sources: a recording replayed as fast as it goes or by the clock, and times of day."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np
import pytest

from sound_pipeline.errors import UnreadableError
from sound_pipeline.live.microphone.capture import Block, Notice, NoticeKind, Statistics
from sound_pipeline.live.sources import Clock, MicrophoneSource, Replay

RATE = 16000


class Simulated:
    """A clock that goes on when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def seconds(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds


@pytest.mark.parametrize("stretch", [1, 100, 320, 999, 5000])
@pytest.mark.parametrize("samples", [0, 1, 319, 320, 321, 5000])
def test_a_replay_gives_every_sample_once(samples: int, stretch: int) -> None:
    waveform = np.random.default_rng(0).random(samples, np.float32)
    stretches = np.split(waveform, range(stretch, samples, stretch))
    replay = Replay("a.wav", stretches, RATE)
    blocks = []
    while not replay.is_over:
        block = replay.read(0.1)
        assert block is not None and block.start == sum(len(b.samples) for b in blocks)
        blocks.append(block)
    assert all(len(block.samples) == 320 for block in blocks[:-1])
    heard = np.concatenate([block.samples for block in blocks]) if blocks else waveform[:0]
    np.testing.assert_array_equal(heard, waveform)
    assert replay.read(0.1) is None and replay.lost_seconds == 0 and not replay.notices()


def test_a_replay_by_the_clock_takes_as_long_as_the_recording() -> None:
    clock = Simulated()
    waveform = np.zeros(2 * RATE, np.float32)
    replay = Replay("a.wav", [waveform], RATE, True, clock.seconds, clock.sleep)
    while not replay.is_over:
        before = clock.now
        block = replay.read(0.005)
        if block is None:
            assert clock.now == pytest.approx(before + 0.005)
            continue
        end = block.start + len(block.samples)
        assert block.captured_at == pytest.approx(100 + end / RATE)
        assert clock.now >= block.captured_at - 1e-9
    assert clock.now == pytest.approx(102)


def test_a_replay_holds_no_more_than_a_stretch_and_passes_errors_on() -> None:
    taken = []

    def stretches() -> Iterator[np.ndarray]:
        for number in range(3):
            taken.append(number)
            yield np.zeros(RATE, np.float32)
        raise UnreadableError("a.wav", "the rest is damaged")

    replay = Replay("a.wav", stretches(), RATE)
    for reads in range(150):
        assert replay.read(0.1) is not None
        assert len(taken) == 1 + reads // 50
    with pytest.raises(UnreadableError, match=r"a\.wav: the rest"):
        replay.read(0.1)


def test_who_was_slow_gets_what_is_due_at_once() -> None:
    clock = Simulated()
    replay = Replay("a.wav", [np.zeros(RATE, np.float32)], RATE, True, clock.seconds, clock.sleep)
    clock.now += 0.5
    for _ in range(25):
        block = replay.read(0.0)
        assert block is not None and block.captured_at <= clock.now
    assert replay.read(0.001) is None, "the next is due in 20 ms"


def test_times_of_day_are_those_of_the_sound() -> None:
    clock = Clock(RATE)
    clock.note(Block(np.zeros(RATE, np.float32), 9 * RATE, time.monotonic() - 0.25))
    ended = datetime.now().astimezone() - timedelta(seconds=0.25)
    for position, expected in ((10.0, ended), (4.0, ended - timedelta(seconds=6))):
        assert abs(clock.time_of(position) - expected) < timedelta(seconds=0.05)
    assert clock.time_of(1.0).tzinfo is not None


class FakeMicrophone:
    name = "USB"
    sample_rate_hz = 44100
    statistics = Statistics(3.0, 1.5, 0, 0)

    def read(self, timeout_seconds: float) -> Block | None:
        return Block(np.zeros(3, np.float32), 7, 1.0) if timeout_seconds > 1 else None

    def take_notices(self) -> list[Notice]:
        return [Notice(NoticeKind.LOST, "lost 1.5 s")]


def test_a_microphone_is_a_source_until_its_time_is_up() -> None:
    source = MicrophoneSource(FakeMicrophone(), longest_seconds=0.05)  # type: ignore[arg-type]
    assert (source.name, source.sample_rate_hz, source.is_live) == ("USB", 44100, True)
    assert source.read(0.5) is None
    block = source.read(2.0)
    assert block is not None and block.start == 7
    assert source.lost_seconds == 1.5 and source.notices() == ["lost 1.5 s"]
    assert not MicrophoneSource(FakeMicrophone()).is_over  # type: ignore[arg-type]
    time.sleep(0.06)
    assert source.is_over
