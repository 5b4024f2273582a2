"""Calibration: against plain implementations, SciPy and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy
from scipy import optimize, special, stats
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression

from sound_pipeline.heads.calibration import (
    Calibration,
    expected_calibration_error,
    fit_temperature,
    reliability_curve,
    with_temperature,
    wrong_below,
)

# Some on the borders of bins, and many alike.
few_scores = st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75, 1.0])
any_scores = st.floats(0, 1, width=32)


@st.composite
def answers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Scores, float32 or float64, and whether the answers were right."""
    clips = draw(st.integers(1, 30))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    elements = draw(st.sampled_from([few_scores, any_scores]))
    score = draw(st_numpy.arrays(dtype, clips, elements=elements))
    return score, draw(st_numpy.arrays(np.bool_, clips))


def plain_reliability(
    score: list[float], right: list[bool], bins: int
) -> list[tuple[float, float, int]]:
    """Mean score, accuracy and size of each filled bin ((n - 1) / bins, n / bins]."""
    curve = []
    for number in range(bins):
        low, high = number / bins, (number + 1) / bins
        inside = [
            (s, r)
            for s, r in zip(score, right, strict=True)
            if low < s <= high or (number == 0 and s == 0)
        ]
        if inside:
            clips = len(inside)
            mean = math.fsum(s for s, _ in inside) / clips
            curve.append((mean, sum(r for _, r in inside) / clips, clips))
    return curve


@settings(deadline=None)
@given(answers(), st.integers(1, 20))
def test_reliability_agrees_with_a_plain_implementation(
    case: tuple[np.ndarray, np.ndarray], bins: int
) -> None:
    score, right = case
    curve = reliability_curve(score, right, bins)
    expected = plain_reliability(score.tolist(), right.tolist(), bins)
    assert curve.clips.tolist() == [clips for _, _, clips in expected]
    np.testing.assert_allclose(curve.score, [mean for mean, _, _ in expected], rtol=1e-12)
    np.testing.assert_allclose(curve.accuracy, [share for _, share, _ in expected])
    assert (curve.score.dtype, curve.accuracy.dtype) == (np.float64, np.float64)
    error = sum(clips / len(score) * abs(share - mean) for mean, share, clips in expected)
    assert expected_calibration_error(score, right, bins) == pytest.approx(error, abs=1e-12)


@pytest.mark.parametrize("bins", [1, 5, 15])
def test_reliability_agrees_with_scikit_learn(bins: int) -> None:
    random = np.random.default_rng(bins)
    score = random.uniform(0.3, 1, 500)
    right = random.random(500) < score
    accuracy, mean = calibration_curve(right, score, n_bins=bins)
    curve = reliability_curve(score, right, bins)
    np.testing.assert_allclose(curve.score, mean)
    np.testing.assert_allclose(curve.accuracy, accuracy)
    assert curve.clips.sum() == 500


def test_reliability_by_hand() -> None:
    score = np.array([0.0, 0.5, 0.5, 0.75, 1.0, 1.0], np.float32)
    right = np.array([False, True, False, True, True, True])
    curve = reliability_curve(score, right, bins=4)
    # 0.5 and 0.75 are the upper ends of the second and third bin; 0 is in the first.
    assert curve.score.tolist() == [0.0, 0.5, 0.75, 1.0]
    assert curve.accuracy.tolist() == [0.0, 0.5, 1.0, 1.0]
    assert curve.clips.tolist() == [1, 2, 1, 2]
    assert expected_calibration_error(score, right, bins=4) == pytest.approx(0.25 / 6)


def test_fifteen_bins_unless_told() -> None:
    score = np.arange(1, 151) / 150
    right = np.arange(150) % 10 < 5
    assert reliability_curve(score, right).clips.tolist() == [10] * 15
    error = expected_calibration_error(score, right)
    assert error == pytest.approx(expected_calibration_error(score, right, 15))
    assert error != pytest.approx(expected_calibration_error(score, right, 10))


def test_calibrated_and_overconfident_scores() -> None:
    random = np.random.default_rng(0)
    score = random.uniform(0.5, 1, 100_000)
    right = random.random(100_000) < score
    assert expected_calibration_error(score, right) < 0.01
    assert expected_calibration_error((1 + score) / 2, right) == pytest.approx(0.125, abs=0.01)


def test_no_answers() -> None:
    nothing, none = np.zeros(0, np.float32), np.zeros(0, np.bool_)
    assert len(reliability_curve(nothing, none).clips) == 0
    assert math.isnan(expected_calibration_error(nothing, none))
    assert wrong_below(nothing, none) == 0.0


def drawn(clips: int, classes: int, scale: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from what they say."""
    random = np.random.default_rng(seed)
    logits = scale * random.normal(size=(clips, classes))
    chances = special.softmax(logits, axis=1)
    labels = [random.choice(classes, p=row) for row in chances]
    return logits, np.array(labels)


def loss(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Less the logarithm of the likelihood, and of a gamma distribution of 1 / T with mode 1."""
    own = special.log_softmax(logits / temperature, axis=1)[np.arange(len(labels)), labels]
    return -float(own.sum() + stats.gamma.logpdf(1 / temperature, a=4, scale=1 / 3))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("clips", "classes", "scale", "factor"),
    [(1, 2, 1, 1.0), (30, 10, 3, 2.5), (200, 3, 1, 0.5), (40, 50, 4, 1.0), (50, 5, 3000, 1.0)],
)
def test_temperature_is_where_scipy_finds_it(
    clips: int, classes: int, scale: float, factor: float, seed: int
) -> None:
    logits, labels = drawn(clips, classes, scale, seed)
    logits *= factor
    found = fit_temperature(logits, labels)
    best = optimize.minimize_scalar(
        lambda log: loss(logits, labels, math.exp(log)),
        bounds=(-math.log(50), math.log(50)),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert found == pytest.approx(math.exp(best.x), rel=1e-5)
    # Logits and log-probabilities say the same.
    normal = special.log_softmax(logits, axis=1)
    assert fit_temperature(normal, labels) == pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_is_recovered(temperature: float) -> None:
    logits, labels = drawn(10_000, 6, 2.0, seed=1)
    assert fit_temperature(temperature * logits, labels) == pytest.approx(temperature, rel=0.05)


def test_temperature_calibrates_scores() -> None:
    logits, labels = drawn(10_000, 6, 2.0, seed=2)
    overconfident = special.log_softmax(2.5 * logits, axis=1).astype(np.float32)
    fitted, tested = slice(5000), slice(5000, None)
    temperature = fit_temperature(overconfident[fitted], labels[fitted])
    errors = []
    for divisor in (1.0, temperature):
        scores = with_temperature(overconfident[tested], divisor)
        right = scores.argmax(axis=1) == labels[tested]
        errors.append(expected_calibration_error(scores.max(axis=1), right))
    assert errors[0] > 0.15
    assert errors[1] < 0.02


@pytest.mark.parametrize("classes", [2, 10])
def test_right_answers_alone_make_nobody_certain(classes: int) -> None:
    """The more there are, the surer; never as sure as the likelihood alone would have it."""
    certainty = []
    for clips in 10, 100, 1000:
        labels = np.arange(clips) % classes
        log_scores = np.log(np.where(np.eye(classes)[labels], 0.9, 0.1 / (classes - 1)))
        scores = with_temperature(log_scores, fit_temperature(log_scores, labels))
        certainty.append(float(scores.max()))
    assert 0.9 < certainty[0] < certainty[1] < certainty[2] < 1 - 1e-4


def test_temperature_stays_in_its_range() -> None:
    log_scores = np.array([[0.0, -1e4], [-1e4, 0.0]])
    labels = np.array([0, 1])
    assert fit_temperature(log_scores, labels) == pytest.approx(1)
    assert fit_temperature(log_scores, 1 - labels) == pytest.approx(50)


@pytest.mark.parametrize(
    ("log_scores", "labels"),
    [
        (np.zeros((0, 3), np.float32), np.zeros(0, np.int64)),
        (np.full((4, 3), -1.0986123, np.float32), np.array([0, 1, 2, 2])),
        (np.zeros((4, 1), np.float32), np.zeros(4, np.int64)),
    ],
    ids=["no clips", "no class favoured", "one class"],
)
def test_temperature_without_evidence_is_one(log_scores: np.ndarray, labels: np.ndarray) -> None:
    assert fit_temperature(log_scores, labels) == 1.0


@pytest.mark.parametrize("value", [-np.inf, np.inf, np.nan])
def test_temperature_of_scores_that_are_not_finite(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        fit_temperature(np.array([[0.0, value]]), np.array([0]))


log_score_rows = st_numpy.arrays(
    np.float32,
    st.tuples(st.integers(0, 8), st.integers(1, 6)),
    elements=st.one_of(
        st.floats(-10_000, 0, width=32), st.floats(-8, 0, width=32), st.just(-10_000.0)
    ),
)


@settings(deadline=None)
@given(log_score_rows, st.sampled_from([1 / 50, 0.3, 1.0, 1.7, 50.0]))
def test_scores_at_any_temperature(log_scores: np.ndarray, temperature: float) -> None:
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        scores = with_temperature(log_scores, temperature)
    assert scores.dtype == np.float32
    assert scores.shape == log_scores.shape
    expected = special.softmax(log_scores.astype(np.float64) / temperature, axis=1)
    np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(scores.sum(axis=1), 1, rtol=1e-6)
    highest = np.take_along_axis(scores, log_scores.argmax(axis=1)[:, np.newaxis], axis=1)[:, 0]
    np.testing.assert_array_equal(highest, scores.max(axis=1))


def test_temperature_of_one_changes_nothing() -> None:
    logits, _ = drawn(100, 10, 5.0, seed=3)
    log_scores = special.log_softmax(logits, axis=1).astype(np.float32)
    np.testing.assert_allclose(with_temperature(log_scores, 1.0), np.exp(log_scores), rtol=2e-6)


@pytest.mark.parametrize("temperature", [1 / 50, 0.5, 4.0, 50.0])
def test_temperature_changes_no_answer(temperature: float) -> None:
    logits, _ = drawn(2000, 10, 2.0, seed=4)
    scores = with_temperature(logits, temperature)
    np.testing.assert_array_equal(scores.argmax(axis=1), logits.argmax(axis=1))


@settings(deadline=None)
@given(log_score_rows, st.data())
def test_temperature_of_any_scores_is_in_range(log_scores: np.ndarray, data: st.DataObject) -> None:
    clips, classes = log_scores.shape
    labels = data.draw(st_numpy.arrays(np.int64, clips, elements=st.integers(0, classes - 1)))
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        assert 1 / 50 <= fit_temperature(log_scores, labels) <= 50


@settings(deadline=None)
@given(answers())
def test_wrong_below_agrees_with_a_search(case: tuple[np.ndarray, np.ndarray]) -> None:
    score, right = case
    above_all = np.nextafter(score.max(), score.dtype.type(np.inf))
    expected, most = 0.0, 0
    for limit in [*sorted(set(score.tolist())), above_all]:
        below = right[score < limit]
        if (~below).sum() - below.sum() > most:
            expected, most = float(limit), (~below).sum() - below.sum()
    found = wrong_below(score, right)
    assert found == expected
    # What it says holds for the scores as they are, float32 too.
    below = right[score < found]
    assert (~below).sum() > below.sum() or found == 0.0


@pytest.mark.parametrize(
    ("score", "right", "expected"),
    [
        ([0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1], 0.3),  # below 0.4 too, but 0.3 was right
        ([0.1, 0.2, 0.3, 0.4, 0.5, 0.6], [0, 0, 1, 0, 0, 1], 0.6),
        ([0.1, 0.2, 0.3, 0.4], [0, 1, 1, 1], 0.2),
        ([0.1, 0.2, 0.3, 0.4], [1, 0, 0, 1], 0.4),
        ([0.1, 0.2, 0.3, 0.4], [1, 0, 1, 0], 0.0),  # as many wrong as right is not more
        ([0.1, 0.2, 0.2, 0.2], [0, 1, 1, 0], 0.2),  # answers of one score go together
        ([0.4, 0.1, 0.3, 0.2], [1, 0, 1, 0], 0.3),
        ([0.5, 0.9], [1, 1], 0.0),
        ([0.5, 0.75], [0, 0], math.nextafter(0.75, 1)),
    ],
)
def test_wrong_below(score: list[float], right: list[int], expected: float) -> None:
    assert wrong_below(np.array(score), np.array(right, np.bool_)) == expected


def test_wrong_below_of_float32_scores_that_are_all_wrong() -> None:
    score = np.array([0.5, 1.0], np.float32)
    limit = wrong_below(score, np.array([False, False]))
    assert limit == 1 + 2.0**-23
    assert (score < limit).all()


def test_wrong_below_is_where_an_isotonic_fit_crosses_one_half() -> None:
    random = np.random.default_rng(5)
    score = random.uniform(0, 1, 500)
    right = random.random(500) < score
    fitted = IsotonicRegression().fit(score, right).predict(score)
    assert wrong_below(score, right) == score[fitted >= 0.5].min()


def test_a_calibration_is_of_the_known_and_its_threshold_of_all() -> None:
    logits, labels = drawn(300, 4, 2.0, seed=7)
    alone = Calibration.of(logits, labels)
    assert alone.temperature == fit_temperature(logits, labels)
    scores = with_temperature(logits, alone.temperature)
    right = scores.argmax(axis=1) == labels
    assert alone.min_score == wrong_below(scores.max(axis=1), right) > 0
    below = scores.max(axis=1) < alone.min_score
    assert f"of 300 answers about validation recordings, {below.sum()} scored less" in alone.why
    assert f"{(below & ~right).sum()} of these were wrong" in alone.why

    strangers = drawn(200, 4, 1.0, seed=8)[0]
    both = Calibration.of(np.vstack([logits, strangers]), np.append(labels, np.full(200, -1)))
    assert both.temperature == alone.temperature
    assert both.min_score > alone.min_score
    assert "of 500 answers" in both.why and "(200 of them of unknown classes" in both.why


def test_a_calibration_without_a_reason_for_a_threshold_has_none() -> None:
    labels = np.array([0, 1, 1])
    nothing = Calibration.of(np.zeros((0, 3), np.float32), labels[:0])
    assert (nothing.temperature, nothing.min_score) == (1.0, 0.0)
    assert "no validation recordings" in nothing.why
    right = Calibration.of(np.log(np.eye(2)[labels] * 0.8 + 0.1), labels)
    assert right.min_score == 0.0 and "mostly right" in right.why
