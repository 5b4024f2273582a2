"""Adds warm-up requests to an exported model, so that a server's first answer is quick too.

    pip install tensorflow-serving-api
    python examples/serving_warmup.py runs/demo/saved_model 44100

TensorFlow Serving replays them when it loads the model. 44100 is the sample rate in Hz of the
sounds to come.
"""

from __future__ import annotations

import io
import os
import sys
import wave
from typing import Any

import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2


def silence(seconds: float, rate: int) -> bytes:
    """A WAV file of 16 bits."""
    content = io.BytesIO()
    with wave.open(content, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(bytes(2 * round(seconds * rate)))
    return content.getvalue()


def warm_up(signature: str, **inputs: Any) -> bytes:
    """A record of one request."""
    log = prediction_log_pb2.PredictionLog()
    request = log.predict_log.request
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return log.SerializeToString()


def main(directory: str, rate: str) -> None:
    model = tf.saved_model.load(directory)
    seconds, own_rate = float(model.window_seconds), int(model.sample_rate)
    path = os.path.join(directory, "assets.extra", "tf_serving_warmup_requests")
    with tf.io.TFRecordWriter(f"{path}.unfinished") as file:
        file.write(warm_up("wav", wav=[silence(seconds, int(rate))]))
        window = tf.zeros([1, round(seconds * own_rate)])
        file.write(warm_up("serving_default", waveform=window))
    os.replace(f"{path}.unfinished", path)
    print(f"wrote {path}")


if __name__ == "__main__":
    main(*sys.argv[1:])
