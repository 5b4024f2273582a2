"""The main job: recordings to an evaluated, exported model."""

from __future__ import annotations

import dataclasses
import json
import logging
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import sound_pipeline
from sound_pipeline import features, metrics, report
from sound_pipeline.classifier import SoundClassifier
from sound_pipeline.config import RunConfig, to_json
from sound_pipeline.datasets import Manifest, load_manifest
from sound_pipeline.embeddings import Embeddings, embed_recordings
from sound_pipeline.evaluation import FoldResult, evaluate, train_head
from sound_pipeline.export import export_model
from sound_pipeline.extractors import load_extractor
from sound_pipeline.run_directory import staged
from sound_pipeline.splits import cut_validation, leaked_share, make_splits

logger = logging.getLogger(__name__)


def run(config: RunConfig, output_dir: Path, cache_dir: Path) -> dict[str, Any]:
    """Embeds, evaluates, trains a final model on everything and exports it.

    Args:
      config: all that decides the result.
      output_dir: the run's directory; see `run_directory.RESULTS` for what it gets.
      cache_dir: where embeddings are kept between runs.

    Returns:
      What metrics.json holds.

    Raises:
      UserError: the input can't be used; the directory is then as it was.
    """
    started = time.monotonic()
    manifest = load_manifest(config.dataset)
    splits = make_splits(manifest, config.split)
    features.colormap_table(config.features.colormap)  # raises before the work, not after it
    with staged(output_dir) as directory:
        extractor = load_extractor(config.extractor, config.features, config.image_size)
        logger.info(
            "%s: %d recordings of %d classes; extractor %s",
            manifest.name,
            len(manifest.recordings),
            len(manifest.classes),
            config.extractor,
        )
        paths = [recording.path for recording in manifest.recordings]
        embeddings = embed_recordings(paths, extractor, cache_dir, config.max_bad_clips)
        results = evaluate(manifest, embeddings, splits, config.head)

        everything = np.arange(len(manifest.recordings))
        training, validation = cut_validation(
            manifest, everything, config.split.validation_fraction, config.split.seed
        )
        final = train_head(manifest, embeddings, training, validation, config.head)
        classifier = SoundClassifier(extractor, final.head, manifest.classes, config.features)

        figures = _figures(config, manifest, embeddings, results)
        if config.split.evaluate == "random":
            # Such a figure flatters: it never goes without saying so, and by how much.
            shares = [leaked_share(manifest, split) for split in splits]
            figures |= {"split": "random split (leaky)", "leaked_share": float(np.mean(shares))}
        confusion_png = directory / "confusion_matrix.png"
        report.write_predictions(directory / "predictions.csv", manifest, results)
        report.draw_confusion_matrix(
            confusion_png,
            _confusion(manifest, results),
            manifest.classes,
            f"{manifest.name}, {figures['split']}: accuracy {figures['accuracy']:.3f}",
        )
        report.write_tensorboard(
            directory / "tensorboard", manifest, results, confusion_png, config.features
        )
        (directory / "config.json").write_text(to_json(config), encoding="utf-8")
        figures["seconds"] = round(time.monotonic() - started, 1)
        export_model(
            classifier,
            directory / "saved_model",
            {
                "config": dataclasses.asdict(config),
                "data_set": manifest.name,
                "labels": list(manifest.classes),
                "extractor": config.extractor,
                "metrics": figures,
                "versions": {
                    "sound_pipeline": sound_pipeline.__version__,
                    "tensorflow": tf.__version__,
                    "python": platform.python_version(),
                },
            },
        )
        text = json.dumps(figures, indent=2) + "\n"
        (directory / "metrics.json").write_text(text, encoding="utf-8")
    return figures


def _figures(
    config: RunConfig, manifest: Manifest, embeddings: Embeddings, results: list[FoldResult]
) -> dict[str, Any]:
    labels = manifest.labels[np.concatenate([result.recordings for result in results])]
    predicted = np.concatenate([result.scores.argmax(axis=1) for result in results])
    return {
        "accuracy": float(np.mean([result.accuracy for result in results])),
        "per_fold": {result.name: result.accuracy for result in results},
        "macro_f1": metrics.macro_f1(labels, predicted, len(manifest.classes)),
        "split": config.split.evaluate,
        "clips": len(manifest.recordings) - len(embeddings.unreadable),
        "classes": list(manifest.classes),
        "data_set": manifest.name,
        "extractor": config.extractor,
        "unreadable": {
            manifest.recordings[position].path: reason
            for position, reason in embeddings.unreadable.items()
        },
    }


def _confusion(manifest: Manifest, results: list[FoldResult]) -> Any:
    labels = manifest.labels[np.concatenate([result.recordings for result in results])]
    predicted = np.concatenate([result.scores.argmax(axis=1) for result in results])
    return metrics.confusion_matrix(labels, predicted, len(manifest.classes))
