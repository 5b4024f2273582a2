"""Log-mel spectrograms against librosa."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import tensorflow as tf

from sound_pipeline.features import log_mel as log_mel_module
from sound_pipeline.features.config import FeatureConfig, SpectrogramConfig, WindowConfig
from tests.helpers import sounds

CONFIG = FeatureConfig()
RATE = CONFIG.spectrogram.sample_rate_hz
SAMPLES = round(CONFIG.windows.seconds * RATE)
SHORT = FeatureConfig(windows=WindowConfig(seconds=2.0))

Floats = sounds.Floats


def log_mel(waveform: Floats, rate_hz: int = RATE, config: FeatureConfig = CONFIG) -> Floats:
    """One window's spectrogram: [frames, mel_bands]."""
    values: Floats = log_mel_module.log_mel(waveform[None], tf.constant(rate_hz), config).numpy()[0]
    return values


def librosas_log_mel(waveform: Floats, config: FeatureConfig = CONFIG) -> Floats:
    power = librosa.feature.melspectrogram(
        y=waveform,
        sr=config.spectrogram.sample_rate_hz,
        n_fft=config.spectrogram.frame_length,
        hop_length=round(config.spectrogram.hop_seconds * config.spectrogram.sample_rate_hz),
        n_mels=config.spectrogram.mel_bands,
        fmin=config.spectrogram.min_hz,
        fmax=config.spectrogram.max_hz,
    )
    decibels: Floats = librosa.power_to_db(power, ref=np.max, top_db=-config.spectrogram.floor_db)
    return decibels.T


@pytest.mark.parametrize(
    ("rate_hz", "seconds", "samples"),
    [(22050, 4.0, 88200), (16000, 4.0, 64000), (44100, 0.96, 42336), (11025, 0.5, 5512)],
)
def test_window_samples(rate_hz: int, seconds: float, samples: int) -> None:
    config = FeatureConfig(windows=WindowConfig(seconds=seconds))
    result = sounds.eager_and_mapped(
        lambda rate: log_mel_module.window_samples(config, rate), rate_hz
    )
    assert result == samples


@pytest.mark.slow
@pytest.mark.parametrize(
    "waveform",
    [
        pytest.param(sounds.noise(SAMPLES), id="noise"),
        pytest.param(sounds.chirp(SAMPLES, RATE, 10_500), id="chirp"),
        pytest.param(sounds.clicks(SAMPLES, 5_000), id="clicks"),
        pytest.param(sounds.clicks(SAMPLES, SAMPLES), id="one click"),
        pytest.param(sounds.tone(440, SAMPLES, RATE), id="tone"),
    ],
)
def test_log_mel_is_librosas(waveform: Floats) -> None:
    ours = sounds.eager_and_mapped(
        lambda waveforms, rate: log_mel_module.log_mel(waveforms, rate, CONFIG),
        waveform[None],
        RATE,
        tolerance=1e-3,
    )
    assert ours.shape == (1, CONFIG.frames, CONFIG.spectrogram.mel_bands)
    assert ours.dtype == np.float32
    assert np.abs(ours[0] - librosas_log_mel(waveform)).max() < 1e-3


def test_log_mel_is_librosas_with_other_settings() -> None:
    config = FeatureConfig(
        windows=WindowConfig(seconds=1.5),
        spectrogram=SpectrogramConfig(
            sample_rate_hz=16000,
            frame_seconds=0.064,
            hop_seconds=0.0625,
            mel_bands=40,
            min_hz=60.0,
            max_hz=7000.0,
            floor_db=-50.0,
        ),
    )
    waveform = sounds.noise(24000) + sounds.tone(1234, 24000, 16000)
    difference = log_mel(waveform, 16000, config) - librosas_log_mel(waveform, config)
    assert np.abs(difference).max() < 1e-3


@pytest.mark.assets
def test_log_mel_of_recordings_is_librosas(esc10: Path) -> None:
    recordings = sorted((esc10 / "audio").glob("*.wav"))
    compared = 0
    for recording in recordings[::45]:
        samples, rate_hz = soundfile.read(recording, dtype="float32")
        waveform = librosa.resample(samples, orig_sr=rate_hz, target_sr=RATE)[:SAMPLES]
        assert np.abs(log_mel(waveform) - librosas_log_mel(waveform)).max() < 1e-3, recording
        compared += 1
    assert compared >= 8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("top_hz", "rates_hz"),
    [
        (7_500, (16000, 24000, 32000, 44100, 48000, 96000, 192000)),
        (10_000, (24000, 32000, 44100, 48000, 96000, 192000)),
    ],
)
def test_log_mel_is_the_same_at_every_rate(top_hz: float, rates_hz: tuple[int, ...]) -> None:
    reference = log_mel(sounds.continuous_sound(RATE, 2.0, top_hz), RATE, SHORT)
    # An image that were all floor would agree with itself.
    assert (reference > SHORT.spectrogram.floor_db + 20).mean() > 0.6
    for rate_hz in rates_hz:
        there = log_mel(sounds.continuous_sound(rate_hz, 2.0, top_hz), rate_hz, SHORT)
        assert there.shape == reference.shape
        difference = np.abs(there - reference)
        high = np.percentile(difference, 99)
        print(f"{top_hz:.0f} Hz at {rate_hz} Hz: mean {difference.mean():.4f}, 99 % {high:.3f} dB")
        assert difference.mean() < 0.1
        assert high < 0.5


@pytest.mark.parametrize("rate_hz", [16000, 48000, 96000])
def test_sounds_under_the_reference_are_as_dark_at_every_rate(rate_hz: int) -> None:
    faint = [
        log_mel(sounds.tone(440, 2 * hz, hz, level=5e-5), hz, SHORT)[3:-3].max(axis=1)
        for hz in (RATE, rate_hz)
    ]
    assert -30 < faint[0].max() < -3
    np.testing.assert_allclose(faint[1], faint[0], rtol=0, atol=0.1)


@pytest.mark.parametrize("rate_hz", [1_000, 11_025, 44_056, 384_000])
def test_odd_rates_give_the_same_shape(rate_hz: int) -> None:
    config = FeatureConfig(windows=WindowConfig(seconds=0.5))
    tone = sounds.tone(300, round(0.5 * rate_hz), rate_hz)
    spectrogram = log_mel(tone, rate_hz, config)
    assert spectrogram.shape == (config.frames, config.spectrogram.mel_bands)
    at_reference = log_mel(sounds.tone(300, round(0.5 * RATE), RATE), RATE, config)
    steady = slice(3, -3)
    loudest = at_reference[steady].argmax(axis=1)
    assert np.abs(spectrogram[steady].argmax(axis=1) - loudest).max() <= 1


def test_bins_that_a_low_rate_lacks_are_silent() -> None:
    spectrum = np.ones([1, 3, 101], np.complex64)
    config = SpectrogramConfig()
    power = log_mel_module.power_spectrum(spectrum, config).numpy()
    assert power.shape == (1, 3, config.bins)
    assert (power[..., :101] == 1).all() and not power[..., 101:].any()
    found = log_mel(sounds.noise(8000, level=1.0), 2000)
    above = librosa.mel_frequencies(130, fmin=0, fmax=config.max_hz)[:-2] > 1000
    assert (found[:, above] == config.floor_db).all()
    assert (found[:, ~above][:, :-1] > config.floor_db).all()


def test_each_window_has_its_own_reference() -> None:
    loud = sounds.noise(SAMPLES)
    both = log_mel_module.log_mel(np.stack([loud, 0.05 * loud]), RATE, CONFIG).numpy()
    np.testing.assert_allclose(both[1], both[0], atol=1e-3)


def test_digital_silence_is_the_floor() -> None:
    spectrogram = log_mel(np.zeros(SAMPLES, np.float32))
    # The least power, -100 dB, lies 80 dB under the reference of -20 dB.
    np.testing.assert_array_equal(spectrogram, CONFIG.spectrogram.floor_db)


@pytest.mark.parametrize("offset", [0.001, 0.1, 1.0])
def test_a_constant_offset_lights_its_own_corner_alone(offset: float) -> None:
    spectrogram = log_mel(np.full(SAMPLES, offset, np.float32))
    assert np.isfinite(spectrogram).all()
    # Bright are the lowest bands, and the ends, where the offset sets in and stops.
    assert spectrogram[5:-5, 2:].max() < -75
    assert (spectrogram > -60).mean() < 0.04


@pytest.mark.parametrize("lowest", [-1, 0])
def test_dither_is_dark(lowest: int) -> None:
    steps = np.random.default_rng(0).integers(lowest, 2, SAMPLES)
    dither = (steps / 32768).astype(np.float32)
    spectrogram = log_mel(dither)
    assert np.isfinite(spectrogram).all()
    # Its mean level; and no cell reaches the upper half of the colours, but where the offset of
    # half a step sets in and stops.
    assert spectrogram.mean() < -50
    assert spectrogram[5:-5, 2:].max() < -40
    assert spectrogram.max() < -35
    unreferenced = log_mel(
        dither, config=FeatureConfig(spectrogram=SpectrogramConfig(reference_floor_db=-100.0))
    )
    assert unreferenced.max() == 0


def test_the_reference_floor_leaves_sounds_alone() -> None:
    without = FeatureConfig(spectrogram=SpectrogramConfig(reference_floor_db=-100.0))
    for waveform in (sounds.noise(SAMPLES, level=0.01), sounds.tone(440, SAMPLES, RATE, 0.001)):
        np.testing.assert_array_equal(log_mel(waveform), log_mel(waveform, config=without))
