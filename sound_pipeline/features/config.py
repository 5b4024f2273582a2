"""What a model hears: the log-mel spectrogram and its picture, frozen and validated."""

from __future__ import annotations

import dataclasses
import math

from sound_pipeline.audio.sample_rates import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ
from sound_pipeline.errors import check

REFERENCE_FRAME_LENGTH = 2048
REFERENCE_HOP_LENGTH = 512
REFERENCE_SAMPLE_RATE_HZ = 22050

IMAGE_CHANNELS = ("colormap", "multi")
"""The values of `--image_channels`."""


@dataclasses.dataclass(frozen=True)
class FeatureConfig:
    """The log-mel spectrogram and its picture.

    Frames and hops are durations: at any sample rate the same stretch of sound is analysed, so
    the spectrum's bins are `1 / frame_seconds` Hz apart at every rate and nothing is resampled.

    Attributes:
      sample_rate_hz: the rate assumed where a caller names none; its half is the highest
        frequency a picture can show.
      window_seconds: the stretch of sound that makes one picture.
      window_overlap: share of a window that the next one shows again, in recordings longer than
        a window.
      quiet_window_db: a window at least this far below its recording's loudest one (mean power)
        is neither learned from nor asked: what a clip is named after is not in it (negative).
      beginning_seconds: how much of a sound is in the beginnings that are learned from beside
        whole windows (see beginnings.py); ascending.
      frame_seconds: length of one short-time Fourier frame (Hann window).
      hop_seconds: distance between the centres of two frames.
      mel_bands: number of mel bands (Slaney's scale and area normalisation).
      min_hz: lower edge of the lowest band.
      max_hz: upper edge of the highest band.
      floor_db: bottom of the picture, relative to the window's loudest cell (negative).
      reference_floor_db: the loudest cell counts as at least this loud (mel power in dB, samples
        in -1..1), so that digital silence is black and dither dark. A broadband noise of
        about -46 dBFS or a tone of -61 dBFS reaches the default.
      colormap: name of a matplotlib colormap.
      image_channels: what the three channels of an image network's picture are: "colormap" for the
        colours of one spectrogram, "multi" for spectrograms of frames half as long, as long and
        twice as long as `frame_seconds` (after Palanisamy et al. 2020, "Rethinking CNN models for
        audio classification").
      pieces: in how many equal pieces an extractor hears a window; several, ascending: each with a
        head of its own, which answer together.
    """

    sample_rate_hz: int = REFERENCE_SAMPLE_RATE_HZ
    window_seconds: float = 4.0
    window_overlap: float = 0.5
    quiet_window_db: float = -30.0
    beginning_seconds: tuple[float, ...] = (0.2, 0.7, 1.7)
    frame_seconds: float = REFERENCE_FRAME_LENGTH / REFERENCE_SAMPLE_RATE_HZ
    hop_seconds: float = REFERENCE_HOP_LENGTH / REFERENCE_SAMPLE_RATE_HZ
    mel_bands: int = 128
    min_hz: float = 0.0
    max_hz: float = REFERENCE_SAMPLE_RATE_HZ / 2
    floor_db: float = -80.0
    reference_floor_db: float = -20.0
    colormap: str = "magma"
    image_channels: str = "colormap"
    pieces: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        """Raises UserError naming the flag of a value out of range."""
        check(
            MIN_SAMPLE_RATE_HZ <= self.sample_rate_hz <= MAX_SAMPLE_RATE_HZ,
            f"--sample_rate={self.sample_rate_hz}: give a rate from {MIN_SAMPLE_RATE_HZ} to "
            f"{MAX_SAMPLE_RATE_HZ} Hz",
        )
        check(
            0.1 <= self.window_seconds <= 60,
            f"--window_seconds={self.window_seconds:g}: give a length from 0.1 to 60 s",
        )
        check(
            0 <= self.window_overlap <= 0.95,
            f"--window_overlap={self.window_overlap:g}: give a share from 0 to 0.95",
        )
        check(
            self.quiet_window_db < 0,
            f"quiet_window_db={self.quiet_window_db:g}: give a level below 0 dB",
        )
        check(
            all(0.01 <= seconds <= 60 for seconds in self.beginning_seconds)
            and list(self.beginning_seconds) == sorted(set(self.beginning_seconds)),
            f"--beginning_seconds={','.join(f'{s:g}' for s in self.beginning_seconds)}: give "
            "ascending times from 0.01 to 60 s, or none",
        )
        check(
            0.001 <= self.hop_seconds <= self.frame_seconds <= 1,
            f"--hop_seconds={self.hop_seconds:g} and --frame_seconds={self.frame_seconds:g}: "
            "a hop lies between 0.001 s and the frame, a frame is at most 1 s",
        )
        check(
            8 <= self.mel_bands <= 512, f"--mel_bands={self.mel_bands}: give a number from 8 to 512"
        )
        check(
            0 <= self.min_hz < self.max_hz <= self.sample_rate_hz / 2,
            f"--min_hz={self.min_hz:g} and --max_hz={self.max_hz:g}: the band must lie between 0 "
            f"and half the sample rate, {self.sample_rate_hz / 2:g} Hz",
        )
        check(
            -200 <= self.floor_db < 0,
            f"--floor_db={self.floor_db:g}: give a level from -200 up to, not including, 0 dB",
        )
        check(
            math.isfinite(self.reference_floor_db) and self.reference_floor_db >= -100,
            f"reference_floor_db={self.reference_floor_db:g}: give a finite level from -100 dB up",
        )
        check(
            self.image_channels in IMAGE_CHANNELS,
            f"--image_channels={self.image_channels}: give {' or '.join(IMAGE_CHANNELS)}",
        )
        check(
            bool(self.pieces)
            and self.pieces[0] >= 1
            and list(self.pieces) == sorted(set(self.pieces)),
            f"--pieces={','.join(map(str, self.pieces))}: give ascending numbers from 1 up",
        )
        check(
            self.pieces[-1] == 1 or self.window_seconds / self.pieces[-1] >= 0.1,
            f"--pieces={self.pieces[-1]}: a piece of --window_seconds={self.window_seconds:g} is "
            "shorter than 0.1 s; give fewer",
        )
        frames = self.channel_frame_seconds
        check(
            self.image_channels != "multi" or (self.hop_seconds <= frames[0] and frames[-1] <= 1),
            f"--image_channels=multi takes frames of {frames[0]:g} to {frames[-1]:g} s: the hop of "
            f"{self.hop_seconds:g} s must not be longer, and a frame is at most 1 s",
        )

    @property
    def window_hop_seconds(self) -> float:
        """From the start of one window to the start of the next."""
        return self.window_seconds * (1 - self.window_overlap)

    @property
    def beginnings(self) -> tuple[float, ...]:
        """Those of `beginning_seconds` that don't fill a window."""
        return tuple(seconds for seconds in self.beginning_seconds if seconds < self.window_seconds)

    def piece(self, pieces: int) -> FeatureConfig:
        """The features of one of so many pieces of a window."""
        seconds = self.window_seconds / pieces
        return dataclasses.replace(self, window_seconds=seconds, pieces=(1,))

    @property
    def channel_frame_seconds(self) -> tuple[float, ...]:
        """The lengths of the frames behind the channels of a "multi" picture."""
        return tuple(factor * self.frame_seconds for factor in (0.5, 1.0, 2.0))

    @property
    def frame_length(self) -> int:
        """Samples in one Fourier frame at `sample_rate_hz`."""
        return round(self.frame_seconds * self.sample_rate_hz)

    @property
    def bins(self) -> int:
        """Bins of the spectrum from 0 Hz to half of `sample_rate_hz`, ends included."""
        return self.frame_length // 2 + 1

    @property
    def frames(self) -> int:
        """Frames in one window: the first is centred on its start, as librosa's `center=True`."""
        return 1 + math.floor(self.window_seconds / self.hop_seconds + 1e-6)


def with_window_hop(features: FeatureConfig, hop_seconds: float | None) -> FeatureConfig:
    """The features with another hop from window to window; the same ones for None.

    Raises:
      UserError: the hop is out of range.
    """
    if hop_seconds is None:
        return features
    window = features.window_seconds
    check(
        0.05 * window <= hop_seconds <= window,
        f"--hop_seconds={hop_seconds:g}: give {0.05 * window:g} s to the window's {window:g} s",
    )
    return dataclasses.replace(features, window_overlap=max(0.0, 1 - hop_seconds / window))
