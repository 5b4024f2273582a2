"""Two companding laws of ITU-T G.711 as tables of 256 samples."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_CODES = np.arange(256, dtype=np.int32)


def a_law_table() -> npt.NDArray[np.float32]:
    """Sample each A-law code stands for: float32 [256] in -1..1, full scale 32768.

    G.711 inverts every other bit of a code, and a positive sample has its sign bit set.
    """
    codes = _CODES ^ 0x55
    segment = (codes >> 4) & 7
    # Segment 0 is linear; the others have an implied leading one, as in a floating-point mantissa.
    mantissa = ((codes & 15) << 4) + 8 + np.where(segment > 0, 0x100, 0)
    return _signed(mantissa << np.maximum(segment - 1, 0), codes >= 128)


def mu_law_table() -> npt.NDArray[np.float32]:
    """Sample each mu-law code stands for: float32 [256] in -1..1, full scale 32768.

    G.711 inverts every bit of a code, so that a negative sample has its sign bit set; 0x84 is
    the bias that the encoder added before it took the logarithm.
    """
    codes = _CODES ^ 0xFF
    biased = (((codes & 15) << 3) + 0x84) << ((codes >> 4) & 7)
    return _signed(biased - 0x84, codes < 128)


def _signed(
    magnitude: npt.NDArray[np.int32], positive: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float32]:
    return (np.where(positive, magnitude, -magnitude) / 32768).astype(np.float32)
