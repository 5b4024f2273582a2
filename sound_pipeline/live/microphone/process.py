"""Process that holds PortAudio: `python -m sound_pipeline.live.microphone.process REQUEST`.

Why a process and not a thread: while a PulseAudio daemon is frozen (SIGSTOP, a hung driver),
opening, probing, aborting and closing a stream and even starting PortAudio hang in C, and a close
that raced with one of them hung for good after the daemon had gone on. A process can always be
killed. It also keeps PortAudio's and ALSA's remarks off the user's terminal, and its callback never
waits for the interpreter of a program that is busy with a model.

It imports neither NumPy nor TensorFlow, so that it starts, and starts again, in a fraction of a
second.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any

from sound_pipeline.errors import UserError, first_line
from sound_pipeline.live.microphone import devices
from sound_pipeline.live.microphone.messages import (
    Kind,
    Message,
    Opened,
    Request,
    from_argument,
    message,
    write_message,
)

_BYTES_PER_SAMPLE = 2
# How long a look for a block lasts before the stream's health is looked at.
_LOOK_SECONDS = 0.1
# How long a stream may take to close when the program asks for it.
_FAREWELL_SECONDS = 0.3


class BlockQueue:
    """Between PortAudio's callback and the pipe: bounded, and the callback never waits for room.

    Attributes:
      error: what the callback raised, after which PortAudio calls it no more.
    """

    def __init__(self, channels: int, capacity_frames: int) -> None:
        """Makes an empty queue of at most so many sample frames, each a sample a channel."""
        self.error: Exception | None = None
        self._frame_bytes = channels * _BYTES_PER_SAMPLE
        self._capacity_frames = capacity_frames
        self._blocks: deque[Message] = deque()
        self._queued_frames = 0
        self._dropped = 0
        self._overflowed = False
        self._changed = threading.Condition()

    def callback(self, data: Any, frames: int, times: Any, status: Any) -> None:
        """Copies a block; PortAudio's thread calls it, with a buffer that dies afterwards.

        A block for which there is no room is counted and left out.
        """
        arrived_at = time.monotonic()
        try:
            self._copy(bytes(data), frames, arrived_at, bool(status.input_overflow))
        except Exception as error:
            # sounddevice prints what is raised here to stderr, stops the stream and says no more.
            self.error = error
            raise

    def take(self, timeout_seconds: float) -> Message | None:
        """Oldest block, or None if none came in this time."""
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self._blocks), timeout_seconds):
                return None
            block = self._blocks.popleft()
            self._queued_frames -= len(block.payload) // self._frame_bytes
            return block

    def _copy(self, payload: bytes, frames: int, arrived_at: float, overflowed: bool) -> None:
        with self._changed:
            self._overflowed |= overflowed
            if self._queued_frames + frames > self._capacity_frames:
                self._dropped += frames
                return
            block = Message(Kind.BLOCK, payload, arrived_at, self._dropped, self._overflowed)
            self._blocks.append(block)
            self._queued_frames += frames
            self._dropped = 0
            self._overflowed = False
            self._changed.notify()


def serve(
    request: Request, portaudio: Any, send: Callable[[Message], None], stop: threading.Event
) -> None:
    """Sends what is asked for until it is stopped or the stream ends.

    Args:
      request: what to do.
      portaudio: the module `sounddevice`.
      send: takes the messages.
      stop: ends the stream when it is set.

    Raises:
      UserError: the device can't be had, or is gone.
      Exception: what the callback raised.
    """
    found = devices.input_devices(portaudio)
    if request.list_only:
        send(message(Kind.LISTING, devices.listing(found)))
        return
    device = devices.find_device(found, request.device, request.index)
    rate_hz = devices.choose_rate(portaudio, device, request.sample_rate_hz)
    channels = devices.choose_channels(device)
    blocks = BlockQueue(channels, round(request.queue_seconds * rate_hz))
    try:
        stream = portaudio.RawInputStream(
            device=device.index,
            channels=channels,
            samplerate=rate_hz,
            dtype="int16",
            latency=request.buffer_seconds,
            callback=blocks.callback,
        )
        stream.start()
    except portaudio.PortAudioError as error:
        raise devices.cannot_open(device, error) from error
    send(message(Kind.READY, Opened(device.name, device.index, rate_hz, channels)))
    while not stop.is_set():
        block = blocks.take(_LOOK_SECONDS)
        if block is not None:
            send(block)
        elif blocks.error is not None:
            raise blocks.error
        elif not stream.active:
            raise UserError(f"the microphone {device.name} has stopped")
    stream.abort()
    stream.close()


def import_portaudio() -> Any:
    """Module `sounddevice`, which starts PortAudio when it is imported.

    Raises:
      UserError: it or PortAudio is missing.
    """
    try:
        return importlib.import_module("sounddevice")
    except ModuleNotFoundError as error:
        raise UserError(f"{error}: pip install sounddevice") from error
    except OSError as error:
        raise UserError(
            f"PortAudio is missing: apt-get install libportaudio2 ({first_line(error)})"
        ) from error


def main() -> None:
    """Does what the argument asks for, writing messages to stdout; never returns."""
    # Ctrl-C is for the program, which then says when this process shall end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # PortAudio's hosts print to stdout too, which must hold messages only.
    pipe = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    stop = threading.Event()
    threading.Thread(target=_watch_parent, args=(stop,), daemon=True).start()

    def send(sent: Message) -> None:
        write_message(pipe, sent)

    try:
        send(message(Kind.STARTED, None))
        try:
            serve(from_argument(sys.argv[1]), import_portaudio(), send, stop)
        except BrokenPipeError:
            raise
        except UserError as error:
            send(message(Kind.USER_ERROR, str(error)))
        except Exception:
            send(message(Kind.DEFECT, traceback.format_exc()))
    except BrokenPipeError:
        pass
    # Not sys.exit: sounddevice ends PortAudio at exit, which may hang.
    os._exit(0)


def _watch_parent(stop: threading.Event) -> None:
    """Ends this process once the other end of stdin is closed, however its owner ended."""
    while os.read(0, 1024):
        pass
    stop.set()
    time.sleep(_FAREWELL_SECONDS)
    os._exit(0)


if __name__ == "__main__":
    main()
