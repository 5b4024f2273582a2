"""Listening: one thread hears, another labels; what is found goes to an output.

The thread that hears takes blocks from a source, asks the gate and cuts windows. It never waits
for the model: windows go through `WindowQueue` to the thread that labels.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from datetime import datetime

from sound_pipeline.events.event import Event
from sound_pipeline.live.event_audio import EventAudio
from sound_pipeline.live.event_files import EventSaver
from sound_pipeline.live.gate import GateConfig, make_gate
from sound_pipeline.live.loading import LoadingModel
from sound_pipeline.live.output import Level, Output, WindowResult
from sound_pipeline.live.recogniser import Recogniser, WindowClassifier
from sound_pipeline.live.segments import SegmentConfig, Window
from sound_pipeline.live.sources import Clock, Source
from sound_pipeline.live.statistics import SessionStatistics
from sound_pipeline.live.tracking import EventConfig
from sound_pipeline.live.window_queue import QueuedItem, WindowQueue

_READ_SECONDS = 0.1
_LEVEL_SECONDS = 0.05
# What is still waiting when the person ends a live session may take so long, and no longer.
_LAST_ANSWERS_SECONDS = 5.0


@dataclass(frozen=True)
class ListeningConfig:
    """Configuration of a session: gate, segments and events.

    Attributes:
      gate: what counts as sound.
      segments: what is cut out of it.
      events: how scores become events.
    """

    gate: GateConfig = field(default_factory=GateConfig)
    segments: SegmentConfig = field(default_factory=SegmentConfig)
    events: EventConfig = field(default_factory=EventConfig)


def listen(
    source: Source,
    model: LoadingModel,
    config: ListeningConfig,
    output: Output,
    statistics: SessionStatistics,
    saver: EventSaver | None = None,
) -> None:
    """Labels a source until it is over, or the person interrupts.

    Args:
      source: where sound comes from; it is not closed.
      model: may be loading still; live sound waits for it, and is not lost.
      config: how sound becomes events.
      output: where findings go.
      statistics: counts go on from what they are.
      saver: keeps events on disk; None to keep none.

    Raises:
      UserError: the configuration doesn't fit the model, or the model can't be loaded.
      KeyboardInterrupt: after everything that was heard is reported.
    """
    _Session(source, model, config, output, statistics, saver).run()


class _Session:
    """One source being listened to."""

    def __init__(
        self,
        source: Source,
        model: LoadingModel,
        config: ListeningConfig,
        output: Output,
        statistics: SessionStatistics,
        saver: EventSaver | None,
    ) -> None:
        rate = source.sample_rate_hz
        info = model.info
        self._source = source
        self._model = model
        self._output = output
        self._statistics = statistics
        self._skipped_before = statistics.skipped_windows
        self._saver = saver
        self._recogniser = Recogniser(
            WindowClassifier(model.scores, info.labels, info.window_seconds),
            make_gate(config.gate, rate),
            rate,
            config.segments,
            config.events,
        )
        self._clock = Clock(rate) if source.is_live else None
        self._audio = EventAudio(rate) if saver else None
        self._waiting = WindowQueue(source.is_live)
        # Of the output, the kept audio and the statistics, which both threads use.
        self._lock = threading.Lock()
        self._labelling = threading.Thread(target=self._label, name="labelling", daemon=True)
        self._failure: BaseException | None = None
        self._is_ready = False
        self._position = 0
        self._next_level = 0.0

    def run(self) -> None:
        self._labelling.start()
        try:
            while not (self._source.is_over or self._failure):
                self._hear()
            self._end(None if not self._source.is_live else _LAST_ANSWERS_SECONDS)
        except BaseException:
            self._end(_LAST_ANSWERS_SECONDS)
            raise
        if self._failure:
            raise self._failure

    def _hear(self) -> None:
        """Takes one block, if there is one."""
        block = self._source.read(_READ_SECONDS)
        with self._lock:
            for notice in self._source.notices():
                self._output.notice(notice)
            if not self._is_ready and self._model.seconds is not None:
                self._is_ready = True
                if self._source.is_live:
                    self._output.notice(f"the model is ready after {self._model.seconds:.1f} s")
            self._statistics.lost_seconds = self._source.lost_seconds
        if block is None:
            return
        rate = self._source.sample_rate_hz
        end = block.start + len(block.samples)
        segmenter = self._recogniser.segmenter
        items = segmenter.skip(block.start - self._position) + segmenter.feed(block.samples)
        self._position = end
        with self._lock:
            if self._clock:
                self._clock.note(block)
            if self._audio:
                self._audio.answered(self._waiting.unanswered_from(block.start))
                self._audio.add(block.start, block.samples)
            self._statistics.captured_seconds += len(block.samples) / rate
            self._show_level()
        for item in items:
            late = (end - item.end) / rate if isinstance(item, Window) else 0.0
            self._waiting.put(QueuedItem(item, block.captured_at - late))

    def _show_level(self) -> None:
        state = self._recogniser.segmenter.state
        now = time.monotonic()
        if state is None or now < self._next_level:
            return
        self._next_level = now + _LEVEL_SECONDS
        self._output.level(
            Level(
                state.level_db,
                state.floor_db,
                self._recogniser.segmenter.is_open,
                self._recogniser.tracker.current,
            )
        )

    def _end(self, timeout_seconds: float | None) -> None:
        """Lets the other thread finish what waits, the last segment included."""
        now = time.monotonic()
        if not self._failure:
            for item in self._recogniser.segmenter.finish():
                self._waiting.put(QueuedItem(item, now))
        self._waiting.close()
        # What was heard while the model was loading is answered too.
        self._model.wait()
        self._labelling.join(timeout_seconds)
        if self._labelling.is_alive():
            self._waiting.clear()

    def _label(self) -> None:
        """The other thread: labels windows until there are no more."""
        try:
            while (waiting := self._waiting.get()) is not None:
                events = self._recogniser.handle(waiting.item)
                with self._lock:
                    if isinstance(waiting.item, Window):
                        self._report_window(waiting.item, waiting.ended_at)
                    self._report_events(events)
                    self._statistics.skipped_windows = self._skipped_before + self._waiting.skipped
            events = self._recogniser.tracker.finish()
            with self._lock:
                self._report_events(events)
        except BaseException as failure:
            self._failure = failure
            self._waiting.clear()

    def _report_window(self, window: Window, ended_at: float) -> None:
        rate = self._source.sample_rate_hz
        scores = self._recogniser.tracker.latest_scores
        assert scores is not None  # of this window
        best = int(scores.argmax())
        latency = time.monotonic() - ended_at if self._source.is_live else None
        self._output.window(
            WindowResult(
                self._source.name,
                window.start / rate,
                window.end / rate,
                self._model.info.labels[best],
                float(scores[best]),
                scores,
                latency,
                self._time_of(window.start / rate),
            )
        )
        self._statistics.windows += 1
        current = self._recogniser.tracker.current
        if self._audio and current:
            self._audio.mark(round(current.start_seconds * rate))
        if latency is not None:
            self._statistics.latency.add(time.monotonic() - ended_at)

    def _report_events(self, events: list[Event]) -> None:
        rate = self._source.sample_rate_hz
        for event in events:
            start = self._time_of(event.start_seconds)
            self._output.event(event, self._source.name, start)
            self._statistics.events += 1
            if self._saver and self._audio:
                sound = self._audio.cut(
                    round(event.start_seconds * rate), round(event.end_seconds * rate)
                )
                self._saver.save(event, sound, rate, self._source.name, start)

    def _time_of(self, seconds: float) -> datetime | None:
        return self._clock.time_of(seconds) if self._clock else None
