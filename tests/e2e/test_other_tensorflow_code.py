"""Unusual uses of an exported model, and what docs/saved_model.md says of them.

Uses that must work in every TensorFlow are in outsider.py and examples/.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from tests.e2e.conftest import GaborModel
from tests.helpers import tiny_models

pytestmark = pytest.mark.slow

RATE = 16000
WINDOW = round(tiny_models.CONFIG.windows.seconds * RATE)
SAME = 1e-6


@pytest.fixture(scope="module")
def model(gabor_model: GaborModel) -> Any:
    return tf.saved_model.load(str(gabor_model.directory))


def noise(samples: int, seed: int = 0) -> npt.NDArray[np.float32]:
    fade = np.linspace(seed % 2, 1, samples)
    return (np.random.default_rng(seed).normal(0, 0.1, samples) * fade).astype(np.float32)


def test_exported_again_it_is_whole(model: Any, tmp_path: Path) -> None:
    """All signatures, attributes and assets, from the loaded object alone."""
    again = tmp_path / "again"
    tf.saved_model.save(model, str(again), signatures=dict(model.signatures))
    assert (again / "assets" / "labels.txt").is_file()
    loaded = tf.saved_model.load(str(again))
    assert set(loaded.signatures) == set(model.signatures)
    for name in ("labels", "sample_rate", "window_seconds", "min_score"):
        assert np.array_equal(getattr(loaded, name), getattr(model, name))
    waveform = noise(9000)[None]
    expected = model(waveform, RATE)
    for answer in (loaded(waveform, RATE), loaded(waveform.astype(np.float64), np.int64(RATE))):
        np.testing.assert_allclose(answer["scores"], expected["scores"], atol=SAME)


def test_sounds_of_all_lengths_may_be_padded(model: Any) -> None:
    """What the documentation tells those who have sounds of different lengths."""
    lengths = (WINDOW // 3, WINDOW // 2, WINDOW, WINDOW + WINDOW // 2, 3 * WINDOW + 7)
    sounds = [noise(samples, seed) for seed, samples in enumerate(lengths)]
    batch = keras.utils.pad_sequences(sounds, dtype="float32", padding="post")
    ragged = tf.ragged.stack(sounds).to_tensor()
    for together in (model(batch, RATE)["scores"], model(ragged, RATE)["scores"]):
        for scores, sound in zip(together, sounds, strict=True):
            expected = model(sound[None], RATE)["scores"][0]
            np.testing.assert_allclose(scores, expected, atol=10 * SAME)


def test_ragged_sounds_in_a_dataset(model: Any) -> None:
    """One by one inside the graph, whatever their lengths."""
    sounds = [noise(samples, seed) for seed, samples in enumerate((900, WINDOW, 3 * WINDOW))]
    ragged = tf.ragged.stack(sounds)
    spec = tf.TensorSpec([len(tiny_models.LABELS)], tf.float32)

    @tf.function
    def label(batch: tf.RaggedTensor) -> tf.Tensor:
        return tf.map_fn(
            lambda sound: model(sound[tf.newaxis], RATE)["scores"][0],
            batch,
            fn_output_signature=spec,
        )

    for scores, sound in zip(label(ragged), sounds, strict=True):
        np.testing.assert_allclose(scores, model(sound[None], RATE)["scores"][0], atol=SAME)


def test_xla_refuses_with_words(model: Any) -> None:
    """Labels are strings, which XLA has none of; outside the compiled part all is well."""
    waveform = tf.constant(noise(9000)[None])

    def scores(batch: tf.Tensor) -> tf.Tensor:
        return model(batch, RATE)["scores"]

    with pytest.raises(tf.errors.InvalidArgumentError, match="unsupported operations"):
        tf.function(scores, jit_compile=True)(waveform)

    @tf.function(jit_compile=True)
    def compiled(given: tf.Tensor) -> tf.Tensor:
        return tf.reduce_max(given * 2.0)

    both = tf.function(lambda batch: compiled(scores(batch)))(waveform)
    np.testing.assert_allclose(both, 2 * scores(waveform).numpy().max(), atol=SAME)


def test_keras_learns_on_the_embedding_and_leaves_the_model_alone(model: Any) -> None:
    """As a part of a Keras 3 model that is trained: the numbers inside are constants to it."""

    class Embedding(keras.layers.Layer):
        def call(self, waveform: tf.Tensor) -> tf.Tensor:
            signature = model.signatures["embedding"]
            return signature(waveform=waveform, sample_rate=tf.constant(RATE))["embedding"]

    sounds = np.stack([noise(WINDOW, seed) for seed in range(8)])
    before = model(sounds, RATE)["scores"].numpy()
    inputs = keras.Input([WINDOW])
    embedding = Embedding()(inputs)
    outputs = keras.layers.Dense(2)(keras.layers.BatchNormalization()(embedding))
    learner = keras.Model(inputs, outputs)
    assert len(learner.trainable_weights) == 4
    learner.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    learner.fit(sounds, np.arange(8) % 2, epochs=2, verbose=0)
    np.testing.assert_array_equal(model(sounds, RATE)["scores"], before)
