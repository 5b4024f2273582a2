"""Sounds and images as data: URIs, which a page holds in itself."""

from __future__ import annotations

import base64
import io

import numpy as np
import numpy.typing as npt
import soundfile
from matplotlib.image import imsave

# The rate that every browser has to play (Web Audio API, `AudioContextOptions.sampleRate`);
# Chromium refuses files below 3 kHz.
_LOWEST_RATE_HZ = 8000

# Chromium can't play a FLAC stream of one block, which libsndfile makes 4096 samples long.
_FEW_SAMPLES = 8192


def sound_uri(waveform: npt.NDArray[np.float32], sample_rate_hz: int) -> str:
    """A mono sound, 16 bits a sample, as a file that browsers play.

    FLAC, or WAV for the shortest sounds. A rate below 8 kHz, which not all browsers play, is
    raised by a whole factor, the new samples on straight lines between the old ones.

    Args:
      waveform: float32 [samples], -1..1; what lies beyond is clipped.
      sample_rate_hz: its rate.
    """
    factor = -(-_LOWEST_RATE_HZ // sample_rate_hz)
    if factor > 1:
        positions = np.arange(len(waveform) * factor) / factor
        waveform = np.interp(positions, np.arange(len(waveform)), waveform).astype(np.float32)
    kind = "FLAC" if len(waveform) >= _FEW_SAMPLES else "WAV"
    file = io.BytesIO()
    soundfile.write(file, waveform, sample_rate_hz * factor, format=kind, subtype="PCM_16")
    return _uri(f"audio/{kind.lower()}", file)


def image_uri(image: npt.NDArray[np.uint8]) -> str:
    """An image, uint8 [height, width, 3] RGB, as a PNG."""
    file = io.BytesIO()
    imsave(file, image, format="png")
    return _uri("image/png", file)


def _uri(kind: str, file: io.BytesIO) -> str:
    return f"data:{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
