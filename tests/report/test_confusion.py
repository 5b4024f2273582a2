"""The confusion matrix's image, read again."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from sound_pipeline.report.confusion import MOST_CLASSES, draw_confusion_matrix, most_mistaken
from tests.helpers.sound_folders import CLASSES

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


def drawn(path: Path, matrix: np.ndarray, classes: tuple[str, ...], title: str = "") -> np.ndarray:
    """The drawn image, read again: uint8 [height, width, 3]."""
    draw_confusion_matrix(path, matrix, classes, title)
    return np.round(imread(path)[..., :3] * 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("classes", "least", "most"), [(("a", "b"), 350, 700), (LONG_NAMES, 600, 1200)]
)
def test_confusion_matrix_is_a_image_of_sensible_size(
    tmp_path: Path, classes: tuple[str, ...], least: int, most: int
) -> None:
    matrix = np.random.default_rng(0).integers(0, 90, (len(classes), len(classes)))
    title = "folder (recordings of the whole yard, autumn 2024), grouped: accuracy 0.834"
    image = drawn(tmp_path / "confusion.png", matrix, classes, title)
    height, width, _ = image.shape
    assert least <= height <= most and least <= width <= most
    # Nothing is cut off: the image's border is paper.
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


@pytest.mark.parametrize("count", [200, 600])
def test_many_classes_are_those_with_most_mistakes_on_a_bounded_image(
    tmp_path: Path, count: int
) -> None:
    matrix = np.diag(np.full(count, 5))
    matrix[7, count - 1] = matrix[count - 3, 7] = 2
    shown = most_mistaken(matrix)
    assert len(shown) == MOST_CLASSES and {7, count - 1, count - 3} <= set(shown)
    assert (np.diff(shown) > 0).all()
    names = tuple(f"class {number}" for number in range(count))
    height, width, _ = drawn(tmp_path / "confusion.png", matrix, names, "a title").shape
    assert max(height, width) < 2900


def test_any_name_is_drawn_as_it_is(tmp_path: Path) -> None:
    names = ("$\\frac{", "a$b$", "two\nlines", "x" * 300, "サイレン")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing", UserWarning)
        height, width, _ = drawn(tmp_path / "a.png", np.diag(range(5)), names, "$ in a title").shape
    assert max(height, width) < 1500


def test_few_classes_are_all_shown() -> None:
    assert most_mistaken(np.zeros((3, 3), int)).tolist() == [0, 1, 2]
