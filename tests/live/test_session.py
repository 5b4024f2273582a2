"""Listening with a model that is a few lines of NumPy: two threads, one outcome."""

from __future__ import annotations

import dataclasses
import functools
import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from sound_pipeline.errors import UserError
from sound_pipeline.events.event import Event
from sound_pipeline.events.min_scores import MinScores
from sound_pipeline.live import session
from sound_pipeline.live.event_audio import EventAudio
from sound_pipeline.live.event_files import EventSaver
from sound_pipeline.live.gate import GateConfig
from sound_pipeline.live.microphone.capture import Block
from sound_pipeline.live.output import Level, Output, WindowResult
from sound_pipeline.live.session import ListeningConfig, listen
from sound_pipeline.live.sources import Replay
from sound_pipeline.live.statistics import SessionStatistics
from sound_pipeline.live.tracking import EventConfig
from sound_pipeline.models.info import ModelInfo

RATE = 16000
INFO = ModelInfo(("low", "high"), 1.0, 0.0)
CONFIG = ListeningConfig(GateConfig(kind="energy"), events=EventConfig(MinScores(0.5)))


class FakeModel:
    """Tells tones below 1 kHz from those above, in `takes_seconds`, once it is loaded."""

    info = INFO

    def __init__(self, takes_seconds: float = 0.0, ready_after: float = 0.0) -> None:
        self.takes_seconds = takes_seconds
        self.ready_at = time.monotonic() + ready_after
        self.asked = 0

    @property
    def seconds(self) -> float | None:
        return 1.0 if time.monotonic() >= self.ready_at else None

    def wait(self) -> None:
        time.sleep(max(0.0, self.ready_at - time.monotonic()))

    def scores(self, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        self.wait()
        time.sleep(self.takes_seconds)
        self.asked += 1
        power = np.abs(np.fft.rfft(waveform)) ** 2
        share = power[: round(1000 * len(waveform) / sample_rate_hz)].sum() / power.sum()
        return np.array([share, 1 - share], np.float32)

    def image(self, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        return np.full((299, 299, 3), 77, np.uint8)


class Recorded(Output):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[Event, str, datetime | None]] = []
        self.windows: list[WindowResult] = []
        self.levels: list[Level] = []
        self.notices: list[str] = []

    def level(self, level: Level) -> None:
        self.levels.append(level)

    def window(self, window: WindowResult) -> None:
        self.windows.append(window)

    def event(self, event: Event, source: str, time: datetime | None = None) -> None:
        self.events.append((event, source, time))

    def notice(self, text: str) -> None:
        self.notices.append(text)

    @property
    def labels(self) -> list[str]:
        return [event.label for event, _, _ in self.events]


def sounds(*parts: tuple[float, float]) -> np.ndarray:
    """(Hz or 0 for quiet, seconds) one after the other, over faint noise."""
    pieces = []
    for hz, seconds in parts:
        samples = np.arange(round(seconds * RATE))
        pieces.append(0.3 * np.sin(2 * np.pi * hz * samples / RATE))
    sound = np.concatenate(pieces)
    return (sound + np.random.default_rng(0).normal(0, 1e-4, len(sound))).astype(np.float32)


THREE = sounds((0, 2), (300, 1.5), (0, 2.5), (3000, 0.8), (0, 2.5), (300, 1), (0, 1))


@dataclasses.dataclass
class Heard:
    output: Recorded
    statistics: SessionStatistics
    model: FakeModel


def hear(
    waveform: np.ndarray, model: Any = None, *, is_live: bool = False, **options: Any
) -> Heard:
    heard = Heard(Recorded(), SessionStatistics(), model or FakeModel())
    source = options.pop("source", None) or Replay("a.wav", [waveform], RATE, is_live)
    listen(source, heard.model, CONFIG, heard.output, heard.statistics, **options)  # type: ignore[arg-type]
    return heard


def test_a_replay_is_heard_whole_and_in_order() -> None:
    heard = hear(THREE)
    assert heard.output.labels == ["low", "high", "low"]
    spans = [(2.0, 3.5), (6.0, 6.8), (9.3, 10.3)]
    for (event, source, when), (start, end) in zip(heard.output.events, spans, strict=True):
        assert event.start_seconds == pytest.approx(start, abs=0.1)
        assert event.end_seconds == pytest.approx(end, abs=0.15)
        assert event.score > 0.9 and source == "a.wav" and when is None
    statistics = heard.statistics
    assert statistics.captured_seconds == pytest.approx(len(THREE) / RATE)
    assert (statistics.lost_seconds, statistics.skipped_windows, statistics.events) == (0, 0, 3)
    assert statistics.windows == len(heard.output.windows) == heard.model.asked > 5
    assert all(window.latency_seconds is None for window in heard.output.windows)
    assert statistics.latency.count == 0


def test_a_slow_model_delays_a_replay_and_changes_nothing() -> None:
    quick, slow = hear(THREE), hear(THREE, FakeModel(takes_seconds=0.03))
    assert slow.output.events == quick.output.events
    assert slow.statistics.skipped_windows == 0


@pytest.mark.slow
def test_a_model_slower_than_live_sound_skips_windows_and_loses_no_sound() -> None:
    waveform = sounds((0, 0.8), (300, 3.0), (0, 1.2))
    heard = hear(waveform, FakeModel(takes_seconds=1.1), is_live=True)
    assert heard.output.labels == ["low"]
    assert heard.statistics.skipped_windows >= 2
    assert heard.statistics.windows + heard.statistics.skipped_windows >= 6, "none were made"
    assert heard.statistics.captured_seconds == pytest.approx(5.0)
    assert heard.statistics.latency.percentile(50) >= 1.1


@pytest.mark.slow
def test_sound_is_not_lost_while_the_model_is_loading() -> None:
    waveform = sounds((0, 0.5), (300, 0.6), (0, 1.5), (3000, 0.6), (0, 0.8))
    heard = hear(waveform, FakeModel(ready_after=2.0), is_live=True)
    assert heard.output.labels == ["low", "high"]
    assert heard.output.notices == ["the model is ready after 1.0 s"]
    (_, _, first), (_, _, second) = heard.output.events
    assert first is not None and second is not None
    assert (second - first).total_seconds() == pytest.approx(2.1, abs=0.15)
    assert heard.output.levels and any(level.is_hearing for level in heard.output.levels)


@pytest.mark.slow
def test_what_was_heard_before_the_model_was_ready_is_answered_however_late_that_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "_LAST_ANSWERS_SECONDS", 0.5)
    waveform = sounds((0, 0.5), (300, 0.6), (0, 0.6))
    heard = hear(waveform, FakeModel(ready_after=4.0), is_live=True)
    assert heard.output.labels == ["low"]


def test_a_model_that_can_not_be_loaded_ends_it() -> None:
    class Broken(FakeModel):
        def scores(self, waveform: np.ndarray, sample_rate_hz: int) -> np.ndarray:
            raise UserError("--model: does not load")

    with pytest.raises(UserError, match="does not load"):
        hear(THREE, Broken())


class Interrupted(Replay):
    """Somebody presses Ctrl-C in the middle of the third sound."""

    def read(self, timeout_seconds: float) -> Block | None:
        block = super().read(timeout_seconds)
        if block is not None and block.start >= 10 * RATE:
            raise KeyboardInterrupt
        return block


def test_an_interruption_comes_after_all_that_was_heard_is_reported() -> None:
    output, statistics = Recorded(), SessionStatistics()
    with pytest.raises(KeyboardInterrupt):
        listen(
            Interrupted("a.wav", [THREE], RATE),
            FakeModel(),  # type: ignore[arg-type]
            CONFIG,
            output,
            statistics,
        )
    assert output.labels == ["low", "high", "low"]
    assert output.events[-1][0].end_seconds == pytest.approx(10.0, abs=0.1)


class Lossy(Replay):
    """A second is missing in the middle of a sound."""

    def read(self, timeout_seconds: float) -> Block | None:
        block = super().read(timeout_seconds)
        if block is None or block.start < 3 * RATE:
            return block
        self.lost_seconds = 1.0
        return dataclasses.replace(block, start=block.start + RATE)


def test_times_after_a_loss_are_right_and_the_loss_is_counted() -> None:
    heard = hear(THREE, source=Lossy("a.wav", [THREE], RATE))
    assert heard.statistics.lost_seconds == 1.0
    last = heard.output.events[-1][0]
    assert last.start_seconds == pytest.approx(10.3, abs=0.1)
    assert last.end_seconds == pytest.approx(11.3, abs=0.15)


def test_events_are_saved_with_their_sound(tmp_path: Path) -> None:
    model = FakeModel()
    saver = EventSaver(tmp_path / "events", model.image, lambda text: pytest.fail(text))
    heard = hear(THREE, model, saver=saver)
    records = [
        json.loads(line) for line in (tmp_path / "events" / "events.jsonl").read_text().splitlines()
    ]
    assert [record["label"] for record in records] == heard.output.labels
    for record, (event, _, _) in zip(records, heard.output.events, strict=True):
        sound, rate = soundfile.read(tmp_path / "events" / record["audio"], dtype="float32")
        start = round(event.start_seconds * RATE)
        assert rate == RATE
        np.testing.assert_allclose(sound, THREE[start : start + len(sound)], atol=1e-4)
        assert len(sound) == pytest.approx((event.end_seconds - event.start_seconds) * RATE, abs=2)
        assert (tmp_path / "events" / record["picture"]).stat().st_size > 100


@pytest.mark.slow
def test_the_sound_of_an_event_labelled_late_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the model takes longer to load than sound is kept for."""
    short = functools.partial(EventAudio, history_seconds=0.5)
    monkeypatch.setattr(session, "EventAudio", short)
    saver = EventSaver(tmp_path, None, lambda text: None)
    waveform = sounds((0, 0.7), (300, 0.5), (0, 1.8))
    heard = hear(waveform, FakeModel(ready_after=2.5), is_live=True, saver=saver)
    assert heard.output.labels == ["low"]
    (path,) = tmp_path.glob("*.wav")
    saved, _ = soundfile.read(path)
    assert np.sqrt(np.mean(saved**2)) == pytest.approx(0.3 / np.sqrt(2), rel=0.2)
