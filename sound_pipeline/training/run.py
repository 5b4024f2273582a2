"""The main job: recordings to an evaluated, exported model."""

from __future__ import annotations

import dataclasses
import json
import logging
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import sound_pipeline
from sound_pipeline.config import RunConfig
from sound_pipeline.datasets import Manifest
from sound_pipeline.datasets.splits import Split, cut_validation, leaked_fraction
from sound_pipeline.embeddings.embed import Embeddings
from sound_pipeline.errors import check
from sound_pipeline.evaluation.evaluate import FoldResult, evaluate, predictions_of
from sound_pipeline.evaluation.summary import summarise
from sound_pipeline.features import image
from sound_pipeline.fine_tuning.tuner import FineTunedNetwork
from sound_pipeline.heads.head import AnyHead
from sound_pipeline.heads.train import HeldOutScores, calibrate, train_head
from sound_pipeline.models.classifier import SoundClassifier
from sound_pipeline.models.export import export_model
from sound_pipeline.report.run_report import RunResults, write_report
from sound_pipeline.system.devices import Devices, make_devices
from sound_pipeline.system.json_config import to_json
from sound_pipeline.tflite.conversion import export_tflite
from sound_pipeline.tflite.formats import LITE_FOLDER
from sound_pipeline.training.extraction import FINAL, Embedded, Extraction
from sound_pipeline.training.run_directory import staged

logger = logging.getLogger(__name__)


def run(
    config: RunConfig,
    manifest: Manifest,
    splits: Sequence[Split],
    output_dir: Path,
    cache_dir: Path,
    command: str,
    devices: Devices | None = None,
) -> dict[str, Any] | None:
    """Embeds, evaluates, trains a final model on everything and exports it.

    With `config.fine_tune` the extractor's network is fine-tuned first, on the training part of
    each split; all that follows stands on what it became.

    Args:
      config: all that decides the result.
      manifest: the recordings that `config.dataset` describes.
      splits: those of `config.split`.
      output_dir: the run's directory; see `run_directory.RESULTS` for what it gets.
      cache_dir: where embeddings are kept between runs.
      command: what the user typed, for the report.
      devices: what computes, None for one device; of several processes, all run this, and the
        chief writes.

    Returns:
      What metrics.json holds; None in a process that isn't the chief.

    Raises:
      UserError: the input can't be used; the directory is then as it was.
    """
    started = time.monotonic()
    devices = devices or make_devices("one")
    check(
        devices.workers == 1 or config.fine_tune is not None,
        "--strategy=multi_worker: only fine-tuning is divided among processes; give --fine_tune, "
        "or another --strategy",
    )
    image.colormap_table(
        config.features.spectrogram.colormap
    )  # raises before the work, not after it
    extraction = Extraction(config, manifest, splits, cache_dir, devices)
    if not devices.is_chief:
        _help(extraction)
        return None
    with staged(output_dir) as directory:
        results, final, tuned = _evaluate(extraction)
        extractor, precisions, embeddings = final

        head, held_back = _final_head(config, manifest, embeddings, results)
        calibration = calibrate(manifest, held_back)
        head.temperature.assign(calibration.temperature)
        classifier = SoundClassifier(
            extractor, head, manifest.classes, config.features, calibration.min_score
        )

        predictions = predictions_of(manifest, results)
        values = _about(config, manifest, splits, embeddings, precisions) | summarise(
            predictions, {result.name: result.calibration for result in results}
        )
        values["min_score"] |= {"suggested": calibration.min_score, "why": calibration.why}
        if tuned:
            values["fine_tuning"] = {
                name: [{"epochs": part.epochs, "curves": part.curves} for part in parts]
                for name, parts in tuned.items()
            }
        values["seconds"] = round(time.monotonic() - started, 1)
        versions = {
            "sound_pipeline": sound_pipeline.__version__,
            "tensorflow": tf.__version__,
            "python": platform.python_version(),
        }
        tested = np.concatenate([result.tested.recordings for result in results])
        write_report(
            directory,
            RunResults(
                config=config,
                command=command,
                versions=versions,
                figures=values,
                predictions=predictions,
                curves={result.name: result.curves for result in results} | _tuning_curves(tuned),
                embeddings=embeddings.mean_of(tested),
            ),
        )
        export_model(
            classifier,
            directory / "saved_model",
            {
                "config": dataclasses.asdict(config),
                "data_set": manifest.name,
                "extractor": config.extractor,
                "metrics": values,
                "versions": versions,
            },
        )
        if config.export_tflite:
            export_tflite(directory / "saved_model", directory / LITE_FOLDER, config.export_tflite)
        (directory / "config.json").write_text(to_json(config), encoding="utf-8")
        text = json.dumps(values, indent=2, allow_nan=False) + "\n"
        (directory / "metrics.json").write_text(text, encoding="utf-8")
    devices.wait_for_all()
    return values


def _evaluate(
    extraction: Extraction,
) -> tuple[list[FoldResult], Embedded, dict[str, list[FineTunedNetwork]]]:
    """How each split's head does, what the final one is to stand on, and what was fine-tuned."""
    config, manifest, splits = extraction.config, extraction.manifest, extraction.splits
    base = extraction.pretrained()
    if config.fine_tune is None:
        return evaluate(manifest, base.embeddings, splits, config.head), base, {}
    tuned = extraction.fine_tune(base)
    results = []
    for split in splits:
        own = extraction.fine_tuned(tuned[split.name], base)
        results += evaluate(manifest, own.embeddings, [split], config.head)
    return results, extraction.fine_tuned(tuned[FINAL], base), tuned


def _tuning_curves(
    tuned: Mapping[str, Sequence[FineTunedNetwork]],
) -> dict[str, dict[str, list[float]]]:
    """The losses of every fine-tuned network, by the name of its curve."""
    return {
        f"{name}, fine-tuning{f' {number}' if len(parts) > 1 else ''}": part.curves
        for name, parts in tuned.items()
        for number, part in enumerate(parts, 1)
    }


def _help(extraction: Extraction) -> None:
    """What a process that isn't the chief does: its share of the fine-tuning."""
    extraction.fine_tune(extraction.pretrained())
    # Until the chief is done: it takes a process that goes away for a failure.
    extraction.devices.wait_for_all()


def _final_head(
    config: RunConfig,
    manifest: Manifest,
    embeddings: Embeddings,
    results: Sequence[FoldResult],
) -> tuple[AnyHead, list[HeldOutScores]]:
    """The head to export, and what heads said about recordings held back from them.

    It has learned from every recording. What the figures are made of is not among the latter.
    """
    held_back = [result.validation for result in results]
    everything = np.arange(len(manifest.recordings))
    training, validation = cut_validation(
        manifest, everything, config.split.validation_fraction, config.split.seed
    )
    final = train_head(manifest, embeddings, training, validation, config.head)
    if config.fine_tune:
        # The network has learned from what this head was held back from.
        return final.head, held_back
    return final.head, [final.validation, *held_back]


def _about(
    config: RunConfig,
    manifest: Manifest,
    splits: Sequence[Split],
    embeddings: Embeddings,
    precisions: Sequence[str],
) -> dict[str, Any]:
    about = {
        "split": config.split.evaluate,
        "clips": len(manifest.recordings) - len(embeddings.unreadable),
        "classes": list(manifest.classes),
        "data_set": manifest.name,
        "extractor": config.extractor,
        "precision": ", ".join(precisions),
        "unreadable": {
            manifest.paths[position]: reason for position, reason in embeddings.unreadable.items()
        },
    }
    if config.split.evaluate == "random":
        # Such a figure flatters: it never goes without saying so, and by how much.
        shares = [leaked_fraction(manifest, split) for split in splits]
        about |= {"split": "random split (leaky)", "leaked_fraction": float(np.mean(shares))}
    return about
