"""How often models are right that stand on one extractor, on each pair, and on all of them.

    .venv/bin/python -m benchmarks.evaluation.accuracy --data_dir=ESC-50-master \
        --extractors=gabor,INCEPTION,YAMNET [--seeds=3] [--cache_dir=~/.cache/sound_pipeline] \
        [--window_seconds=2,4,5] [--floor_db=-60] [--augmented_copies=0,1] [--augment=noise,mask] \
        [--pieces=1,1+2+4] [--mixup=0,1] [--notune]

ESC-10's own folds. A seed decides which recordings of the training side are held back; the test
folds have no part in any choice. Each figure is the mean over folds
and seeds with its 95 % interval over source recordings, as train.py gives it for one seed: with
the weight decay that HeadConfig has, which the targets are for, and with the one that validation
may choose (--tune). A head is trained once for all models that it is a part of. There is a row for
each length of window (5 s show a whole clip in one image) with each number of augmented copies
and each choice of pieces and mixtures, with the loss on the recordings held back; the targets are
for the row where that is least. The last line is JSON.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from benchmarks.targets import Target, report
from sound_pipeline.augmentation.config import AUGMENTATIONS, AugmentationConfig
from sound_pipeline.features.config import (
    FeatureConfig,
    SpectrogramConfig,
    WindowConfig,
)
from sound_pipeline.system import program

# Of each alone, by kind; of the best of several; of the best with an image network in it.
_ALONE = {"gabor": 0.92, "image": 0.945, "waveform": 0.975}
_BEST, _BEST_WITH_PICTURE = 0.985, 0.98


def define_flags() -> None:
    """Defines the benchmark's flags."""
    flags.DEFINE_string("data_dir", None, "ESC-50 or its ESC-10 part.", required=True)
    flags.DEFINE_list("extractors", None, "As of train.py.", required=True)
    flags.DEFINE_list("window_seconds", [str(WindowConfig.seconds)], "As of train.py, a row each.")
    flags.DEFINE_float("floor_db", SpectrogramConfig.floor_db, "As of train.py.")
    flags.DEFINE_list("augmented_copies", ["0"], "As of train.py, a row each.")
    flags.DEFINE_list("augment", list(AUGMENTATIONS), "As of train.py.")
    flags.DEFINE_list("pieces", ["1"], "As of train.py, joined by +, a row each.")
    flags.DEFINE_list("mixup", ["0"], "As of train.py, a row each.")
    flags.DEFINE_bool("tune", True, "Measure --tune too, which takes most of the time.")
    flags.DEFINE_integer("seeds", 3, "How many.", lower_bound=1)
    flags.DEFINE_string(
        "cache_dir",
        os.environ.get("SOUND_PIPELINE_CACHE", "~/.cache/sound_pipeline"),
        "Where embeddings are kept between runs.",
    )


def measure(
    features: FeatureConfig, augmentation: AugmentationConfig, augmented_copies: int, mixup: float
) -> tuple[list[str], dict[tuple[tuple[int, ...], bool], dict[str, Any]]]:
    """The kind of each extractor, and figures by (positions of extractors, whether tuned)."""
    from sound_pipeline.augmentation.copies import Copies
    from sound_pipeline.datasets import DatasetConfig, load_manifest
    from sound_pipeline.datasets.splits import SplitConfig, make_splits
    from sound_pipeline.embeddings.embed import embed_by_each, side_by_side
    from sound_pipeline.embeddings.settings import EmbeddingSettings
    from sound_pipeline.evaluation.significance import accuracy_interval
    from sound_pipeline.extractors.loading import load_extractor
    from sound_pipeline.heads.config import HeadConfig
    from sound_pipeline.heads.train import ask, calibrated_losses, join_heads, train_head
    from sound_pipeline.system.precision import choose_precision, this_machine

    values = flags.FLAGS
    handles, seeds = values.extractors, values.seeds
    cache_dir = Path(values.cache_dir).expanduser()
    manifest = load_manifest(DatasetConfig("esc50", values.data_dir, subset="esc10"))
    # Of each handle, one for every number of pieces.
    loaded = [load_extractor(handle, features).parts for handle in handles]
    extractors = [extractor for of_handle in loaded for extractor in of_handle]
    precisions = [
        choose_precision("auto", this_machine(), extractor.benefits_from_low_precision).precision
        for extractor in extractors
    ]
    paths = [recording.path for recording in manifest.recordings]
    copies = Copies(augmented_copies, augmentation)
    settings = EmbeddingSettings(cache_dir, copies=copies)
    parts = embed_by_each(paths, extractors, settings, precisions).parts
    counts = range(1, len(handles) + 1)
    chosen = [c for n in counts for c in itertools.combinations(range(len(handles)), n)]
    numbers = np.split(np.arange(len(parts)), np.cumsum([len(each) for each in loaded])[:-1])
    heads_of = {which: [n for handle in which for n in numbers[handle]] for which in chosen}
    joined = {which: side_by_side([parts[n] for n in heads_of[which]]) for which in chosen}
    answers: dict[Any, list[Any]] = {}
    held_out: dict[Any, list[float]] = {}
    for seed, tune in itertools.product(range(seeds), _tunes()):
        config = HeadConfig(seed=seed, tune=tune, mixup=mixup)
        for split in make_splits(manifest, SplitConfig("folds", seed=seed)):
            sides = split.train, split.validation
            trained = [train_head(manifest, part, *sides, config) for part in parts]
            for which in chosen:
                heads = [trained[number] for number in heads_of[which]]
                # A head alone comes before it gets the temperature that it has among others,
                # which changes no answer of its own.
                told = heads[0] if len(heads) == 1 else join_heads(manifest, joined[which], heads)
                _, losses = calibrated_losses(manifest, told.validation)
                held_out.setdefault((which, tune), []).append(float(losses.mean()))
                said = ask(told.head, joined[which], split.test)
                right = manifest.labels[said.recordings] == said.log_scores.argmax(axis=1)
                groups = manifest.groups[said.recordings]
                row = (seed, right, np.full(len(right), split.name), groups)
                answers.setdefault((which, tune), []).append(row)
        print(f"seed {seed}, {'tuned' if tune else 'as configured'}: done", flush=True)
    figures = {}
    for key, found in answers.items():
        right, folds, groups = (np.concatenate([row[n] for row in found]) for n in (1, 2, 3))
        low, high = accuracy_interval(right, folds, groups)
        by_seed = [
            float(np.mean([row[1].mean() for row in found if row[0] == seed]))
            for seed in range(seeds)
        ]
        figures[key] = {
            "accuracy": float(np.mean(by_seed)),
            "interval": [low, high],
            "by_seed": by_seed,
            "validation_loss": float(np.mean(held_out[key])),
        }
    kinds = [
        "gabor" if handle == "gabor" else "image" if of_handle[0].depends_on else "waveform"
        for handle, of_handle in zip(handles, loaded, strict=True)
    ]
    return kinds, figures


def _tunes() -> tuple[bool, ...]:
    return (False, True) if flags.FLAGS.tune else (False,)


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    program.no_arguments(arguments)
    values = flags.FLAGS
    handles = values.extractors
    augmentation = AugmentationConfig(kinds=tuple(values.augment))
    names = [Path(handle).name for handle in handles]
    rows: list[dict[str, Any]] = []
    # Of each combination the row that its validation recordings ask for.
    chosen: dict[tuple[int, ...], dict[str, Any]] = {}
    windows = program.numbers("window_seconds", values.window_seconds)
    counts = program.integers("augmented_copies", values.augmented_copies)
    pieces = [program.integers("pieces", each.split("+")) for each in values.pieces]
    mixups = program.numbers("mixup", values.mixup)
    for seconds, count, cut, mixup in itertools.product(windows, counts, pieces, mixups):
        # A beginning is shorter than a window.
        features = FeatureConfig(
            windows=WindowConfig(seconds=seconds),
            spectrogram=SpectrogramConfig(floor_db=values.floor_db),
            beginning_seconds=tuple(s for s in FeatureConfig.beginning_seconds if s < seconds),
            pieces=cut,
        )
        kinds, figures = measure(features, augmentation, count, mixup)
        print(
            f"\n{'extractors':40}{'window':>9}{'copies':>7}{'pieces':>9}{'mixup':>6}"
            + "".join(f"{'tuned' if tune else 'as configured':>22}" for tune in _tunes())
            + f"{'validation loss':>17}"
        )
        for which in dict.fromkeys(which for which, _ in figures):
            row = f"{', '.join(names[number] for number in which):40}{seconds:>7g} s{count:>7}"
            row += f"{','.join(map(str, cut)):>9}{mixup:>6g}"
            for tune in _tunes():
                figure = figures[which, tune]
                low, high = figure["interval"]
                row += f"{figure['accuracy']:>8.4f} ({low:.3f}-{high:.3f})"
            configured = figures[which, False]
            print(f"{row}{configured['validation_loss']:>17.4f}", flush=True)
            best = chosen.setdefault(which, configured)
            if configured["validation_loss"] < best["validation_loss"]:
                chosen[which] = configured
        rows += [
            {
                "extractors": [handles[number] for number in which],
                "tuned": tune,
                "window_seconds": seconds,
                "copies": count,
                "pieces": cut,
                "mixup": mixup,
                **figure,
            }
            for (which, tune), figure in figures.items()
        ]
    # A mean of equal figures may differ from them in its last bit.
    found = {which: round(figure["accuracy"], 9) for which, figure in chosen.items()}
    print()
    targets = [
        Target(f"accuracy of {names[number]} alone", found[(number,)], _ALONE[kind], True)
        for number, kind in enumerate(kinds)
    ]
    several = {which: value for which, value in found.items() if len(which) > 1}
    if several:
        targets.append(
            Target("accuracy of the best of several", max(several.values()), _BEST, True)
        )
    seeing = [v for which, v in several.items() if any(kinds[n] == "image" for n in which)]
    if seeing:
        targets.append(
            Target(
                "accuracy of the best with an image network", max(seeing), _BEST_WITH_PICTURE, True
            )
        )
    about = {
        "seeds": values.seeds,
        "floor_db": values.floor_db,
        "augment": augmentation.kinds,
    }
    report(about | {"figures": rows}, targets)


if __name__ == "__main__":
    define_flags()
    program.run(main)
