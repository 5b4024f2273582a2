"""An exported model as a layer of a Keras 3 model.

    python examples/in_keras.py runs/demo/saved_model

Needs TensorFlow alone, which brings Keras 3. At the model's own rate `TFSMLayer` is enough; the
class below is for sounds of another.
"""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable("examples")
class SoundScores(keras.layers.Layer):
    """Waveforms [batch, samples] at one rate to scores [batch, classes]."""

    def __init__(self, directory: str, sample_rate: int, **options: Any) -> None:
        super().__init__(**options)
        self.directory = directory
        self.sample_rate = sample_rate
        self.model = tf.saved_model.load(directory)
        self.supports_jit = False

    def call(self, waveform: tf.Tensor) -> tf.Tensor:
        return self.model(waveform, self.sample_rate)["scores"]

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, int]:
        return (input_shape[0], self.model.labels.shape[0])

    def get_config(self) -> dict[str, Any]:
        own = {"directory": self.directory, "sample_rate": self.sample_rate}
        return {**super().get_config(), **own}


def main(directory: str) -> None:
    rate = 16000
    sounds = np.random.default_rng(0).normal(0, 0.1, [4, rate]).astype("float32")
    sounds *= np.array([[0.01], [0.1], [1], [3]], "float32")

    # At the model's own rate.
    inputs = keras.Input([None])
    layer = keras.layers.TFSMLayer(directory, call_endpoint="serving_default")
    # XLA, which Keras uses by itself where there is a graphics card, knows no strings.
    layer.supports_jit = False
    at_own_rate = keras.Model(inputs, layer(inputs)["scores"])
    print("own rate:", at_own_rate.predict(sounds, verbose=0).argmax(axis=1))

    # At another, saved with what comes after it and loaded again.
    model = keras.Sequential([keras.Input([None]), SoundScores(directory, rate)])
    with tempfile.TemporaryDirectory() as folder:
        model.save(f"{folder}/model.keras")
        loaded = keras.models.load_model(f"{folder}/model.keras")
    scores = loaded.predict(sounds, verbose=0)
    np.testing.assert_allclose(scores, model.predict(sounds, verbose=0), atol=1e-5)
    print(f"{rate} Hz:", scores.argmax(axis=1))


if __name__ == "__main__":
    main(*sys.argv[1:])
