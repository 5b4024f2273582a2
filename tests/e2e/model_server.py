"""Answers as TensorFlow Serving does, as far as its documents say how; for tests of the clients.

Like the real server it knows of a SavedModel its graph and signatures alone, feeds the tensors
that a signature names and fetches those it names, in a session; no Python object is restored.
What JSON becomes which tensor is in the server's api_rest.md.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

Arrays = dict[str, npt.NDArray[Any]]


class GraphModel:
    """The signatures of a SavedModel, run in a session."""

    def __init__(self, directory: Path) -> None:
        self._graph = tf.Graph()
        self._session = tf.compat.v1.Session(graph=self._graph)
        with self._graph.as_default():
            meta = tf.compat.v1.saved_model.load(self._session, ["serve"], str(directory))
        self.signatures = meta.signature_def

    def run(self, signature: str, inputs: Mapping[str, Any]) -> Arrays:
        """Raises `ValueError` or `tf.errors.OpError` where the server answers with an error."""
        definition = self.signatures[signature]
        if set(inputs) != set(definition.inputs):
            raise ValueError(f"{signature} takes {sorted(definition.inputs)}, not {sorted(inputs)}")
        feed = {definition.inputs[name].name: value for name, value in inputs.items()}
        fetch = {name: info.name for name, info in definition.outputs.items()}
        answer: Arrays = self._session.run(fetch, feed)
        return answer


def answer_json(model: GraphModel, request: Mapping[str, Any]) -> dict[str, Any]:
    """The predict API: rows ("instances") or columns ("inputs")."""
    signature = request.get("signature_name", "serving_default")
    names = sorted(model.signatures[signature].inputs)
    if "instances" in request:
        rows = [_named(row, names) for row in request["instances"]]
        columns = {name: [row[name] for row in rows] for name in names}
    else:
        columns = _named(request["inputs"], names)
    definition = model.signatures[signature].inputs
    inputs = {
        name: np.array(_binary(values), tf.as_dtype(definition[name].dtype).as_numpy_dtype)
        for name, values in columns.items()
    }
    outputs = {
        name: [text.decode() for text in value] if value.dtype == object else value.tolist()
        for name, value in model.run(signature, inputs).items()
    }
    if "inputs" in request:
        return {"outputs": outputs if len(outputs) > 1 else next(iter(outputs.values()))}
    if {len(values) for values in outputs.values()} != {len(rows)}:
        raise ValueError("the outputs do not all have the batch as their first dimension")
    if len(outputs) == 1:
        return {"predictions": next(iter(outputs.values()))}
    return {
        "predictions": [
            {name: values[row] for name, values in outputs.items()} for row in range(len(rows))
        ]
    }


def _named(value: Any, names: list[str]) -> dict[str, Any]:
    """Values by name; that of a lone input may come without it."""
    if isinstance(value, dict) and set(value) == set(names):
        return value
    if len(names) > 1:
        raise ValueError(f"an object with {names} is expected")
    return {names[0]: value}


def _binary(value: Any) -> Any:
    if isinstance(value, list):
        return [_binary(item) for item in value]
    if isinstance(value, dict):
        return base64.b64decode(value["b64"], validate=True)
    return value


@contextmanager
def serve_rest(model: GraphModel) -> Iterator[str]:
    """The URL of the model, named `sounds`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                assert self.path == "/v1/models/sounds:predict"
                status, answer = 200, answer_json(model, json.loads(body))
            except (KeyError, TypeError, ValueError, tf.errors.OpError) as error:
                status, answer = 400, {"error": str(error)}
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(answer).encode())

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/models/sounds"
        server.shutdown()


@contextmanager
def serve_grpc(model: GraphModel) -> Iterator[str]:
    """The address of a PredictionService; the server's messages must be importable."""
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request: Any, context: Any) -> Any:
            assert request.model_spec.name == "sounds"
            try:
                outputs = answer_predict(model, request)
            except (ValueError, tf.errors.OpError) as error:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            response = predict_pb2.PredictResponse()
            for name, value in outputs.items():
                response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
            return response

    server = grpc.server(ThreadPoolExecutor(2))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def answer_predict(model: GraphModel, request: Any) -> Arrays:
    """What a PredictRequest is answered with."""
    inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
    return model.run(request.model_spec.signature_name, inputs)
