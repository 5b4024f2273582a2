"""Metrics: scikit-learn's, also where classes are absent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from sound_pipeline import metrics


@st.composite
def judged(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Labels and predictions of up to 8 classes, seldom all of them among the few clips."""
    classes = draw(st.integers(1, 8))
    clips = draw(st.integers(1, 20))
    ids = st.lists(st.integers(0, classes - 1), min_size=clips, max_size=clips)
    return np.array(draw(ids), np.int32), np.array(draw(ids)), classes


@pytest.mark.filterwarnings("ignore:A single label was found")
@given(judged())
def test_agrees_with_scikit_learn(case: tuple[np.ndarray, np.ndarray, int]) -> None:
    labels, predicted, classes = case
    everyone = range(classes)
    assert metrics.accuracy(labels, predicted) == pytest.approx(
        oracle.accuracy_score(labels, predicted)
    )
    np.testing.assert_array_equal(
        metrics.confusion_matrix(labels, predicted, classes),
        oracle.confusion_matrix(labels, predicted, labels=everyone),
    )
    np.testing.assert_allclose(
        metrics.f1_by_class(labels, predicted, classes),
        oracle.f1_score(labels, predicted, labels=everyone, average=None, zero_division=0),
    )
    assert metrics.macro_f1(labels, predicted, classes) == pytest.approx(
        oracle.f1_score(labels, predicted, average="macro", zero_division=0)
    )


def test_rows_of_the_confusion_matrix_are_true_classes() -> None:
    matrix = metrics.confusion_matrix(np.array([0, 0, 2]), np.array([1, 1, 2]), 4)
    assert matrix.tolist() == [[0, 2, 0, 0], [0] * 4, [0, 0, 1, 0], [0] * 4]
    assert matrix.dtype == np.int64


def test_a_class_that_never_occurs_does_not_lower_macro_f1() -> None:
    labels = np.array([0, 1, 1])
    assert metrics.macro_f1(labels, labels, classes=10) == 1.0
    assert metrics.f1_by_class(labels, labels, classes=3).tolist() == [1.0, 1.0, 0.0]
