"""Flags of windows and spectrograms."""

from __future__ import annotations

from absl import flags

from sound_pipeline.features.config import (
    FeatureConfig,
    SpectrogramConfig,
    WindowConfig,
)
from sound_pipeline.system import program
from sound_pipeline.system.flag_groups import group


def define() -> None:
    """Defines the flags that say what of a recording an extractor sees."""
    defaults, windows = FeatureConfig(), WindowConfig()
    with group("Extractor", ("window_seconds", "pieces")):
        flags.DEFINE_float(
            "window_seconds",
            windows.seconds,
            "Length of a window in seconds. Longer recordings are cut into windows, shorter ones "
            "padded. Choose about the length of the longest sound to recognise.",
        )
        flags.DEFINE_list(
            "pieces",
            [str(pieces) for pieces in defaults.pieces],
            "Numbers of equal pieces to cut a window into, separated by commas. 1,2,4 looks at "
            "windows whole, as halves and as quarters, with a head for each: networks gain "
            "accuracy and take seven times as long.",
        )
        flags.DEFINE_float(
            "window_overlap",
            windows.overlap,
            "Fraction of a window that the next one shares with it. More windows a recording cost "
            "time in proportion.",
        )
        flags.DEFINE_list(
            "beginning_seconds",
            [f"{seconds:g}" for seconds in defaults.beginning_seconds],
            "Seconds of a sound in the beginnings that are trained on beside whole windows, so "
            "that the first live labels of a sound are right. Empty for whole windows alone, which "
            "takes less than half the time: for models that never listen live.",
        )
    _define_spectrogram()


def _define_spectrogram() -> None:
    spectrogram = SpectrogramConfig()
    with group("Spectrogram"):
        flags.DEFINE_integer(
            "mel_bands",
            spectrogram.mel_bands,
            "Number of mel bands. Extractors of waveforms, as YAMNet, have their own.",
        )
        flags.DEFINE_float(
            "floor_db",
            spectrogram.floor_db,
            "Darkest level of the image in dB below its loudest cell. Raise it towards 0 if "
            "background noise fills the images in report.html.",
        )
        flags.DEFINE_string(
            "colormap",
            spectrogram.colormap,
            "Colormap of matplotlib for the images that image networks and people see.",
        )


def feature_config(values: flags.FlagValues) -> FeatureConfig:
    """Features that the flags describe.

    Raises:
      UserError: a value is out of range.
    """
    return FeatureConfig(
        windows=WindowConfig(seconds=values.window_seconds, overlap=values.window_overlap),
        spectrogram=SpectrogramConfig(
            mel_bands=values.mel_bands,
            floor_db=values.floor_db,
            colormap=values.colormap,
        ),
        beginning_seconds=program.numbers("beginning_seconds", values.beginning_seconds),
        pieces=program.integers("pieces", values.pieces),
    )
