"""Images of spectrograms against TensorFlow's and matplotlib's own."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from sound_pipeline.errors import UserError
from sound_pipeline.extractors import hub_image
from sound_pipeline.features import image
from sound_pipeline.features.config import FeatureConfig, WindowConfig
from sound_pipeline.features.log_mel import log_mel
from tests.helpers import sounds

CONFIG = FeatureConfig()
RATE = CONFIG.spectrogram.sample_rate_hz
SAMPLES = round(CONFIG.windows.seconds * RATE)
SHORT = FeatureConfig(windows=WindowConfig(seconds=2.0))

Floats = sounds.Floats


def one_bright_cell(frame: int, band: int) -> Floats:
    spectrogram = np.full(
        (1, CONFIG.frames, CONFIG.spectrogram.mel_bands), CONFIG.spectrogram.floor_db, np.float32
    )
    spectrogram[0, frame, band] = 0.0
    return spectrogram


@pytest.mark.parametrize(
    ("size", "new_size"),
    [(173, 299), (128, 299), (128, 150), (173, 120), (150, 40), (7, 7), (1, 5), (300, 2), (5, 1)],
)
def test_resize_is_tensorflows(size: int, new_size: int) -> None:
    values = np.random.default_rng(0).random((size, 3)).astype(np.float32)
    theirs = tf.image.resize(values[:, None], [new_size, 1], "bilinear", antialias=True)
    ours = image.resize_matrix(size, new_size)
    assert ours.shape == (new_size, size)
    # TensorFlow places its pixels in float32.
    np.testing.assert_allclose(ours @ values, theirs[:, 0], rtol=0, atol=3e-5)


@settings(deadline=None)
@given(st.integers(1, 600), st.integers(1, 600))
def test_resize_weighs_and_keeps_a_constant(size: int, new_size: int) -> None:
    weights = image.resize_matrix(size, new_size)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-5)
    # Every input counts: no sound falls between two pixels.
    assert (weights.sum(axis=0) > 0).all()


@pytest.mark.parametrize(("height", "width"), [(299, 299), (150, 120), (64, 500)])
def test_image_is_the_turned_spectrogram_resized(height: int, width: int) -> None:
    random = np.random.default_rng(0)
    shape = (2, CONFIG.frames, CONFIG.spectrogram.mel_bands)
    spectrogram = random.uniform(CONFIG.spectrogram.floor_db, 0, shape).astype(np.float32)
    grey = sounds.eager_and_mapped(
        lambda decibels: image.grey_image(decibels, height, width, CONFIG), spectrogram
    )
    turned = 1 + spectrogram.transpose(0, 2, 1)[:, ::-1, :, None] / 80
    resized = tf.image.resize(turned, [height, width], "bilinear", antialias=True)
    np.testing.assert_allclose(grey, resized[..., 0], rtol=0, atol=3e-5)


@pytest.mark.parametrize(
    ("frame", "band", "corner"),
    [
        (0, 0, (298, 0)),
        (0, CONFIG.spectrogram.mel_bands - 1, (0, 0)),
        (CONFIG.frames - 1, 0, (298, 298)),
        (CONFIG.frames - 1, CONFIG.spectrogram.mel_bands - 1, (0, 298)),
    ],
)
def test_low_is_at_the_bottom_and_late_to_the_right(
    frame: int, band: int, corner: tuple[int, int]
) -> None:
    grey = image.grey_image(one_bright_cell(frame, band), 299, 299, CONFIG).numpy()[0]
    assert np.unravel_index(grey.argmax(), grey.shape) == corner
    assert grey[corner] == pytest.approx(1.0)
    assert grey.min() == 0.0


def test_the_floor_is_black() -> None:
    """Digital silence lies there."""
    shape = (1, CONFIG.frames, CONFIG.spectrogram.mel_bands)
    spectrogram = np.full(shape, CONFIG.spectrogram.floor_db, np.float32)
    grey = image.grey_image(spectrogram, 100, 100, CONFIG)
    np.testing.assert_array_equal(grey, 0.0)
    darkest = image.colormap_table(CONFIG.spectrogram.colormap)[0]
    coloured = image.apply_colormap(grey, CONFIG.spectrogram.colormap)
    np.testing.assert_array_equal(coloured, np.broadcast_to(darkest, coloured.shape))


def test_a_late_low_tone_is_seen_bottom_right() -> None:
    waveform = sounds.tone(200, SAMPLES, RATE)
    waveform[: SAMPLES // 2] = 0.0
    grey = image.grey_image(
        log_mel(waveform[None], tf.constant(RATE), CONFIG), 100, 100, CONFIG
    ).numpy()[0]
    quarters = grey.reshape(2, 50, 2, 50).mean(axis=(1, 3))
    assert quarters.argmax() == 3


COLORMAPS = ["magma", "viridis", "gray", "jet", "twilight", "tab10"]


@pytest.mark.parametrize("name", COLORMAPS)
def test_colour_is_matplotlibs(name: str) -> None:
    grey = np.random.default_rng(0).random((2, 20, 30)).astype(np.float32)
    grey[0, 0, :2] = 0.0, 1.0
    # Just under 1, and where resizing rounded to just over it.
    grey[0, 0, 2:4] = np.nextafter(np.float32(1), np.float32([0, 2]))
    coloured = sounds.eager_and_mapped(lambda values: image.apply_colormap(values, name), grey)
    assert coloured.shape == (2, 20, 30, 3)
    expected = matplotlib.colormaps[name](np.minimum(grey, 1))[..., :3]
    np.testing.assert_allclose(coloured, expected, atol=1e-7)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=50))
def test_colour_bins_are_matplotlibs(values: list[float]) -> None:
    grey = np.array(values, np.float32)[None, None]
    expected = matplotlib.colormaps["magma"](grey)[..., :3]
    np.testing.assert_allclose(image.apply_colormap(grey, "magma"), expected, atol=1e-7)


@pytest.mark.parametrize(("name", "hint"), [("magna", "magma"), ("?", "viridis")])
def test_an_unknown_colormap_names_the_flag(name: str, hint: str) -> None:
    with pytest.raises(UserError) as caught:
        image.colormap_table(name)
    message = str(caught.value)
    assert message.startswith(f"--colormap={name}: ")
    assert hint in message
    assert "\n" not in message


def test_images_are_of_the_size_that_inception_v3_takes() -> None:
    waveform = sounds.noise(SAMPLES)[None]
    found = image.display_image(tf.constant(waveform), tf.constant(RATE), CONFIG)
    assert found.shape == (1, 299, 299, 3)
    assert hub_image.DEFAULT_IMAGE_SIZE == image.IMAGE_SIZE == 299
