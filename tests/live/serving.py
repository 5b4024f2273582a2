"""serve_mic.py on the virtual microphone, its lines with the time at which they came."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from tests.e2e import programs


class Serving:
    """A running serve_mic.py that prints JSON lines, every window's too."""

    def __init__(self, model: Path, variables: Mapping[str, str], *flags: str) -> None:
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-u", "serve_mic.py", f"--model={model}"),
                *("--format=jsonl", "--windows", *flags),
            ],
            cwd=programs.ROOT,
            env={**programs.environment(Path("unused")), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._lines: queue.Queue[tuple[float, str]] = queue.Queue()
        self.records: list[dict[str, Any]] = []
        self.said: list[str] = []
        self._readers: list[threading.Thread] = []
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            self._readers.append(threading.Thread(target=self._read, args=(stream,), daemon=True))
            self._readers[-1].start()

    def wait_for(
        self, wanted: Callable[[dict[str, Any] | str], bool], seconds: float
    ) -> tuple[float, Any]:
        """The next record or line on stderr that is wanted, and when it came.

        Raises:
          AssertionError: none came in time.
        """
        deadline = time.monotonic() + seconds
        while True:
            try:
                at, line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                said = "\n".join(self.said)
                raise AssertionError(f"nothing of the kind in {seconds:.1f} s; {said}") from None
            found: dict[str, Any] | str = line
            if line.startswith("{"):
                found = json.loads(line)
                assert isinstance(found, dict)
                self.records.append(found)
            else:
                self.said.append(line)
            if wanted(found):
                return at, found

    def wait_until_ready(self) -> None:
        """Returns once the model is loaded, and the room's noise floor learned."""
        self.wait_for(lambda found: "the model is ready" in found, 120)
        time.sleep(1.0)

    def forget(self) -> None:
        """Takes what has come so far."""
        while not self._lines.empty():
            self.wait_for(lambda found: True, 1.0)

    def stop(self) -> str:
        """Ends it as Ctrl-C does; returns its summary."""
        self._process.send_signal(signal.SIGINT)
        return self.end(30)

    def end(self, seconds: float) -> str:
        """Waits for its end; returns its summary."""
        assert self._process.wait(timeout=seconds) == 0
        time.sleep(0.2)
        self.forget()
        said = "\n".join(self.said)
        return said[said.index("captured ") :]

    def __enter__(self) -> Serving:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        for reader in self._readers:
            reader.join()

    def _read(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._lines.put((time.monotonic(), line.rstrip("\n")))


def is_window(found: dict[str, Any] | str) -> bool:
    return isinstance(found, dict) and found["type"] == "window"


def is_event(found: dict[str, Any] | str) -> bool:
    return isinstance(found, dict) and found["type"] == "event"
