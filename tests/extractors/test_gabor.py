"""The embedded Gabor filter bank."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sound_pipeline.extractors.gabor import (
    BANDS,
    HEIGHT,
    ORIENTATIONS,
    SCALES,
    STRIPS,
    GaborExtractor,
    gabor_filters,
)
from sound_pipeline.extractors.loading import load_extractor
from sound_pipeline.features.config import FeatureConfig, WindowConfig
from tests.helpers import sounds

CONFIG = FeatureConfig(windows=WindowConfig(seconds=1.0))
SAMPLES = CONFIG.spectrogram.sample_rate_hz
WAVELENGTHS = [wavelength for wavelength, _ in SCALES]
# A ripple of orientation 0 changes with time alone, one of a quarter turn with frequency alone.
ALONG_TIME, ALONG_FREQUENCY = 0, ORIENTATIONS // 2

Floats = sounds.Floats


@pytest.fixture(scope="module")
def extractor() -> GaborExtractor:
    return GaborExtractor(CONFIG)


def band_moments(embedding: Floats) -> tuple[Floats, Floats]:
    """Mean and deviation of the image, each [BANDS]."""
    mean, deviation = embedding[: 2 * BANDS].reshape(BANDS, 2).T
    return mean, deviation


def energy_moments(embedding: Floats) -> tuple[Floats, Floats]:
    """Mean and deviation of the log energies, each [scales, STRIPS, ORIENTATIONS]."""
    moments = embedding[2 * BANDS :].reshape(len(SCALES), STRIPS, 2, ORIENTATIONS)
    return moments[:, :, 0], moments[:, :, 1]


def ripple(wavelength: float, turn: float, width: int) -> Floats:
    """A grey image [1, HEIGHT, width] that waves in one direction."""
    rows, columns = np.mgrid[:HEIGHT, :width]
    phase = 2 * math.pi * (columns * math.cos(turn) + rows * math.sin(turn)) / wavelength
    return (0.5 + 0.3 * np.cos(phase)).astype(np.float32)[None]


def test_gabor_is_an_extractor_by_name() -> None:
    loaded = load_extractor("gabor", CONFIG)
    assert isinstance(loaded, GaborExtractor)
    assert loaded.handle == "gabor"
    assert loaded.config is CONFIG
    assert loaded.embedding_size == 800
    assert loaded.fingerprint == GaborExtractor(FeatureConfig()).fingerprint


@pytest.mark.parametrize("wavelength", WAVELENGTHS)
def test_filters_are_zero_mean_pairs_of_one_weight(wavelength: int) -> None:
    filters = gabor_filters(wavelength, ORIENTATIONS)
    size = 2 * wavelength + 1
    assert filters.shape == (size, size, 1, 2 * ORIENTATIONS)
    assert filters.dtype == np.float32
    np.testing.assert_allclose(filters.sum(axis=(0, 1, 2)), 0, atol=1e-6)
    np.testing.assert_allclose(np.abs(filters).sum(axis=(0, 1, 2)), 1, rtol=1e-5)
    turned = filters[::-1, ::-1]
    np.testing.assert_allclose(turned[..., :ORIENTATIONS], filters[..., :ORIENTATIONS], atol=1e-7)
    np.testing.assert_allclose(turned[..., ORIENTATIONS:], -filters[..., ORIENTATIONS:], atol=1e-7)
    # A quarter turn of the plane is a quarter turn of the filter.
    even = filters[:, :, 0, :ORIENTATIONS]
    np.testing.assert_allclose(even[..., ALONG_FREQUENCY], even[..., ALONG_TIME].T, atol=1e-7)


@pytest.mark.parametrize("seconds", [0.1, 0.5, 1.0, 3.37])
def test_800_numbers_whatever_the_window(seconds: float) -> None:
    config = FeatureConfig(windows=WindowConfig(seconds=seconds))
    extractor = GaborExtractor(config)
    windows = sounds.noise(3 * round(seconds * 16000)).reshape(3, -1)
    prepared = extractor.prepare(windows, 16000)
    assert prepared.shape == [3, HEIGHT, round(30 * seconds)]
    embedding = extractor(prepared)
    assert embedding.shape == [3, 800]
    assert np.isfinite(embedding).all()


def test_the_length_of_the_window_changes_little_of_a_steady_sound() -> None:
    steady = sounds.noise(4 * SAMPLES)
    means = []
    for seconds in (2.0, 4.0):
        extractor = GaborExtractor(FeatureConfig(windows=WindowConfig(seconds=seconds)))
        window = steady[None, : round(seconds * SAMPLES)]
        embedding = extractor(extractor.prepare(window, SAMPLES)).numpy()[0]
        means.append(energy_moments(embedding)[0])
    assert np.abs(means[1] - means[0]).mean() < 0.2
    assert means[0].std() > 0.5


@pytest.mark.slow
def test_eager_and_in_a_pipeline(extractor: GaborExtractor) -> None:
    windows = np.stack([sounds.noise(SAMPLES), sounds.tone(700, SAMPLES, SAMPLES)])
    # Sound this loud has no cell near where the logarithm makes rounding large.
    embedding = sounds.eager_and_mapped(
        lambda waveform, rate: extractor(extractor.prepare(waveform, rate)),
        windows,
        SAMPLES,
        tolerance=1e-2,
    )
    assert embedding.shape == (2, 800)
    assert embedding.dtype == np.float32
    assert np.abs(embedding[0] - embedding[1]).max() > 1


@pytest.mark.parametrize("grey", [0.0, 0.25, 1.0])
def test_a_constant_image_gives_the_floor(extractor: GaborExtractor, grey: float) -> None:
    image = np.full([1, HEIGHT, extractor.width], grey, np.float32)
    embedding = extractor(image).numpy()[0]
    mean, deviation = band_moments(embedding)
    np.testing.assert_allclose(mean, grey, atol=1e-5)
    np.testing.assert_allclose(deviation, 0, atol=1e-5)
    energy, spread = energy_moments(embedding)
    np.testing.assert_allclose(energy, math.log(1e-5), atol=1e-4)
    np.testing.assert_allclose(spread, 0, atol=1e-4)


@pytest.mark.parametrize("scale", range(len(SCALES)))
@pytest.mark.parametrize("orientation", range(ORIENTATIONS))
def test_a_ripple_excites_its_own_filter_most(
    extractor: GaborExtractor, scale: int, orientation: int
) -> None:
    turn = orientation * math.pi / ORIENTATIONS
    image = ripple(WAVELENGTHS[scale], turn, extractor.width)
    energy, _ = energy_moments(extractor(image).numpy()[0])
    # The strips at the top and bottom also see the edge.
    inner = energy[:, 3:-3].mean(axis=1)
    assert inner[scale].argmax() == orientation
    assert inner[:, orientation].argmax() == scale


def test_a_steady_tone_is_a_ripple_along_frequency_and_clicks_along_time(
    extractor: GaborExtractor,
) -> None:
    windows = np.stack(
        [
            sum(sounds.tone(200 * number, SAMPLES, SAMPLES, 0.05) for number in range(1, 8)),
            sounds.clicks(SAMPLES, 4410),
        ]
    )
    embeddings = extractor(extractor.prepare(windows, SAMPLES)).numpy()
    for embedding, expected in zip(embeddings, (ALONG_FREQUENCY, ALONG_TIME), strict=True):
        energy, _ = energy_moments(embedding)
        assert energy[1].mean(axis=0).argmax() == expected


def test_strips_go_from_the_top_of_the_image_down(extractor: GaborExtractor) -> None:
    image = np.zeros([1, HEIGHT, extractor.width], np.float32)
    image[:, :10] = ripple(3, 0, extractor.width)[:, :10]
    embedding = extractor(image).numpy()[0]
    energy, _ = energy_moments(embedding)
    assert energy[0, :, ALONG_TIME].argmax() == 0
    assert band_moments(embedding)[0].argmax() < 3


@pytest.mark.parametrize("level", [0.0, 1e-30, 1e-5, 1.0, 1e4])
def test_finite_on_silence_and_on_constant_offsets(extractor: GaborExtractor, level: float) -> None:
    window = np.full([1, SAMPLES], level, np.float32)
    assert np.isfinite(extractor(extractor.prepare(window, SAMPLES))).all()
