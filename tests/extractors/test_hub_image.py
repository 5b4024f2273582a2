"""TF Hub image modules: tiny ones of every make, refusals, and the real Inception."""

from __future__ import annotations

import shutil
import socket
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub

from sound_pipeline.errors import UserError
from sound_pipeline.extractors.hub_image import HubImageExtractor
from sound_pipeline.extractors.loading import load_extractor
from sound_pipeline.features.config import FeatureConfig, WindowConfig
from tests.helpers import sounds

CONFIG = FeatureConfig(windows=WindowConfig(seconds=0.5))
SAMPLES = round(0.5 * CONFIG.spectrogram.sample_rate_hz)
URL = "https://tfhub.dev/google/imagenet/some_module/feature_vector/5"
SMALL = tf.TensorSpec([None, 32, 32, 3], tf.float32)
ANY_SIZE = tf.TensorSpec([None, None, None, 3], tf.float32)
PICTURES = np.random.default_rng(0).random((2, 32, 32, 3)).astype(np.float32)


class Weights(tf.Module):
    """What the fake modules compute: the mean colour times a matrix, [batch, 5]."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        matrix = np.random.default_rng(seed).standard_normal((3, 5))
        self.matrix = tf.Variable(matrix.astype(np.float32))

    def vector(self, images: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(images, axis=[1, 2]) @ self.matrix


def save(
    path: Path,
    call: Callable[[Weights, tf.Tensor], Any] = Weights.vector,
    spec: tf.TensorSpec = SMALL,
    seed: int = 0,
) -> str:
    """Saves a module whose `__call__` does what `call` says with its weights."""

    class Module(Weights):
        @tf.function(input_signature=[spec], autograph=False)
        def __call__(self, images: tf.Tensor) -> Any:
            return call(self, images)

    tf.saved_model.save(Module(seed), str(path))
    return str(path)


def save_signature(
    path: Path, name: str, call: Callable[[Weights, tf.Tensor], Any], spec: tf.TensorSpec = SMALL
) -> str:
    """Saves a module that isn't callable and has one signature, as TF1 hub modules are loaded."""
    weights = Weights()
    function = tf.function(
        lambda images: call(weights, images), input_signature=[spec], autograph=False
    )
    weights.function = function
    tf.saved_model.save(weights, str(path), signatures={name: function})
    return str(path)


def assert_embeds(extractor: HubImageExtractor, images: sounds.Floats = PICTURES) -> None:
    """Its embedding is that of `Weights`, eagerly and in a graph."""
    expected = images.mean(axis=(1, 2)) @ Weights().matrix.numpy()
    assert extractor.embedding_size == 5
    for forward in (extractor, tf.function(extractor)):
        embedding = forward(tf.constant(images))
        assert embedding.shape == [len(images), 5]
        np.testing.assert_allclose(embedding, expected, rtol=1e-4, atol=1e-6)


def image_extractor(handle: str, image_size: int = 0) -> HubImageExtractor:
    extractor = load_extractor(handle, CONFIG, image_size)
    assert isinstance(extractor, HubImageExtractor)
    return extractor


def message_of(handle: str, image_size: int = 0) -> str:
    with pytest.raises(UserError) as caught:
        load_extractor(handle, CONFIG, image_size)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save(tmp_path_factory.mktemp("modules") / "small")


@pytest.fixture(scope="module")
def any_size(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save(tmp_path_factory.mktemp("modules") / "any_size", spec=ANY_SIZE)


def test_a_callable_module(small: str) -> None:
    extractor = image_extractor(small)
    assert extractor.handle == small
    assert (extractor.height, extractor.width) == (32, 32)
    assert_embeds(extractor)


@pytest.mark.slow
def test_images_are_coloured_and_of_the_modules_size(small: str) -> None:
    extractor = image_extractor(small)
    windows = np.stack([sounds.noise(SAMPLES), np.zeros(SAMPLES, np.float32)])
    images = sounds.eager_and_mapped(
        extractor.prepare,
        windows,
        CONFIG.spectrogram.sample_rate_hz,
        tolerance=0.02,  # rounding may turn a pixel into the next colour of the table
    )
    assert images.shape == (2, 32, 32, 3)
    assert images.dtype == np.float32
    assert 0 <= images.min() < images.max() <= 1
    # magma is no grey, and silence is darker than noise.
    assert np.abs(images[0, ..., 0] - images[0, ..., 2]).max() > 0.1
    assert images[1].mean() < images[0].mean()


def test_a_module_is_never_asked_to_train(tmp_path: Path) -> None:
    class Training(Weights):
        @tf.function
        def __call__(self, images: tf.Tensor, training: bool = True) -> tf.Tensor:
            return self.vector(images) + (100.0 if training else 0.0)

    module = Training()
    for training in (True, False):
        module.__call__.get_concrete_function(SMALL, training=training)
    tf.saved_model.save(module, str(tmp_path / "module"))
    assert_embeds(image_extractor(str(tmp_path / "module")))


@pytest.mark.parametrize(("image_size", "expected"), [(0, 299), (64, 64)])
def test_a_module_of_any_size_takes_image_size(
    any_size: str, image_size: int, expected: int
) -> None:
    extractor = image_extractor(any_size, image_size)
    images = extractor.prepare(
        sounds.noise(SAMPLES)[None], CONFIG.spectrogram.sample_rate_hz
    ).numpy()
    assert images.shape == (1, expected, expected, 3)
    assert_embeds(extractor, images)


def test_another_size_is_another_fingerprint(any_size: str) -> None:
    fingerprints = {image_extractor(any_size, size).fingerprint for size in (0, 64, 299)}
    assert len(fingerprints) == 2


def test_a_module_of_one_size_refuses_another(small: str) -> None:
    assert image_extractor(small, 32).height == 32
    message = message_of(small, 64)
    assert message.startswith("--image_size=64: ")
    assert "32x32" in message


@pytest.mark.parametrize("name", ["default", "image_feature_vector", "serving_default"])
def test_a_module_with_a_signature_alone(tmp_path: Path, name: str) -> None:
    handle = save_signature(
        tmp_path / "module", name, lambda weights, images: {"default": weights.vector(images)}
    )
    assert_embeds(image_extractor(handle))


def test_a_signature_of_any_size_takes_image_size(tmp_path: Path) -> None:
    handle = save_signature(
        tmp_path / "module", "default", lambda weights, x: {"vector": weights.vector(x)}, ANY_SIZE
    )
    extractor = image_extractor(handle, 48)
    assert (extractor.height, extractor.width) == (48, 48)
    assert_embeds(extractor)


def test_the_default_of_several_outputs_is_taken(tmp_path: Path) -> None:
    def outputs(weights: Weights, images: tf.Tensor) -> dict[str, tf.Tensor]:
        vector = weights.vector(images)
        return {"a_block": images, "default": vector, "logits": vector * 2}

    assert_embeds(image_extractor(save(tmp_path / "module", outputs)))


@pytest.mark.parametrize(
    ("output", "words"),
    [
        pytest.param(lambda _, images: images[:, ::8, ::8], "(1, 4, 4, 3)", id="rank 4"),
        pytest.param(lambda weights, x: weights.vector(x)[0, 0], "not [batch,", id="scalar"),
        pytest.param(lambda weights, x: (weights.vector(x), x), "not [batch,", id="tuple"),
        pytest.param(lambda _, x: {"map": x}, "(1, 32, 32, 3)", id="dictionary"),
    ],
)
def test_what_is_no_vector_is_refused(
    tmp_path: Path, output: Callable[[Weights, tf.Tensor], Any], words: str
) -> None:
    message = message_of(save(tmp_path / "module", output))
    assert message.startswith("--extractor=")
    assert words in message
    assert "feature-vector module" in message


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (tf.TensorSpec([None, None], tf.float32), "float32(None, None)"),
        (tf.TensorSpec([None], tf.float64), "float64(None,)"),
        (tf.TensorSpec([None, 1024], tf.float32), "float32(None, 1024)"),
        (tf.TensorSpec([None], tf.string), "string(None,)"),
        (tf.TensorSpec([None, 32, 32, 1], tf.float32), "float32(None, 32, 32, 1)"),
    ],
)
def test_what_takes_no_images_is_refused(tmp_path: Path, spec: tf.TensorSpec, words: str) -> None:
    handle = save(tmp_path / "module", lambda _, anything: tf.zeros([1, 5]), spec)
    message = message_of(handle)
    assert message.startswith(f"--extractor={handle}: the module takes {words}")
    assert "images" in message


def test_images_of_bytes_are_refused(tmp_path: Path) -> None:
    spec = tf.TensorSpec([None, 32, 32, 3], tf.uint8)
    handle = save(tmp_path / "module", lambda weights, x: weights.vector(tf.cast(x, "float")), spec)
    assert message_of(handle).startswith(f"--extractor={handle}: ")


def test_a_model_that_takes_nothing_is_refused(tmp_path: Path) -> None:
    tf.saved_model.save(Weights(), str(tmp_path / "module"))
    assert "takes no input" in message_of(str(tmp_path / "module"))


@pytest.mark.parametrize("make", [False, True])
def test_a_path_without_a_module_is_named(tmp_path: Path, make: bool) -> None:
    handle = str(tmp_path / "nowhere")
    if make:
        (tmp_path / "nowhere").mkdir()
        (tmp_path / "nowhere" / "weights.h5").write_bytes(b"0")
    message = message_of(handle)
    assert message.startswith(f"--extractor={handle}: no such module")
    assert "gabor" in message


def test_a_broken_module_is_named(small: str, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage"
    garbage.mkdir()
    (garbage / "saved_model.pb").write_bytes(b"\xff" * 100)
    without_weights = shutil.copytree(small, tmp_path / "without_weights")
    shutil.rmtree(without_weights / "variables")
    for folder in (garbage, without_weights):
        assert "does not load" in message_of(str(folder))


def test_a_folder_in_the_home_directory(
    small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(small, tmp_path / "module")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert_embeds(image_extractor("~/module"))


def test_a_url_is_fetched_with_a_time_limit(small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = []

    def resolve(handle: str) -> str:
        assert handle == URL
        limits.append(socket.getdefaulttimeout())
        return small

    monkeypatch.setattr(tensorflow_hub, "resolve", resolve)
    before = socket.getdefaulttimeout()
    extractor = image_extractor(URL)
    assert extractor.handle == URL
    assert limits[0] is not None
    assert socket.getdefaulttimeout() == before
    assert_embeds(extractor)
    assert extractor.fingerprint == image_extractor(small).fingerprint


@pytest.mark.parametrize(
    "error",
    [
        urllib.error.URLError(OSError(-2, "Name or service not known")),
        TimeoutError("timed out"),
        ValueError("not a module\nat all"),
    ],
)
def test_an_unreachable_url_says_what_can_be_done(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def resolve(handle: str) -> str:
        raise error

    monkeypatch.setattr(tensorflow_hub, "resolve", resolve)
    before = socket.getdefaulttimeout()
    message = message_of(URL)
    assert message.startswith(f"--extractor={URL}: ")
    for word in ("TFHUB_CACHE_DIR", "path", "--extractor=gabor", str(error).split("\n")[0]):
        assert word in message
    assert socket.getdefaulttimeout() == before


def test_the_fingerprint_is_that_of_the_content(small: str, tmp_path: Path) -> None:
    fingerprint = image_extractor(small).fingerprint
    copy = shutil.copytree(small, tmp_path / "copy")
    assert image_extractor(str(copy)).fingerprint == fingerprint
    # The same graph with other weights.
    other = save(tmp_path / "other", seed=1)
    for file in (Path(other) / "variables").iterdir():
        shutil.copy(file, copy / "variables" / file.name)
    changed = image_extractor(str(copy))
    assert changed.fingerprint != fingerprint
    expected = PICTURES.mean(axis=(1, 2)) @ Weights(seed=1).matrix.numpy()
    np.testing.assert_allclose(changed(PICTURES), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.assets
def test_the_real_inception(inception: Path) -> None:
    extractor = image_extractor(str(inception))
    assert (extractor.height, extractor.width) == (299, 299)
    assert extractor.embedding_size == 2048
    windows = np.stack(
        [sounds.noise(SAMPLES), sounds.tone(700, SAMPLES, CONFIG.spectrogram.sample_rate_hz)]
    )
    images = extractor.prepare(windows, CONFIG.spectrogram.sample_rate_hz)
    assert images.shape == [2, 299, 299, 3]
    assert 0 <= images.numpy().min() < 0.05
    assert 0.95 < images.numpy().max() <= 1
    embedding = extractor(images).numpy()
    assert embedding.shape == (2, 2048)
    assert np.isfinite(embedding).all()
    assert np.abs(embedding[0] - embedding[1]).max() > 0.1
