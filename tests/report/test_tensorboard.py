"""TensorBoard's files, read again by TensorBoard itself."""

from __future__ import annotations

import dataclasses
import io
import json
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sound_pipeline.evaluation.predictions import Predictions
from sound_pipeline.report import tensorboard
from sound_pipeline.report.excerpts import Excerpt
from sound_pipeline.report.run_results import RunResults
from sound_pipeline.report.tensorboard import write_tensorboard
from sound_pipeline.system.text import printable
from tests.report import example_runs

CLASSES = ("gun shot", "hum", "whistle", "never tested")
CURVES = {
    "fold 1": {"loss": [1.0, 0.5, 0.25], "validation_loss": [1.0, 0.75, 0.875]},
    "fold 2": {"loss": [2.0, 0.125]},
    "only unknown": {"loss": [0.5]},
}
RATE_HZ = 8000
MISTAKES = ["mistakes/01 hum -> whistle 0.81", "mistakes/02 whistle -> hum 0.50"]


def some_predictions() -> Predictions:
    scores = [
        [0.90, 0.05, 0.05, 0.0],  # fold 1: right
        [0.10, 0.09, 0.81, 0.0],  # fold 1: hum taken for a whistle
        [0.10, 0.20, 0.70, 0.0],  # fold 1: right
        [0.20, 0.50, 0.30, 0.0],  # fold 2: whistle taken for a hum
        [0.00, 1.00, 0.00, 0.0],  # of an unknown class
    ]
    return Predictions(
        CLASSES,
        np.array(["a.wav", "b\tb.wav", "größer.wav", "d\nd.wav", "e.wav"]),
        np.array(["fold 1", "fold 1", "fold 1", "fold 2", "only unknown"]),
        np.array(["a", "b", "c", "d", "e"]),
        np.array(["gun shot", "hum", "whistle", "whistle", "si\tren"]),
        np.array(scores, np.float32),
        np.full(5, 0.5, np.float32),
    )


def results(curves: Mapping[str, Mapping[str, list[float]]], embeddings: np.ndarray) -> RunResults:
    example = example_runs.results(curves=curves)
    return dataclasses.replace(example, predictions=some_predictions(), embeddings=embeddings)


def excerpt(row: int) -> Excerpt:
    predictions = some_predictions()
    random = np.random.default_rng(row)
    return Excerpt(
        path=str(predictions.paths[row]),
        label=str(predictions.labels[row]),
        predicted=CLASSES[predictions.predicted[row]],
        score=float(predictions.score[row]),
        sample_rate_hz=RATE_HZ,
        waveform=random.uniform(-1, 1, 100 + row).astype(np.float32),
        image=random.integers(0, 256, (299, 299, 3), np.uint8),
    )


@pytest.fixture(scope="module")
def confusion() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


@pytest.fixture(scope="module")
def embeddings() -> np.ndarray:
    return np.random.default_rng(1).normal(0, 30, (5, 7)).astype(np.float32)


@pytest.fixture(scope="module")
def logs(
    tmp_path_factory: pytest.TempPathFactory, confusion: np.ndarray, embeddings: np.ndarray
) -> Path:
    """The log directory, moved after it was written."""
    directory = tmp_path_factory.mktemp("run")
    png = directory / "confusion.png"
    png.write_bytes(tf.io.encode_png(confusion).numpy())
    written = directory / "unfinished"
    samples, mistakes = [excerpt(row) for row in (0, 1)], [excerpt(row) for row in (1, 3)]
    write_tensorboard(written, results(CURVES, embeddings), png, samples, mistakes)
    return written.rename(directory / "tensorboard")


def read(logs: Path, run: str) -> EventAccumulator:
    return EventAccumulator(str(logs / run), size_guidance={"tensors": 0}).Reload()


def value(events: EventAccumulator, tag: str) -> Any:
    (event,) = events.Tensors(tag)
    return tf.make_ndarray(event.tensor_proto)


def test_a_run_a_fold_holds_its_curves_and_its_accuracy(logs: Path) -> None:
    assert {path.name for path in logs.iterdir()} == {"fold_1", "fold_2", "only_unknown", "summary"}
    for fold, accuracy in ("fold 1", 2 / 3), ("fold 2", 0.0), ("only unknown", None):
        events = read(logs, fold.replace(" ", "_"))
        tags = set(events.Tags()["tensors"])
        assert tags == {*CURVES[fold], *(["test accuracy"] if accuracy is not None else [])}
        for tag, values in CURVES[fold].items():
            shown = events.Tensors(tag)
            assert [event.step for event in shown] == list(range(1, len(values) + 1))
            assert [float(tf.make_ndarray(event.tensor_proto)) for event in shown] == values
        if accuracy is not None:
            assert float(value(events, "test accuracy")) == pytest.approx(accuracy)


def test_summary_shows_images_and_sounds(logs: Path, confusion: np.ndarray) -> None:
    summary = read(logs, "summary")
    samples = ["samples/gun shot", "samples/hum"]
    shown = [*samples, *MISTAKES]
    curves = [f"precision and recall/{label}/pr_curves" for label in CLASSES[:3]]
    sounds = [f"{tag}/sound" for tag in shown]
    assert set(summary.Tags()["tensors"]) == {"confusion matrix", *shown, *sounds, *curves}

    def image(tag: str) -> np.ndarray:
        # Width, height, then the images as PNG.
        return tf.io.decode_png(value(summary, tag)[2], channels=3).numpy()

    np.testing.assert_array_equal(image("confusion matrix"), confusion)
    for tag, row in zip(shown, (0, 1, 1, 3), strict=True):
        np.testing.assert_array_equal(image(tag), excerpt(row).image)
        ((wav, _),) = value(summary, f"{tag}/sound")
        waveform, rate_hz = soundfile.read(io.BytesIO(wav), dtype="float32")
        assert rate_hz == RATE_HZ
        # 16 bits.
        np.testing.assert_allclose(waveform, excerpt(row).waveform, atol=2**-14)
        assert summary.SummaryMetadata(tag).summary_description == f"`{excerpt(row).path}`"


def test_precision_and_recall_are_those_of_known_recordings(logs: Path) -> None:
    """The unknown recording, a hum with a score of 1, counts nowhere."""
    curve = value(read(logs, "summary"), "precision and recall/hum/pr_curves")
    true_positives, false_positives, _, false_negatives, precision, recall = curve
    thresholds = np.linspace(0, 1, curve.shape[1])
    hum = [0.05, 0.09, 0.20, 0.50]  # the second is one
    for threshold in (0.02, 0.07, 0.15, 0.3, 0.7):
        at = int(np.searchsorted(thresholds, threshold))
        called = [score >= thresholds[at] for score in hum]
        assert true_positives[at] == called[1]
        assert false_positives[at] == sum(called) - called[1]
        assert false_negatives[at] == 1 - called[1]
        assert recall[at] == called[1]
        assert precision[at] == pytest.approx(called[1] / max(sum(called), 1))


def test_projector_has_a_line_a_clip(logs: Path, embeddings: np.ndarray) -> None:
    shown = np.loadtxt(logs / "summary" / "embeddings.tsv", delimiter="\t")
    np.testing.assert_allclose(shown, embeddings, rtol=1e-4)
    text = (logs / "summary" / "clips.tsv").read_text(encoding="utf-8")
    assert [line.split("\t") for line in text.split("\n")] == [
        ["label", "predicted", "answer", "fold", "path"],
        ["gun shot", "gun shot", "right", "fold 1", "a.wav"],
        ["hum", "whistle", "wrong", "fold 1", "b\\tb.wav"],
        ["whistle", "whistle", "right", "fold 1", "größer.wav"],
        ["whistle", "hum", "wrong", "fold 2", "d\\nd.wav"],
        ["si\\tren", "hum", "unknown class", "only unknown", "e.wav"],
        [""],
    ]


@pytest.mark.parametrize(
    ("most_clips", "most_numbers", "rows"),
    [(3, 1000, [0, 1, 3]), (5, 1000, [0, 1, 2, 3, 4]), (5, 14, [0, 2]), (5, 3, [0])],
)
def test_projector_gets_clips_from_all_over_where_there_are_many(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    embeddings: np.ndarray,
    most_clips: int,
    most_numbers: int,
    rows: list[int],
) -> None:
    monkeypatch.setattr(tensorboard, "MOST_PROJECTED", most_clips)
    monkeypatch.setattr(tensorboard, "_MOST_NUMBERS", most_numbers)
    png = tmp_path / "confusion.png"
    png.write_bytes(tf.io.encode_png(np.zeros((2, 2, 3), np.uint8)).numpy())
    write_tensorboard(tmp_path / "logs", results({}, embeddings), png, [], [])
    shown = np.loadtxt(tmp_path / "logs" / "summary" / "embeddings.tsv", ndmin=2)
    np.testing.assert_allclose(shown, embeddings[rows], rtol=1e-4)
    text = (tmp_path / "logs" / "summary" / "clips.tsv").read_text(encoding="utf-8")
    paths = [line.split("\t")[4] for line in text.splitlines()[1:]]
    assert paths == [printable(some_predictions().paths[row]) for row in rows]


@pytest.fixture(scope="module")
def server(logs: Path) -> Iterator[str]:
    """The address of a TensorBoard that shows the logs."""
    process = subprocess.Popen(
        [
            sys.executable, "-m", "tensorboard.main", "serve", f"--logdir={logs}",
            "--host=127.0.0.1", "--port=0", "--load_fast=false",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert process.stderr
    said = []
    for line in process.stderr:
        said.append(line)
        if "http://" in line:
            break
    else:
        pytest.fail("".join(said))
    try:
        yield line[line.index("http://") :].split()[0].rstrip("/")
    finally:
        process.terminate()
        process.communicate(timeout=30)


def ask(server: str, route: str, **query: str) -> bytes:
    address = f"{server}/data/plugin/{route}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(address, timeout=30) as answer:
        return answer.read()


@pytest.mark.slow
def test_a_tensorboard_server_finds_it_all(server: str, embeddings: np.ndarray) -> None:
    until = time.monotonic() + 60
    tags: dict[str, Any] = {}
    while len(tags.get("summary", {})) < 4 and time.monotonic() < until:
        time.sleep(0.2)  # it reads the files in the background
        tags = json.loads(ask(server, "audio/tags"))
    sound = f"{MISTAKES[0]}/sound"
    assert sound in tags["summary"]
    (shown,) = json.loads(ask(server, "audio/audio", run="summary", tag=sound, sample="0"))
    wav = ask(server, "audio/individualAudio", **dict(urllib.parse.parse_qsl(shown["query"])))
    assert len(soundfile.read(io.BytesIO(wav))[0]) == len(excerpt(1).waveform)

    curves = json.loads(ask(server, "pr_curves/tags"))["summary"]
    assert {curve["displayName"] for curve in curves.values()} == set(CLASSES[:3])
    tag = "precision and recall/whistle/pr_curves"
    (curve,) = json.loads(ask(server, "pr_curves/pr_curves", run="summary", tag=tag))["summary"]
    assert curve["true_positives"][0] == 2 and curve["recall"][0] == 1

    assert json.loads(ask(server, "projector/runs")) == ["summary"]
    (found,) = json.loads(ask(server, "projector/info", run="summary"))["embeddings"]
    assert found["tensorShape"] == list(embeddings.shape)
    name = found["tensorName"]
    numbers = np.frombuffer(ask(server, "projector/tensor", run="summary", name=name), np.float32)
    np.testing.assert_allclose(numbers.reshape(embeddings.shape), embeddings, rtol=1e-4)
    lines = ask(server, "projector/metadata", run="summary", name=name).decode().split("\n")
    assert lines[0].split("\t") == ["label", "predicted", "answer", "fold", "path"]
    assert len(lines) == 1 + len(embeddings) + 1
