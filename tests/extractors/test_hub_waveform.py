"""TF Hub modules that take waveforms: tiny ones, refusals, exports, and the real YAMNet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.audio import resampling
from sound_pipeline.errors import UserError
from sound_pipeline.extractors.hub_image import HubImageExtractor
from sound_pipeline.extractors.hub_waveform import HubWaveformExtractor
from sound_pipeline.extractors.loading import load_extractor
from sound_pipeline.features.config import FeatureConfig, WindowConfig
from tests.helpers import sounds, tiny_models
from tests.helpers.exported_answers import check_export

CONFIG = FeatureConfig(windows=WindowConfig(seconds=0.5))
WAVEFORM = tf.TensorSpec([None], tf.float32)

Compute = Callable[[tiny_models.WaveformModule, tf.Tensor], Any]


def save(path: Path, compute: Compute, spec: tf.TensorSpec = WAVEFORM) -> str:
    """Saves a module whose `__call__` gives what `compute` makes of a waveform."""

    class Module(tiny_models.WaveformModule):
        @tf.function(input_signature=[spec], autograph=False)
        def __call__(self, waveform: tf.Tensor) -> Any:
            return compute(self, waveform)

    tf.saved_model.save(Module(), str(path))
    return str(path)


def windows(rate_hz: int) -> np.ndarray:
    """Three unlike windows: float32 [3, samples]."""
    samples = round(CONFIG.windows.seconds * rate_hz)
    fading = sounds.noise(samples, 0.3) * np.linspace(1, 0, samples, dtype=np.float32)
    return np.stack([fading, sounds.tone(100, samples, rate_hz), np.zeros(samples, np.float32)])


def expected_embeddings(sound: np.ndarray, rate_hz: int) -> np.ndarray:
    """Mean and maximum of the module's frames, window by window."""
    module = tiny_models.WaveformModule()
    rows = []
    for window in sound:
        frames = module.frames(resampling.resample(window, rate_hz, 16000)).numpy()
        rows.append(np.concatenate([frames.mean(axis=0), frames.max(axis=0)]))
    return np.stack(rows)


def message_of(handle: str, config: FeatureConfig = CONFIG) -> str:
    with pytest.raises(UserError) as caught:
        load_extractor(handle, config)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"--extractor={handle}: ")
    return message


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_models.save_waveform_module(tmp_path_factory.mktemp("modules") / "tiny")


@pytest.mark.slow
@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100])
def test_mean_and_maximum_of_the_frames(tiny: str, rate_hz: int) -> None:
    extractor = load_extractor(tiny, CONFIG)
    assert isinstance(extractor, HubWaveformExtractor)
    assert extractor.handle == tiny
    assert extractor.embedding_size == 6
    assert not extractor.benefits_from_low_precision
    sound = windows(rate_hz)
    prepared = sounds.eager_and_mapped(extractor.prepare, sound, np.int32(rate_hz))
    assert prepared.shape == (3, 8000)
    embedding = sounds.eager_and_mapped(extractor, prepared)
    np.testing.assert_allclose(embedding, expected_embeddings(sound, rate_hz), atol=1e-5)
    # The fading noise is louder once than it is all the time.
    assert embedding[0, 3] > 1.3 * embedding[0, 0]


@pytest.mark.parametrize(
    "outputs",
    [
        pytest.param(lambda module, x: module.frames(x), id="alone"),
        pytest.param(
            lambda module, x: {"a": x, "embedding": module.frames(x), "z": x}, id="embedding"
        ),
        pytest.param(lambda module, x: {"default": module.frames(x)}, id="default"),
    ],
)
def test_embeddings_by_name_or_alone(tmp_path: Path, outputs: Compute) -> None:
    extractor = load_extractor(save(tmp_path / "module", outputs), CONFIG)
    sound = windows(16000)
    embedding = extractor(extractor.prepare(sound, 16000))
    np.testing.assert_allclose(embedding, expected_embeddings(sound, 16000), atol=1e-5)


def test_a_module_with_a_signature_alone(tmp_path: Path) -> None:
    module = tiny_models.WaveformModule()
    weights = tf.Module()
    weights.gain = module.gain
    weights.function = tf.function(
        lambda audio: {"embeddings": module.frames(audio)}, input_signature=[WAVEFORM]
    )
    tf.saved_model.save(
        weights, str(tmp_path / "module"), signatures={"serving_default": weights.function}
    )
    extractor = load_extractor(str(tmp_path / "module"), CONFIG)
    sound = windows(16000)
    embedding = extractor(extractor.prepare(sound, 16000))
    np.testing.assert_allclose(embedding, expected_embeddings(sound, 16000), atol=1e-5)


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        pytest.param(lambda module, x: x, "(8000,)", id="rank 1"),
        pytest.param(lambda module, x: (module.frames(x), x), "a tuple", id="two outputs"),
        pytest.param(lambda module, x: tf.cast(x, tf.int32)[None], "(1, 8000)", id="integers"),
    ],
)
def test_what_is_no_embedding_of_frames_is_refused(
    tmp_path: Path, outputs: Compute, words: str
) -> None:
    message = message_of(save(tmp_path / "module", outputs))
    assert f"gives {words}, not the embeddings" in message
    assert "YAMNet" in message


def test_a_window_too_short_for_a_frame_is_refused(tmp_path: Path) -> None:
    handle = save(
        tmp_path / "module", lambda _, x: tf.signal.frame(x, 16000, 8000), tf.TensorSpec([None])
    )
    message = message_of(handle)
    assert "gives nothing for 0.5 s" in message
    assert "--window_seconds" in message
    assert (
        load_extractor(handle, FeatureConfig(windows=WindowConfig(seconds=1.0))).embedding_size
        == 32000
    )


def test_a_module_that_fails_is_named(tmp_path: Path) -> None:
    handle = save(tmp_path / "module", lambda _, x: tf.reshape(x, [-1, 7]))
    assert "refuses 8000 samples at 16000 Hz" in message_of(handle)


def test_the_fingerprint_is_that_of_the_content(tiny: str, tmp_path: Path) -> None:
    fingerprint = load_extractor(tiny, CONFIG).fingerprint
    other = tiny_models.save_waveform_module(tmp_path / "other", gain=3.0)
    assert load_extractor(other, CONFIG).fingerprint != fingerprint


def test_the_signature_decides_not_the_name(tmp_path: Path) -> None:
    images = tiny_models.save_image_module(tmp_path / "yamnet")
    waveforms = tiny_models.save_waveform_module(tmp_path / "inception_v3")
    assert isinstance(load_extractor(images, CONFIG), HubImageExtractor)
    assert isinstance(load_extractor(waveforms, CONFIG), HubWaveformExtractor)


@pytest.mark.assets
@pytest.mark.slow
def test_the_real_yamnet(assets: Path, tmp_path: Path) -> None:
    extractor = load_extractor(str(assets / "hub" / "yamnet"), CONFIG)
    assert isinstance(extractor, HubWaveformExtractor)
    assert extractor.embedding_size == 2048
    sound = windows(44100)
    prepared = extractor.prepare(sound, 44100)
    embedding = extractor(prepared).numpy()
    frames = [extractor.module(window)[1].numpy() for window in prepared]
    expected = [np.concatenate([rows.mean(axis=0), rows.max(axis=0)]) for rows in frames]
    np.testing.assert_allclose(embedding, expected, rtol=1e-4, atol=1e-4)
    assert np.abs(embedding[0] - embedding[1]).max() > 0.1
    check_export(tiny_models.random_classifier(extractor), tmp_path)
