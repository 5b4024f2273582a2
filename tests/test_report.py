"""Reports: the predictions, the drawn confusion matrix and TensorBoard's files, read again."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from sound_pipeline import features, report
from sound_pipeline.config import FeatureConfig
from sound_pipeline.datasets import DatasetConfig, Manifest, Recording, load_manifest
from sound_pipeline.evaluation import FoldResult
from tests.sound_folders import CLASSES, RATE_HZ, SHORT, clip, write_folder
from tests.sounds import write_wav

LONG_NAMES = (
    "air_conditioner",
    "car_horn",
    "children_playing",
    "dog_bark",
    "drilling",
    "engine_idling",
    "gun_shot",
    "jackhammer",
    "siren",
    "street_music",
)


def result_of(name: str, recordings: list[int], scores: list[list[float]]) -> FoldResult:
    curves = {"loss": [1.0, 0.5, 0.25], "validation_loss": [1.0, 0.75, 0.875]}
    return FoldResult(name, np.array(recordings), np.array(scores, np.float32), 0.5, curves)


def test_predictions_are_a_row_a_tested_recording(tmp_path: Path) -> None:
    recordings = (
        Recording('sounds/a, "loud".wav', "hum", 2, "a"),
        Recording("sounds/größer.wav", "noise", 1, "b"),
        Recording("sounds/c.wav", "whistle", None, "c"),
        Recording("sounds/untested.wav", "hum", 1, "d"),
    )
    manifest = Manifest("made up", recordings, CLASSES, 1.0)
    results = [
        result_of("fold 1", [1], [[0.1, 0.7, 0.2]]),
        result_of("fold 2", [2, 0], [[0.5, 0.25, 0.25], [0.125, 0.25, 0.625]]),
    ]
    report.write_predictions(tmp_path / "predictions.csv", manifest, results)
    with (tmp_path / "predictions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["path", "fold", "label", "predicted", "score"],
        ["sounds/größer.wav", "1", "noise", "noise", "0.700000"],
        ["sounds/c.wav", "fold 2", "whistle", "hum", "0.500000"],
        ['sounds/a, "loud".wav', "2", "hum", "whistle", "0.625000"],
    ]


def drawn(path: Path, matrix: np.ndarray, classes: tuple[str, ...], title: str = "") -> np.ndarray:
    """The drawn picture, read again: uint8 [height, width, 3]."""
    report.draw_confusion_matrix(path, matrix, classes, title)
    return tf.io.decode_png(path.read_bytes(), channels=3).numpy()


@pytest.mark.parametrize(
    ("classes", "least", "most"), [(("a", "b"), 350, 700), (LONG_NAMES, 600, 1200)]
)
def test_confusion_matrix_is_a_picture_of_sensible_size(
    tmp_path: Path, classes: tuple[str, ...], least: int, most: int
) -> None:
    matrix = np.random.default_rng(0).integers(0, 90, (len(classes), len(classes)))
    title = "folder (recordings of the whole yard, autumn 2024), grouped: accuracy 0.834"
    image = drawn(tmp_path / "confusion.png", matrix, classes, title)
    height, width, _ = image.shape
    assert least <= height <= most and least <= width <= most
    # Nothing is cut off: the picture's border is paper.
    border = [image[:2], image[-2:], image[:, :2], image[:, -2:]]
    assert all((edge == 255).all() for edge in border)


def test_confusion_matrix_shows_where_the_mistakes_are(tmp_path: Path) -> None:
    """Rows are true classes: shades are shares of a row, cells without a clip stay empty."""
    right = drawn(tmp_path / "right.png", np.diag([5, 50, 500]), CLASSES)
    wrong = np.diag([5, 50, 500])
    wrong[0] = [0, 0, 5]
    changed = (right != drawn(tmp_path / "wrong.png", wrong, CLASSES)).any(axis=2)
    rows, columns = np.nonzero(changed)
    height, width, _ = right.shape
    # The first row's outer cells, and nothing of the other two rows, differ.
    assert rows.max() < height / 2 and np.ptp(columns) > width / 3
    blue = right[..., 2].astype(int) - right[..., 0] > 60
    assert 0.03 < blue.mean() < 0.3


def test_a_class_without_clips_can_be_drawn(tmp_path: Path) -> None:
    matrix = np.array([[3, 0, 0], [0, 0, 0], [1, 0, 2]])
    with np.errstate(all="raise"):
        assert drawn(tmp_path / "confusion.png", matrix, CLASSES).std() > 0


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    data_dir = write_folder(tmp_path / "sounds", clips_a_class=2)
    return load_manifest(DatasetConfig("folder", str(data_dir)))


def test_sample_pictures_are_of_the_recordings_given(manifest: Manifest) -> None:
    """The first of each class among them; of a long one its first window."""
    whistle = clip("whistle", 7)
    long = np.concatenate([whistle, clip("noise", 7, 2.0)])
    write_wav(Path(manifest.recordings[4].path), long, RATE_HZ)
    pictures = report.sample_pictures(manifest, np.array([1, 4, 5]), SHORT)
    assert sorted(pictures) == ["hum", "whistle"]
    for label, waveform in ("hum", clip("hum", 1)), ("whistle", whistle):
        spectrogram = features.log_mel(tf.constant(waveform[None]), tf.constant(RATE_HZ), SHORT)
        grey = features.picture(spectrogram, 299, 299, SHORT)
        expected = features.colour(grey, SHORT.colormap)[0].numpy()
        assert pictures[label].shape == (299, 299, 3) and pictures[label].dtype == np.float32
        # A cell at the edge between two colours may fall on either side.
        assert np.abs(pictures[label] - expected).mean() < 1e-3


def test_tensorboard_reads_curves_accuracies_and_pictures(
    tmp_path: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = {
        label: np.random.default_rng(number).random((299, 299, 3), np.float32)
        for number, label in enumerate(CLASSES)
    }
    asked: list[list[int]] = []

    def sample_pictures(_: Manifest, recordings: np.ndarray, config: FeatureConfig) -> object:
        asked.append(recordings.tolist())
        return samples

    monkeypatch.setattr(report, "sample_pictures", sample_pictures)
    results = [
        result_of("fold 1", [0, 2], [[1, 0, 0], [0, 1, 0]]),
        result_of("fold 2", [4], [[0, 0, 1]]),
    ]
    confusion_png = tmp_path / "confusion.png"
    drawing = drawn(confusion_png, np.eye(3, dtype=np.int64), CLASSES)
    report.write_tensorboard(tmp_path / "logs", manifest, results, confusion_png, SHORT)
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {"fold_1", "fold_2", "summary"}

    def read(run: str) -> EventAccumulator:
        events = EventAccumulator(str(tmp_path / "logs" / run), size_guidance={"tensors": 0})
        return events.Reload()

    for run in ("fold_1", "fold_2"):
        events = read(run)
        assert set(events.Tags()["tensors"]) == {"loss", "validation_loss", "test accuracy"}
        for tag, values in results[0].curves.items():
            shown = events.Tensors(tag)
            assert [event.step for event in shown] == [1, 2, 3]
            assert [float(tf.make_ndarray(event.tensor_proto)) for event in shown] == values
        (accuracy,) = events.Tensors("test accuracy")
        assert float(tf.make_ndarray(accuracy.tensor_proto)) == 0.5

    summary = read("summary")
    pictures = {f"samples/{label}" for label in CLASSES}
    assert set(summary.Tags()["tensors"]) == {"confusion matrix", *pictures}

    def image(tag: str) -> np.ndarray:
        (event,) = summary.Tensors(tag)
        # Width, height, then the pictures as PNG.
        png = tf.make_ndarray(event.tensor_proto)[2]
        return tf.io.decode_png(png, channels=3).numpy()

    np.testing.assert_array_equal(image("confusion matrix"), drawing)
    assert asked == [[0, 2, 4]]
    for label in CLASSES:
        shown = image(f"samples/{label}")
        assert shown.shape == (299, 299, 3)
        np.testing.assert_allclose(shown / 255, samples[label], atol=1 / 255)
