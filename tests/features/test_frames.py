"""Frames against librosa's, and against frames cut at exact times where hops aren't whole."""

from __future__ import annotations

import librosa
import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from sound_pipeline.features.config import FeatureConfig, SpectrogramConfig, WindowConfig
from sound_pipeline.features.frames import hann_frames
from tests.helpers import sounds

CONFIG = FeatureConfig(windows=WindowConfig(seconds=1.0))
RATE = CONFIG.spectrogram.sample_rate_hz


def frames_of(waveform: sounds.Floats, rate_hz: int, config: FeatureConfig) -> sounds.Floats:
    """[frames, length] of one window."""
    samples, length = sounds.eager_and_mapped(
        lambda waveforms, rate: hann_frames(waveforms, rate, config), waveform[None], rate_hz
    )
    frames: sounds.Floats = samples[0, :, :length]
    return frames


def exact_power(
    waveform: sounds.Floats, rate_hz: int, config: FeatureConfig
) -> npt.NDArray[np.float64]:
    """[frames, bins], every window centred on its time to a fraction of a sample."""
    length = round(config.spectrogram.frame_seconds * rate_hz)
    power = []
    for frame in range(config.frames):
        start = frame * config.spectrogram.hop_seconds * rate_hz - length // 2
        time = np.arange(len(waveform)) - start
        window = np.where(
            (time >= 0) & (time < length), 0.5 - 0.5 * np.cos(2 * np.pi * time / length), 0
        )
        first = max(int(start), 0)
        part = (waveform * window)[first : first + length + 2]
        turns = np.exp(-2j * np.pi / length * np.outer(np.arange(200), np.arange(len(part))))
        power.append(np.abs(turns @ part) ** 2)
    return np.array(power) * (config.spectrogram.frame_length / length) ** 2


@pytest.mark.parametrize(
    ("rate_hz", "frame", "hop"),
    [
        pytest.param(22050, 2048, 512, id="a hop divides the frame"),
        pytest.param(44100, 4096, 1024, id="at twice the rate"),
        pytest.param(22050, 2048, 441, id="frames of five hops, cropped"),
        pytest.param(22050, 2048, 1009, id="hops of a prime number of samples"),
        pytest.param(22050, 1103, 1103, id="an odd frame, no overlap"),
        pytest.param(16000, 400, 160, id="25 ms every 10 ms"),
    ],
)
def test_whole_hops_give_librosas_frames(rate_hz: int, frame: int, hop: int) -> None:
    own_rate = 16000 if rate_hz == 16000 else RATE
    per_sample = rate_hz // own_rate
    config = FeatureConfig(
        windows=WindowConfig(seconds=1.0),
        spectrogram=SpectrogramConfig(
            sample_rate_hz=own_rate,
            frame_seconds=frame / rate_hz,
            hop_seconds=hop / rate_hz,
            max_hz=8000,
        ),
    )
    waveform = sounds.noise(rate_hz)
    padded = np.pad(waveform, (frame // 2, frame))
    cut = librosa.util.frame(padded, frame_length=frame, hop_length=hop, axis=0)[: config.frames]
    expected = cut * scipy.signal.get_window("hann", frame) / per_sample
    np.testing.assert_allclose(frames_of(waveform, rate_hz, config), expected, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("rate_hz", [1_000, 8_000, 16_000, 24_000, 44_056, 48_000])
@pytest.mark.parametrize("sound", ["noise", "clicks", "one click"])
def test_frames_are_centred_on_their_time(rate_hz: int, sound: str) -> None:
    config = FeatureConfig(windows=WindowConfig(seconds=0.6))
    samples = round(0.6 * rate_hz)
    waveform = {
        "noise": sounds.noise(samples),
        "clicks": sounds.clicks(samples, samples // 5),
        "one click": sounds.clicks(samples, samples),
    }[sound]
    spectrum = np.fft.rfft(frames_of(waveform, rate_hz, config).astype(np.float64))[:, :200]
    expected = exact_power(waveform, rate_hz, config)[:, : spectrum.shape[1]]
    # 0.01 dB, and the floor of images, -80 dB of the loudest cell.
    np.testing.assert_allclose(
        np.abs(spectrum) ** 2, expected, rtol=2e-3, atol=1e-8 * expected.max()
    )


@settings(max_examples=25, deadline=None)
@given(st.integers(1_000, 50_000), st.floats(0.01, 0.2), st.floats(0.1, 1.0), st.floats(0.1, 2.0))
def test_any_rate_and_any_durations(
    rate_hz: int, frame_seconds: float, hop_share: float, window_seconds: float
) -> None:
    config = FeatureConfig(
        windows=WindowConfig(seconds=window_seconds),
        spectrogram=SpectrogramConfig(
            frame_seconds=frame_seconds, hop_seconds=frame_seconds * hop_share
        ),
    )
    # Never quiet, so a frame's power is that of its window.
    waveform = np.ones((2, round(window_seconds * rate_hz)), np.float32)
    samples, length = hann_frames(waveform, tf.constant(rate_hz), config)
    assert samples.shape[:2] == (2, config.frames)
    assert length == round(rate_hz * frame_seconds)
    frames = samples.numpy()[:, :, : int(length)]
    whole = slice(int(np.ceil(0.5 / hop_share)) + 1, -int(np.ceil(0.5 / hop_share)) - 1)
    height = config.spectrogram.frame_length / int(length)
    sums = frames[:, whole].sum(axis=2)
    np.testing.assert_allclose(sums, 0.5 * int(length) * height, rtol=2e-3)
