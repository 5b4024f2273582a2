"""Asks TensorFlow Serving's REST API to label WAV files.

    python examples/serving_client.py http://localhost:8501/v1/models/sounds demo_data/heldout/*.wav

Needs Python alone. docs/serving.md says how to start the server.
"""

from __future__ import annotations

import base64
import json
import sys
import urllib.error
import urllib.request
from typing import Any


def predict(url: str, request: dict[str, Any]) -> dict[str, Any]:
    """Sends a request; returns the answer, or stops with what the server said was wrong."""
    body = json.dumps(request).encode()
    try:
        with urllib.request.urlopen(f"{url}:predict", body, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        sys.exit(f"{url}: {json.load(error)['error']}")
    except urllib.error.URLError as error:
        sys.exit(f"{url}: {error.reason}")


def main(url: str, *paths: str) -> None:
    instances = []
    for path in paths:
        with open(path, "rb") as file:
            instances.append({"b64": base64.b64encode(file.read()).decode()})
    answer = predict(url, {"signature_name": "wav", "instances": instances})
    for path, prediction in zip(paths, answer["predictions"], strict=True):
        print(f"{path}  {prediction['label']}  {prediction['score']:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
