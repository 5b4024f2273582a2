"""Trains a classifier of other sounds on an exported model's embeddings.

    python examples/transfer_embeddings.py runs/demo/saved_model my_sounds

Needs TensorFlow alone. my_sounds/CLASS/*.wav; every fourth file of a class is held out. Files cut
from one recording must not be on both sides: `train.py` minds that, this example doesn't.
"""

from __future__ import annotations

import glob
import os
import sys

import keras
import numpy as np
import tensorflow as tf


def read_waveform(path: str) -> tuple[tf.Tensor, tf.Tensor]:
    """A WAV file of 16 bits as float32 [samples], and its rate."""
    waveform, rate = tf.audio.decode_wav(tf.io.read_file(path), desired_channels=1)
    return waveform[:, 0], rate


def main(directory: str, folder: str) -> None:
    keras.utils.set_random_seed(0)
    embed = tf.saved_model.load(directory).signatures["embedding"]
    classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    features, targets, held_out = [], [], []
    for target, name in enumerate(classes):
        for number, path in enumerate(sorted(glob.glob(f"{folder}/{name}/*.wav"))):
            waveform, rate = read_waveform(path)
            embedding = embed(waveform=waveform[tf.newaxis], sample_rate=rate)["embedding"]
            features.append(embedding[0].numpy())
            targets.append(target)
            held_out.append(number % 4 == 3)
    features, targets, held_out = map(np.array, (features, targets, held_out))

    # Standardised: the numbers of an embedding have scales of their own.
    standardise = keras.layers.Normalization()
    standardise.adapt(features[~held_out])
    last = keras.layers.Dense(len(classes), activation="softmax")
    model = keras.Sequential([standardise, last])
    model.compile(
        keras.optimizers.Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    model.fit(features[~held_out], targets[~held_out], epochs=60, verbose=0)
    _, accuracy = model.evaluate(features[held_out], targets[held_out], verbose=0)
    print(f"accuracy {accuracy:.2f} on {held_out.sum()} files held out of {len(held_out)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
