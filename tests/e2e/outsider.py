"""Uses an exported model where there is nothing but TensorFlow; run as a program.

`python outsider.py MODEL SOUNDS ANSWERS`: SOUNDS is an .npz with `waveform` [batch, samples],
`rate` and `wav`, the bytes of a file; ANSWERS becomes one with what the model said in each way
of asking it.
"""

from __future__ import annotations

import importlib.util
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
import tensorflow as tf

FOREIGN = ("sound_pipeline", "soundfile", "tensorflow_hub", "tensorflow_io", "tf_keras")
THREADS = 4


class Wrapper(tf.Module):
    """Somebody's module that has the model as a part."""

    def __init__(self, model: Any, rate: int) -> None:
        super().__init__()
        self.model = model
        self.rate = rate

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.float32)])
    def __call__(self, waveform: tf.Tensor) -> tf.Tensor:
        return self.model(waveform, self.rate)["scores"]


def main(directory: str, sounds: str, answers: str) -> None:
    found = [name for name in FOREIGN if importlib.util.find_spec(name)]
    assert not found, f"this environment holds {found}"
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    with np.load(sounds) as given:
        waveform, rate, wav = given["waveform"], int(given["rate"]), given["wav"].tobytes()
    model = tf.saved_model.load(directory)
    np.savez(
        answers,
        version=tf.__version__,
        labels=[label.decode() for label in model.labels.numpy()],
        **signatures(model, waveform, rate, wav),
        **elsewhere(model, directory, waveform, rate),
    )


def signatures(model: Any, waveform: np.ndarray, rate: int, wav: bytes) -> dict[str, Any]:
    """Every signature, and the call."""
    one = {"waveform": tf.constant(waveform[0]), "sample_rate": tf.constant(rate)}
    batch = {"waveform": tf.constant(waveform), "sample_rate": tf.constant(rate)}
    return {
        "called": model(waveform, rate)["scores"],
        "own_rate": model.signatures["serving_default"](waveform=batch["waveform"])["scores"],
        "with_rate": model.signatures["with_rate"](**batch)["scores"],
        "wav": model.signatures["wav"](wav=tf.constant([wav]))["scores"],
        "recording": model.signatures["recording"](**one)["scores"],
        "windows": model.signatures["windows"](
            waveform=batch["waveform"][:, : round(float(model.window_seconds) * rate)],
            sample_rate=batch["sample_rate"],
        )["scores"],
        "embedding": model.signatures["embedding"](**batch)["embedding"],
        "spectrogram": model.signatures["spectrogram"](**batch)["image"],
    }


def elsewhere(model: Any, directory: str, waveform: np.ndarray, rate: int) -> dict[str, Any]:
    """The scores of `waveform` at `rate`, asked for from inside other code."""
    sounds = tf.data.Dataset.from_tensor_slices(waveform)
    mapped = sounds.batch(2).map(lambda batch: model(batch, rate)["scores"], num_parallel_calls=2)
    with ThreadPoolExecutor(THREADS) as pool:
        threads = list(pool.map(lambda _: model(waveform, rate)["scores"], range(THREADS)))
    return {
        "in_a_function": tf.function(lambda batch: model(batch, rate)["scores"])(waveform),
        "in_a_dataset": np.concatenate(list(mapped)),
        "in_threads": threads,
        "part_of_another": part_of_another(model, waveform, rate),
        "keras_at_own_rate": keras_layer(directory, waveform),
        "mirrored": mirrored(directory, waveform, rate),
        "on_one_device": on_one_device(model, waveform, rate),
    }


def part_of_another(model: Any, waveform: np.ndarray, rate: int) -> tf.Tensor:
    with tempfile.TemporaryDirectory() as again:
        tf.saved_model.save(Wrapper(model, rate), again)
        return tf.saved_model.load(again)(waveform)


def keras_layer(directory: str, waveform: np.ndarray) -> np.ndarray:
    """As a layer of a model, batch by batch, saved and loaded by Keras 3."""
    inputs = keras.Input([None])
    answer = keras.layers.TFSMLayer(directory, call_endpoint="serving_default")(inputs)
    with tempfile.TemporaryDirectory() as folder:
        keras.Model(inputs, answer["scores"]).save(f"{folder}/model.keras")
        keras.config.enable_unsafe_deserialization()  # which Keras asks for before it loads one
        loaded = keras.models.load_model(f"{folder}/model.keras", compile=False)
    return loaded.predict(waveform, batch_size=2, verbose=0)


def mirrored(directory: str, waveform: np.ndarray, rate: int) -> np.ndarray:
    """Half of the batch on each of two devices, by a model that is loaded a second time."""
    strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
    with strategy.scope():
        model = tf.saved_model.load(directory)
    sounds = tf.data.Dataset.from_tensor_slices(waveform).batch(len(waveform))
    (batch,) = strategy.experimental_distribute_dataset(sounds)
    assert len(strategy.experimental_local_results(batch)) == 2

    @tf.function
    def run(batch: tf.Tensor) -> tf.Tensor:
        return strategy.run(lambda part: model(part, rate)["scores"], args=(batch,))

    return np.concatenate(strategy.experimental_local_results(run(batch)))


def on_one_device(model: Any, waveform: np.ndarray, rate: int) -> tf.Tensor:
    strategy = tf.distribute.OneDeviceStrategy("CPU:1")
    return strategy.run(lambda batch: model(batch, rate)["scores"], args=(tf.constant(waveform),))


if __name__ == "__main__":
    main(*sys.argv[1:])
