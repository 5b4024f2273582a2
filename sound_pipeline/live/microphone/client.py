"""Program's end of the capture process: starts it, reads its messages, ends it."""

from __future__ import annotations

import contextlib
import queue
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

from sound_pipeline.live.microphone.messages import Message, Request, read_messages, to_argument

# Where `python -m` finds this very package, installed or not, and nothing of the user's folder.
_PACKAGE_ROOT = Path(__file__).parents[3]
# Messages taken from the pipe ahead of the program. When it doesn't take them they wait in the
# pipe and then in the capture process, which drops what is too much.
_AHEAD = 64
_LAST_LINES = 5
_FAREWELL_SECONDS = 1.0
_RECHECK_SECONDS = 0.2


class CaptureEnded(Exception):
    """Capture process is gone; the message says what is known of why."""


class CaptureChild:
    """A running capture process. It ends with the program, however the program ends."""

    def __init__(self, request: Request) -> None:
        """Starts a process that does what is asked for."""
        # A session of its own: Ctrl-C in the terminal reaches the program only.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sound_pipeline.live.microphone.process", to_argument(request)],
            cwd=_PACKAGE_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._messages: queue.Queue[Message | None] = queue.Queue(_AHEAD)
        self._last_lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._is_closed = threading.Event()
        self._readers = [
            threading.Thread(target=self._read_messages, daemon=True),
            threading.Thread(target=self._read_remarks, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def receive(self, timeout_seconds: float) -> Message | None:
        """Next message, or None if none came in this time.

        Raises:
          CaptureEnded: there will be no more.
        """
        try:
            received = self._messages.get(timeout=timeout_seconds)
        except queue.Empty:
            return None
        if received is None:
            self.close()
            remarks = " ".join(self._last_lines)
            raise CaptureEnded(
                f"the capture process ended with status {self._process.returncode}: {remarks}"
            )
        return received

    def close(self) -> None:
        """Lets the process close its stream and end."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_FAREWELL_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Ends a process that may be frozen, at once."""
        self._process.kill()
        self._is_closed.set()
        # A process that hangs in a driver dies when the driver lets it: nobody waits for that.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_FAREWELL_SECONDS)
            for reader in self._readers:
                reader.join(_FAREWELL_SECONDS)
            for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
                assert stream is not None
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def _read_messages(self) -> None:
        assert self._process.stdout is not None
        for received in read_messages(self._process.stdout):
            if not self._put(received):
                return
        self._put(None)

    def _put(self, received: Message | None) -> bool:
        """Waits for room; returns whether the message was put before the end."""
        while not self._is_closed.is_set():
            with contextlib.suppress(queue.Full):
                self._messages.put(received, timeout=_RECHECK_SECONDS)
                return True
        return False

    def _read_remarks(self) -> None:
        """Keeps the last of what PortAudio and its hosts print, which must not block them."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if text := line.decode(errors="replace").strip():
                self._last_lines.append(text)
