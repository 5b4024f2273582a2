"""Runs a part of a tf.data service, which reads recordings and computes features for train.py.

    python -m sound_pipeline.data_worker dispatcher [--port=5050] [--work_dir=DIR]
    python -m sound_pipeline.data_worker worker --dispatcher=grpc://HOST:5050 [--host=THIS_MACHINE]

One dispatcher, and as many workers as there are machines; then train.py --data_service=grpc://HOST:5050
on one of them or another. All of them must see the recordings under the same paths. A worker may
die and be started again at any time. Ends on Ctrl-C or SIGTERM.

Dispatchers and workers listen on all network interfaces, which TensorFlow lets nobody change, and
trust whoever reaches their ports: keep them inside a private network, or behind a firewall.
"""

from __future__ import annotations

if __name__ == "__main__":
    from sound_pipeline.system.endings import end_at_once_while_importing

    end_at_once_while_importing()

import contextlib
import logging
import socket
import threading

from absl import flags

from sound_pipeline.errors import UserError, check, first_line
from sound_pipeline.system import program

logger = logging.getLogger("sound_pipeline.data_worker")

ROLES = ("dispatcher", "worker")


def define_flags() -> None:
    """Defines the program's flags."""
    flags.DEFINE_integer(
        "port",
        None,
        "Port to listen at, on all network interfaces. Default: 5050 for a dispatcher, any free "
        "one for a worker.",
        lower_bound=0,
        upper_bound=65535,
    )
    flags.DEFINE_string(
        "work_dir",
        "",
        "Folder in which a dispatcher notes its work, so that it resumes after a restart.",
    )
    flags.DEFINE_string(
        "dispatcher", "", "Dispatcher that a worker works for, as grpc://host:port."
    )
    flags.DEFINE_string(
        "host",
        "",
        "Name or address that a worker gives to others, to reach it by. Default: this machine's "
        "name. It listens on all network interfaces all the same.",
    )


def main(arguments: list[str]) -> None:
    """Serves until it is told to end."""
    check(
        len(arguments) == 2 and arguments[1] in ROLES,
        "say what to be: python -m sound_pipeline.data_worker dispatcher, or worker",
    )
    values = flags.FLAGS
    is_worker = arguments[1] == "worker"
    check(
        is_worker or not (values.dispatcher or values.host),
        "--dispatcher, --host: are for workers",
    )
    check(not is_worker or not values.work_dir, "--work_dir: is for dispatchers")
    check(
        not is_worker or values.dispatcher,
        "--dispatcher is missing: give a worker its dispatcher's address, as grpc://host:5050",
    )
    # Here, because it imports TensorFlow, which takes seconds.
    import tensorflow as tf

    from sound_pipeline.input_pipeline.data_service import start_dispatcher, start_worker

    host = values.host or socket.gethostname()
    try:
        if is_worker:
            server: object = start_worker(values.dispatcher, host, values.port or 0)
            logger.info("working for %s as %s", values.dispatcher, host)
        else:
            port = 5050 if values.port is None else values.port
            server = start_dispatcher(port, values.work_dir)
            logger.info("dispatching at port %d", port)
    except (tf.errors.OpError, RuntimeError) as error:
        raise UserError(f"the {arguments[1]} doesn't start: {first_line(error)}") from error
    logger.warning(
        "listening on all network interfaces, whatever the addresses given: whoever reaches the "
        "port is trusted; keep others out with a firewall or a private network"
    )
    with contextlib.suppress(KeyboardInterrupt):
        # `join` would not let signals through.
        threading.Event().wait()
    del server


if __name__ == "__main__":
    define_flags()
    program.run(main)
