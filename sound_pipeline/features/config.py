"""Configuration of windows and spectrograms, frozen and validated."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from sound_pipeline.audio.sample_rates import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ
from sound_pipeline.errors import check
from sound_pipeline.system.json_config import from_mapping

REFERENCE_FRAME_LENGTH = 2048
REFERENCE_HOP_LENGTH = 512
REFERENCE_SAMPLE_RATE_HZ = 22050

# A bang at its start must not make an hour of speech quiet.
_AROUND_SECONDS = 30.0


@dataclasses.dataclass(frozen=True)
class WindowConfig:
    """Length, overlap and level of windows.

    Attributes:
      seconds: length of a window.
      overlap: fraction of a window that the next one shares with it, in recordings longer than a
        window.
      quiet_db: windows this far below the loudest of the half minute around them (mean power) are
        skipped in training and inference. Negative.
    """

    seconds: float = 4.0
    overlap: float = 0.5
    quiet_db: float = -30.0

    def __post_init__(self) -> None:
        """Raises UserError naming the flag or field of a value out of range."""
        check(
            0.1 <= self.seconds <= 60,
            f"--window_seconds={self.seconds:g}: give a length from 0.1 to 60 s",
        )
        check(
            0 <= self.overlap <= 0.95,
            f"--window_overlap={self.overlap:g}: give a fraction from 0 to 0.95",
        )
        check(self.quiet_db < 0, f"windows.quiet_db={self.quiet_db:g}: give a level below 0 dB")

    @property
    def hop_seconds(self) -> float:
        """From the start of one window to the start of the next."""
        return self.seconds * (1 - self.overlap)

    @property
    def reach(self) -> int:
        """Windows before and after each that its level is compared with: half a minute of them."""
        return max(1, round(_AROUND_SECONDS / 2 / self.hop_seconds))


@dataclasses.dataclass(frozen=True)
class SpectrogramConfig:
    """Log-mel spectrogram and its image.

    Frames and hops are durations: at any sample rate the same stretch of sound is analysed, so
    the spectrum's bins are `1 / frame_seconds` Hz apart at every rate and nothing is resampled.

    Attributes:
      sample_rate_hz: the rate assumed where a caller names none; its half is the highest
        frequency an image can show.
      frame_seconds: length of one short-time Fourier frame (Hann window).
      hop_seconds: distance between the centres of two frames.
      mel_bands: number of mel bands (Slaney's scale and area normalisation).
      min_hz: lower edge of the lowest band.
      max_hz: upper edge of the highest band.
      floor_db: bottom of the image, relative to the window's loudest cell. Negative.
      reference_floor_db: the loudest cell counts as at least this loud (mel power in dB, samples
        in -1..1), so that digital silence is black and dither dark. A broadband noise of
        about -46 dBFS or a tone of -61 dBFS reaches the default.
      colormap: name of a matplotlib colormap.
    """

    sample_rate_hz: int = REFERENCE_SAMPLE_RATE_HZ
    frame_seconds: float = REFERENCE_FRAME_LENGTH / REFERENCE_SAMPLE_RATE_HZ
    hop_seconds: float = REFERENCE_HOP_LENGTH / REFERENCE_SAMPLE_RATE_HZ
    mel_bands: int = 128
    min_hz: float = 0.0
    max_hz: float = REFERENCE_SAMPLE_RATE_HZ / 2
    floor_db: float = -80.0
    reference_floor_db: float = -20.0
    colormap: str = "magma"

    def __post_init__(self) -> None:
        """Raises UserError naming the flag or field of a value out of range."""
        self._check_frequencies()
        self._check_levels()
        check(
            0.001 <= self.hop_seconds <= self.frame_seconds <= 1,
            f"spectrogram.hop_seconds={self.hop_seconds:g} and "
            f"spectrogram.frame_seconds={self.frame_seconds:g}: a hop lies between 0.001 s and the "
            "frame, a frame is at most 1 s",
        )

    def _check_frequencies(self) -> None:
        check(
            MIN_SAMPLE_RATE_HZ <= self.sample_rate_hz <= MAX_SAMPLE_RATE_HZ,
            f"spectrogram.sample_rate_hz={self.sample_rate_hz}: give a rate from "
            f"{MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ} Hz",
        )
        check(
            8 <= self.mel_bands <= 512, f"--mel_bands={self.mel_bands}: give a number from 8 to 512"
        )
        check(
            0 <= self.min_hz < self.max_hz <= self.sample_rate_hz / 2,
            f"spectrogram.min_hz={self.min_hz:g} and spectrogram.max_hz={self.max_hz:g}: the band "
            f"must lie between 0 and half the sample rate, {self.sample_rate_hz / 2:g} Hz",
        )

    def _check_levels(self) -> None:
        check(
            -200 <= self.floor_db < 0,
            f"--floor_db={self.floor_db:g}: give a level from -200 up to, not including, 0 dB",
        )
        check(
            math.isfinite(self.reference_floor_db) and self.reference_floor_db >= -100,
            f"spectrogram.reference_floor_db={self.reference_floor_db:g}: give a finite level from "
            "-100 dB up",
        )

    @property
    def frame_length(self) -> int:
        """Samples in one Fourier frame at `sample_rate_hz`."""
        return round(self.frame_seconds * self.sample_rate_hz)

    @property
    def bins(self) -> int:
        """Bins of the spectrum from 0 Hz to half of `sample_rate_hz`, ends included."""
        return self.frame_length // 2 + 1


@dataclasses.dataclass(frozen=True)
class FeatureConfig:
    """From recordings to what extractors take.

    Attributes:
      windows: how recordings are cut into windows.
      spectrogram: what a window looks like to extractors of images.
      beginning_seconds: how much of a sound is in the beginnings that are trained on beside whole
        windows (see beginnings.py); ascending.
      pieces: into how many equal pieces a window is cut for an extractor; several, ascending: each
        number with a head of its own, whose scores are combined.
    """

    windows: WindowConfig = dataclasses.field(default_factory=WindowConfig)
    spectrogram: SpectrogramConfig = dataclasses.field(default_factory=SpectrogramConfig)
    beginning_seconds: tuple[float, ...] = (0.2, 0.7, 1.7)
    pieces: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        """Raises UserError naming the flag of a value out of range."""
        check(
            all(0.01 <= seconds <= 60 for seconds in self.beginning_seconds)
            and list(self.beginning_seconds) == sorted(set(self.beginning_seconds)),
            f"--beginning_seconds={','.join(f'{s:g}' for s in self.beginning_seconds)}: give "
            "ascending times from 0.01 to 60 s, or none",
        )
        check(
            bool(self.pieces)
            and self.pieces[0] >= 1
            and list(self.pieces) == sorted(set(self.pieces)),
            f"--pieces={','.join(map(str, self.pieces))}: give ascending numbers from 1 up",
        )
        check(
            self.pieces[-1] == 1 or self.windows.seconds / self.pieces[-1] >= 0.1,
            f"--pieces={self.pieces[-1]}: a piece of --window_seconds={self.windows.seconds:g} is "
            "shorter than 0.1 s; give fewer",
        )

    @property
    def beginnings(self) -> tuple[float, ...]:
        """Those of `beginning_seconds` that don't fill a window."""
        return tuple(
            seconds for seconds in self.beginning_seconds if seconds < self.windows.seconds
        )

    @property
    def frames(self) -> int:
        """Frames in one window: the first is centred on its start, as librosa's `center=True`."""
        return 1 + math.floor(self.windows.seconds / self.spectrogram.hop_seconds + 1e-6)

    def piece(self, pieces: int) -> FeatureConfig:
        """Features of one of so many pieces of a window."""
        windows = dataclasses.replace(self.windows, seconds=self.windows.seconds / pieces)
        return dataclasses.replace(self, windows=windows, pieces=(1,))


def with_window_hop(features: FeatureConfig, hop_seconds: float | None) -> FeatureConfig:
    """Features with another hop from window to window; the same ones for None.

    Raises:
      UserError: the hop is out of range.
    """
    if hop_seconds is None:
        return features
    window = features.windows.seconds
    check(
        0.05 * window <= hop_seconds <= window,
        f"--hop_seconds={hop_seconds:g}: give {0.05 * window:g} s to the window's {window:g} s",
    )
    windows = dataclasses.replace(features.windows, overlap=max(0.0, 1 - hop_seconds / window))
    return dataclasses.replace(features, windows=windows)


def read_features(values: Mapping[str, Any]) -> FeatureConfig:
    """Features from the mapping in a model's or a run's JSON.

    Args:
      values: of the fields of `FeatureConfig`, or all fields side by side, as version 0.1 wrote
        them.

    Raises:
      UserError: a field the class doesn't have.
    """
    if "windows" in values or "spectrogram" in values:
        return from_mapping(FeatureConfig, values)
    windows = {"window_seconds": "seconds", "window_overlap": "overlap"}
    windows |= {"quiet_window_db": "quiet_db"}
    own = {field.name for field in dataclasses.fields(FeatureConfig)}
    # Version 0.1 could make three spectrograms the channels of images; that is in a model's graph.
    values = {name: value for name, value in values.items() if name != "image_channels"}
    nested: dict[str, Any] = {"windows": {}, "spectrogram": {}}
    for name, value in values.items():
        if name in windows:
            nested["windows"][windows[name]] = value
        elif name in own:
            nested[name] = value
        else:
            nested["spectrogram"][name] = value
    return from_mapping(FeatureConfig, nested)
