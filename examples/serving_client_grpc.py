"""Asks TensorFlow Serving's gRPC API to label WAV files.

pip install tensorflow-serving-api
python examples/serving_client_grpc.py localhost:8500 sounds demo_data/heldout/*.wav
"""

from __future__ import annotations

import sys

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc


def main(address: str, model: str, *paths: str) -> None:
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = "wav"
    files = [tf.io.read_file(path).numpy() for path in paths]
    request.inputs["wav"].CopyFrom(tf.make_tensor_proto(files))
    with grpc.insecure_channel(address) as channel:
        service = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        try:
            outputs = service.Predict(request, timeout=60).outputs
        except grpc.RpcError as error:
            sys.exit(f"{address}: {error.details()}")
    labels, scores = (tf.make_ndarray(outputs[name]) for name in ("label", "score"))
    for path, label, score in zip(paths, labels, scores, strict=True):
        print(f"{path}  {label.decode()}  {score:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
