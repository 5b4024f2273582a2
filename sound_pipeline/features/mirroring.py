"""Sound that is too short for a window, made to fill it: which sample stands where.

The formula is plain arithmetic, so that one implementation serves NumPy arrays in the live loop,
where there may be no TensorFlow, and tensors in the training graph.
"""

from __future__ import annotations

from typing import Any

LEAD_SECONDS = 0.05
"""What is kept of the quiet before a sound that is mirrored."""


def mirrored_index(position: Any, onset: Any, end: Any) -> Any:
    """Forwards from the start, then backwards and forwards again between the onset and the end.

    Jumps from a sound's end to its start would be heard as beats; turning round is not heard. What
    lies before the onset comes once.

    Args:
      position: where in the window, whole numbers from 0: an array or a tensor.
      onset: index of the sound's first sample, a number of the same kind.
      end: index after its last sample, beyond the onset.

    Returns:
      Indices from 0 to below `end`, shaped and typed as `position`.
    """
    after_onset = position - onset
    before = (after_onset - abs(after_onset)) // 2  # 0 from the onset on
    length = end - onset
    phase = (after_onset - before) % (2 * length)
    return onset + before + (2 * length - 1 - abs(2 * phase - 2 * length + 1)) // 2
