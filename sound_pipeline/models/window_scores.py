"""Recordings to the scores of their windows: read ahead by threads, asked about in batches."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sound_pipeline.audio.reader import AudioReader
from sound_pipeline.errors import UnreadableError
from sound_pipeline.events.find_events import WindowScores
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.features.levels import audible_windows
from sound_pipeline.features.window_stream import StreamedWindow, WindowStream
from sound_pipeline.features.windows import WINDOWS_AT_ONCE
from sound_pipeline.system.arrays import Floats


class BatchAnswer(NamedTuple):
    """Answer of a model to a batch of windows.

    Attributes:
      values: float32 [batch, size], scores or embeddings.
      power: float32 [batch], the mean of the squared samples of each.
    """

    values: Floats
    power: Floats


Answer = Callable[[tf.Tensor, int], BatchAnswer]
"""Asks a model about windows float32 [batch, samples] at a rate, each exactly one window long."""

# Windows of one recording that wait for the model, about; also the most where they are short.
_WAITING_SAMPLES = 1 << 23
_WAITING_WINDOWS = 16
_STOP_SECONDS = 0.05
# Of the bytes that a tensor starts at, at least TensorFlow's own on any machine.
_ALIGNMENT = 128


class _Item(NamedTuple):
    """A window on its way from the thread that read it, or the end of a recording.

    Attributes:
      window: it; None behind the last.
      sample_rate_hz: its rate.
      samples: of the recording so far.
      read_bytes: of the file, since the window before.
    """

    window: StreamedWindow | None
    sample_rate_hz: int
    samples: int
    read_bytes: int


@dataclass
class WindowAnswers:
    """Answers for the windows of one recording, in their order, and the windows' places.

    Attributes:
      sample_rate_hz: of the recording.
      samples: of the recording, those beyond the last window included.
      starts: the sample each window starts at.
      ends: the sample after the last of each.
      power: the mean of the squared samples of each.
      answers: float32 [size] of each.
    """

    sample_rate_hz: int = 0
    samples: int = 0
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    power: list[float] = field(default_factory=list)
    answers: list[Floats] = field(default_factory=list)

    def is_audible(self, features: FeatureConfig) -> npt.NDArray[np.bool_]:
        """Whether windows are not quiet beside the loudest around them: bool [windows]."""
        power, rule = np.array(self.power, np.float32)[np.newaxis], features.windows
        return np.asarray(audible_windows(power, rule.quiet_db, rule.reach)[0])

    def as_scores(self, features: FeatureConfig) -> WindowScores:
        """The same, where the answers are scores."""
        return WindowScores(
            np.stack(self.answers),
            np.array(self.starts, np.int64),
            np.array(self.ends, np.int64),
            np.array(self.power, np.float32),
            self.is_audible(features),
            self.sample_rate_hz,
            self.samples,
        )


class Batches:
    """Collects windows of one or many recordings, and asks a model about as many as it takes.

    The model is asked in a thread of its own, so that the next batch is put together meanwhile. A
    window's answer may depend, in its last bit, on the place in the batch: equal windows added in
    the same order get equal answers.
    """

    def __init__(self, answer: Answer) -> None:
        """Starts with none; `answer` is asked about `WINDOWS_AT_ONCE` windows at the most."""
        self._answer = answer
        # By rate: windows of different lengths don't go into one tensor.
        self._waiting: dict[int, list[tuple[Floats, WindowAnswers]]] = {}
        self._asked: deque[tuple[Future[BatchAnswer], list[WindowAnswers]]] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="asking")

    def __enter__(self) -> Batches:
        """Batches themselves."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the thread."""
        self._thread.shutdown(cancel_futures=True)

    def add(self, window: StreamedWindow, sample_rate_hz: int, rows: WindowAnswers) -> None:
        """Takes the next window of the recording that `rows` are of."""
        rows.sample_rate_hz = sample_rate_hz
        rows.starts.append(window.start)
        rows.ends.append(window.end)
        waiting = self._waiting.setdefault(sample_rate_hz, [])
        waiting.append((window.waveform, rows))
        if len(waiting) == WINDOWS_AT_ONCE:
            self._ask(sample_rate_hz)

    def finish(self) -> None:
        """Asks about the windows that wait still, and waits until all are answered."""
        for rate in list(self._waiting):
            self._ask(rate)
        while self._asked:
            self._take()

    def _ask(self, sample_rate_hz: int) -> None:
        waiting = self._waiting.pop(sample_rate_hz)
        windows = _together([waveform for waveform, _ in waiting])
        while len(self._asked) > 1:  # one is enough to keep the model busy
            self._take()
        answers = self._thread.submit(self._answer, windows, sample_rate_hz)
        self._asked.append((answers, [rows for _, rows in waiting]))

    def _take(self) -> None:
        answers, owners = self._asked.popleft()
        for rows, row, power in zip(owners, *answers.result(), strict=True):
            rows.answers.append(row)
            rows.power.append(float(power))


def _together(waveforms: Sequence[Floats]) -> tf.Tensor:
    """Windows [samples] of one length as a tensor float32 [windows, samples].

    `tf.constant` would copy them twice more, which takes longer than decoding them does. What is
    handed over instead must start where TensorFlow's kernels expect tensors to.
    """
    count, samples = len(waveforms), len(waveforms[0])
    memory = np.empty(4 * count * samples + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    aligned = memory[start : start + 4 * count * samples].view(np.float32)
    windows = aligned.reshape(count, samples)
    np.stack(waveforms, out=windows)
    return tf.experimental.dlpack.from_dlpack(windows.__dlpack__())


def answer_groups(
    groups: Sequence[Sequence[str]],
    features: FeatureConfig,
    answer: Answer,
    threads: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Iterator[list[WindowAnswers | UnreadableError]]:
    """Asks a model about all windows of all recordings.

    Batches don't reach over the end of a group, so what is said of a group depends on it alone.

    Args:
      groups: paths of recordings.
      features: how they are cut.
      answer: asks the model.
      threads: how many recordings are read at a time.
      progress: told of bytes that are done with.

    Yields:
      For each group, for each recording, its rows or why it can't be read.
    """
    paths = [path for group in groups for path in group]
    with _ReadAhead(paths, features, threads) as readings, Batches(answer) as batches:
        for group in groups:
            found: list[WindowAnswers | UnreadableError] = []
            for _ in group:
                rows = WindowAnswers()
                failure = None
                for item in next(readings):
                    if isinstance(item, UnreadableError):
                        failure = item
                        break
                    if item.window:
                        batches.add(item.window, item.sample_rate_hz, rows)
                    rows.samples = item.samples
                    progress(item.read_bytes)
                found.append(failure or rows)
            batches.finish()
            yield found


class _ReadAhead:
    """Reads recordings, several at a time; iterates over them in their order."""

    def __init__(self, paths: Sequence[str], features: FeatureConfig, threads: int) -> None:
        self._paths = iter(paths)
        self._features = features
        self._ahead = threads + 1
        self._started: deque[queue.Queue[_Item | UnreadableError | BaseException | None]] = deque()
        self._stopped = threading.Event()
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="reading")

    def __enter__(self) -> _ReadAhead:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._threads.shutdown(cancel_futures=True)

    def __next__(self) -> Iterator[_Item | UnreadableError]:
        """Windows of the next recording; ends with an error where it can't be read."""
        while len(self._started) < self._ahead and (path := next(self._paths, None)) is not None:
            window_samples = (
                self._features.windows.seconds * self._features.spectrogram.sample_rate_hz
            )
            room = min(max(round(_WAITING_SAMPLES / window_samples), 2), _WAITING_WINDOWS)
            waiting: queue.Queue[_Item | UnreadableError | BaseException | None]
            waiting = queue.Queue(room)
            self._started.append(waiting)
            self._threads.submit(self._read, path, waiting)
        return self._items(self._started.popleft())

    @staticmethod
    def _items(
        waiting: queue.Queue[_Item | UnreadableError | BaseException | None],
    ) -> Iterator[_Item | UnreadableError]:
        while (item := waiting.get()) is not None:
            if isinstance(item, BaseException) and not isinstance(item, UnreadableError):
                raise item
            yield item

    def _read(
        self, path: str, waiting: queue.Queue[_Item | UnreadableError | BaseException | None]
    ) -> None:
        """In a thread: puts the windows of a recording, then None."""
        try:
            with AudioReader(path) as recording:
                recording.log_remark()
                rate, before = recording.sample_rate_hz, 0
                stream = WindowStream(recording.blocks, rate, self._features)
                for window in itertools.chain(stream, [None]):
                    position = recording.position_bytes
                    item = _Item(window, rate, stream.samples, position - before)
                    before = position
                    if not self._put(waiting, item):
                        return
        except BaseException as error:
            # Of the thread that asks: here nobody would hear of it.
            self._put(waiting, error)
        self._put(waiting, None)

    def _put(
        self,
        waiting: queue.Queue[_Item | UnreadableError | BaseException | None],
        item: _Item | BaseException | None,
    ) -> bool:
        """Puts an item once there is room; False where nobody will take it any more."""
        while not self._stopped.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(item, timeout=_STOP_SECONDS)
                return True
        return False
