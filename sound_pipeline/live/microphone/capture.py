"""Microphone: blocks of samples with their positions, from a device that may fail.

PortAudio runs in a process of its own (`capture_process` says why), which is started again when
the device has gone or frozen (`reopening`). `Microphone.read` takes its blocks, counts what was
lost (`sample_clock`), and keeps the notices that the user should see.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import time
from collections import Counter
from collections.abc import Callable
from types import TracebackType

import numpy as np
import numpy.typing as npt

from sound_pipeline.errors import UserError
from sound_pipeline.live.microphone.client import CaptureChild
from sound_pipeline.live.microphone.messages import Kind, Message, Request, opened
from sound_pipeline.live.microphone.reopening import Capture, Failure, LastingCapture
from sound_pipeline.live.microphone.sample_clock import SampleClock

_LONGEST_WAIT_SECONDS = 0.1
# Losses that go on for longer are told of once in this time.
_BETWEEN_LOSS_NOTICES_SECONDS = 1.0
_INT16_FULL_SCALE = 32768.0


@dataclasses.dataclass(frozen=True)
class CaptureConfig:
    """Microphone and sample rate to capture with.

    Attributes:
      device: empty for the system's default one; else a number of `list_devices` or a part of a
        name.
      sample_rate_hz: 0 for 48, 32 or 16 kHz, the highest that the device offers, or else the
        device's default rate.
      buffer_seconds: PortAudio's buffer. Blocks are about a quarter of it, and the callback may
        come three quarters of it too late without a loss.
      queue_seconds: how much audio waits at the most for a program that doesn't call `read`; what
        is more than that is dropped and counted.
    """

    device: str = ""
    sample_rate_hz: int = 0
    buffer_seconds: float = 0.08
    queue_seconds: float = 10.0

    def __post_init__(self) -> None:
        """Raises UserError naming the flag of a value out of range."""
        if self.sample_rate_hz < 0:
            raise UserError(
                f"--sample_rate={self.sample_rate_hz}: give a rate in Hz, or 0 to have one chosen"
            )
        if not 0.01 <= self.buffer_seconds <= 0.5:
            raise UserError(f"buffer_seconds={self.buffer_seconds:g}: give 0.01 to 0.5 s")
        if not 1 <= self.queue_seconds <= 600:
            raise UserError(f"queue_seconds={self.queue_seconds:g}: give a time from 1 to 600 s")


@dataclasses.dataclass(frozen=True)
class Block:
    """A stretch of sound.

    Attributes:
      samples: float32 [samples], -1..1, the mean of the channels.
      start: position of the first one, counted from the first that was captured. What lies
        between the end of the block before and this was lost.
      captured_at: when the last one was captured (`time.monotonic()`), but for the constant delay
        of the sound system.
    """

    samples: npt.NDArray[np.float32]
    start: int
    captured_at: float


class NoticeKind(enum.Enum):
    """Kinds of notices: sound that is missing, or a device that has gone or come back."""

    LOST = "lost"
    FAILED = "failed"
    REOPENED = "reopened"


@dataclasses.dataclass(frozen=True)
class Notice:
    """One line for the user about the microphone."""

    kind: NoticeKind
    text: str


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Counts of samples captured and lost so far.

    Attributes:
      captured_seconds: sound that came.
      lost_seconds: sound that didn't: dropped, missed by the clock, or while the device was away.
      overflows: how often PortAudio said that some was lost.
      reopened: how often the device came back.
    """

    captured_seconds: float
    lost_seconds: float
    overflows: int
    reopened: int


class Microphone:
    """A running microphone; `open_microphone` makes one. For use by one thread.

    Attributes:
      name: the device's whole name.
      sample_rate_hz: of all blocks, also after the device was reopened.
    """

    def __init__(
        self,
        config: CaptureConfig,
        start: Callable[[Request], Capture],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Opens the device.

        Args:
          config: which one.
          start: starts a capture process.
          clock: `time.monotonic`, or a simulation.
          sleep: `time.sleep`, or a simulation.

        Raises:
          UserError: see `open_microphone`.
        """
        request = Request(
            device=config.device,
            sample_rate_hz=config.sample_rate_hz,
            buffer_seconds=config.buffer_seconds,
            queue_seconds=config.queue_seconds,
        )
        self._clock = clock
        self._capture = LastingCapture(request, start, clock, sleep)
        with contextlib.ExitStack() as on_error:
            on_error.callback(self._capture.close)
            stream = opened(self._capture.first(Kind.READY).value())
            on_error.pop_all()
        self.name = stream.name
        self.sample_rate_hz = stream.sample_rate_hz
        self._channels = stream.channels
        # What was opened is what is reopened, whatever number it has by then. Who asked for the
        # default one gets what is the default by then.
        self._capture.request = dataclasses.replace(
            request,
            device=stream.name if config.device else "",
            index=stream.index,
            sample_rate_hz=stream.sample_rate_hz,
        )
        self._positions = SampleClock(stream.sample_rate_hz)
        self._overflows = 0
        self._reopened = 0
        self._notices: list[Notice] = []
        # Of an outage: since when, and which failures the user knows of.
        self._heard_at = clock()
        self._away_since: float | None = None
        self._told_failures: set[str] = set()
        # Losses in samples that the user hasn't been told of, by their cause.
        self._untold: Counter[str] = Counter()
        self._told_of_loss_at = -np.inf
        self._closed_at: float | None = None

    def read(self, timeout_seconds: float) -> Block | None:
        """Waits for the next block, and looks after the device meanwhile.

        To be called at least every 0.2 s: nothing else notices a frozen device.

        Returns:
          None if there was none in this time, because it was short or the device is away.

        Raises:
          ValueError: the microphone is closed.
        """
        if self._closed_at is not None:
            raise ValueError("read from a closed microphone")
        deadline = self._clock() + timeout_seconds
        block = None
        while block is None:
            wait = max(0.0, min(deadline - self._clock(), _LONGEST_WAIT_SECONDS))
            received = self._capture.receive(wait)
            if isinstance(received, Failure):
                self._note_failure(received)
            elif received is not None and received.kind is Kind.READY:
                self._channels = opened(received.value()).channels
            elif received is not None and received.kind is Kind.BLOCK:
                block = self._block(received)
            self._tell_of_losses()
            if self._clock() >= deadline:
                break
        return block

    def take_notices(self) -> list[Notice]:
        """Notices for the user that earlier calls haven't returned."""
        taken, self._notices = self._notices, []
        return taken

    @property
    def statistics(self) -> Statistics:
        """Counts of samples captured and lost so far, a present outage included."""
        now = self._clock() if self._closed_at is None else self._closed_at
        away_seconds = 0.0 if self._away_since is None else now - self._away_since
        return Statistics(
            captured_seconds=self._positions.captured / self.sample_rate_hz,
            lost_seconds=self._positions.lost / self.sample_rate_hz + away_seconds,
            overflows=self._overflows,
            reopened=self._reopened,
        )

    def close(self) -> None:
        """Ends the capture; a second call does nothing."""
        if self._closed_at is None:
            self._closed_at = self._clock()
            self._capture.close()

    def __enter__(self) -> Microphone:
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes it."""
        self.close()

    def _block(self, received: Message) -> Block:
        channels = np.frombuffer(received.payload, np.int16).reshape(-1, self._channels)
        samples = channels.mean(axis=1, dtype=np.float32) / np.float32(_INT16_FULL_SCALE)
        lost_before = self._positions.lost
        start = self._positions.add(
            len(samples), received.arrived_at, received.dropped, received.overflowed
        )
        self._overflows += received.overflowed
        if self._away_since is not None:
            self._note_return()
        else:
            missed = self._positions.lost - lost_before - received.dropped
            self._untold["the program didn't take it in time"] += received.dropped
            self._untold["the sound system dropped it"] += missed
        self._heard_at = received.arrived_at
        return Block(samples, start, self._positions.captured_at)

    def _note_failure(self, failure: Failure) -> None:
        if self._away_since is None:
            self._away_since = self._heard_at
            self._told_failures.clear()
            self._positions.reopened()
        if failure.text not in self._told_failures:
            what_now = "still trying to reopen it" if self._told_failures else "reopening it"
            self._told_failures.add(failure.text)
            self._notices.append(Notice(NoticeKind.FAILED, f"{failure.text} ({what_now})"))

    def _note_return(self) -> None:
        assert self._away_since is not None
        away_seconds = self._clock() - self._away_since
        self._away_since = None
        self._reopened += 1
        text = f"the microphone gives sound again, after {away_seconds:.1f} s"
        self._notices.append(Notice(NoticeKind.REOPENED, text))

    def _tell_of_losses(self) -> None:
        now = self._clock()
        if now - self._told_of_loss_at < _BETWEEN_LOSS_NOTICES_SECONDS:
            return
        for cause, samples in self._untold.items():
            if samples:
                seconds = samples / self.sample_rate_hz
                text = f"{seconds:.2f} s of sound lost: {cause}"
                self._notices.append(Notice(NoticeKind.LOST, text))
                self._told_of_loss_at = now
        self._untold.clear()


def open_microphone(config: CaptureConfig) -> Microphone:
    """Opens a microphone and starts its stream.

    Raises:
      UserError: PortAudio is missing; there is no microphone; the device's name matches none or
        more than one (the message lists the right ones); the device doesn't offer the rate (it
        lists those it does), can't be opened, or the sound system hangs.
    """
    return Microphone(config, CaptureChild)


def list_devices() -> str:
    """A table of the microphones for people: number, name, channels, rate; a * at the default.

    Raises:
      UserError: PortAudio is missing, there is no microphone, or the sound system hangs.
    """
    capture = LastingCapture(Request(list_only=True), CaptureChild)
    try:
        return str(capture.first(Kind.LISTING).value())
    finally:
        capture.close()
