"""Labels WAV files with an exported model.

    python examples/load_and_label.py runs/demo/saved_model demo_data/heldout/dog_bark-2.wav

Needs TensorFlow alone. Reads files of 16 bits, as most are; the model's `wav` signature reads
others too: examples/in_a_dataset.py.
"""

from __future__ import annotations

import sys
import wave

import numpy as np
import tensorflow as tf


def read(path: str) -> tuple[np.ndarray, int]:
    """A WAV file of 16 bits as float32 [samples] in -1..1, mono, and its sample rate."""
    with wave.open(path) as file:
        if file.getsampwidth() != 2:
            sys.exit(f"{path}: {8 * file.getsampwidth()} bits; this example reads 16")
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        channels = samples.reshape(-1, file.getnchannels())
        return channels.mean(axis=1, dtype=np.float32) / 32768, file.getframerate()


def main(directory: str, *paths: str) -> None:
    model = tf.saved_model.load(directory)
    labels = [label.decode() for label in model.labels.numpy()]
    for path in paths:
        waveform, rate = read(path)
        answer = model(waveform[np.newaxis], rate)
        if not answer["audible_seconds"][0]:
            print(f"{path}  silent")
            continue
        scores = answer["scores"][0].numpy()
        best = scores.argmax()
        sure = "" if scores[best] >= model.min_score else "  (uncertain)"
        print(f"{path}  {labels[best]}  {scores[best]:.2f}{sure}")


if __name__ == "__main__":
    main(*sys.argv[1:])
