"""An exported model as a layer of a Keras 2 model, by TensorFlow Hub.

pip install tf_keras tensorflow-hub "setuptools<82"
python examples/in_tf_keras.py runs/demo/saved_model
"""

from __future__ import annotations

import sys
import tempfile

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub
import tf_keras


def main(directory: str) -> None:
    rate = 16000
    sounds = np.random.default_rng(0).normal(0, 0.1, [4, rate]).astype("float32")
    sounds *= np.array([[0.01], [0.1], [1], [3]], "float32")

    # Without `arguments` the model's own rate is meant.
    inputs = tf_keras.Input([None])
    answer = hub.KerasLayer(directory, arguments={"sample_rate": rate})(inputs)
    model = tf_keras.Model(inputs, answer["scores"])
    scores = model.predict(sounds, verbose=0)
    print("labelled:", scores.argmax(axis=1))

    # A SavedModel of the whole holds the model inside it.
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder, save_format="tf")
        again = tf_keras.models.load_model(folder).predict(sounds, verbose=0)
    np.testing.assert_allclose(again, scores, atol=1e-5)

    # A signature with several inputs takes a dict.
    embed = hub.KerasLayer(directory, signature="embedding", output_key="embedding")
    batch = {"waveform": tf.constant(sounds), "sample_rate": tf.constant(rate)}
    print("embedded:", embed(batch).shape)


if __name__ == "__main__":
    main(*sys.argv[1:])
