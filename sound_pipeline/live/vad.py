"""webrtcvad at any sample rate.

The detector takes 16-bit frames of 10 ms at four rates and, whatever the rate, looks at the bands
below 4 kHz only. Other rates get it a copy at 8 kHz.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sound_pipeline.live.noise_floor import FRAME_SECONDS

NATIVE_RATES_HZ = (8_000, 16_000, 32_000, 48_000)

_COPY_RATE_HZ = 8_000
_COPY_FRAME = round(FRAME_SECONDS * _COPY_RATE_HZ)
# Of the copy's low-pass: where it has fallen to half, as a fraction of the lower of the two rates,
# and how many samples at that rate it reaches to either side.
_CUTOFF = 0.45
_REACH = 8


class VoiceDetector:
    """Says of each frame of a stream whether webrtcvad takes it for speech.

    At 8, 16, 32 and 48 kHz it hears the stream itself, elsewhere a copy low-passed and interpolated
    to 8 kHz, 8 samples at the lower of the two rates late (1 ms, more below 8 kHz). A frame of
    `round(rate / 100)` samples makes 80, so where a hundredth of the rate is no whole number the
    copy is up to 1 % too fast or slow (5 % below 8 kHz), which the detector doesn't notice. Below
    8 kHz the upper of its bands stay empty.
    """

    def __init__(self, sample_rate_hz: int, mode: int) -> None:
        """Starts a stream.

        Args:
          sample_rate_hz: 1 kHz or more.
          mode: webrtcvad's, from 0 (takes most for speech) to 3 (least).
        """
        import webrtcvad

        self._vad = webrtcvad.Vad(mode)
        self._rate_hz = sample_rate_hz
        self._interpolation: npt.NDArray[np.float64] | None = None
        if sample_rate_hz not in NATIVE_RATES_HZ:
            self._rate_hz = _COPY_RATE_HZ
            frame = round(FRAME_SECONDS * sample_rate_hz)
            self._interpolation = interpolation(frame, _COPY_FRAME)
            self._history = np.zeros(self._interpolation.shape[1] - frame)

    def is_speech(self, frame: npt.NDArray[np.float64]) -> bool:
        """Whether webrtcvad takes the next frame for speech.

        Args:
          frame: [round(rate / 100)], finite, -1..1.
        """
        if self._interpolation is not None:
            heard = np.concatenate((self._history, frame))
            self._history = heard[len(frame) :]
            frame = self._interpolation @ heard
        pcm = np.clip(np.rint(frame * 32768), -32768, 32767).astype(np.int16)
        return bool(self._vad.is_speech(pcm.tobytes(), self._rate_hz))


def interpolation(samples: int, copy_samples: int) -> npt.NDArray[np.float64]:
    """Band-limited interpolation of a frame, as a matrix: the same in every frame of a stream.

    Args:
      samples: of a frame.
      copy_samples: of its copy at another rate.

    Returns:
      [copy_samples, past + samples]: times the `past` samples before a frame and the frame itself,
      it gives the copy, `past / 2` samples late. Constants stay as they are.
    """
    step = samples / copy_samples
    late = math.ceil(_REACH * max(1.0, step))
    # The frames' middles meet, whatever their numbers of samples.
    wanted = (np.arange(copy_samples) + 0.5) * step - 0.5 - late
    distance = np.arange(-2 * late, samples) - wanted[:, np.newaxis]
    cutoff = _CUTOFF * min(1.0, 1 / step)
    window = np.where(np.abs(distance) < late, 0.5 + 0.5 * np.cos(np.pi * distance / late), 0)
    taps = np.sinc(2 * cutoff * distance) * window
    return np.asarray(taps / taps.sum(axis=1, keepdims=True))
