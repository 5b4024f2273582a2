"""Kinds and strengths of data augmentation."""

from __future__ import annotations

import dataclasses
import math

from sound_pipeline.errors import check

AUGMENTATIONS = ("speed", "mask", "shift", "noise")
"""The kinds of change, in the order in which they are made."""


@dataclasses.dataclass(frozen=True)
class AugmentationConfig:
    """Random changes to recordings that leave them what they are called.

    Every strength is drawn evenly from its range, anew for each copy of a recording.

    Attributes:
      kinds: which of `AUGMENTATIONS` are made.
      max_speed_change: how much faster, or slower, a recording is played, as a share; its pitch
        moves with it.
      mask_top_hz: upper end of the mel scale from which bands are taken away.
      max_frequency_mask_share: width of the band that is taken away, as a fraction of the mel scale
        up to `mask_top_hz`.
      max_time_mask_share: length of what is faded out, once in each stretch, as a fraction of it.
      mask_depth_db: gain in the midst of a mask (negative).
      max_shift_share: how much later a recording starts, as a fraction of a stretch; what is pushed
        out at its end comes first. A recording shorter than a stretch is filled up with silence
        before that.
      min_snr_db: the mean power of a recording over that of the noise mixed into it, at the least.
      max_snr_db: the same, at the most.
      stretch_seconds: length of a stretch; train.py takes that of a window.
    """

    kinds: tuple[str, ...] = AUGMENTATIONS
    max_speed_change: float = 0.1
    mask_top_hz: float = 11025.0
    max_frequency_mask_share: float = 0.15
    max_time_mask_share: float = 0.15
    mask_depth_db: float = -40.0
    max_shift_share: float = 0.25
    min_snr_db: float = 10.0
    max_snr_db: float = 40.0
    stretch_seconds: float = 4.0

    def __post_init__(self) -> None:
        """Raises UserError naming a value out of range."""
        given = ",".join(self.kinds)
        check(
            bool(self.kinds) and len(set(self.kinds)) == len(self.kinds),
            f"--augment={given}: name at least one kind, each once",
        )
        unknown = [kind for kind in self.kinds if kind not in AUGMENTATIONS]
        check(
            not unknown,
            f"--augment={given}: {''.join(unknown[:1])!r} is no kind of change; give some of "
            f"{', '.join(AUGMENTATIONS)}",
        )
        for name, low, high in (
            ("max_speed_change", 0.0, 0.5),
            ("mask_top_hz", 500.0, 192_000.0),
            ("max_frequency_mask_share", 0.0, 0.5),
            ("max_time_mask_share", 0.0, 0.5),
            ("mask_depth_db", -100.0, 0.0),
            ("max_shift_share", 0.0, 1.0),
            ("min_snr_db", -20.0, self.max_snr_db),
            ("max_snr_db", -20.0, 100.0),
            ("stretch_seconds", 0.1, 60.0),
        ):
            value = getattr(self, name)
            check(
                math.isfinite(value) and low <= value <= high,
                f"{name}={value:g}: give a number from {low:g} to {high:g}",
            )
