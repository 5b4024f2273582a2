"""What settings of training gain on validation recordings.

    .venv/bin/python -m benchmarks.training.gains --dataset=esc50 --subset=esc10 \
        --data_dir=ESC-50-master --extractor=gabor [--window_seconds=4] [--seeds=3] \
        [--settings=tune,label_smoothing=0.1,mixup=1] [--copies=speed,mask,noise+mask,all]

The data set's own folds. A head is trained on the training part of each fold alone, for as long as
does best on the validation part; the figures are of that part: loss after temperature scaling, and
accuracy, means over folds and seeds. No test fold has a part in these figures, so that choices can
be made by them; benchmarks/evaluation/accuracy.py then tells what a choice is worth. In brackets
beside each gain is its standard error over source recordings. The first row is without any of them;
--settings are fields of HeadConfig, --copies kinds of augmentation: each training recording
then has one changed copy. The last line is JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from absl import flags

from sound_pipeline.augmentation.config import AUGMENTATIONS, AugmentationConfig
from sound_pipeline.datasets import flags as dataset_flags
from sound_pipeline.embeddings import flags as embedding_flags
from sound_pipeline.extractors import flags as extractor_flags
from sound_pipeline.features import flags as feature_flags
from sound_pipeline.heads.config import HeadConfig
from sound_pipeline.system import program


def define_flags() -> None:
    """Defines the benchmark's flags, and those of train.py that decide embeddings."""
    dataset_flags.define()
    extractor_flags.define()
    feature_flags.define()
    embedding_flags.define()
    flags.DEFINE_list("settings", [], "Rows: fields of HeadConfig, as tune or mixup=1.")
    flags.DEFINE_list("copies", [], "Rows: kinds of change, several joined by +; all for all.")
    flags.DEFINE_integer("seeds", 3, "How many seeds, each with splits of its own.", lower_bound=1)


def rows() -> Iterator[tuple[str, dict[str, Any], tuple[str, ...]]]:
    """The name of each row, its fields of HeadConfig and its kinds of augmentation."""
    yield "as it is", {}, ()
    for setting in flags.FLAGS.settings:
        name, _, value = setting.partition("=")
        yield setting, {name: float(value) if value else True}, ()
    for kinds in flags.FLAGS.copies:
        yield f"copies: {kinds}", {}, AUGMENTATIONS if kinds == "all" else tuple(kinds.split("+"))


def measure() -> list[dict[str, Any]]:
    """A row for each choice."""
    from sound_pipeline.augmentation.copies import NO_COPIES, Copies
    from sound_pipeline.datasets import load_manifest
    from sound_pipeline.embeddings.embed import embed_by_each
    from sound_pipeline.embeddings.settings import EmbeddingSettings
    from sound_pipeline.extractors.loading import load_extractor
    from sound_pipeline.system.precision import choose_precision, this_machine

    values = flags.FLAGS
    manifest = load_manifest(dataset_flags.dataset_config(values))
    features = feature_flags.feature_config(values)
    parts = load_extractor(values.extractor, features, values.image_size).parts
    machine = this_machine()
    precisions = [
        choose_precision("auto", machine, part.benefits_from_low_precision).precision
        for part in parts
    ]
    measured: list[dict[str, Any]] = []
    print(f"{'trained with':24}{'loss':>8}{'gain':>18}{'accuracy':>10}")
    for name, fields, kinds in rows():
        copies = NO_COPIES
        if kinds:
            changes = AugmentationConfig(kinds=kinds, stretch_seconds=features.windows.seconds)
            copies = Copies(1, changes)
        settings = EmbeddingSettings(embedding_flags.cache_dir(values), copies=copies)
        embeddings = embed_by_each(manifest.paths, parts, settings, precisions)
        losses, hits, owners = trained(manifest, embeddings, fields)
        gain = (measured[0]["losses"] if measured else losses) - losses
        row = {
            "name": name,
            "loss": float(losses.mean()),
            "accuracy": float(hits.mean()),
            "losses": losses,
            "gain": float(gain.mean()),
            "error": standard_error(gain, owners),
        }
        measured.append(row)
        print(
            f"{name:24}{row['loss']:>8.4f}{row['gain']:>+10.4f} ({row['error']:.4f})"
            f"{row['accuracy']:>10.4f}",
            flush=True,
        )
    return measured


def trained(manifest: Any, embeddings: Any, fields: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The losses of validation recordings, whether they are right, and their sources."""
    from sound_pipeline.datasets.splits import SplitConfig, make_splits
    from sound_pipeline.evaluation.evaluate import evaluate
    from sound_pipeline.heads.calibration import with_temperature

    losses, hits, owners = [], [], []
    for seed in range(flags.FLAGS.seeds):
        splits = make_splits(manifest, SplitConfig("folds", seed=seed))
        for result in evaluate(manifest, embeddings, splits, HeadConfig(seed=seed, **fields)):
            said = result.validation
            scores = with_temperature(said.log_scores, result.calibration.temperature)
            truth = manifest.labels[said.recordings]
            losses.append(-np.log(scores[np.arange(len(truth)), truth]))
            hits.append(scores.argmax(axis=1) == truth)
            owners.append(manifest.groups[said.recordings])
    return np.concatenate(losses), np.concatenate(hits), np.concatenate(owners)


def standard_error(values: npt.NDArray[np.floating], groups: npt.NDArray[np.str_]) -> float:
    """Of the mean of values that are alike within groups: the deviation of their sums."""
    _, group = np.unique(groups, return_inverse=True)
    sums = np.bincount(group, values - values.mean())
    return float(np.sqrt(np.square(sums).sum()) / len(values))


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    program.no_arguments(arguments)
    found = [{k: v for k, v in row.items() if k != "losses"} for row in measure()]
    print(json.dumps({"extractor": flags.FLAGS.extractor, "figures": found}))


if __name__ == "__main__":
    define_flags()
    program.run(main)
