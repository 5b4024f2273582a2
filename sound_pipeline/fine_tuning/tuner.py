"""Fine-tuning: an extractor's network goes on learning, which makes another extractor of it.

Everything after it (embeddings, head, calibration, evaluation, export) is as without.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sound_pipeline.augmentation.waveform import AUGMENTATION_VERSION
from sound_pipeline.datasets import Manifest
from sound_pipeline.datasets.content_keys import content_keys
from sound_pipeline.embeddings.embed import Embeddings
from sound_pipeline.embeddings.made_by import made_by
from sound_pipeline.errors import UserError, check, nearest_names
from sound_pipeline.extractors.base import Extractor
from sound_pipeline.fine_tuning.examples import (
    ExampleRecipe,
    Labelled,
    steps_an_epoch,
    unreadable,
)
from sound_pipeline.fine_tuning.network import (
    FineTuningData,
    FineTuningModel,
    TrainingPlan,
    epochs_done,
)
from sound_pipeline.fine_tuning.parts import (
    ExtractorInput,
    FineTunedNetwork,
    Learning,
    Pretrained,
    TrainingPart,
)
from sound_pipeline.fine_tuning.pipelines import ExamplePipelines
from sound_pipeline.fine_tuning.weights import (
    BACKUP,
    is_kept,
    keep,
    make_directory,
    read_curves,
    read_weights,
)
from sound_pipeline.heads.fitting import balanced
from sound_pipeline.heads.head import Head
from sound_pipeline.heads.train import train_head
from sound_pipeline.input_pipeline.read import READ_HERE, WindowReader
from sound_pipeline.system.arrays import Ints
from sound_pipeline.system.devices import Devices

logger = logging.getLogger(__name__)


FINE_TUNING_VERSION = 2
"""Raised whenever the same configuration makes another network of the same recordings."""

FOLDER = "fine_tuned"


class _Task(NamedTuple):
    """One network to fine-tune, on positions of known and readable recordings."""

    base: Pretrained
    name: str
    learned: Ints
    watched: Ints
    epochs: int


@dataclasses.dataclass(frozen=True)
class FineTuner:
    """All that is the same for every part of a data set that a network is fine-tuned on.

    Attributes:
      manifest: gives paths and labels.
      given: what extractors are given.
      learning: how to learn.
      cache_dir: where weights are kept, and an interrupted training goes on from; the same for all
        processes.
      devices: what computes.
      reader: reads the recordings.
    """

    manifest: Manifest
    given: ExtractorInput
    learning: Learning
    cache_dir: Path
    devices: Devices
    reader: WindowReader = READ_HERE

    def check(self, extractor: Extractor) -> None:
        """Raises UserError where an extractor can't be fine-tuned so."""
        check(
            bool(extractor.tunable),
            f"--fine_tune: --extractor={extractor.handle} has no trainable variables; give a TF "
            "Hub module that offers trainable_variables, or leave --fine_tune out",
        )
        self._chosen(extractor)
        replicas = self.devices.training.num_replicas_in_sync
        size = self.learning.config.batch_size
        check(
            size % replicas == 0,
            f"--fine_tune_batch_size={size}: {replicas} devices can't share it evenly; give a "
            f"multiple of {replicas}",
        )

    def tune(
        self, base: Pretrained, part: TrainingPart, epochs: int | None = None
    ) -> FineTunedNetwork:
        """Goes on training an extractor's network, or finds that this has been done.

        All of `devices.workers` must call it in the same order. A training that was killed goes on
        after its last whole epoch.

        Args:
          base: the network as it is.
          part: what to train on.
          epochs: stop after so many of `FineTuneConfig.epochs` (the learning rate falls as if it
            went on).

        Raises:
          UserError: see `check` and `head_training.train_head`; the cache can't be used.
        """
        self.check(base.extractor)
        task = _Task(
            base,
            part.name,
            self._usable(base.embeddings, part.training),
            self._usable(base.embeddings, part.validation),
            self.learning.config.epochs if epochs is None else epochs,
        )
        key = self._key(task)
        directory = self.cache_dir / FOLDER / key
        if self.devices.is_chief:
            make_directory(directory, self.cache_dir)
        self.devices.wait_for_all()
        check(
            directory.is_dir(),
            f"--cache_dir={self.cache_dir}: this process doesn't see what the first one writes "
            "there; give a folder that all processes share",
        )
        if is_kept(directory):
            logger.info("%s: fine-tuned before (%s)", task.name, directory)
            curves = read_curves(directory)
        else:
            curves = self._learn(task, directory)
        # Nobody asks whether the next one has been done before this one is written.
        self.devices.wait_for_all()
        best = _best_epoch(curves)
        _say(task.name, curves, best)
        fingerprint = f"{base.extractor.fingerprint}-tuned-{key}"
        return FineTunedNetwork(base.extractor.handle, directory, fingerprint, best, curves)

    def extractor(self, tuned: FineTunedNetwork) -> Extractor:
        """Extractor that a fine-tuned network makes, on the devices whose scope this is in.

        Raises:
          UserError: what is kept of it is damaged.
        """
        extractor = self.given.load(tuned.handle)
        for variable, values in zip(extractor.weights, read_weights(tuned.directory), strict=True):
            variable.assign(values)
        extractor.fingerprint = tuned.fingerprint
        return extractor

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns errors of recordings that can't be read into one line."""
        try:
            yield
        except tf.errors.OpError as error:
            reason = unreadable(error)
            if reason:
                raise UserError(f"--fine_tune: {reason}") from error
            raise

    def _usable(self, embeddings: Embeddings, recordings: Ints) -> Ints:
        known = np.flatnonzero(self.manifest.is_known)
        readable = np.intersect1d(recordings, embeddings.recording)
        return np.intersect1d(readable, known)

    def _chosen(self, extractor: Extractor) -> list[int]:
        """Positions in `extractor.tunable` of the variables to tune."""
        names = [variable.name for variable in extractor.tunable]
        wanted = self.learning.config.first_variable
        first = next((n for n, name in enumerate(names) if name.startswith(wanted)), None)
        if first is None:
            like = nearest_names(wanted, (name.rsplit("/", 1)[0] for name in names), 3)
            raise UserError(
                f"--fine_tune_from={wanted}: no trainable variable of {extractor.handle} begins "
                f"so; there are {len(names)}, like {', '.join(like)}"
            )
        return list(range(first, len(names)))

    def _key(self, task: _Task) -> str:
        """Changes with all that decides what comes out."""
        keys = content_keys(self.manifest.paths, self.cache_dir)

        def data(recordings: Ints) -> list[tuple[str, int]]:
            return [(keys[n].decode(), int(self.manifest.labels[n])) for n in recordings]

        learning = self.learning
        decides = {
            "version": [FINE_TUNING_VERSION, tf.__version__],
            "base": made_by(task.base.extractor, task.base.precision),
            "config": dataclasses.asdict(learning.config),
            "head": dataclasses.asdict(learning.head),
            "augmentation": learning.augmentation
            and {"version": AUGMENTATION_VERSION} | dataclasses.asdict(learning.augmentation),
            "epochs": task.epochs,
            "classes": len(self.manifest.classes),
            "training": data(task.learned),
            "validation": data(task.watched),
        }
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:24]

    def _learn(self, task: _Task, directory: Path) -> dict[str, list[float]]:
        """Trains a network and keeps it; its curves."""
        start = dataclasses.replace(self.learning.head, tune=False)
        head = train_head(self.manifest, task.base.embeddings, task.learned, (), start).head
        with self.devices.training.scope():
            network = self._network(task, head)
        backup = directory / BACKUP
        data = self._data(task, network, epochs_done(backup))
        with self._explained():
            curves = network.learn(data, task.epochs, backup, task.name)
        # The others still write their backup, beside the one that is deleted next.
        self.devices.wait_for_all()
        if self.devices.is_chief:
            keep(directory, network.weights_kept(), curves)
        return curves

    def _network(self, task: _Task, head: Head) -> FineTuningModel:
        """In the scope of the strategy."""
        extractor = self.given.load(task.base.extractor.handle)
        weights = (head.mean, head.deviation, head.kernel, head.bias)
        own = Head(*(weight.numpy() for weight in weights))
        chosen = [extractor.tunable[n] for n in self._chosen(extractor)]
        config = self.learning.config
        steps = steps_an_epoch(len(task.learned), config.batch_size)
        plan = TrainingPlan(config, steps, bool(len(task.watched)), task.base.precision)
        return FineTuningModel(extractor, own, chosen, plan)

    def _data(self, task: _Task, network: FineTuningModel, first_epoch: int) -> FineTuningData:
        """Training and validation data of the network, on all devices."""
        classes = len(self.manifest.classes)
        prepare, features = network.extractor.prepare, self.given.features
        labels = self.manifest.labels[task.learned]
        equal = np.ones(len(labels), np.float32)
        weights = balanced(labels, equal, classes, self.learning.head)
        pipelines = ExamplePipelines(
            ExampleRecipe(prepare, features, classes, self.reader),
            self._labelled(task.learned, weights),
            self._labelled(task.watched, np.ones(len(task.watched))),
            self.learning.config.batch_size,
            self.learning.config.seed,
            self.learning.augmentation,
        )
        # The pipelines have about as many windows each; the longest decides.
        of, frozen = self.devices.workers, task.base.embeddings
        windows = max(
            int(np.isin(frozen.recording, own).sum() + np.isin(frozen.beginning_of, own).sum())
            for own in (task.watched[n::of] for n in range(of))
        )
        return pipelines.distributed(self.devices, first_epoch, windows)

    def _labelled(self, recordings: Ints, weights: npt.NDArray[np.floating]) -> Labelled:
        paths = [self.manifest.paths[n] for n in recordings]
        return Labelled(paths, self.manifest.labels[recordings], weights.astype(np.float32))


def _best_epoch(curves: Mapping[str, Sequence[float]]) -> int:
    """Number of the epoch whose weights are kept; the first is 1."""
    losses = curves.get("validation_loss")
    return int(np.argmin(losses)) + 1 if losses else len(curves["loss"])


def _say(name: str, curves: Mapping[str, Sequence[float]], best: int) -> None:
    losses = curves.get("validation_loss")
    logger.info(
        "%s: fine-tuned for %d epochs, cross-entropy %.3f%s",
        name,
        best,
        curves["loss"][best - 1],
        f", validation {losses[best - 1]:.3f}" if losses else "",
    )
