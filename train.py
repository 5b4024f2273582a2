"""Trains a model that names sounds, from a folder of recordings.

    train.py --dataset=esc50 --data_dir=ESC-50-master --evaluate=folds --output_dir=runs/esc50

Recordings become log-mel images, images embeddings (kept on disk, so the next run is quick),
and a classifier on the embeddings is trained and tested as --evaluate says. A final one, trained
on everything, is exported to OUTPUT_DIR/saved_model: raw waveforms in, labels out. Results are in
OUTPUT_DIR/report.html, to look at, and OUTPUT_DIR/metrics.json.
"""

from __future__ import annotations

if __name__ == "__main__":
    from sound_pipeline.system.endings import end_at_once_while_importing

    end_at_once_while_importing()

from pathlib import Path

from absl import flags

from sound_pipeline.augmentation import flags as augmentation_flags
from sound_pipeline.config import RunConfig
from sound_pipeline.datasets import flags as dataset_flags
from sound_pipeline.datasets import load_manifest
from sound_pipeline.datasets.content_keys import content_keys
from sound_pipeline.datasets.copies import join_copies
from sound_pipeline.datasets.leaks import is_leaky
from sound_pipeline.datasets.splits import make_splits
from sound_pipeline.embeddings import flags as embedding_flags
from sound_pipeline.extractors import flags as extractor_flags
from sound_pipeline.features import flags as feature_flags
from sound_pipeline.fine_tuning import flags as fine_tuning_flags
from sound_pipeline.heads import flags as head_flags
from sound_pipeline.system import flags as system_flags
from sound_pipeline.system import program
from sound_pipeline.system.devices import make_devices
from sound_pipeline.system.flag_groups import group
from sound_pipeline.tflite import flags as tflite_flags


def define_flags() -> None:
    """Defines the program's flags, stage by stage."""
    dataset_flags.define()
    extractor_flags.define()
    feature_flags.define()
    augmentation_flags.define()
    head_flags.define()
    fine_tuning_flags.define()
    dataset_flags.define_splits()
    with group("Output", ("output_dir",)):
        flags.DEFINE_string(
            "output_dir",
            None,
            "Folder of the run: a new one, or that of a run to replace when this one is done.",
            required=True,
        )
    tflite_flags.define()
    system_flags.define_precision()
    system_flags.define_strategy()
    embedding_flags.define()


def config_from_flags(values: flags.FlagValues) -> RunConfig:
    """The run that the flags describe.

    Raises:
      UserError: a value is out of range.
    """
    return RunConfig(
        dataset=dataset_flags.dataset_config(values),
        split=dataset_flags.split_config(values),
        features=feature_flags.feature_config(values),
        extractor=values.extractor,
        image_size=values.image_size,
        head=head_flags.head_config(values),
        max_bad_clips=values.max_bad_clips,
        export_tflite=tuple(values.export_tflite),
        precision=values.precision,
        augmented_copies=values.augmented_copies,
        augmentation=augmentation_flags.augmentation_config(values),
        fine_tune=fine_tuning_flags.fine_tune_config(values),
    )


def main(arguments: list[str]) -> None:
    """Runs the main job."""
    program.no_arguments(arguments)
    values = flags.FLAGS
    config = config_from_flags(values)
    cache_dir = embedding_flags.cache_dir(values)
    manifest = load_manifest(config.dataset)
    manifest = join_copies(manifest, content_keys(manifest.paths, cache_dir))
    splits = make_splits(manifest, config.split)
    # After all that can be wrong with flags and files: TensorFlow takes seconds to import.
    from sound_pipeline.input_pipeline.read import WindowReader
    from sound_pipeline.training import run
    from sound_pipeline.training.extraction import Extraction

    # Before anything else is done with TensorFlow: see make_devices.
    devices = make_devices(values.strategy)
    output_dir = Path(values.output_dir)
    reader = WindowReader(values.data_service)
    extraction = Extraction(config, manifest, splits, cache_dir, devices, reader)
    with devices.together():
        figures = run.run(extraction, output_dir, program.command())
    if figures is None:
        program.say(
            f"worker {devices.worker} of {devices.workers}: done; the first writes the results"
        )
        return
    low, high = figures["accuracy_interval"]
    split = figures["split"]
    if is_leaky(split):
        split += f": {figures['leaked_fraction']:.1%} of tested recordings have a source trained on"
    program.say(
        f"accuracy {figures['accuracy']:.4f}, 95% interval {low:.3f}-{high:.3f} "
        f"({split}; {figures['clips']} recordings), macro F1 {figures['macro_f1']:.4f}; "
        f"report: {output_dir / 'report.html'}; model: {output_dir / 'saved_model'}"
    )


if __name__ == "__main__":
    define_flags()
    program.run(main)
