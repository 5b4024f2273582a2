"""Work on data sets that machines of a tf.data service do: clients, dispatcher and workers."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

import tensorflow as tf

from sound_pipeline.audio.decoding import decode_audio
from sound_pipeline.errors import UserError
from sound_pipeline.system.filesystem import load_plugins

T = TypeVar("T")

_SCHEME = "grpc://"
_CONNECT_SECONDS = 10.0
# A worker that says nothing for so long is taken for dead.
_DEAD_AFTER_MS = 5_000
_HEARTBEAT_MS = 1_000
# After so long without anything, what is still missing was lost with a worker.
_STALLED_SECONDS = 60.0
RECEIVER = "receiver of a data service"
"""Name of threads that wait for workers."""

# Elements that are here before they are asked for.
_AHEAD = 2


def from_workers(dataset: tf.data.Dataset, address: str) -> tf.data.Dataset:
    """A data set whose elements the workers of a data service make, each from a share of its own.

    The elements come in any order; those of a worker that dies don't come.

    Args:
      dataset: has no Python function in it.
      address: of the dispatcher: grpc://host:port.

    Raises:
      UserError: nobody answers at that address.
    """
    host, port = parse_address("data_service", address)
    try:
        socket.create_connection((host, port), _CONNECT_SECONDS).close()
    except OSError as error:
        raise UserError(
            f"--data_service={address}: {error.strerror or error}; start a dispatcher there with "
            "python -m sound_pipeline.data_worker dispatcher"
        ) from error
    return dataset.apply(
        tf.data.experimental.service.distribute(
            tf.data.experimental.service.ShardingPolicy.DYNAMIC, address
        )
    )


def until_stalled(elements: Iterable[T]) -> Iterator[T]:
    """Elements that workers of a data service make, to the end or to where nothing comes.

    The dispatcher goes on counting on a worker that has died, and may never come back: without it
    there is no end. So what is waited for after the first element is another within a minute. For
    the first one there is no limit: there may be no worker yet.

    Args:
      elements: of a data set of `from_workers`.
    """
    arrived: queue.Queue[tuple[T | None, Exception | None]] = queue.Queue(_AHEAD)
    abandoned = threading.Event()

    def offer(element: T | None, error: Exception | None = None) -> None:
        while not abandoned.is_set():
            try:
                arrived.put((element, error), timeout=1.0)
                return
            except queue.Full:
                continue

    def receive() -> None:
        try:
            for element in elements:
                offer(element)
                if abandoned.is_set():
                    return
            offer(None)
        except Exception as error:
            offer(None, error)

    # A thread that waits for a dead worker can't be stopped: it ends with the process.
    threading.Thread(target=receive, name=RECEIVER, daemon=True).start()
    try:
        element, error = arrived.get()
        while element is not None:
            yield element
            element, error = arrived.get(timeout=_STALLED_SECONDS)
        if error is not None:
            raise error
    except queue.Empty:
        return
    finally:
        abandoned.set()


def parse_address(flag: str, address: str) -> tuple[str, int]:
    """Host and port of grpc://host:port.

    Raises:
      UserError: it is none; the message names the flag.
    """
    host, _, port = address.removeprefix(_SCHEME).rpartition(":")
    if not address.startswith(_SCHEME) or not host or not port.isdecimal():
        raise UserError(f"--{flag}={address}: give a dispatcher's address, as grpc://host:5050")
    return host, int(port)


def start_dispatcher(port: int, work_dir: str) -> object:
    """Starts what hands out work; it ends when nothing refers to what is returned.

    Args:
      port: to listen at; 0 for any that is free.
      work_dir: where it notes what it has handed out, so that it may be killed and started again;
        empty: nowhere.
    """
    _register_ops()
    return tf.data.experimental.service.DispatchServer(
        tf.data.experimental.service.DispatcherConfig(
            port=port,
            protocol="grpc",
            work_dir=work_dir or None,
            fault_tolerant_mode=bool(work_dir),
            worker_timeout_ms=_DEAD_AFTER_MS,
        )
    )


def start_worker(dispatcher: str, host: str, port: int) -> object:
    """Starts what does the work; it ends when nothing refers to what is returned.

    Args:
      dispatcher: its address, grpc://host:port.
      host: this machine, as those see it that get the results; no address to listen at, which is
        all of the machine's: WorkerConfig has none to give.
      port: to listen at; 0 for any that is free.
    """
    _register_ops()
    there, at = parse_address("dispatcher", dispatcher)
    return tf.data.experimental.service.WorkerServer(
        tf.data.experimental.service.WorkerConfig(
            dispatcher_address=f"{there}:{at}",
            worker_address=f"{host}:{port or '%port%'}",
            port=port,
            protocol="grpc",
            heartbeat_interval_ms=_HEARTBEAT_MS,
        )
    )


def _register_ops() -> None:
    """Makes the ops and file systems known that the graphs to come name, beside TensorFlow's."""
    load_plugins()
    # Only a graph with tensorflow-io's ops in it loads their library.
    tf.function(decode_audio).get_concrete_function(tf.TensorSpec([], tf.string))
