"""Flags of data sets and of how they are divided."""

from __future__ import annotations

from absl import flags

from sound_pipeline.datasets.config import DATASETS, DatasetConfig
from sound_pipeline.datasets.splits import PROTOCOLS, SplitConfig
from sound_pipeline.system import program
from sound_pipeline.system.flag_groups import group


def define() -> None:
    """Defines the flags that say which recordings."""
    with group("Data", ("dataset", "data_dir", "manifest", "background_dir")):
        flags.DEFINE_enum(
            "dataset",
            None,
            DATASETS,
            "How the recordings are laid out: esc50 and urbansound8k as downloaded, folder for "
            "CLASS/*.wav, csv for a table (--manifest).",
            required=True,
        )
        flags.DEFINE_string(
            "data_dir", "", "Folder of the data set; may be on s3:// or gs://. Csv needs none."
        )
        flags.DEFINE_string(
            "manifest",
            "",
            "CSV file that lists the recordings of --dataset=csv, or a glob pattern of several. "
            "Its paths, which may be patterns too, start from --data_dir, or from its own folder.",
        )
        flags.DEFINE_string(
            "background_dir",
            "",
            "Folder of recordings in which nothing happens. They become the class 'background', "
            "which is never reported: give one if a model is to listen all day.",
        )
        flags.DEFINE_enum(
            "subset", "", ["", "esc10"], "Train on this part of ESC-50 instead of all its classes."
        )
        for column in ("path", "label", "fold", "group"):
            flags.DEFINE_string(
                f"{column}_column",
                column,
                f"Name of the column of --manifest with the {column}, if yours is another.",
            )
        flags.DEFINE_list(
            "unknown_classes",
            [],
            "Classes to leave out of training, separated by commas: metrics.json then says how "
            "well scores tell sounds of no known class from the others.",
        )


def dataset_config(values: flags.FlagValues) -> DatasetConfig:
    """Data set that the flags name.

    Raises:
      UserError: flags don't go together.
    """
    return DatasetConfig(
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
    )


def define_splits() -> None:
    """Defines the flags that say what is tested on what."""
    with group("Evaluation", ("evaluate", "folds", "test_folds", "test_fraction")):
        flags.DEFINE_enum(
            "evaluate",
            "folds",
            PROTOCOLS,
            "Protocol of the evaluation. folds: the data set's own folds; grouped: --folds parts "
            "that keep source recordings whole, for data sets without folds; holdout: one part; "
            "random: parts that share source recordings, whose figures come out too good.",
        )
        flags.DEFINE_integer(
            "folds", 5, "Number of parts for --evaluate=grouped and random, each tested in turn."
        )
        flags.DEFINE_list(
            "test_folds", [], "Folds to test on with --evaluate=holdout, separated by commas."
        )
        flags.DEFINE_float(
            "test_fraction",
            0.2,
            "Fraction of the source recordings to test on with --evaluate=holdout, unless "
            "--test_folds names folds.",
        )
        flags.DEFINE_float(
            "validation_fraction",
            SplitConfig("folds").validation_fraction,
            "Fraction of the training side held back to stop training, calibrate scores and set "
            "thresholds. Raise it if classes have only a few recordings each.",
        )


def split_config(values: flags.FlagValues) -> SplitConfig:
    """Makes the configuration of the splits.

    Raises:
      UserError: a value is out of range.
    """
    return SplitConfig(
        evaluate=values.evaluate,
        test_folds=program.integers("test_folds", values.test_folds),
        folds=values.folds,
        test_fraction=values.test_fraction,
        validation_fraction=values.validation_fraction,
        seed=values.seed,
    )
