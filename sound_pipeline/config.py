"""All that decides a run: frozen, validated, saved as JSON.

The configuration is written beside every run and inside every exported model, so that a model
can be rebuilt from its own files.
"""

from __future__ import annotations

import dataclasses

from sound_pipeline.augmentation.config import AugmentationConfig
from sound_pipeline.datasets import DatasetConfig
from sound_pipeline.datasets.splits import SplitConfig
from sound_pipeline.errors import check
from sound_pipeline.features.config import FeatureConfig
from sound_pipeline.fine_tuning.config import FineTuneConfig
from sound_pipeline.heads.config import HeadConfig
from sound_pipeline.system.precision import check_precision
from sound_pipeline.tflite.formats import check_formats


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """Everything that decides a run's result.

    Attributes:
      dataset: which recordings.
      split: how they are divided.
      features: what the model hears.
      extractor: `gabor`, or the URL or path of a TF Hub module for images or waveforms; several
        separated by commas.
      head: the classifier.
      image_size: height and width of the image for modules that take any; 0 for 299.
      max_bad_clips: fraction of the recordings that may be unreadable before the run stops.
      export_tflite: formats of `lite_formats.LITE_FORMATS` to write the model in too.
      precision: what the extractor computes in; "auto" for the fastest format that the machine
        is good at.
      augmented_copies: how many changed copies of each recording a head is trained on beside it.
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
            0 <= self.augmented_copies <= 100,
            f"--augmented_copies={self.augmented_copies}: give a number from 0 to 100",
        )
        check(
            not (self.fine_tune and self.features.pieces != (1,)),
            "--fine_tune: a network is trained on whole windows; leave --pieces out, or shorten "
            "--window_seconds",
        )
