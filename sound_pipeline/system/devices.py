"""Selects the tf.distribute strategy named by --strategy."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sound_pipeline.errors import UserError, first_line

STRATEGIES = ("one", "mirrored", "multi_worker")

_EXAMPLE = (
    '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


@dataclasses.dataclass(frozen=True)
class Devices:
    """Who computes.

    Attributes:
      training: the tf.distribute.Strategy that networks are fine-tuned under.
      extraction: the one that this process makes embeddings under; its devices are all here.
      worker: the number of this process; 0, the chief, alone writes the run.
      workers: processes that train together.
    """

    training: Any
    extraction: Any
    worker: int = 0
    workers: int = 1

    @property
    def is_chief(self) -> bool:
        """Whether this process writes what is written once."""
        return self.worker == 0

    @contextmanager
    def together(self) -> Iterator[None]:
        """Context in which processes work together.

        Raises:
          UserError: another process has gone away; the work then ends in all of them.
        """
        if self.workers == 1:
            yield
            return
        import tensorflow as tf

        try:
            yield
        except (tf.errors.AbortedError, tf.errors.UnavailableError) as error:
            raise UserError(
                f"--strategy=multi_worker: another process of TF_CONFIG has gone away "
                f"({first_line(error)}); start it and this one again as they were, fine-tuning "
                "goes on after its last whole epoch"
            ) from error

    def wait_for_all(self) -> None:
        """Returns once every process has come here."""
        if self.workers > 1:
            import tensorflow as tf

            one = self.training.run(tf.function(lambda: tf.constant(1.0)))
            self.training.reduce(tf.distribute.ReduceOp.SUM, one, axis=None)


def make_devices(strategy: str) -> Devices:
    """Devices that --strategy names.

    `multi_worker` must be made before TensorFlow has done anything in this process, and waits for
    the other processes. They are those of the environment variable TF_CONFIG.

    Args:
      strategy: one of `STRATEGIES`. `one`: TensorFlow's first device. `mirrored`: all GPUs of this
        machine; without one the same as `one`. `multi_worker`: the devices of several processes;
        each makes embeddings on its first.

    Raises:
      UserError: TF_CONFIG doesn't describe workers, or this process among them.
    """
    # TF_CONFIG is looked at first: importing TensorFlow takes seconds.
    place = _place_in_cluster() if strategy == "multi_worker" else (0, 1)
    import tensorflow as tf

    alone = tf.distribute.get_strategy()
    if strategy == "multi_worker":
        return Devices(tf.distribute.MultiWorkerMirroredStrategy(), alone, *place)
    if strategy == "mirrored":
        # On CPUs it finds a single one by itself.
        together = tf.distribute.MirroredStrategy()
        return Devices(together, together)
    return Devices(alone, alone)


def _place_in_cluster() -> tuple[int, int]:
    """This process's number among those of TF_CONFIG, and how many they are."""
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        raise UserError(
            "--strategy=multi_worker: the environment variable TF_CONFIG is not set; give it as "
            f"{_EXAMPLE}, with an index of its own to each process"
        )
    try:
        about = json.loads(text)
        tasks = about["cluster"]
        kind, index = about["task"]["type"], int(about["task"]["index"])
        others = set(tasks) - {"chief", "worker"}
        sizes = {name: len(tasks.get(name, ())) for name in ("chief", "worker")}
        if others or not 0 <= index < sizes[kind]:
            raise ValueError
    except (AttributeError, KeyError, TypeError, ValueError):
        raise UserError(
            f"--strategy=multi_worker: TF_CONFIG={' '.join(text.split())!r} does not give a "
            f"cluster of workers and this process's place in it; give it as {_EXAMPLE}"
        ) from None
    before = sizes["chief"] if kind == "worker" else 0
    return before + index, sum(sizes.values())
