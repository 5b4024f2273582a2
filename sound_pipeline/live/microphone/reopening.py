"""A capture that is started again whenever its process fails, ends or freezes."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from typing import Protocol

from sound_pipeline.errors import UserError
from sound_pipeline.live.microphone.client import CaptureEnded
from sound_pipeline.live.microphone.messages import Kind, Message, Request
from sound_pipeline.live.microphone.watchdog import BackOff, Silence

# How long each step may give nothing. Python's start takes long on a busy machine. What follows is
# short, but hangs while the sound server is frozen.
_START_SECONDS = 15.0
_FIRST_OPENING_SECONDS = 10.0
_OPENING_SECONDS = 3.0
_FIRST_BLOCK_SECONDS = 3.0
_FROZEN_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 0.1


class Capture(Protocol):
    """Interface of `CaptureChild`."""

    def receive(self, timeout_seconds: float) -> Message | None:
        """Next message, None if none came in time; raises CaptureEnded after the last."""

    def close(self) -> None:
        """Ends it."""

    def kill(self) -> None:
        """Ends it at once, frozen or not."""


@dataclasses.dataclass(frozen=True)
class Failure:
    """Why a capture was given up.

    Attributes:
      text: one line for the user.
      traceback: where it was a defect; else empty.
    """

    text: str
    traceback: str = ""


class LastingCapture:
    """Messages of one capture process after the other."""

    def __init__(
        self,
        request: Request,
        start: Callable[[Request], Capture],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Starts the first process.

        Args:
          request: what it shall do.
          start: starts one.
          clock: `time.monotonic`, or a simulation.
          sleep: `time.sleep`, or a simulation.
        """
        self.request = request
        self._start = start
        self._clock = clock
        self._sleep = sleep
        self._back_off = BackOff()
        self._capture: Capture | None = None
        self._retry_at = 0.0
        self._begin(_FIRST_OPENING_SECONDS)

    def first(self, kind: Kind) -> Message:
        """Waits for the first process's answer.

        Raises:
          UserError: it can't do what was asked for, or hangs.
          RuntimeError: a defect of it.
        """
        while True:
            received = self.receive(_LONGEST_WAIT_SECONDS)
            if isinstance(received, Failure):
                if received.traceback:
                    raise RuntimeError(f"the capture process failed:\n{received.traceback}")
                raise UserError(received.text)
            if received is not None and received.kind is kind:
                return received

    def receive(self, timeout_seconds: float) -> Message | Failure | None:
        """Next message, or why the process was given up; None if neither came in this time.

        After a failure, further calls start the next process, when it is time to.
        """
        if self._capture is None:
            self._sleep(max(0.0, min(self._retry_at - self._clock(), timeout_seconds)))
            if self._clock() >= self._retry_at:
                self._begin(_OPENING_SECONDS)
            return None
        try:
            received = self._capture.receive(timeout_seconds)
        except CaptureEnded as error:
            return self._give_up(Failure(str(error)))
        if received is None:
            self._silence.nothing()
            if self._silence.seconds < self._patience_seconds:
                return None
            return self._give_up(Failure(self._complaint.format(self._silence.seconds)))
        self._silence.heard()
        if received.kind is Kind.USER_ERROR:
            return self._give_up(Failure(received.value()))
        if received.kind is Kind.DEFECT:
            traceback = received.value()
            reason = traceback.strip().splitlines()[-1]
            return self._give_up(Failure(f"the capture process failed: {reason}", traceback))
        self._expect_next(received.kind)
        return received

    def close(self) -> None:
        """Ends the process that runs, if one does."""
        if self._capture is not None:
            self._capture.close()
            self._capture = None

    def _begin(self, opening_seconds: float) -> None:
        self._capture = self._start(self.request)
        self._silence = Silence(self._clock)
        self._sound_since: float | None = None
        self._opening_seconds = opening_seconds
        self._patience_seconds = _START_SECONDS
        self._complaint = "the capture process hasn't started for {:.0f} s: is the machine busy?"

    def _expect_next(self, kind: Kind) -> None:
        """Sets how long the message after one of this kind may take."""
        if kind is Kind.STARTED:
            self._patience_seconds = self._opening_seconds
            self._complaint = (
                "the sound system hasn't answered for {:.0f} s: the sound server (PulseAudio, "
                "PipeWire) or the device's driver is frozen; restart it, or choose another device"
            )
        elif kind is Kind.READY:
            self._patience_seconds = _FIRST_BLOCK_SECONDS
            self._complaint = "the microphone has given nothing for {:.1f} s"
        elif kind is Kind.BLOCK:
            self._patience_seconds = _FROZEN_SECONDS
            if self._sound_since is None:
                self._sound_since = self._clock()

    def _give_up(self, failure: Failure) -> Failure:
        assert self._capture is not None
        self._capture.kill()
        self._capture = None
        now = self._clock()
        ran_seconds = 0.0 if self._sound_since is None else now - self._sound_since
        self._retry_at = now + self._back_off.next_pause(ran_seconds)
        return failure
