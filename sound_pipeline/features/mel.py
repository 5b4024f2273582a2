"""Mel filter bank as one constant matrix."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# Slaney, Auditory Toolbox (Interval Research TR 1998-010): linear up to 1 kHz, 200/3 Hz a mel,
# then logarithmic, 27 mels for a factor of 6.4.
_HZ_PER_MEL = 200.0 / 3.0
_LINEAR_END_HZ = 1000.0
_LINEAR_END_MEL = _LINEAR_END_HZ / _HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0


def hz_to_mel(hz: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Frequency in Hz to mels on Slaney's scale, element by element."""
    hz = np.asarray(hz, np.float64)
    above = np.log(np.maximum(hz, _LINEAR_END_HZ) / _LINEAR_END_HZ) / _LOG_STEP
    return np.where(hz < _LINEAR_END_HZ, hz / _HZ_PER_MEL, _LINEAR_END_MEL + above)


def mel_to_hz(mel: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Inverse of `hz_to_mel`."""
    mel = np.asarray(mel, np.float64)
    above = _LINEAR_END_HZ * np.exp(
        _LOG_STEP * (np.maximum(mel, _LINEAR_END_MEL) - _LINEAR_END_MEL)
    )
    return np.where(mel < _LINEAR_END_MEL, mel * _HZ_PER_MEL, above)


def mel_matrix(
    bins: int, bin_hz: float, bands: int, min_hz: float, max_hz: float
) -> npt.NDArray[np.float32]:
    """Triangular mel filters of equal area (Slaney's normalisation).

    Args:
      bins: spectrum bins, the first at 0 Hz.
      bin_hz: distance between two bins, Hz.
      bands: mel bands.
      min_hz: lower edge of the lowest band.
      max_hz: upper edge of the highest band.

    Returns:
      float32 [bins, bands]: `power_spectrum @ matrix` is the mel power spectrum.
    """
    frequencies = np.arange(bins) * bin_hz
    edges = mel_to_hz(np.linspace(hz_to_mel(min_hz), hz_to_mel(max_hz), bands + 2))
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising = (frequencies[:, None] - lower) / (centre - lower)
    falling = (upper - frequencies[:, None]) / (upper - centre)
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return np.asarray(triangles * 2.0 / (upper - lower), np.float32)
