"""Losses by the clock, in simulations of sound cards that drift and callbacks that are late."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from sound_pipeline.live.microphone.sample_clock import SampleClock

_RATE_HZ = 48000
_BLOCK = 960


def _arrivals(
    seconds: float,
    drift: float = 0.0,
    jitter_seconds: float = 0.0,
    stalls: Sequence[tuple[float, float]] = (),
    loss: tuple[float, float] = (np.inf, 0.0),
    seed: int = 0,
) -> Iterator[float]:
    """When each block arrives.

    Args:
      seconds: how much sound the device makes.
      drift: by how much the sound card is too slow.
      jitter_seconds: callbacks are up to so late.
      stalls: from when and for how long no callback comes, all being made up for afterwards.
      loss: from when and for how long there is no sound.
      seed: of the jitter.
    """
    random = np.random.default_rng(seed)
    made_at = np.arange(1, int(seconds * _RATE_HZ / _BLOCK) + 1) * _BLOCK / _RATE_HZ * (1 + drift)
    made_at = made_at[(made_at < loss[0]) | (made_at >= loss[0] + loss[1])]
    arrived_at = made_at + random.uniform(0, jitter_seconds, len(made_at))
    for start, length in stalls:
        stalled = (arrived_at >= start) & (arrived_at < start + length)
        arrived_at[stalled] = start + length
    return iter(1000.0 + np.maximum.accumulate(arrived_at))


@pytest.mark.parametrize("drift", [200e-6, -200e-6, 0.0])
def test_nothing_is_lost_in_an_hour_of_drift_and_jitter(drift: float) -> None:
    clock = SampleClock(_RATE_HZ)
    stalls = [(10.0 * i, 0.1 * (i % 30)) for i in range(1, 360)]
    for arrived_at in _arrivals(3600, drift, jitter_seconds=0.04, stalls=stalls):
        start = clock.add(_BLOCK, arrived_at)
        assert start == clock.captured - _BLOCK
    assert clock.lost == 0


@pytest.mark.parametrize("lost_seconds", [0.1, 0.5, 4.0])
@pytest.mark.parametrize("drift", [200e-6, -200e-6])
def test_a_loss_is_noticed_soon_and_counted_once(lost_seconds: float, drift: float) -> None:
    clock = SampleClock(_RATE_HZ)
    noticed = []
    for arrived_at in _arrivals(60, drift, jitter_seconds=0.02, loss=(30.0, lost_seconds)):
        end = clock.end
        start = clock.add(_BLOCK, arrived_at)
        if start != end:
            noticed.append((arrived_at - 1000.0, start - end))
    assert len(noticed) == 1
    at, samples = noticed[0]
    assert 30.0 < at < 30.0 + lost_seconds + 2.2
    assert samples == clock.lost
    assert abs(samples / _RATE_HZ - lost_seconds) < 0.03


def test_small_losses_add_up() -> None:
    clock = SampleClock(_RATE_HZ)
    for number, arrived_at in enumerate(_arrivals(100)):
        if number % 50 != 49:
            clock.add(_BLOCK, arrived_at)
    # 20 ms in each second, but for what may be drift and for the last, too small to be noticed.
    assert 1.85 <= clock.lost / _RATE_HZ <= 2.0


def test_after_an_overflow_smaller_losses_are_noticed() -> None:
    clock = SampleClock(_RATE_HZ)
    for number, arrived_at in enumerate(_arrivals(20)):
        if number != 500:
            clock.add(_BLOCK, arrived_at, overflowed=number == 501)
    assert abs(clock.lost - _BLOCK) < 0.002 * _RATE_HZ


def test_an_overflow_in_which_nothing_is_missing_loses_nothing() -> None:
    clock = SampleClock(_RATE_HZ)
    for number, arrived_at in enumerate(_arrivals(20, 200e-6, jitter_seconds=0.005)):
        clock.add(_BLOCK, arrived_at, overflowed=number == 501)
    assert clock.lost == 0


def test_dropped_blocks_are_not_counted_twice() -> None:
    clock = SampleClock(_RATE_HZ)
    dropped = 0
    for arrived_at in _arrivals(60):
        if 1030.0 <= arrived_at < 1031.0:
            dropped += _BLOCK
            continue
        start = clock.add(_BLOCK, arrived_at, dropped)
        assert start == clock.end - _BLOCK
        dropped = 0
    assert clock.lost == 50 * _BLOCK
    assert clock.end == 60 * _RATE_HZ


def test_the_time_between_two_streams_is_lost() -> None:
    clock = SampleClock(_RATE_HZ)
    before = list(_arrivals(10, jitter_seconds=0.01))
    for arrived_at in before:
        clock.add(_BLOCK, arrived_at)
    end = clock.end
    clock.reopened()
    after = [7.5 + arrived_at for arrived_at in _arrivals(10, jitter_seconds=0.01, seed=1)]
    after = [arrived_at for arrived_at in after if arrived_at > before[-1] + 2.5]
    starts = [clock.add(_BLOCK, arrived_at) for arrived_at in after]
    made_at = after[0] - 1000.0 - _BLOCK / _RATE_HZ
    assert abs(starts[0] / _RATE_HZ - made_at) < 0.02
    assert starts[0] - end == clock.lost
    assert np.all(np.diff(starts) == _BLOCK)


def test_captured_at_is_free_of_jitter_and_never_later_than_the_arrival() -> None:
    clock = SampleClock(_RATE_HZ)
    for number, arrived_at in enumerate(_arrivals(60, jitter_seconds=0.04)):
        clock.add(_BLOCK, arrived_at)
        made_at = 1000.0 + (number + 1) * _BLOCK / _RATE_HZ
        assert clock.captured_at <= arrived_at
        if number > 50:
            assert abs(clock.captured_at - made_at) < 0.006
