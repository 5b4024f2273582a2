"""Fine-tunes a tiny network: `python -m tests.helpers.fine_tuning_process JOB`.

JOB is a file of `Job` as JSON. What it writes: the curves as JSON, and every epoch it has done to
the end of `result` + ".epochs".
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Job:
    """What to do.

    Attributes:
      sounds: a folder for each class.
      module: handle of a module that can learn.
      cache: where weights and backups are kept.
      result: the file to write.
      strategy: one of `strategy.STRATEGIES`.
      epochs: passes.
      kill_after: the process kills itself (SIGKILL) when this epoch has been backed up; 0: never.
      cpus: CPU devices to make of this machine's, all mirrored; 1: as `strategy` finds it.
    """

    sounds: str
    module: str
    cache: str
    result: str
    strategy: str = "one"
    epochs: int = 4
    kill_after: int = 0
    cpus: int = 1


def main(job: Job) -> None:
    from sound_pipeline.fine_tuning import network
    from sound_pipeline.system.devices import Devices, make_devices

    devices = make_devices(job.strategy)
    import tensorflow as tf

    if job.cpus > 1:
        (cpu,) = tf.config.list_physical_devices("CPU")
        parts = [tf.config.LogicalDeviceConfiguration()] * job.cpus
        tf.config.set_logical_device_configuration(cpu, parts)
        together = tf.distribute.MirroredStrategy([f"CPU:{n}" for n in range(job.cpus)])
        devices = Devices(together, together)
    _watch_epochs(network, job)

    from sound_pipeline.datasets import DatasetConfig, load_manifest
    from sound_pipeline.embeddings.embed import embed_recordings
    from sound_pipeline.embeddings.settings import EmbeddingSettings
    from sound_pipeline.extractors.loading import load_extractor
    from sound_pipeline.fine_tuning.config import FineTuneConfig
    from sound_pipeline.fine_tuning.parts import ExtractorInput, Learning, Pretrained, TrainingPart
    from sound_pipeline.fine_tuning.tuner import FineTuner
    from sound_pipeline.heads.config import HeadConfig
    from tests.helpers.sound_folders import SHORT

    manifest = load_manifest(DatasetConfig("folder", job.sounds))
    cache = Path(job.cache)
    with devices.extraction.scope():
        base = load_extractor(job.module, SHORT)
        paths = [recording.path for recording in manifest.recordings]
        frozen = embed_recordings(paths, base, EmbeddingSettings(cache))
    config = FineTuneConfig(epochs=job.epochs, batch_size=8, learning_rate=0.003)
    head = HeadConfig(epochs=5)
    learning = Learning(config, head)
    tuner = FineTuner(manifest, ExtractorInput(SHORT), learning, cache, devices)
    everything = np.arange(len(paths))
    watched = everything % 4 == 0
    part = TrainingPart("all of it", everything[~watched], everything[watched])
    tuned = tuner.tune(Pretrained(base, frozen, "float32"), part)
    Path(job.result).write_text(json.dumps(tuned.curves))
    devices.wait_for_all()


def _watch_epochs(network: Any, job: Job) -> None:
    """Notes the epochs that this process does; they have been backed up by then."""
    seen = network._Progress.on_epoch_end

    def on_epoch_end(self: Any, epoch: int, logs: Any = None) -> None:
        seen(self, epoch, logs)
        with Path(f"{job.result}.epochs").open("a") as file:
            file.write(f"{epoch}\n")
        if epoch + 1 == job.kill_after:
            os.kill(os.getpid(), signal.SIGKILL)

    network._Progress.on_epoch_end = on_epoch_end


if __name__ == "__main__":
    main(Job(**json.loads(Path(sys.argv[1]).read_text())))
