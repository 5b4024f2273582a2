"""What a model hears and how its head is trained: frozen, validated, saved as JSON.

The configuration is written beside every run and inside every exported model, so that a model
can be rebuilt from its own files.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from sound_pipeline.augmentation_config import AugmentationConfig
from sound_pipeline.datasets import DatasetConfig
from sound_pipeline.errors import check
from sound_pipeline.fine_tune_config import FineTuneConfig
from sound_pipeline.lite_formats import check_formats
from sound_pipeline.precision import check_precision
from sound_pipeline.splits import SplitConfig

DEFAULT_EXTRACTOR = "https://tfhub.dev/google/imagenet/inception_v3/feature_vector/5"
"""Downloaded once, by TensorFlow Hub."""

REFERENCE_FRAME_LENGTH = 2048
REFERENCE_HOP_LENGTH = 512
REFERENCE_SAMPLE_RATE_HZ = 22050

IMAGE_CHANNELS = ("colormap", "multi")
"""The values of `--image_channels`."""

# Recordings outside these rates are refused: below, a frame is a handful of samples.
MIN_SAMPLE_RATE_HZ = 1_000
MAX_SAMPLE_RATE_HZ = 384_000


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


@dataclasses.dataclass(frozen=True)
class HeadConfig:
    """The classifier on top of the embedding and how it is trained.

    Attributes:
      l2: weight decay in scikit-learn's convention: `l2 / 2 * ||W||^2` is added to the sum (not
        the mean) of the clips' losses; 1 / C of its LogisticRegression.
      hidden_units: width of one hidden ReLU layer; 0 for a linear head.
      label_smoothing: share of every label that is given to all classes alike.
      mixup: learn from mixtures of two clips too, with shares drawn from the beta distribution of
        this parameter (see mixup.py); 0: from none.
      epochs: passes over the training clips at the most.
      patience: epochs without a better validation loss after which training stops.
      class_weights: "balanced" gives every class the same total weight; "none" every clip.
      seed: of what a hidden layer starts from, and of mixtures.
      tune: whether `l2` is what validation recordings ask for.
    """

    l2: float = 10.0
    hidden_units: int = 0
    label_smoothing: float = 0.0
    mixup: float = 0.0
    epochs: int = 300
    patience: int = 20
    class_weights: str = "balanced"
    seed: int = 0
    tune: bool = False

    def __post_init__(self) -> None:
        """Raises UserError naming the flag of a value out of range."""
        check(0 <= self.l2 < math.inf, f"--l2={self.l2:g}: give 0 or more")
        check(self.hidden_units >= 0, f"--hidden_units={self.hidden_units}: give 0 or more")
        check(
            0 <= self.label_smoothing < 1,
            f"--label_smoothing={self.label_smoothing:g}: give 0 up to, not including, 1",
        )
        check(0 <= self.mixup <= 100, f"--mixup={self.mixup:g}: give a number from 0 to 100")
        check(self.epochs >= 1, f"--epochs={self.epochs}: give 1 or more")
        check(self.patience >= 1, f"--patience={self.patience}: give 1 or more")
        check(
            self.class_weights in ("balanced", "none"),
            f"--class_weights={self.class_weights}: give balanced or none",
        )


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run's result.

    Attributes:
      dataset: which recordings.
      split: how they are divided.
      features: what the model hears.
      extractor: `gabor`, or the URL or path of a TF Hub module for pictures or waveforms; several
        separated by commas.
      head: the classifier.
      image_size: height and width of the picture for modules that take any; 0 for 299.
      max_bad_clips: share of the recordings that may be unreadable before the run stops.
      export_tflite: formats of `lite_formats.LITE_FORMATS` to write the model in too.
      precision: what the extractor computes in; "auto" for the fastest format that the machine
        is good at.
      ensemble_folds: whether the exported model is the mean of the tested heads instead of one
        trained on everything.
      augmented_copies: how many changed copies of each recording a head learns from beside it.
      augmentation: how they are changed.
      fine_tune: how the extractor's network is fine-tuned; None: it stays as it is.
    """

    dataset: DatasetConfig
    split: SplitConfig
    features: FeatureConfig
    extractor: str
    head: HeadConfig
    image_size: int = 0
    max_bad_clips: float = 0.01
    export_tflite: tuple[str, ...] = ()
    precision: str = "auto"
    ensemble_folds: bool = False
    augmented_copies: int = 0
    augmentation: AugmentationConfig = dataclasses.field(default_factory=AugmentationConfig)
    fine_tune: FineTuneConfig | None = None

    def __post_init__(self) -> None:
        """Raises UserError naming the flag of a value out of range."""
        check(
            self.image_size == 0 or 32 <= self.image_size <= 1024,
            f"--image_size={self.image_size}: give a size from 32 to 1024",
        )
        check(
            0 <= self.max_bad_clips <= 1,
            f"--max_bad_clips={self.max_bad_clips:g}: give a share from 0 to 1",
        )
        check_formats("export_tflite", self.export_tflite)
        check_precision(self.precision)
        check(
            not self.ensemble_folds or self.split.evaluate != "holdout",
            "--ensemble_folds: --evaluate=holdout has one head, which never learns from what it is "
            "tested on; give --evaluate=folds or grouped",
        )
        check(
            0 <= self.augmented_copies <= 100,
            f"--augmented_copies={self.augmented_copies}: give a number from 0 to 100",
        )
        check(
            not (self.fine_tune and self.features.pieces != (1,)),
            "--fine_tune: a network learns from whole windows; leave --pieces out, or shorten "
            "--window_seconds",
        )
        check(
            not (self.ensemble_folds and self.fine_tune),
            "--fine_tune: every tested head stands on a network of its own, which makes no one "
            "model with --ensemble_folds; leave one of the two out",
        )


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


T = TypeVar("T")


def to_json(config: Any) -> str:
    """A frozen configuration as indented JSON."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_mapping(kind: type[T], values: Mapping[str, Any]) -> T:
    """Rebuilds a configuration dataclass from the mapping that `to_json` wrote.

    Args:
      kind: a dataclass of this module, or one nested in it.
      values: its fields; nested dataclasses as mappings, tuples as lists.

    Raises:
      UserError: a field the class doesn't have.
    """
    hints = {"dataset": DatasetConfig, "split": SplitConfig}
    hints |= {"features": FeatureConfig, "head": HeadConfig}
    hints |= {"augmentation": AugmentationConfig, "fine_tune": FineTuneConfig}
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(values) - names)
    check(
        not unknown,
        f"{kind.__name__} has no field {', '.join(unknown)}: the file was written by another "
        "version of sound_pipeline",
    )
    nested = kind is RunConfig
    return kind(
        **{
            name: from_mapping(hints[name], value)
            if nested and name in hints and value is not None
            else tuple(value)
            if isinstance(value, list)
            else value
            for name, value in values.items()
        }
    )


def from_json(kind: type[T], text: str) -> T:
    """The inverse of `to_json`."""
    return from_mapping(kind, json.loads(text))
