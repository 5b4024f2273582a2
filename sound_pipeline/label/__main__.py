"""Labels recordings and folders of them with an exported model.

    python -m sound_pipeline.label MODEL PATH... [--format=csv] [--output=FILE | --output_dir=DIR]

MODEL is the saved_model folder of a run, PATH a recording, a folder or a pattern such as "*.wav".
Recordings may be hours long. What --output or --output_dir holds already of the same model and
flags is kept, so a run that was killed goes on where it stopped. A recording that can't be read
is named with the reason, and the exit status is then 1.
"""

from __future__ import annotations

if __name__ == "__main__":
    from sound_pipeline.system.endings import end_at_once_while_importing

    end_at_once_while_importing()

import contextlib
import hashlib
import json
import logging
import sys
from pathlib import Path

from absl import flags

import sound_pipeline
from sound_pipeline.datasets.find_recordings import find_recordings
from sound_pipeline.errors import check
from sound_pipeline.events.find_events import LabelConfig
from sound_pipeline.events.min_scores import parse_min_score
from sound_pipeline.label import flags as label_flags
from sound_pipeline.label.batch import LabellingTask, label_all, summary
from sound_pipeline.label.destinations import make_destination
from sound_pipeline.label.journal import Journal
from sound_pipeline.models.info import fingerprint, is_lite, read_info
from sound_pipeline.system import program

logger = logging.getLogger("sound_pipeline.label")


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
    features = label_flags.feature_config(info.features, values)
    config = LabelConfig(min_scores, values.unknown)
    task = LabellingTask(model, info.labels, features, config, values.top, values.precision)
    found = list({one.path: one for one in find_recordings(arguments[2:], "")}.values())
    destination = make_destination(
        values.format,
        values.output,
        values.output_dir,
        found,
        min(task.top, len(task.labels)),
        features.spectrogram.max_hz,
    )
    journal = Journal(destination.journal_path, _key(task)) if destination.journal_path else None

    destination.check(journal, values.overwrite)
    with contextlib.closing(journal) if journal else contextlib.nullcontext():
        if journal:
            journal.open()
        results = label_all(task, [one.path for one in found], destination, journal)
    logger.info("%s", summary(results))
    return program.EXIT_ERROR if any(result.error for result in results) else 0


def _key(task: LabellingTask) -> str:
    """Key of all that decides the results of a recording."""
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
    """Command sound-label."""
    label_flags.define(flags.FLAGS)
    program.run(lambda arguments: label(arguments, flags.FLAGS))


if __name__ == "__main__":
    # Messages and --help then name what was typed rather than __main__.py.
    sys.argv[0] = "python -m sound_pipeline.label"
    console()
