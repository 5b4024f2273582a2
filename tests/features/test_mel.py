"""The mel filter bank against librosa's."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sound_pipeline.features.mel import hz_to_mel, mel_matrix, mel_to_hz

FREQUENCIES = np.concatenate([[0.0, 1.0, 999.999, 1000.0, 1000.001], np.geomspace(5, 192_000, 400)])


@pytest.mark.filterwarnings("ignore:Empty filters:UserWarning")
@pytest.mark.parametrize(
    ("rate_hz", "frame_length", "bands", "min_hz", "max_hz"),
    [
        (22050, 2048, 128, 0.0, 11025.0),
        (16000, 1486, 64, 50.0, 7600.0),
        (24000, 2229, 128, 0.0, 12000.0),
        (44100, 4096, 40, 300.0, 16000.0),
        (48000, 1024, 229, 30.0, 8000.0),
        (8000, 256, 8, 1200.0, 4000.0),
    ],
)
def test_matrix_is_librosas(
    rate_hz: int, frame_length: int, bands: int, min_hz: float, max_hz: float
) -> None:
    bins = frame_length // 2 + 1
    ours = mel_matrix(bins, rate_hz / frame_length, bands, min_hz, max_hz)
    theirs = librosa.filters.mel(
        sr=rate_hz,
        n_fft=frame_length,
        n_mels=bands,
        fmin=min_hz,
        fmax=max_hz,
        htk=False,
        norm="slaney",
    )
    assert ours.dtype == np.float32
    assert ours.shape == (bins, bands)
    assert theirs.max() > 1e-3
    np.testing.assert_allclose(ours, theirs.T, rtol=0, atol=1e-6 * theirs.max())


def test_mel_scale_is_librosas() -> None:
    mels = hz_to_mel(FREQUENCIES)
    np.testing.assert_allclose(mels, librosa.hz_to_mel(FREQUENCIES), rtol=1e-12)
    np.testing.assert_allclose(mel_to_hz(mels), librosa.mel_to_hz(mels), rtol=1e-12)


@settings(deadline=None)
@given(st.floats(0, 192_000))
def test_mel_scale_has_an_inverse(hz: float) -> None:
    assert mel_to_hz(hz_to_mel(hz)) == pytest.approx(hz, rel=1e-9, abs=1e-9)


@settings(deadline=None)
@given(st.floats(0, 192_000), st.floats(0, 192_000))
def test_higher_frequencies_have_more_mels(one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert hz_to_mel(low) <= hz_to_mel(high)
    # Two floats apart by rounding alone may share a mel.
    assert hz_to_mel(low) < hz_to_mel(high) or high - low < 1e-6
