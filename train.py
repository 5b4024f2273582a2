"""Trains a model that names sounds, from a folder of recordings.

    train.py --dataset=esc50 --data_dir=ESC-50-master --evaluate=folds --output_dir=runs/esc50

Recordings become log-mel images, images embeddings (kept on disk, so the next run is quick),
and a classifier on the embeddings is trained and tested as --evaluate says. A final one, trained
on everything, is exported to OUTPUT_DIR/saved_model: raw waveforms in, labels out. Results are in
OUTPUT_DIR/report.html, to look at, and OUTPUT_DIR/metrics.json.
"""

from __future__ import annotations

from pathlib import Path

from absl import flags

from sound_pipeline.augmentation.config import AUGMENTATIONS, AugmentationConfig
from sound_pipeline.config import RunConfig
from sound_pipeline.datasets import load_manifest
from sound_pipeline.datasets.splits import PROTOCOLS, SplitConfig, make_splits
from sound_pipeline.embeddings import flags as embedding_flags
from sound_pipeline.fine_tuning.config import FineTuneConfig
from sound_pipeline.heads.config import HeadConfig
from sound_pipeline.system import program
from sound_pipeline.system.devices import STRATEGIES, make_devices
from sound_pipeline.tflite.formats import LITE_FORMATS


def define_flags() -> None:
    """Defines the program's flags; defaults are those of the configuration classes."""
    embedding_flags.define()

    flags.DEFINE_integer(
        "augmented_copies",
        0,
        "Changed copies of each training recording to learn from too; the time of embedding grows "
        "with them. With --fine_tune, a network hears recordings changed anew in every epoch.",
    )
    flags.DEFINE_list(
        "augment",
        list(AUGMENTATIONS),
        "How the copies are changed: some of speed (and pitch), equalise (a random filter), mask "
        "(a stretch and a band faded out), shift (in time), noise (recordings of --background_dir, "
        "or coloured noise), gain.",
    )

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
    flags.DEFINE_float(
        "label_smoothing", head.label_smoothing, "Share of each label given to all classes alike."
    )
    flags.DEFINE_float(
        "mixup",
        head.mixup,
        "Learn from mixtures of two recordings too, their shares drawn from the beta distribution "
        "of this parameter: 1 draws all alike; 0: learn from none.",
    )
    flags.DEFINE_integer("epochs", head.epochs, "Passes over the recordings at the most.")
    flags.DEFINE_integer("patience", head.patience, "Epochs without progress before it stops.")
    flags.DEFINE_enum(
        "class_weights",
        head.class_weights,
        ["balanced", "none"],
        "Whether rare classes count more.",
    )
    flags.DEFINE_integer("seed", 0, "Of splits, hidden layers and mixtures.")

    tuning = FineTuneConfig()
    flags.DEFINE_bool(
        "fine_tune",
        False,
        "Go on training the extractor's network, for each tested part and for the final model, "
        "before heads are trained; for TF Hub modules with trainable variables.",
    )
    flags.DEFINE_integer("fine_tune_epochs", tuning.epochs, "Passes over the training recordings.")
    flags.DEFINE_integer(
        "fine_tune_batch_size", tuning.batch_size, "Windows in a step, of all devices together."
    )
    flags.DEFINE_float("fine_tune_learning_rate", tuning.learning_rate, "AdamW's at its highest.")
    flags.DEFINE_float(
        "fine_tune_warm_up", tuning.warm_up, "Share of the steps in which the learning rate rises."
    )
    flags.DEFINE_float("fine_tune_weight_decay", tuning.weight_decay, "AdamW's.")
    flags.DEFINE_float(
        "fine_tune_label_smoothing", tuning.label_smoothing, "Share of a label spread over classes."
    )
    flags.DEFINE_string(
        "fine_tune_from",
        tuning.first_variable,
        "Beginning of a variable's name: tune it and all after it, towards the output; empty: all.",
    )
    flags.DEFINE_bool(
        "fine_tune_batch_norm",
        tuning.batch_norm,
        "Let batch normalisation go by each batch and learn its statistics, and dropout drop.",
    )
    flags.DEFINE_enum(
        "strategy",
        "one",
        STRATEGIES,
        "Who computes. one: a single device; mirrored: all GPUs of this machine; multi_worker: "
        "fine-tuning by the processes of the environment variable TF_CONFIG, each started with the "
        "same flags and a --cache_dir that all of them see.",
    )

    flags.DEFINE_list(
        "export_tflite",
        [],
        f"Formats ({', '.join(LITE_FORMATS)}) in which to write the model for small devices too, "
        "to OUTPUT_DIR/tflite.",
    )
    flags.DEFINE_string("output_dir", None, "Directory of the run, new or of a run.", required=True)


def config_from_flags(values: flags.FlagValues) -> RunConfig:
    """The run that the flags describe.

    Raises:
      UserError: a value is out of range.
    """
    return RunConfig(
        dataset=embedding_flags.dataset(values),
        split=SplitConfig(
            evaluate=values.evaluate,
            test_folds=program.integers("test_folds", values.test_folds),
            folds=values.folds,
            test_fraction=values.test_fraction,
            validation_fraction=values.validation_fraction,
            seed=values.seed,
        ),
        features=embedding_flags.features(values),
        extractor=embedding_flags.extractor(values),
        image_size=values.image_size,
        head=HeadConfig(
            l2=values.l2,
            hidden_units=values.hidden_units,
            label_smoothing=values.label_smoothing,
            mixup=values.mixup,
            epochs=values.epochs,
            patience=values.patience,
            class_weights=values.class_weights,
            seed=values.seed,
            tune=values.tune,
        ),
        max_bad_clips=values.max_bad_clips,
        export_tflite=tuple(values.export_tflite),
        precision=values.precision,
        ensemble_folds=values.ensemble_folds,
        augmented_copies=values.augmented_copies,
        augmentation=AugmentationConfig(
            kinds=tuple(values.augment), stretch_seconds=values.window_seconds
        ),
        fine_tune=FineTuneConfig(
            epochs=values.fine_tune_epochs,
            batch_size=values.fine_tune_batch_size,
            learning_rate=values.fine_tune_learning_rate,
            warm_up=values.fine_tune_warm_up,
            weight_decay=values.fine_tune_weight_decay,
            label_smoothing=values.fine_tune_label_smoothing,
            first_variable=values.fine_tune_from,
            batch_norm=values.fine_tune_batch_norm,
            seed=values.seed,
        )
        if values.fine_tune
        else None,
    )


def main(arguments: list[str]) -> None:
    """Runs the main job."""
    program.no_arguments(arguments)
    values = flags.FLAGS
    config = config_from_flags(values)
    manifest = load_manifest(config.dataset)
    splits = make_splits(manifest, config.split)
    # After all that can be wrong with flags and files: TensorFlow takes seconds to import.
    from sound_pipeline.training import run

    # Before anything else is done with TensorFlow: see make_devices.
    devices = make_devices(values.strategy, values.data_service)
    output_dir = Path(values.output_dir).expanduser()
    cache_dir = embedding_flags.cache_dir(values)
    command = program.command()
    with devices.together():
        figures = run.run(config, manifest, splits, output_dir, cache_dir, command, devices)
    if figures is None:
        print(f"worker {devices.worker} of {devices.workers}: done; the first writes the results")
        return
    low, high = figures["accuracy_interval"]
    split = figures["split"]
    if "leaked_fraction" in figures:
        split += f": {figures['leaked_fraction']:.1%} of tested recordings have a source trained on"
    print(
        f"accuracy {figures['accuracy']:.4f}, 95% interval {low:.3f}-{high:.3f} "
        f"({split}; {figures['clips']} recordings), macro F1 {figures['macro_f1']:.4f}; "
        f"report: {output_dir / 'report.html'}; model: {output_dir / 'saved_model'}"
    )


if __name__ == "__main__":
    define_flags()
    program.run(main)
