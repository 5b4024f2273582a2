"""Flags of labelling recordings."""

from __future__ import annotations

from absl import flags

from sound_pipeline.errors import check
from sound_pipeline.features.config import FeatureConfig, with_window_hop
from sound_pipeline.label.formats import FORMATS
from sound_pipeline.system import flags as system_flags
from sound_pipeline.system.flag_groups import group


def define(values: flags.FlagValues) -> None:
    """Defines the flags."""
    _define_output(values)
    _define_events(values)
    system_flags.define_precision(values)


def _define_output(values: flags.FlagValues) -> None:
    with group("Output", ("format", "output", "output_dir", "overwrite"), values):
        flags.DEFINE_enum(
            "format",
            "csv",
            list(FORMATS),
            "Format of the results; audacity (label tracks) and raven (selection tables) are a "
            "file a recording.",
            flag_values=values,
        )
        flags.DEFINE_string(
            "output",
            "",
            "File for all results. Empty: standard output, which can't be resumed.",
            flag_values=values,
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
        flags.DEFINE_integer(
            "top",
            1,
            "Number of labels written with an event, the likeliest first.",
            lower_bound=1,
            flag_values=values,
        )


def _define_events(values: flags.FlagValues) -> None:
    with group("Events", ("min_score", "unknown", "hop_seconds"), values):
        flags.DEFINE_list(
            "min_score",
            [],
            "Score from 0 to 1 that a label needs, as 0.5, or 0.5,dog=0.7 for single labels. Raise "
            "it against false alarms. Default: what the model suggests.",
            flag_values=values,
        )
        flags.DEFINE_bool(
            "unknown",
            False,
            "Report sounds that no label has enough score for.",
            flag_values=values,
        )
        flags.DEFINE_float(
            "hop_seconds",
            None,
            "Seconds from window to window. Lower it for finer event times, which takes longer. "
            "Default: as the model was trained.",
            flag_values=values,
        )
        flags.DEFINE_float(
            "overlap",
            None,
            "Fraction of a window that the next one shares with it, from 0 to 0.95, instead of "
            "--hop_seconds.",
            flag_values=values,
        )


def feature_config(features: FeatureConfig, values: flags.FlagValues) -> FeatureConfig:
    """Features of a model with the hop that the flags ask for.

    Args:
      features: the model's own.
      values: the flags.

    Raises:
      UserError: the hop is out of range, or given twice.
    """
    if values.overlap is None:
        return with_window_hop(features, values.hop_seconds)
    check(values.hop_seconds is None, "--hop_seconds and --overlap: give one of them")
    check(
        0 <= values.overlap <= 0.95,
        f"--overlap={values.overlap:g}: give a fraction from 0 to 0.95",
    )
    return with_window_hop(features, features.windows.seconds * (1 - values.overlap))
