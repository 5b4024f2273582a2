"""The main job: recordings to an evaluated, exported model."""

from __future__ import annotations

import dataclasses
import json
import logging
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import sound_pipeline
from sound_pipeline import features
from sound_pipeline.classifier import SoundClassifier
from sound_pipeline.config import RunConfig, to_json
from sound_pipeline.datasets import Manifest
from sound_pipeline.embeddings import Embeddings, embed_by_each
from sound_pipeline.errors import UserError
from sound_pipeline.evaluation import FoldResult, evaluate, predictions_of
from sound_pipeline.export import export_model
from sound_pipeline.extractors import load_extractor
from sound_pipeline.figures import figures
from sound_pipeline.head_training import HeldOut, calibrate, train_head
from sound_pipeline.joint_head import AnyHead, mean_head
from sound_pipeline.precision import choose_precision, this_machine
from sound_pipeline.report.files import Findings, write_report
from sound_pipeline.run_directory import LITE_FOLDER, staged
from sound_pipeline.splits import Split, cut_validation, leaked_share
from sound_pipeline.tflite import export_tflite

logger = logging.getLogger(__name__)


def run(
    config: RunConfig,
    manifest: Manifest,
    splits: Sequence[Split],
    output_dir: Path,
    cache_dir: Path,
    command: str,
    data_service: str = "",
) -> dict[str, Any]:
    """Embeds, evaluates, trains a final model on everything and exports it.

    Args:
      config: all that decides the result.
      manifest: the recordings that `config.dataset` describes.
      splits: those of `config.split`.
      output_dir: the run's directory; see `run_directory.RESULTS` for what it gets.
      cache_dir: where embeddings are kept between runs.
      command: what the user typed, for the report.
      data_service: the dispatcher whose workers read recordings; empty: this process does.

    Returns:
      What metrics.json holds.

    Raises:
      UserError: the input can't be used; the directory is then as it was.
    """
    started = time.monotonic()
    features.colormap_table(config.features.colormap)  # raises before the work, not after it
    with staged(output_dir) as directory:
        extractor = load_extractor(config.extractor, config.features, config.image_size)
        if config.export_tflite and not extractor.for_small_devices:
            raise UserError(
                "--export_tflite: TensorFlow Lite can't resample, which a module that takes "
                f"waveforms needs, in --extractor={config.extractor}; leave one of the two out"
            )
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
        paths = [recording.path for recording in manifest.recordings]
        embeddings = embed_by_each(
            paths, extractor.parts, cache_dir, config.max_bad_clips, precisions, data_service
        )
        results = evaluate(manifest, embeddings, splits, config.head)

        head, held_back = _final_head(config, manifest, embeddings, results)
        calibration = calibrate(manifest, held_back)
        head.temperature.assign(calibration.temperature)
        classifier = SoundClassifier(
            extractor, head, manifest.classes, config.features, calibration.min_score
        )

        predictions = predictions_of(manifest, results)
        values = _about(config, manifest, splits, embeddings, precisions) | figures(
            predictions, {result.name: result.calibration for result in results}
        )
        values["min_score"] |= {"suggested": calibration.min_score, "why": calibration.why}
        values["seconds"] = round(time.monotonic() - started, 1)
        versions = {
            "sound_pipeline": sound_pipeline.__version__,
            "tensorflow": tf.__version__,
            "python": platform.python_version(),
        }
        tested = np.concatenate([result.tested.recordings for result in results])
        write_report(
            directory,
            Findings(
                config=config,
                command=command,
                versions=versions,
                figures=values,
                predictions=predictions,
                curves={result.name: result.curves for result in results},
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
    return values


def _final_head(
    config: RunConfig,
    manifest: Manifest,
    embeddings: Embeddings,
    results: Sequence[FoldResult],
) -> tuple[AnyHead, list[HeldOut]]:
    """The head to export, and what heads said about recordings held back from them.

    It has learned from every recording. What the figures are made of is not among the latter.
    """
    held_back = [result.validation for result in results]
    if config.ensemble_folds:
        heads = [result.head for result in results]
        return mean_head(heads, embeddings.values.shape[1]), held_back
    everything = np.arange(len(manifest.recordings))
    training, validation = cut_validation(
        manifest, everything, config.split.validation_fraction, config.split.seed
    )
    final = train_head(manifest, embeddings, training, validation, config.head)
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
            manifest.recordings[position].path: reason
            for position, reason in embeddings.unreadable.items()
        },
    }
    if config.split.evaluate == "random":
        # Such a figure flatters: it never goes without saying so, and by how much.
        shares = [leaked_share(manifest, split) for split in splits]
        about |= {"split": "random split (leaky)", "leaked_share": float(np.mean(shares))}
    return about
