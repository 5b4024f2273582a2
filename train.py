"""Trains a model that names sounds, from a folder of recordings.

    train.py --dataset=esc50 --data_dir=ESC-50-master --evaluate=folds --output_dir=runs/esc50

Recordings become log-mel pictures, pictures embeddings (kept on disk, so the next run is quick),
and a classifier on the embeddings is trained and tested as --evaluate says. A final one, trained
on everything, is exported to OUTPUT_DIR/saved_model: raw waveforms in, labels out. Results are in
OUTPUT_DIR/report.html, to look at, and OUTPUT_DIR/metrics.json.
"""

from __future__ import annotations

import os
from pathlib import Path

from absl import flags

from sound_pipeline import programs
from sound_pipeline.config import DEFAULT_EXTRACTOR, FeatureConfig, HeadConfig, RunConfig
from sound_pipeline.datasets import DATASETS, DatasetConfig, load_manifest
from sound_pipeline.lite_formats import LITE_FORMATS
from sound_pipeline.splits import PROTOCOLS, SplitConfig, make_splits


def define_flags() -> None:
    """Defines the program's flags; defaults are those of the configuration classes."""
    flags.DEFINE_enum("dataset", None, DATASETS, "Layout of the recordings.", required=True)
    flags.DEFINE_string("data_dir", "", "Folder of the data set.")
    flags.DEFINE_enum("subset", "", ["", "esc10"], "Part of ESC-50 to use; all if empty.")
    flags.DEFINE_string(
        "manifest",
        "",
        "CSV file that lists the recordings of --dataset=csv; its paths are "
        "relative to --data_dir, or to its own folder.",
    )
    for column in ("path", "label", "fold", "group"):
        flags.DEFINE_string(f"{column}_column", column, f"Column of --manifest with the {column}.")

    flags.DEFINE_string(
        "background_dir",
        "",
        "Folder of recordings in which nothing happens: they become the class 'background'.",
    )
    flags.DEFINE_list(
        "unknown_classes",
        [],
        "Classes to leave out of training, to test how well the score tells them from the others.",
    )

    flags.DEFINE_multi_string(
        "extractor",
        [DEFAULT_EXTRACTOR],
        "URL or path of a TF Hub module (URLs are downloaded once, to TFHUB_CACHE_DIR), one that "
        "turns pictures into vectors or, like YAMNet, a waveform into a vector a frame; or gabor: "
        "the embedded filter bank, quick and without a download. Several, separated by commas or "
        "given one by one, answer together.",
    )
    flags.DEFINE_integer(
        "image_size", 0, "Height and width of the picture, for modules that take any; 0: 299."
    )

    programs.define_precision()

    features = FeatureConfig()
    flags.DEFINE_float(
        "window_seconds",
        features.window_seconds,
        "Sound in one picture. Longer recordings are cut into windows, shorter ones padded.",
    )
    flags.DEFINE_float("window_overlap", features.window_overlap, "Share of a window seen again.")
    flags.DEFINE_list(
        "beginning_seconds",
        [f"{seconds:g}" for seconds in features.beginning_seconds],
        "How much of a sound is in the beginnings learned from beside whole windows, so that the "
        "first live labels of a sound are right; empty: whole windows alone, which takes less "
        "time.",
    )
    flags.DEFINE_integer("mel_bands", features.mel_bands, "Mel bands of the spectrogram.")
    flags.DEFINE_float("floor_db", features.floor_db, "Bottom of the picture below its peak, dB.")
    flags.DEFINE_string("colormap", features.colormap, "matplotlib colormap of the picture.")

    flags.DEFINE_enum(
        "evaluate",
        "folds",
        PROTOCOLS,
        "folds: the data set's own; grouped: --folds parts by source recording; random: parts "
        "that share source recordings, figures come out too good; holdout: one part.",
    )
    flags.DEFINE_list("test_folds", [], "Folds that --evaluate=holdout tests on.")
    flags.DEFINE_integer("folds", 5, "Parts of --evaluate=grouped and random.")
    flags.DEFINE_float("test_fraction", 0.2, "Tested by --evaluate=holdout without --test_folds.")
    flags.DEFINE_float(
        "validation_fraction",
        SplitConfig("folds").validation_fraction,
        "Share of the training side kept back to stop training, calibrate and set thresholds.",
    )

    head = HeadConfig()
    flags.DEFINE_float("l2", head.l2, "Weight decay: 1 / C of scikit-learn.")
    flags.DEFINE_bool(
        "tune",
        head.tune,
        "Take another weight decay than --l2 where validation recordings ask for one beyond "
        "chance; training takes several times as long.",
    )
    flags.DEFINE_bool(
        "ensemble_folds",
        False,
        "Export the mean of the tested heads, one of each part, instead of one head trained on "
        "everything.",
    )
    flags.DEFINE_integer("hidden_units", head.hidden_units, "Hidden layer; 0: a linear classifier.")
    flags.DEFINE_float("dropout", head.dropout, "Share of the hidden layer dropped in training.")
    flags.DEFINE_float("learning_rate", head.learning_rate, "Adam's at the start.")
    flags.DEFINE_integer("epochs", head.epochs, "Passes over the recordings at the most.")
    flags.DEFINE_integer("patience", head.patience, "Epochs without progress before it stops.")
    flags.DEFINE_integer("batch_size", head.batch_size, "Windows in a training step.")
    flags.DEFINE_enum(
        "class_weights",
        head.class_weights,
        ["balanced", "none"],
        "Whether rare classes count more.",
    )
    flags.DEFINE_integer("seed", 0, "Of splits, initialisation and shuffling.")

    flags.DEFINE_list(
        "export_tflite",
        [],
        f"Formats ({', '.join(LITE_FORMATS)}) in which to write the model for small devices too, "
        "to OUTPUT_DIR/tflite.",
    )
    flags.DEFINE_float("max_bad_clips", 0.01, "Share of unreadable recordings that stops the run.")
    flags.DEFINE_string("output_dir", None, "Directory of the run, new or of a run.", required=True)
    flags.DEFINE_string(
        "cache_dir",
        os.environ.get("SOUND_PIPELINE_CACHE", "~/.cache/sound_pipeline"),
        "Where embeddings are kept between runs.",
    )
    flags.DEFINE_string(
        "data_service",
        "",
        "Dispatcher whose workers read recordings and compute features, as grpc://host:5050 "
        "(python -m sound_pipeline.data_worker); they must see the files under the same paths.",
    )


def config_from_flags(values: flags.FlagValues) -> RunConfig:
    """The run that the flags describe.

    Raises:
      UserError: a value is out of range.
    """
    return RunConfig(
        dataset=DatasetConfig(
            dataset=values.dataset,
            data_dir=values.data_dir,
            subset=values.subset,
            manifest=values.manifest,
            path_column=values.path_column,
            label_column=values.label_column,
            fold_column=values.fold_column,
            group_column=values.group_column,
            background_dir=values.background_dir,
            unknown_classes=tuple(values.unknown_classes),
        ),
        split=SplitConfig(
            evaluate=values.evaluate,
            test_folds=programs.integers("test_folds", values.test_folds),
            folds=values.folds,
            test_fraction=values.test_fraction,
            validation_fraction=values.validation_fraction,
            seed=values.seed,
        ),
        features=FeatureConfig(
            window_seconds=values.window_seconds,
            window_overlap=values.window_overlap,
            beginning_seconds=programs.numbers("beginning_seconds", values.beginning_seconds),
            mel_bands=values.mel_bands,
            floor_db=values.floor_db,
            colormap=values.colormap,
        ),
        extractor=",".join(values.extractor),
        image_size=values.image_size,
        head=HeadConfig(
            l2=values.l2,
            hidden_units=values.hidden_units,
            dropout=values.dropout,
            learning_rate=values.learning_rate,
            epochs=values.epochs,
            patience=values.patience,
            batch_size=values.batch_size,
            class_weights=values.class_weights,
            seed=values.seed,
            tune=values.tune,
        ),
        max_bad_clips=values.max_bad_clips,
        export_tflite=tuple(values.export_tflite),
        precision=values.precision,
        ensemble_folds=values.ensemble_folds,
    )


def main(arguments: list[str]) -> None:
    """Runs the main job."""
    programs.no_arguments(arguments)
    values = flags.FLAGS
    config = config_from_flags(values)
    manifest = load_manifest(config.dataset)
    splits = make_splits(manifest, config.split)
    # After all that can be wrong with flags and files: TensorFlow takes seconds to import.
    from sound_pipeline import training

    output_dir = Path(values.output_dir).expanduser()
    cache_dir = Path(values.cache_dir).expanduser()
    figures = training.run(
        config,
        manifest,
        splits,
        output_dir,
        cache_dir,
        programs.command(),
        values.data_service,
    )
    low, high = figures["accuracy_interval"]
    split = figures["split"]
    if "leaked_share" in figures:
        split += f": {figures['leaked_share']:.1%} of tested recordings have a source trained on"
    print(
        f"accuracy {figures['accuracy']:.4f}, 95% interval {low:.3f}-{high:.3f} "
        f"({split}; {figures['clips']} recordings), macro F1 {figures['macro_f1']:.4f}; "
        f"report: {output_dir / 'report.html'}; model: {output_dir / 'saved_model'}"
    )


if __name__ == "__main__":
    define_flags()
    programs.run(main)
