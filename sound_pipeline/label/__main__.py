"""Labels recordings and folders of them with an exported model.

    python -m sound_pipeline.label MODEL PATH... [--format=csv] [--output=FILE | --output_dir=DIR]

MODEL is the saved_model folder of a run, PATH a recording, a folder or a pattern such as "*.wav".
Recordings may be hours long. What --output or --output_dir holds already of the same model and
flags is kept, so a run that was killed goes on where it stopped. A recording that can't be read
is named with the reason, and the exit status is then 1.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

from absl import flags

import sound_pipeline
from sound_pipeline.datasets.find_recordings import find_recordings
from sound_pipeline.errors import check
from sound_pipeline.events.find_events import LabelConfig
from sound_pipeline.events.min_scores import parse_min_score
from sound_pipeline.features.config import FeatureConfig, with_window_hop
from sound_pipeline.label.batch import LabellingTask, label_all, summary
from sound_pipeline.label.destinations import make_destination
from sound_pipeline.label.formats import FORMATS
from sound_pipeline.label.journal import Journal
from sound_pipeline.models.info import fingerprint, is_lite, read_info
from sound_pipeline.system import program

logger = logging.getLogger("sound_pipeline.label")


def define_flags(values: flags.FlagValues) -> None:
    """Defines the program's flags."""
    flags.DEFINE_enum(
        "format",
        "csv",
        list(FORMATS),
        "Of the results; audacity (label tracks) and raven (selection tables) are a file a "
        "recording.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "output", "", "File for all results; else standard output.", flag_values=values
    )
    flags.DEFINE_string(
        "output_dir",
        "",
        "Folder for a file a recording, in folders as below PATH.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "overwrite",
        False,
        "Write over results of another model, other flags or other programs.",
        flag_values=values,
    )
    program.define_precision(values)
    flags.DEFINE_list(
        "min_score",
        [],
        "Score a label needs, such as 0.5, or 0.5,dog=0.7 for single labels. Default: what the "
        "model suggests.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "unknown", False, "Report sounds that no label has enough score for.", flag_values=values
    )
    flags.DEFINE_integer(
        "top", 1, "Labels written with an event, the likeliest.", lower_bound=1, flag_values=values
    )
    flags.DEFINE_float(
        "hop_seconds",
        None,
        "From window to window. Default: as the model was trained.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "overlap", None, "The same as a share of the window, 0 to 0.95.", flag_values=values
    )


def label(arguments: list[str], values: flags.FlagValues) -> int:
    """Labels.

    Args:
      arguments: the program's name, the model and the recordings.
      values: the flags.

    Returns:
      The exit status: 1 where a recording can't be read.

    Raises:
      UserError: there is nothing to label, or nowhere to write to.
    """
    check(
        len(arguments) >= 3,
        "name a model and recordings: python -m sound_pipeline.label runs/demo/saved_model PATH...",
    )
    model = Path(arguments[1])
    check(
        not is_lite(model),
        f"model {model}: is for small devices; give the saved_model folder of the run",
    )
    info = read_info(model)
    min_scores = parse_min_score(values.min_score, info.labels, info.min_score)
    features = _features(info.features, values)
    config = LabelConfig(min_scores, values.unknown)
    task = LabellingTask(model, info.labels, features, config, values.top, values.precision)
    found = list({one.path: one for one in find_recordings(arguments[2:], "")}.values())
    destination = make_destination(
        values.format,
        FORMATS,
        values.output,
        values.output_dir,
        found,
        min(task.top, len(task.labels)),
        features.spectrogram.max_hz,
    )
    journal = Journal(destination.journal_path, _key(task)) if destination.journal_path else None

    destination.check(journal, values.overwrite)
    if journal:
        journal.open()
    results = label_all(task, [one.path for one in found], destination, journal)
    logger.info("%s", summary(results))
    return program.EXIT_ERROR if any(result.error for result in results) else 0


def _features(features: FeatureConfig, values: flags.FlagValues) -> FeatureConfig:
    """How the model's recordings are cut, as the flags say."""
    if values.overlap is None:
        return with_window_hop(features, values.hop_seconds)
    check(values.hop_seconds is None, "--hop_seconds and --overlap: give one of them")
    check(0 <= values.overlap <= 0.95, f"--overlap={values.overlap:g}: give a share from 0 to 0.95")
    return with_window_hop(features, features.windows.seconds * (1 - values.overlap))


def _key(task: LabellingTask) -> str:
    """What decides the results of a recording, in one word."""
    decides = {
        "version": sound_pipeline.__version__,
        "model": fingerprint(task.model),
        "overlap": task.features.windows.overlap,
        "min_score": list(task.config.min_scores.of(task.labels)),
        "unknown": task.config.report_unknown,
        "top": task.top,
        "precision": task.precision,
    }
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()


def console() -> None:
    """The command sound-label."""
    define_flags(flags.FLAGS)
    program.run(lambda arguments: label(arguments, flags.FLAGS))


if __name__ == "__main__":
    console()
