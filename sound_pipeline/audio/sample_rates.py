"""Sample rates that recordings may have."""

from __future__ import annotations

# Recordings outside these rates are refused: below, a frame is a handful of samples.
MIN_SAMPLE_RATE_HZ = 1_000


MAX_SAMPLE_RATE_HZ = 384_000
