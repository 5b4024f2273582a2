"""The networks of a run: as they came, or fine-tuned for each part of the data set."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sound_pipeline.augmented_copies import Copies, backgrounds_beside
from sound_pipeline.config import RunConfig
from sound_pipeline.datasets import Manifest
from sound_pipeline.embeddings import Embeddings, embed_by_each
from sound_pipeline.errors import UserError
from sound_pipeline.extractors import Extractor, join_extractors, load_extractor
from sound_pipeline.fine_tuning import FineTuner, Tuned
from sound_pipeline.precision import choose_precision, this_machine
from sound_pipeline.splits import Split
from sound_pipeline.strategy import Devices

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


def embed_as_it_is(
    config: RunConfig,
    manifest: Manifest,
    splits: Sequence[Split],
    cache_dir: Path,
    devices: Devices,
) -> Embedded:
    """The extractor that a run names, and what it makes of the recordings before any fine-tuning.

    With `config.augmented_copies` also of changed copies of the recordings.

    Raises:
      UserError: the extractor can't be used, or not as configured; recordings can't be read.
    """
    with devices.extraction.scope():
        extractor = load_extractor(config.extractor, config.features, config.image_size)
    if config.export_tflite and not extractor.for_small_devices:
        raise UserError(
            "--export_tflite: TensorFlow Lite can't resample, which a module that takes "
            f"waveforms needs, in --extractor={config.extractor}; leave one of the two out"
        )
    if config.fine_tune:
        for part in extractor.parts:
            _tuner(config, manifest, cache_dir, devices).check(part)
    logger.info(
        "%s: %d recordings of %d classes; extractor %s",
        manifest.name,
        len(manifest.recordings),
        len(manifest.classes),
        config.extractor,
    )
    machine = this_machine()
    precisions = []
    for part in extractor.parts:
        choice = choose_precision(config.precision, machine, part.gains_from_less)
        logger.info("%s: computing in %s: %s", part.handle, choice.precision, choice.why)
        precisions.append(choice.precision)
    # What the chief has embedded the others find in the cache.
    if not devices.is_chief:
        devices.wait_for_all()
    embedded = _embedded(extractor, tuple(precisions), config, manifest, splits, cache_dir, devices)
    if devices.is_chief:
        devices.wait_for_all()
    return embedded


def fine_tune(
    config: RunConfig,
    manifest: Manifest,
    splits: Sequence[Split],
    base: Embedded,
    cache_dir: Path,
    devices: Devices,
) -> dict[str, list[Tuned]]:
    """Fine-tunes the extractor for each split, on its training part, and then on everything.

    On everything there is nothing left to watch: it is for as many epochs as did best in the
    median of the splits.

    Returns:
      What each part of the extractor became, by the name of the split; FINAL for everything.

    Raises:
      UserError: see `FineTuner.tune`.
    """
    tuner = _tuner(config, manifest, cache_dir, devices)
    parts = list(zip(base.extractor.parts, base.embeddings.parts, base.precisions, strict=True))
    tuned = {
        split.name: [
            tuner.tune(part, frozen, split.train, split.validation, precision, split.name)
            for part, frozen, precision in parts
        ]
        for split in splits
    }
    everything = np.arange(len(manifest.recordings))
    nothing = np.zeros(0, np.int64)
    final = []
    for number, (part, frozen, precision) in enumerate(parts):
        epochs = round(float(np.median([of_split[number].epochs for of_split in tuned.values()])))
        final.append(tuner.tune(part, frozen, everything, nothing, precision, FINAL, epochs))
    return tuned | {FINAL: final}


def embed_tuned(
    tuned: Sequence[Tuned],
    base: Embedded,
    config: RunConfig,
    manifest: Manifest,
    splits: Sequence[Split],
    cache_dir: Path,
    devices: Devices,
) -> Embedded:
    """What an extractor became by fine-tuning, and what it makes of the recordings now.

    Raises:
      UserError: what was learned is damaged; a recording has changed.
    """
    tuner = _tuner(config, manifest, cache_dir, devices)
    with devices.extraction.scope():
        extractor = join_extractors([tuner.extractor(part) for part in tuned])
    return _embedded(extractor, base.precisions, config, manifest, splits, cache_dir, devices)


def _tuner(config: RunConfig, manifest: Manifest, cache_dir: Path, devices: Devices) -> FineTuner:
    assert config.fine_tune is not None
    return FineTuner(
        manifest,
        config.features,
        config.image_size,
        config.fine_tune,
        config.head,
        cache_dir,
        devices,
        config.augmentation if config.augmented_copies else None,
    )


def _embedded(
    extractor: Extractor,
    precisions: tuple[str, ...],
    config: RunConfig,
    manifest: Manifest,
    splits: Sequence[Split],
    cache_dir: Path,
    devices: Devices,
) -> Embedded:
    beside = backgrounds_beside(manifest, splits)
    copies = Copies(config.augmented_copies, config.augmentation, beside)
    with devices.extraction.scope():
        embeddings = embed_by_each(
            manifest.paths,
            extractor.parts,
            cache_dir,
            config.max_bad_clips,
            precisions,
            copies,
            devices.data_service,
        )
    return Embedded(extractor, precisions, embeddings)
