"""Metrics: scikit-learn's, also where classes are absent."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from sklearn import metrics as oracle

from sound_pipeline.evaluation import metrics


@st.composite
def judged(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int]:
    """Labels and predictions of up to 8 classes, seldom all of them among the few clips."""
    classes = draw(st.integers(1, 8))
    clips = draw(st.integers(1, 20))
    ids = st.lists(st.integers(0, classes - 1), min_size=clips, max_size=clips)
    return np.array(draw(ids), np.int32), np.array(draw(ids)), classes


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Labels of up to 6 classes and float32 scores, many of them alike."""
    classes = draw(st.integers(3, 6))
    clips = draw(st.integers(1, 20))
    labels = st_numpy.arrays(np.int64, clips, elements=st.integers(0, classes - 1))
    few = st.sampled_from([0.0, 2.0**-30, 0.25, 0.5, 1.0])
    score = draw(st.sampled_from([few, st.floats(0, 1, width=32)]))
    return draw(labels), draw(st_numpy.arrays(np.float32, (clips, classes), elements=score))


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
    np.testing.assert_allclose(
        metrics.precision_by_class(labels, predicted, classes),
        oracle.precision_score(labels, predicted, labels=everyone, average=None, zero_division=0),
    )
    np.testing.assert_allclose(
        metrics.recall_by_class(labels, predicted, classes),
        oracle.recall_score(labels, predicted, labels=everyone, average=None, zero_division=0),
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


def test_precision_and_recall_of_a_class_never_met_are_zero() -> None:
    labels, predicted = np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1])
    assert metrics.precision_by_class(labels, predicted, 4).tolist() == [1, 1 / 3, 0, 0]
    assert metrics.recall_by_class(labels, predicted, 4).tolist() == [0.5, 1, 0, 0]


@settings(deadline=None)
@given(scored())
def test_ranking_agrees_with_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    labels, scores = case
    by_class = metrics.average_precision_by_class(labels, scores)
    assert by_class.shape == (scores.shape[1],)
    for number, score in enumerate(scores.T):
        positive = labels == number
        precision, area = by_class[number], metrics.roc_auc(positive, score)
        if positive.any():
            expected = oracle.average_precision_score(positive, score)
            assert precision == pytest.approx(expected, abs=1e-12)
            assert metrics.average_precision(positive, score) == precision
        else:
            assert np.isnan(precision)
        if positive.any() and not positive.all():
            assert area == pytest.approx(oracle.roc_auc_score(positive, score), abs=1e-12)
        else:
            assert np.isnan(area)


@pytest.mark.filterwarnings("ignore:'k' .* greater than or equal to 'n_classes'")
@settings(deadline=None)
@given(scored(), st.integers(1, 7))
def test_top_k_accuracy_agrees_with_scikit_learn(
    case: tuple[np.ndarray, np.ndarray], k: int
) -> None:
    labels, scores = case
    everyone = range(scores.shape[1])
    assert metrics.top_k_accuracy(labels, scores, k) == pytest.approx(
        oracle.top_k_accuracy_score(labels, scores, k=k, labels=everyone)
    )


def test_top_k_accuracy() -> None:
    labels = np.array([0, 1, 2, 3])
    scores = np.array([[4, 3, 2, 1]] * 4, np.float32) / 10
    assert [metrics.top_k_accuracy(labels, scores, k) for k in (1, 2, 3, 4, 9)] == [
        *(0.25, 0.5, 0.75, 1.0, 1.0)
    ]
    # Equal scores: the last class comes first.
    alike = np.full((4, 4), 0.25, np.float32)
    assert metrics.top_k_accuracy(labels, alike, 1) == 0.25
    assert metrics.top_k_accuracy(np.array([3, 3, 3, 0]), alike, 1) == 0.75


def test_average_precision_takes_equal_scores_together() -> None:
    positive = np.array([True, False, False, True])
    assert metrics.average_precision(positive, np.array([0.9, 0.8, 0.7, 0.6])) == 0.75
    assert metrics.average_precision(positive, np.full(4, 0.5)) == 0.5
    assert metrics.average_precision(positive, np.array([0.9, 0.5, 0.5, 0.5])) == 0.75


def test_area_under_the_roc_curve_is_of_pairs() -> None:
    positive = np.array([True, False, True, False])
    assert metrics.roc_auc(positive, np.array([0.9, 0.1, 0.8, 0.2])) == 1.0
    assert metrics.roc_auc(positive, np.array([0.1, 0.9, 0.2, 0.8])) == 0.0
    assert metrics.roc_auc(positive, np.array([0.9, 0.1, 0.5, 0.5])) == 0.875
    assert metrics.roc_auc(positive, np.full(4, 0.5)) == 0.5


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("positive", [[], [True, True], [False, False]])
def test_ranking_without_one_of_the_sides_is_undefined(positive: list[bool]) -> None:
    score = np.linspace(0, 1, len(positive))
    assert np.isnan(metrics.roc_auc(np.array(positive, np.bool_), score))
    expected = 1.0 if any(positive) else np.nan
    precision = metrics.average_precision(np.array(positive, np.bool_), score)
    assert precision == pytest.approx(expected, nan_ok=True)


def test_ranking_of_many_clips() -> None:
    random = np.random.default_rng(0)
    positive = random.random(100_000) < 0.01
    score = np.round(random.random(100_000) + 0.3 * positive, 3).astype(np.float32)
    assert metrics.roc_auc(positive, score) == pytest.approx(
        oracle.roc_auc_score(positive, score), abs=1e-12
    )
    assert metrics.average_precision(positive, score) == pytest.approx(
        oracle.average_precision_score(positive, score), abs=1e-12
    )
