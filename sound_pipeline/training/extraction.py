"""Networks of a run: as they came, or fine-tuned for each part of the data set."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sound_pipeline.augmentation.copies import Copies, backgrounds_beside
from sound_pipeline.config import RunConfig
from sound_pipeline.datasets import Manifest
from sound_pipeline.datasets.splits import Split
from sound_pipeline.embeddings.embed import Embeddings, embed_by_each
from sound_pipeline.embeddings.settings import EmbeddingSettings
from sound_pipeline.errors import UserError
from sound_pipeline.extractors.base import Extractor
from sound_pipeline.extractors.loading import join_extractors, load_extractor
from sound_pipeline.fine_tuning.parts import (
    ExtractorInput,
    FineTunedNetwork,
    Learning,
    Pretrained,
    TrainingPart,
)
from sound_pipeline.fine_tuning.tuner import FineTuner
from sound_pipeline.input_pipeline.read import READ_HERE, WindowReader
from sound_pipeline.system.devices import Devices, make_devices
from sound_pipeline.system.precision import choose_precision, this_machine

logger = logging.getLogger(__name__)

FINAL = "final model"
"""What is tuned on everything is called."""


class Embedded(NamedTuple):
    """An extractor and what it makes of all recordings of a data set.

    Attributes:
      extractor: one, or several as one.
      precisions: what each of its parts computes in.
      embeddings: of the recordings, in the manifest's order.
    """

    extractor: Extractor
    precisions: tuple[str, ...]
    embeddings: Embeddings


@dataclasses.dataclass(frozen=True)
class Extraction:
    """Makes a run's extractor, goes on training it, and embeds the recordings by it.

    Attributes:
      config: all that decides the result.
      manifest: the recordings.
      splits: the parts that networks are fine-tuned for.
      cache_dir: where embeddings and fine-tuned weights are kept.
      devices: what computes.
      reader: reads the recordings.
    """

    config: RunConfig
    manifest: Manifest
    splits: Sequence[Split]
    cache_dir: Path
    devices: Devices = dataclasses.field(default_factory=lambda: make_devices("one"))
    reader: WindowReader = READ_HERE

    def pretrained(self) -> Embedded:
        """Extractor that a run names, and what it makes of the recordings untuned.

        With `config.augmented_copies` also of changed copies of the recordings.

        Raises:
          UserError: the extractor can't be used, or not as configured; recordings can't be read.
        """
        config = self.config
        with self.devices.extraction.scope():
            extractor = load_extractor(config.extractor, config.features, config.image_size)
        if config.export_tflite and not extractor.tflite_compatible:
            raise UserError(
                "--export_tflite: TensorFlow Lite can't resample, which a module that takes "
                f"waveforms needs, in --extractor={config.extractor}; leave one of the two out"
            )
        if config.fine_tune:
            for part in extractor.parts:
                self._tuner.check(part)
        logger.info(
            "%s: %d recordings of %d classes; extractor %s",
            self.manifest.name,
            len(self.manifest.recordings),
            len(self.manifest.classes),
            config.extractor,
        )
        machine = this_machine()
        precisions = []
        for part in extractor.parts:
            choice = choose_precision(config.precision, machine, part.benefits_from_low_precision)
            logger.info("%s: computing in %s: %s", part.handle, choice.precision, choice.why)
            precisions.append(choice.precision)
        # What the chief has embedded the others find in the cache.
        if not self.devices.is_chief:
            self.devices.wait_for_all()
        embedded = self._embedded(extractor, tuple(precisions))
        if self.devices.is_chief:
            self.devices.wait_for_all()
        return embedded

    def fine_tune(self, base: Embedded) -> dict[str, list[FineTunedNetwork]]:
        """Fine-tunes the extractor for each split, on its training part, and then on everything.

        On everything there is nothing left to watch: it is for as many epochs as did best in the
        median of the splits.

        Args:
          base: of `pretrained`.

        Returns:
          What each part of the extractor became, by the name of the split; FINAL for everything.

        Raises:
          UserError: see `FineTuner.tune`.
        """
        tuner = self._tuner
        columns = (base.extractor.parts, base.embeddings.parts, base.precisions)
        networks = [Pretrained(*part) for part in zip(*columns, strict=True)]
        tuned = {
            split.name: [
                tuner.tune(network, TrainingPart(split.name, split.train, split.validation))
                for network in networks
            ]
            for split in self.splits
        }
        everything = np.arange(len(self.manifest.recordings))
        whole = TrainingPart(FINAL, everything, np.zeros(0, np.int64))
        final = []
        for number, network in enumerate(networks):
            did_best = [of_split[number].epochs for of_split in tuned.values()]
            final.append(tuner.tune(network, whole, round(float(np.median(did_best)))))
        return tuned | {FINAL: final}

    def fine_tuned(self, tuned: Sequence[FineTunedNetwork], base: Embedded) -> Embedded:
        """Loads what an extractor became by fine-tuning, and embeds the recordings by it.

        Args:
          tuned: a value of `fine_tune`.
          base: of `pretrained`.

        Raises:
          UserError: what was learned is damaged; a recording has changed.
        """
        with self.devices.extraction.scope():
            extractor = join_extractors([self._tuner.extractor(part) for part in tuned])
        return self._embedded(extractor, base.precisions)

    @property
    def _tuner(self) -> FineTuner:
        config = self.config
        assert config.fine_tune is not None
        return FineTuner(
            self.manifest,
            ExtractorInput(config.features, config.image_size),
            Learning(
                config.fine_tune,
                config.head,
                config.augmentation if config.augmented_copies else None,
            ),
            self.cache_dir,
            self.devices,
            self.reader,
        )

    def _embedded(self, extractor: Extractor, precisions: tuple[str, ...]) -> Embedded:
        config = self.config
        beside = backgrounds_beside(self.manifest, self.splits)
        settings = EmbeddingSettings(
            self.cache_dir,
            config.max_bad_clips,
            Copies(config.augmented_copies, config.augmentation, beside),
            self.reader,
        )
        paths = self.manifest.paths
        with self.devices.extraction.scope():
            embeddings = embed_by_each(paths, extractor.parts, settings, precisions)
        return Embedded(extractor, precisions, embeddings)
