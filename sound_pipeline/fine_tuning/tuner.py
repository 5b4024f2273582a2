"""Fine-tuning: an extractor's network goes on learning, which makes another extractor of it.

Everything after it (embeddings, head, calibration, evaluation, export) is as without.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from sound_pipeline.augmentation.config import AugmentationConfig
from sound_pipeline.augmentation.waveform import AUGMENTATION_VERSION
from sound_pipeline.datasets import Manifest
from sound_pipeline.datasets.content_keys import content_keys
from sound_pipeline.embeddings.embed import Embeddings
from sound_pipeline.embeddings.made_by import made_by
from sound_pipeline.errors import UserError, check, nearest_names
from sound_pipeline.extractors.base import Extractor
from sound_pipeline.extractors.loading import load_extractor
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.fine_tuning.config import FineTuneConfig
from sound_pipeline.fine_tuning.examples import (
    Labelled,
    PipelineShare,
    all_windows,
    drawn_windows,
    steps_an_epoch,
    unreadable,
)
from sound_pipeline.fine_tuning.network import FineTuningData, FineTuningModel, epochs_done
from sound_pipeline.fine_tuning.weights import BACKUP, is_kept, keep, read_curves, read_weights
from sound_pipeline.heads.config import HeadConfig
from sound_pipeline.heads.fitting import balanced
from sound_pipeline.heads.head import Head
from sound_pipeline.heads.train import train_head
from sound_pipeline.system.arrays import Ints
from sound_pipeline.system.devices import Devices

logger = logging.getLogger(__name__)


FINE_TUNING_VERSION = 2
"""Raised whenever the same configuration makes another network of the same recordings."""

FOLDER = "fine_tuned"


class FineTunedNetwork(NamedTuple):
    """A fine-tuned network, kept in the cache.

    Attributes:
      handle: of the extractor that it was.
      directory: where its weights are.
      fingerprint: of the extractor that it makes.
      epochs: those that it has learned for: up to the least validation loss.
      curves: `loss` and, where watched, `validation_loss`, a value an epoch: mean cross-entropies
        without label smoothing.
    """

    handle: str
    directory: Path
    fingerprint: str
    epochs: int
    curves: dict[str, list[float]]


@dataclasses.dataclass(frozen=True)
class FineTuner:
    """All that is the same for every part of a data set that a network is fine-tuned on.

    Attributes:
      manifest: gives paths and labels.
      features: what images look like.
      image_size: as of `load_extractor`.
      config: how to fine-tune.
      head: how heads are trained; its class weights count here too.
      cache_dir: where weights are kept, and an interrupted training goes on from; the same for all
        processes.
      devices: what computes.
      augmentation: how recordings are changed before they are learned from, another way every
        epoch; None: not at all.
    """

    manifest: Manifest
    features: FeatureConfig
    image_size: int
    config: FineTuneConfig
    head: HeadConfig
    cache_dir: Path
    devices: Devices
    augmentation: AugmentationConfig | None = None

    def check(self, extractor: Extractor) -> None:
        """Raises UserError where an extractor can't be fine-tuned so."""
        check(
            bool(extractor.tunable),
            f"--fine_tune: --extractor={extractor.handle} has no trainable variables; give a TF "
            "Hub module that offers trainable_variables, or leave --fine_tune out",
        )
        self._chosen(extractor)
        replicas = self.devices.training.num_replicas_in_sync
        size = self.config.batch_size
        check(
            size % replicas == 0,
            f"--fine_tune_batch_size={size}: {replicas} devices can't share it evenly; give a "
            f"multiple of {replicas}",
        )
        check(
            not (self.config.batch_norm and replicas > 1),
            f"--fine_tune_batch_norm: statistics are not shared by {replicas} devices; leave the "
            "flag out, or use --strategy=one",
        )

    def tune(
        self,
        base: Extractor,
        frozen: Embeddings,
        training: Ints,
        validation: Ints,
        precision: str,
        name: str,
        epochs: int | None = None,
    ) -> FineTunedNetwork:
        """Goes on training an extractor's network, or finds that this has been done.

        All of `devices.workers` must call it in the same order. A training that was killed goes on
        after its last whole epoch.

        Args:
          base: the extractor as it is.
          frozen: what it makes of all recordings: the head to begin with is learned from it.
          training: positions of the recordings to learn from; those of unknown classes and those
            that can't be read are left out.
          validation: likewise, to watch: the epoch of the least loss is kept. Empty: the last.
          precision: what the network computes in (see precision.py).
          name: of what is tuned, for people.
          epochs: stop after so many of `config.epochs` (the learning rate falls as if it went on).

        Raises:
          UserError: see `check` and `head_training.train_head`; the cache can't be used.
        """
        self.check(base)
        epochs = self.config.epochs if epochs is None else epochs
        learned, watched = self._usable(frozen, training), self._usable(frozen, validation)
        key = self._key(base, learned, watched, precision, epochs)
        directory = self.cache_dir / FOLDER / key
        fingerprint = f"{base.fingerprint}-tuned-{key}"
        if self.devices.is_chief:
            _make(directory, self.cache_dir)
        self.devices.wait_for_all()
        check(
            directory.is_dir(),
            f"--cache_dir={self.cache_dir}: this process doesn't see what the first one writes "
            "there; give a folder that all processes share",
        )
        if is_kept(directory):
            logger.info("%s: fine-tuned before (%s)", name, directory)
            curves = read_curves(directory)
        else:
            start = dataclasses.replace(self.head, tune=False)
            head = train_head(self.manifest, frozen, learned, (), start).head
            with self.devices.training.scope():
                network = self._network(base, head, len(learned), bool(len(watched)), precision)
            backup = directory / BACKUP
            data = self._data(network, frozen, learned, watched, epochs_done(backup))
            with self._explained():
                curves = network.learn(data, epochs, backup, name)
            # The others still write their backup, beside the one that is deleted next.
            self.devices.wait_for_all()
            if self.devices.is_chief:
                keep(directory, network.weights_kept(), curves)
        # Nobody asks whether the next one has been done before this one is written.
        self.devices.wait_for_all()
        losses = curves.get("validation_loss")
        best = int(np.argmin(losses)) + 1 if losses else len(curves["loss"])
        logger.info(
            "%s: fine-tuned for %d epochs, cross-entropy %.3f%s",
            name,
            best,
            curves["loss"][best - 1],
            f", validation {losses[best - 1]:.3f}" if losses else "",
        )
        return FineTunedNetwork(base.handle, directory, fingerprint, best, curves)

    def extractor(self, tuned: FineTunedNetwork) -> Extractor:
        """The extractor that a fine-tuned network makes, on the devices whose scope this is in.

        Raises:
          UserError: what is kept of it is damaged.
        """
        extractor = load_extractor(tuned.handle, self.features, self.image_size)
        for variable, values in zip(extractor.weights, read_weights(tuned.directory), strict=True):
            variable.assign(values)
        extractor.fingerprint = tuned.fingerprint
        return extractor

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What recordings that can't be read do to a training is said in a line."""
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
        """Which of `extractor.tunable` are tuned."""
        names = [variable.name for variable in extractor.tunable]
        wanted = self.config.first_variable
        first = next((n for n, name in enumerate(names) if name.startswith(wanted)), None)
        if first is None:
            like = nearest_names(wanted, (name.rsplit("/", 1)[0] for name in names), 3)
            raise UserError(
                f"--fine_tune_from={wanted}: no trainable variable of {extractor.handle} begins "
                f"so; there are {len(names)}, like {', '.join(like)}"
            )
        return list(range(first, len(names)))

    def _key(
        self, base: Extractor, learned: Ints, watched: Ints, precision: str, epochs: int
    ) -> str:
        """Changes with all that decides what comes out."""
        keys = content_keys(self.manifest.paths, self.cache_dir)

        def data(recordings: Ints) -> list[tuple[str, int]]:
            return [(keys[n].decode(), int(self.manifest.labels[n])) for n in recordings]

        decides = {
            "version": [FINE_TUNING_VERSION, tf.__version__],
            "base": made_by(base, precision),
            "config": dataclasses.asdict(self.config),
            "head": dataclasses.asdict(self.head),
            "augmentation": self.augmentation
            and {"version": AUGMENTATION_VERSION} | dataclasses.asdict(self.augmentation),
            "epochs": epochs,
            "classes": len(self.manifest.classes),
            "training": data(learned),
            "validation": data(watched),
        }
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:24]

    def _network(
        self, base: Extractor, head: Head, recordings: int, watched: bool, precision: str
    ) -> FineTuningModel:
        """In the scope of the strategy."""
        extractor = load_extractor(base.handle, self.features, self.image_size)
        weights = (head.mean, head.deviation, head.kernel, head.bias)
        own = Head(*(weight.numpy() for weight in weights))
        chosen = [extractor.tunable[n] for n in self._chosen(extractor)]
        steps = steps_an_epoch(recordings, self.config.batch_size)
        return FineTuningModel(extractor, own, chosen, self.config, steps, watched, precision)

    def _data(
        self,
        network: FineTuningModel,
        frozen: Embeddings,
        learned: Ints,
        watched: Ints,
        first_epoch: int,
    ) -> FineTuningData:
        """What the network learns from and is watched by, on all devices."""
        strategy = self.devices.training
        classes = len(self.manifest.classes)
        size = self.config.batch_size // strategy.num_replicas_in_sync
        prepare = network.extractor.prepare

        def labelled(recordings: Ints, weights: npt.NDArray[np.floating]) -> Labelled:
            paths = [self.manifest.paths[n] for n in recordings]
            return Labelled(paths, self.manifest.labels[recordings], weights.astype(np.float32))

        labels = self.manifest.labels[learned]
        weights = balanced(labels, np.ones(len(labels), np.float32), classes, self.head)

        def training(context: tf.distribute.InputContext) -> tf.data.Dataset:
            pipelines = context.num_input_pipelines
            local = strategy.num_replicas_in_sync // pipelines
            share = PipelineShare(context.input_pipeline_id, pipelines, size, local)
            return drawn_windows(
                labelled(learned, weights),
                prepare,
                self.features,
                classes,
                self.config.seed,
                share,
                first_epoch,
                self.augmentation,
                self.devices.data_service,
            )

        def validation(context: tf.distribute.InputContext) -> tf.data.Dataset:
            own = watched[context.input_pipeline_id :: context.num_input_pipelines]
            equal = np.ones(len(own))
            return all_windows(
                labelled(own, equal),
                prepare,
                self.features,
                classes,
                size,
                self.devices.data_service,
            )

        # The pipelines have about as many windows each; the longest decides.
        local = strategy.num_replicas_in_sync // self.devices.workers
        windows = max(
            int(np.isin(frozen.recording, own).sum() + np.isin(frozen.beginning_of, own).sum())
            for own in (watched[n :: self.devices.workers] for n in range(self.devices.workers))
        )
        return FineTuningData(
            strategy.distribute_datasets_from_function(training),
            strategy.distribute_datasets_from_function(validation) if len(watched) else None,
            -(-windows // (size * local)),
        )


def _make(directory: Path, cache_dir: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"--cache_dir={cache_dir}: {error.strerror}; give a directory that can be written"
        ) from error
