"""What augmented copies, and images of three spectrograms, gain on validation recordings.

    .venv/bin/python -m benchmarks.augmentation.gains --data_dir=ESC-50-master --extractor=gabor \
        [--kinds=speed,equalise,mask,shift,noise,gain,all] [--copies=1,2,4] [--seeds=3] \
        [--image_channels=multi] [--cache_dir=~/.cache/sound_pipeline]

ESC-10's own folds. A head learns from the training part of each fold alone, for as long as does
best on the validation part; the figures are those of that part: loss after temperature scaling,
and accuracy, means over folds and seeds. No test fold has a part in these figures, so that choices
can be made by them; benchmarks/evaluation/accuracy.py then tells what a choice is worth. In
brackets beside each gain is its standard error over source recordings. Every row learns from the
recordings as they are; the first from nothing else. The last line is JSON.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from absl import flags

from sound_pipeline.augmentation.config import AUGMENTATIONS, AugmentationConfig
from sound_pipeline.features.config import IMAGE_CHANNELS
from sound_pipeline.system import program


def define_flags() -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_string("data_dir", None, "ESC-50 or its ESC-10 part.", required=True)
    flags.DEFINE_string("extractor", "gabor", "One, as of train.py.")
    flags.DEFINE_enum("image_channels", "colormap", IMAGE_CHANNELS, "As of train.py.")
    flags.DEFINE_list(
        "kinds",
        [*AUGMENTATIONS, "all"],
        "Rows: kinds of change, several together joined by +; all for all of them.",
    )
    flags.DEFINE_list("copies", ["1"], "How many copies, for each row of --kinds.")
    flags.DEFINE_integer("seeds", 3, "How many.", lower_bound=1)
    flags.DEFINE_string(
        "cache_dir",
        os.environ.get("SOUND_PIPELINE_CACHE", "~/.cache/sound_pipeline"),
        "Where embeddings are kept between runs.",
    )


def measure() -> list[dict[str, Any]]:
    """A row for each choice of copies."""
    from sound_pipeline.augmentation.copies import Copies
    from sound_pipeline.datasets import DatasetConfig, load_manifest
    from sound_pipeline.datasets.splits import SplitConfig, make_splits
    from sound_pipeline.embeddings.embed import embed_recordings
    from sound_pipeline.evaluation.evaluate import evaluate
    from sound_pipeline.extractors.loading import load_extractor
    from sound_pipeline.features.config import FeatureConfig, SpectrogramConfig
    from sound_pipeline.heads.calibration import with_temperature
    from sound_pipeline.heads.config import HeadConfig
    from sound_pipeline.system.precision import choose_precision, this_machine

    values = flags.FLAGS
    manifest = load_manifest(DatasetConfig("esc50", values.data_dir, subset="esc10"))
    features = FeatureConfig(spectrogram=SpectrogramConfig(image_channels=values.image_channels))
    extractor = load_extractor(values.extractor, features)
    precision = choose_precision(
        "auto", this_machine(), extractor.benefits_from_low_precision
    ).precision
    paths = [recording.path for recording in manifest.recordings]
    cache_dir = Path(values.cache_dir).expanduser()
    choices = [("none", 0)] + [
        (kinds, copies)
        for kinds in values.kinds
        for copies in program.integers("copies", values.copies)
    ]
    rows: list[dict[str, Any]] = []
    print(f"{'learned from, beside the recordings':44}{'loss':>8}{'gain':>18}{'accuracy':>10}")
    for kinds, count in choices:
        named = AUGMENTATIONS if kinds in ("all", "none") else tuple(kinds.split("+"))
        copies = Copies(count, AugmentationConfig(kinds=named))
        embeddings = embed_recordings(paths, extractor, cache_dir, 0.0, precision, copies)
        losses, hits, owners = [], [], []
        for seed in range(values.seeds):
            splits = make_splits(manifest, SplitConfig("folds", seed=seed))
            for result in evaluate(manifest, embeddings, splits, HeadConfig(seed=seed)):
                said = result.validation
                scores = with_temperature(said.log_scores, result.calibration.temperature)
                truth = manifest.labels[said.recordings]
                losses.append(-np.log(scores[np.arange(len(truth)), truth]))
                hits.append(scores.argmax(axis=1) == truth)
                owners.append(manifest.groups[said.recordings])
        loss = np.concatenate(losses)
        row = {
            "kinds": kinds,
            "copies": count,
            "loss": float(loss.mean()),
            "accuracy": float(np.concatenate(hits).mean()),
            "losses": loss,
        }
        gain = (rows[0] if rows else row)["losses"] - loss
        error = standard_error(gain, np.concatenate(owners))
        row |= {"gain": float(gain.mean()), "error": error}
        rows.append(row)
        name = f"{count} copies, {kinds}" if count else "nothing"
        print(
            f"{name:44}{row['loss']:>8.4f}{row['gain']:>+10.4f} ({row['error']:.4f})"
            f"{row['accuracy']:>9.4f}",
            flush=True,
        )
    return rows


def standard_error(values: npt.NDArray[np.floating], groups: npt.NDArray[np.str_]) -> float:
    """Of the mean of values that are alike within groups: the deviation of their sums."""
    _, group = np.unique(groups, return_inverse=True)
    sums = np.bincount(group, values - values.mean())
    return float(np.sqrt(np.square(sums).sum()) / len(values))


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    program.no_arguments(arguments)
    rows = [{k: v for k, v in row.items() if k != "losses"} for row in measure()]
    values = flags.FLAGS
    about = {"extractor": values.extractor, "image_channels": values.image_channels}
    print(json.dumps(about | {"seeds": values.seeds, "figures": rows}))


if __name__ == "__main__":
    define_flags()
    program.run(main)
