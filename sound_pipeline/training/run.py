"""Main job: recordings to an evaluated, exported model."""

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
from sound_pipeline.datasets.splits import cut_validation
from sound_pipeline.embeddings.embed import Embeddings
from sound_pipeline.errors import check
from sound_pipeline.evaluation.evaluate import FoldResult, evaluate, predictions_of
from sound_pipeline.evaluation.predictions import Predictions, write_predictions
from sound_pipeline.evaluation.summary import summarise
from sound_pipeline.features import image
from sound_pipeline.fine_tuning.parts import FineTunedNetwork
from sound_pipeline.heads.calibration import Calibration
from sound_pipeline.heads.head import AnyHead
from sound_pipeline.heads.train import HeldOutScores, calibrate, train_head
from sound_pipeline.models.classifier import SoundClassifier
from sound_pipeline.models.export import export_model
from sound_pipeline.report.run_report import write_report
from sound_pipeline.report.run_results import RunResults
from sound_pipeline.system.json_config import to_json
from sound_pipeline.tflite.conversion import export_tflite
from sound_pipeline.tflite.formats import LITE_FOLDER
from sound_pipeline.training.about import about
from sound_pipeline.training.extraction import FINAL, Embedded, Extraction
from sound_pipeline.training.run_directory import PICTURES, remove, staged

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class _Evaluated:
    """Results of evaluating a run's extractor.

    Attributes:
      results: how each split's head did.
      final: what the final head is to stand on.
      tuned: what was fine-tuned, by the name of the split.
    """

    results: list[FoldResult]
    final: Embedded
    tuned: dict[str, list[FineTunedNetwork]]


def run(extraction: Extraction, output_dir: Path, command: str) -> dict[str, Any] | None:
    """Embeds, evaluates, trains a final model on everything and exports it.

    With `config.fine_tune` the extractor's network is fine-tuned first, on the training part of
    each split; all that follows stands on what it became. Of several processes, all run this, and
    the chief writes.

    Args:
      extraction: the configuration, and what is made of it.
      output_dir: the run's directory; see `run_directory.RESULTS` for what it gets.
      command: what the user typed, for the report.

    Returns:
      What metrics.json holds; None in a process that isn't the chief.

    Raises:
      UserError: the input can't be used; the directory is then as it was.
    """
    started = time.monotonic()
    config, devices = extraction.config, extraction.devices
    check(
        devices.workers == 1 or config.fine_tune is not None,
        "--strategy=multi_worker: only fine-tuning is divided among processes; give --fine_tune, "
        "or another --strategy",
    )
    # Raises before the work, not after it.
    image.colormap_table(config.features.spectrogram.colormap)
    if not devices.is_chief:
        _help(extraction)
        return None
    with staged(output_dir) as directory:
        evaluated = _evaluate(extraction)
        classifier, calibration = _final_model(extraction, evaluated)
        predictions = predictions_of(extraction.manifest, evaluated.results)
        figures = _figures(extraction, evaluated, predictions, calibration)
        figures["seconds"] = round(time.monotonic() - started, 1)
        results = _results(extraction, evaluated, predictions, figures, command)
        write_predictions(directory / "predictions.csv", predictions)
        _export(directory, classifier, extraction.manifest, results)
        (directory / "config.json").write_text(to_json(config), encoding="utf-8")
        text = json.dumps(figures, indent=2, allow_nan=False) + "\n"
        (directory / "metrics.json").write_text(text, encoding="utf-8")
        failure = _draw(directory, results)
    devices.wait_for_all()
    if failure is not None:
        logger.error("%s holds the model and its figures, but no report", output_dir)
        raise failure
    return figures


def _evaluate(extraction: Extraction) -> _Evaluated:
    """Each split's head on each split's network, where there is one of its own."""
    config, manifest, splits = extraction.config, extraction.manifest, extraction.splits
    base = extraction.pretrained()
    if config.fine_tune is None:
        return _Evaluated(evaluate(manifest, base.embeddings, splits, config.head), base, {})
    tuned = extraction.fine_tune(base)
    results = []
    for split in splits:
        own = extraction.fine_tuned(tuned[split.name], base)
        results += evaluate(manifest, own.embeddings, [split], config.head)
    return _Evaluated(results, extraction.fine_tuned(tuned[FINAL], base), tuned)


def _final_model(
    extraction: Extraction, evaluated: _Evaluated
) -> tuple[SoundClassifier, Calibration]:
    """Model to export, and what its scores were calibrated by."""
    config, manifest = extraction.config, extraction.manifest
    head, held_back = _final_head(config, manifest, evaluated.final.embeddings, evaluated.results)
    calibration = calibrate(manifest, held_back)
    head.temperature.assign(calibration.temperature)
    extractor = evaluated.final.extractor
    classifier = SoundClassifier(
        extractor, head, manifest.classes, config.features, calibration.min_score
    )
    return classifier, calibration


def _figures(
    extraction: Extraction,
    evaluated: _Evaluated,
    predictions: Predictions,
    calibration: Calibration,
) -> dict[str, Any]:
    """Contents of metrics.json, but for the seconds that the run took."""
    figures = about(extraction, evaluated.final) | summarise(
        predictions, {result.name: result.calibration for result in evaluated.results}
    )
    figures["min_score"] |= {"suggested": calibration.min_score, "why": calibration.why}
    if evaluated.tuned:
        figures["fine_tuning"] = {
            name: [{"epochs": part.epochs, "curves": part.curves} for part in parts]
            for name, parts in evaluated.tuned.items()
        }
    return figures


def _results(
    extraction: Extraction,
    evaluated: _Evaluated,
    predictions: Predictions,
    figures: Mapping[str, Any],
    command: str,
) -> RunResults:
    """Collects what the report is made of."""
    curves = {result.name: result.curves for result in evaluated.results}
    tested = np.concatenate([result.tested.recordings for result in evaluated.results])
    return RunResults(
        config=extraction.config,
        command=command,
        versions={
            "sound_pipeline": sound_pipeline.__version__,
            "tensorflow": tf.__version__,
            "python": platform.python_version(),
        },
        figures=figures,
        predictions=predictions,
        curves=curves | _tuning_curves(evaluated.tuned),
        embeddings=evaluated.final.embeddings.mean_of(tested),
    )


def _export(
    directory: Path, classifier: SoundClassifier, manifest: Manifest, results: RunResults
) -> None:
    """Writes the model, and what was asked for for small devices."""
    config = results.config
    export_model(
        classifier,
        directory / "saved_model",
        {
            "config": dataclasses.asdict(config),
            "data_set": manifest.name,
            "extractor": config.extractor,
            # Without how long the run took: equal models are equal files.
            "metrics": {key: value for key, value in results.figures.items() if key != "seconds"},
            "versions": results.versions,
        },
    )
    if config.export_tflite:
        export_tflite(directory / "saved_model", directory / LITE_FOLDER, config.export_tflite)


def _draw(directory: Path, results: RunResults) -> Exception | None:
    """Draws what people look at; a failure of that must not cost the model: it is returned."""
    try:
        write_report(directory, results)
    except Exception as failure:
        for name in PICTURES:
            remove(directory / name)
        return failure
    return None


def _tuning_curves(
    tuned: Mapping[str, Sequence[FineTunedNetwork]],
) -> dict[str, dict[str, list[float]]]:
    """Losses of every fine-tuned network, by the name of its curve."""
    return {
        f"{name}, fine-tuning{f' {number}' if len(parts) > 1 else ''}": part.curves
        for name, parts in tuned.items()
        for number, part in enumerate(parts, 1)
    }


def _help(extraction: Extraction) -> None:
    """Does the fine-tuning of a process that isn't the chief."""
    extraction.fine_tune(extraction.pretrained())
    # Until the chief is done: it takes a process that goes away for a failure.
    extraction.devices.wait_for_all()


def _final_head(
    config: RunConfig,
    manifest: Manifest,
    embeddings: Embeddings,
    results: Sequence[FoldResult],
) -> tuple[AnyHead, list[HeldOutScores]]:
    """Head to export, and what heads said about recordings held back from them.

    It has trained on every recording. What the figures are made of is not among the latter.
    """
    held_back = [result.validation for result in results]
    everything = np.arange(len(manifest.recordings))
    training, validation = cut_validation(
        manifest, everything, config.split.validation_fraction, config.split.seed
    )
    final = train_head(manifest, embeddings, training, validation, config.head)
    if config.fine_tune:
        # The network has trained on what this head was held back from.
        return final.head, held_back
    return final.head, [final.validation, *held_back]
