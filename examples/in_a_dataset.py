"""Labels a folder of WAV files of any kind, several at a time, as a tf.data pipeline.

    python examples/in_a_dataset.py runs/demo/saved_model demo_data/heldout > labels.csv

Needs TensorFlow alone. The files are decoded by the model; their rates and lengths may differ.
"""

from __future__ import annotations

import csv
import sys

import tensorflow as tf

BATCH = 8


def main(directory: str, folder: str) -> None:
    model = tf.saved_model.load(directory)

    def label(paths: tf.Tensor) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        files = tf.map_fn(tf.io.read_file, paths)
        return paths, model.signatures["wav"](wav=files)

    paths = tf.data.Dataset.list_files(f"{folder}/*.wav", shuffle=False)
    answers = paths.batch(BATCH).map(label, num_parallel_calls=tf.data.AUTOTUNE)
    rows = csv.writer(sys.stdout)
    rows.writerow(["path", "label", "score"])
    for path, answer in answers.prefetch(1).unbatch().as_numpy_iterator():
        rows.writerow([path.decode(), answer["label"].decode(), f"{answer['score']:.4f}"])


if __name__ == "__main__":
    main(*sys.argv[1:])
