"""A data service in processes of its own."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from sound_pipeline.input_pipeline.data_service import RECEIVER
from tests.e2e import programs

_LONGEST_START_SECONDS = 120


def free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("localhost", 0))
        return int(asked.getsockname()[1])


class Service:
    """A dispatcher and two workers, each a process of its own.

    Tests that share it leave it whole.
    """

    def __init__(self, directory: Path, stack: ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self._port = free_port()
        self.address = f"grpc://localhost:{self._port}"
        self._ports = [free_port(), free_port()]
        # All at once: each takes seconds to import TensorFlow.
        with ThreadPoolExecutor(3) as threads:
            dispatcher = threads.submit(self.start_dispatcher)
            workers = threads.map(self.start_worker, range(2))
            self.dispatcher, self.workers = dispatcher.result(), list(workers)

    def start_dispatcher(self) -> subprocess.Popen[bytes]:
        return self._start(
            "dispatcher", f"--port={self._port}", f"--work_dir={self._directory}/work"
        )

    def start_worker(self, number: int) -> subprocess.Popen[bytes]:
        return self._start(
            "worker",
            f"--dispatcher={self.address}",
            "--host=localhost",
            f"--port={self._ports[number]}",
        )

    def kill_worker(self, number: int) -> None:
        self.workers[number].kill()
        self.workers[number].wait()

    def bring_back(self, number: int) -> None:
        """Starts a killed worker again, and waits until nobody waits for what it had."""
        self.workers[number] = self.start_worker(number)
        self.let_clients_end()

    def let_clients_end(self) -> None:
        """Waits until nobody waits for anything, as one may whose reader has given up.

        Who does complains to standard error once the dispatcher is gone, in the middle of the
        tests that follow.
        """
        for thread in threading.enumerate():
            if thread.name == RECEIVER:
                thread.join(_LONGEST_START_SECONDS)
                assert not thread.is_alive()

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        log = self._directory / f"{uuid.uuid4().hex}.log"
        process = subprocess.Popen(
            [sys.executable, "-m", "sound_pipeline.data_worker", *words],
            cwd=programs.ROOT,
            env=programs.environment(self._directory),
            stderr=self._stack.enter_context(log.open("w")),
        )
        self._stack.enter_context(process)
        self._stack.callback(process.kill)
        end = time.monotonic() + _LONGEST_START_SECONDS
        # The newest TensorFlow writes lines of its own before.
        while not re.search("^(dispatching|working) ", log.read_text(), re.MULTILINE):
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        return process
