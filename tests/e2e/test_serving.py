"""Requests of the kinds that model servers take, replayed against an exported model's graph."""

from __future__ import annotations

import base64
import json
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from tests.e2e import environments, model_server, programs, tiny_data
from tests.e2e.conftest import GaborModel
from tests.helpers import tiny_models

pytestmark = pytest.mark.slow

RATE = 44100
SAME = 1e-6


@pytest.fixture(scope="module")
def directory(gabor_model: GaborModel) -> Path:
    return gabor_model.directory


@pytest.fixture(scope="module")
def model(directory: Path) -> model_server.GraphModel:
    return model_server.GraphModel(directory)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A WAV file of each class, of different lengths."""
    folder = tmp_path_factory.mktemp("files")
    return [
        tiny_data.write_clip(folder / f"{label}.wav", label, seed, 0.3 + 0.4 * seed)
        for seed, label in enumerate(tiny_data.CLASSES)
    ]


@pytest.fixture
def protos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the server's messages importable here."""
    monkeypatch.syspath_prepend(str(environments.serving_protos()))


def run_example(monkeypatch: pytest.MonkeyPatch, name: str, *words: str) -> None:
    """Runs an example in this process, which has imported TensorFlow already."""
    program = str(programs.ROOT / "examples" / name)
    monkeypatch.setattr(sys, "argv", [program, *words])
    runpy.run_path(program, run_name="__main__")


@pytest.fixture(scope="module")
def waveform() -> npt.NDArray[np.float32]:
    random = np.random.default_rng(0)
    sounds = random.normal(0, 0.1, [3, 22000]) * np.linspace(0, 1, 22000)
    sounds[1] = 0.3 * np.sin(np.arange(22000) * 0.3)
    return (sounds * [[1], [1], [0.01]]).astype(np.float32)


def b64(path: Path) -> dict[str, str]:
    return {"b64": base64.b64encode(path.read_bytes()).decode()}


def in_python(directory: Path, waveform: npt.ArrayLike, rate: int) -> dict[str, Any]:
    answer = tf.saved_model.load(str(directory))(waveform, rate)
    return {name: value.numpy() for name, value in answer.items()}


def test_columns_of_waveforms_and_their_rate(
    directory: Path, model: model_server.GraphModel, waveform: npt.NDArray[np.float32]
) -> None:
    inputs = {"waveform": waveform.tolist(), "sample_rate": RATE}
    request = json.loads(json.dumps({"signature_name": "with_rate", "inputs": inputs}))
    outputs = model_server.answer_json(model, request)["outputs"]
    expected = in_python(directory, waveform, RATE)
    np.testing.assert_allclose(outputs["scores"], expected["scores"], atol=SAME)
    np.testing.assert_allclose(outputs["score"], expected["score"], atol=SAME)
    assert outputs["label"] == [label.decode() for label in expected["label"]]
    for name, shape in {"embedding": [3, 800], "spectrogram": [3, 299, 299, 3]}.items():
        request["signature_name"] = name
        # One output: the server leaves its name out.
        assert list(np.shape(model_server.answer_json(model, request)["outputs"])) == shape
    missing = round(tiny_models.CONFIG.windows.seconds * RATE) - waveform.shape[1]
    whole = np.pad(waveform, [(0, 0), (0, missing)]).tolist()
    request = {"signature_name": "windows", "inputs": inputs | {"waveform": whole}}
    windows = model_server.answer_json(model, request)["outputs"]
    assert {name: len(rows) for name, rows in windows.items()} == dict.fromkeys(
        ("scores", "embedding", "power"), 3
    )
    inputs["waveform"] = inputs["waveform"][0]
    request = {"signature_name": "recording", "inputs": inputs}
    windows = model_server.answer_json(model, request)["outputs"]
    assert len(windows["scores"]) == len(windows["start_seconds"])


def test_rows_of_waveforms_at_the_models_rate(
    directory: Path, model: model_server.GraphModel, waveform: npt.NDArray[np.float32]
) -> None:
    request = {"instances": waveform.tolist()}
    predictions = model_server.answer_json(model, request)["predictions"]
    expected = in_python(directory, waveform, tiny_models.CONFIG.spectrogram.sample_rate_hz)
    scores = [prediction["scores"] for prediction in predictions]
    np.testing.assert_allclose(scores, expected["scores"], atol=SAME)
    assert all(
        prediction.keys() == {"label", "score", "scores", "audible_seconds"}
        for prediction in predictions
    )


def test_rows_can_not_hold_the_rate(
    model: model_server.GraphModel, waveform: npt.NDArray[np.float32]
) -> None:
    """It is one number for the whole batch."""
    rows = [{"waveform": row.tolist(), "sample_rate": RATE} for row in waveform[:2]]
    with pytest.raises(ValueError, match=r"shape \(2,\)"):
        model_server.answer_json(model, {"signature_name": "with_rate", "instances": rows})


def test_files_in_rows_and_columns(model: model_server.GraphModel, files: list[Path]) -> None:
    rows = {"signature_name": "wav", "instances": [b64(path) for path in files]}
    named = {"signature_name": "wav", "instances": [{"wav": b64(path)} for path in files]}
    columns = {"signature_name": "wav", "inputs": {"wav": [b64(path) for path in files]}}
    predictions = model_server.answer_json(model, rows)["predictions"]
    assert model_server.answer_json(model, named)["predictions"] == predictions
    outputs = model_server.answer_json(model, columns)["outputs"]
    assert outputs["label"] == [prediction["label"] for prediction in predictions]
    # Sent as text, other alphabets included.
    assert set(outputs["label"]) <= set(tiny_models.LABELS)
    assert json.loads(json.dumps(outputs)) == outputs


@pytest.mark.parametrize("signature", ["serving_default", "with_rate", "wav"])
def test_a_batch_gets_what_each_alone_gets(
    model: model_server.GraphModel,
    waveform: npt.NDArray[np.float32],
    files: list[Path],
    signature: str,
) -> None:
    rate = {"sample_rate": np.int32(RATE)} if signature == "with_rate" else {}
    batch: Any = waveform
    if signature == "wav":
        batch = np.array([path.read_bytes() for path in files], object)
    name = "wav" if signature == "wav" else "waveform"
    together = model.run(signature, {name: batch, **rate})
    assert np.ptp(together["scores"], axis=0).max() > 0.01
    for row in range(len(batch)):
        alone = model.run(signature, {name: batch[row : row + 1], **rate})
        np.testing.assert_allclose(together["scores"][row], alone["scores"][0], atol=SAME)
        np.testing.assert_allclose(together["score"][row], alone["score"][0], atol=SAME)
        assert together["label"][row] == alone["label"][0]


def test_the_rest_client(model: model_server.GraphModel, files: list[Path], tmp_path: Path) -> None:
    labels = model.run("wav", {"wav": [path.read_bytes() for path in files]})["label"]
    client = str(programs.ROOT / "examples" / "serving_client.py")
    with model_server.serve_rest(model) as url:
        said = environments.call(sys.executable, client, url, *map(str, files))
        (tmp_path / "broken.wav").write_bytes(tiny_data.BROKEN)
        refused = programs.run(client, url, str(tmp_path / "broken.wav"), cache=tmp_path)
    for line, path, label in zip(said.splitlines(), files, labels, strict=True):
        assert line.startswith(f"{path}  {label.decode()}  0.")
    assert refused.status == 1
    assert tiny_data.WHY_BROKEN in refused.err
    assert "Traceback" not in refused.err


@pytest.mark.usefixtures("protos")
def test_the_grpc_client(
    model: model_server.GraphModel,
    files: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    labels = model.run("wav", {"wav": [path.read_bytes() for path in files]})["label"]
    broken = tmp_path / "broken.wav"
    broken.write_bytes(tiny_data.BROKEN)
    client = "serving_client_grpc.py"
    with model_server.serve_grpc(model) as address:
        run_example(monkeypatch, client, address, "sounds", *map(str, files))
        with pytest.raises(SystemExit, match=tiny_data.WHY_BROKEN):
            run_example(monkeypatch, client, address, "sounds", str(broken))
    lines = capsys.readouterr().out.splitlines()
    for line, path, label in zip(lines, files, labels, strict=True):
        assert line.startswith(f"{path}  {label.decode()}  0.")


@pytest.mark.usefixtures("protos")
def test_warm_up_requests(
    directory: Path,
    model: model_server.GraphModel,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    from tensorflow_serving.apis import prediction_log_pb2

    copy = shutil.copytree(directory, tmp_path / "saved_model")
    run_example(monkeypatch, "serving_warmup.py", str(copy), str(RATE))
    extra = copy / "assets.extra"
    assert {path.name for path in extra.iterdir()} == {"model.json", "tf_serving_warmup_requests"}
    asked = set()
    for record in tf.data.TFRecordDataset(str(extra / "tf_serving_warmup_requests")):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        request = log.predict_log.request
        asked.add(request.model_spec.signature_name)
        assert np.isfinite(model_server.answer_predict(model, request)["scores"]).all()
    assert asked == {"wav", "serving_default"}


def test_the_command_line_tool_of_tensorflow(
    directory: Path, waveform: npt.NDArray[np.float32], tmp_path: Path
) -> None:
    """`saved_model_cli`, which comes with TensorFlow; as docs/serving.md uses it."""
    sounds = tmp_path / "sounds.npz"
    np.savez(sounds, waveform=waveform, sample_rate=np.int32(RATE))
    inputs = f"waveform={sounds}[waveform];sample_rate={sounds}[sample_rate]"
    flags = ("--tag_set=serve", "--signature_def=with_rate", f"--inputs={inputs}")
    tool = (sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", "run")
    environments.call(*tool, f"--dir={directory}", *flags, f"--outdir={tmp_path}")
    expected = in_python(directory, waveform, RATE)["scores"]
    np.testing.assert_allclose(np.load(tmp_path / "scores.npy"), expected, atol=SAME)
