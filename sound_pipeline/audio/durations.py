"""Longest recordings that are taken whole.

A few hundred kilobytes of FLAC may hold an hour of silence: what would have to be held at once is
refused by its length, before it is decoded. Labelling and checking read by blocks, without end.
"""

from __future__ import annotations

MAX_WHOLE_FRAMES = 30 * 60 * 48_000
"""Of a recording to train on, as of each that a graph decodes whole: 0.35 GB as mono floats."""

MAX_WHOLE_BYTES = 2**31 - 1
"""Of its file. TensorFlow counts a string's bytes in 32 bits."""

TOO_LONG = (
    f"it is longer than {MAX_WHOLE_FRAMES:,} samples, 30 minutes at 48 kHz: cut it into parts"
)

MAX_REQUEST_SECONDS = 600
"""Of all recordings in one call of an exported model, which holds all their windows."""
