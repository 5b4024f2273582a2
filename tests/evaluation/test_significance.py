"""Significance: against SciPy, plain loops, and simulated truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sound_pipeline.evaluation import significance
from sound_pipeline.evaluation.significance import (
    accuracy_difference_interval,
    accuracy_interval,
    mcnemar,
)


def names(prefix: str, numbers: np.ndarray) -> np.ndarray:
    return np.array([f"{prefix}{number}" for number in numbers.tolist()], np.str_)


def clustered(
    random: np.random.Generator, groups: int, clips: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Groups of `clips` alike clips, in 5 folds, of which 3 in 4 are right on average."""
    chance = np.repeat(random.beta(1.5, 0.5, groups), clips)
    group = np.repeat(np.arange(groups), clips)
    return random.random(len(group)) < chance, names("fold ", group % 5), names("g", group)


def each_alone(clips: int) -> np.ndarray:
    return names("own", np.arange(clips))


def plain_interval(
    right: np.ndarray, folds: np.ndarray, groups: np.ndarray, level: float, resamples: int
) -> tuple[float, float]:
    """The definition, clip by clip."""
    sources = sorted(set(groups.tolist()))
    choices = np.random.default_rng(0).integers(len(sources), size=(resamples, len(sources)))
    means = []
    for chosen in choices.tolist():
        answers: dict[str, list[bool]] = {}
        for number in chosen:
            for position in np.flatnonzero(groups == sources[number]).tolist():
                answers.setdefault(str(folds[position]), []).append(bool(right[position]))
        means.append(np.mean([np.mean(fold) for fold in answers.values()]))
    low, high = np.percentile(means, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


@pytest.mark.parametrize("level", [0.95, 0.5])
@pytest.mark.parametrize("groups", [1, 4, 30])
def test_interval_agrees_with_a_plain_loop(groups: int, level: float) -> None:
    random = np.random.default_rng(groups)
    clips = 3 * groups
    # Groups of all sizes, in more than one fold each; few groups leave folds empty.
    right = random.random(clips) < 0.7
    folds = names("fold ", random.integers(4, size=clips))
    sources = names("g", random.integers(groups, size=clips))
    expected = plain_interval(right, folds, sources, level, resamples=200)
    found = accuracy_interval(right, folds, sources, level, resamples=200)
    assert found == pytest.approx(expected, abs=1e-12)


def test_fold_that_a_resample_leaves_empty_is_left_out() -> None:
    right = np.array([True, True, False])
    folds, groups = np.array(["a", "a", "b"]), np.array(["of a", "of a", "of b"])
    # One in four resamples is of fold a alone, one in four of fold b alone.
    assert accuracy_interval(right, folds, groups) == (0.0, 1.0)
    assert accuracy_interval(right, folds, groups, level=0.4) == (0.5, 0.5)


def test_folds_count_alike_whatever_their_size() -> None:
    right = np.array([True] * 90 + [False] * 10)
    folds = np.array(["large"] * 90 + ["small"] * 10)
    low, high = accuracy_interval(right, folds, each_alone(100))
    assert (low, high) == (0.5, 0.5)


def test_interval_agrees_with_scipy() -> None:
    random = np.random.default_rng(3)
    right = random.random(400) < 0.9
    fold = np.repeat([0, 1, 2, 3], [40, 80, 120, 160])
    found = accuracy_interval(right, names("fold ", fold), each_alone(400), resamples=5000)
    one_fold = accuracy_interval(right, names("", 0 * fold), each_alone(400), resamples=5000)

    def mean_of_folds(right: np.ndarray, fold: np.ndarray) -> float:
        return float(np.mean([right[fold == number].mean() for number in range(4)]))

    expected = stats.bootstrap(
        (right, fold),
        mean_of_folds,
        paired=True,
        vectorized=False,
        n_resamples=5000,
        method="percentile",
        rng=np.random.default_rng(4),
    ).confidence_interval
    assert found == pytest.approx(tuple(expected), abs=0.004)
    expected = stats.bootstrap(
        (right,),
        np.mean,
        n_resamples=5000,
        method="percentile",
        rng=np.random.default_rng(5),
    ).confidence_interval
    assert one_fold == pytest.approx(tuple(expected), abs=0.004)


@pytest.mark.slow
def test_interval_holds_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(6)
    held = {"groups": 0, "clips": 0}
    widths = {"groups": 0.0, "clips": 0.0}
    for seed in range(400):
        right, folds, groups = clustered(random, groups=80, clips=4)
        for unit, of in (("groups", groups), ("clips", each_alone(len(right)))):
            low, high = accuracy_interval(right, folds, of, resamples=300, seed=seed)
            held[unit] += low <= 0.75 <= high
            widths[unit] += (high - low) / 400
    assert 0.92 <= held["groups"] / 400 <= 0.97
    # To take clips for independent is to promise too much.
    assert held["clips"] / 400 < 0.88
    assert widths["groups"] > 1.3 * widths["clips"]


def test_interval_is_the_same_in_every_run_and_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    right, folds, groups = clustered(np.random.default_rng(7), groups=40, clips=3)
    found = accuracy_interval(right, folds, groups)
    assert accuracy_interval(right, folds, groups) == found
    assert accuracy_interval(right, folds, groups, seed=1) != found
    monkeypatch.setattr(significance, "_COUNTS_AT_ONCE", 40 * 7)
    assert accuracy_interval(right, folds, groups) == found
    monkeypatch.setattr(significance, "_COUNTS_AT_ONCE", 1)
    assert accuracy_interval(right, folds, groups) == found


def test_interval_is_the_same_everywhere() -> None:
    clip = np.arange(60)
    found = accuracy_interval(clip % 7 > 0, names("fold ", clip % 3), names("g", clip // 2))
    # Recorded once, on NumPy 1.26: figures of two machines can be compared.
    assert found == pytest.approx((0.7649777908759602, 0.9316757170704538), abs=1e-12)


def test_interval_of_many_groups() -> None:
    random = np.random.default_rng(8)
    right = random.random(20_000) < 0.9
    folds = names("fold ", random.integers(1, 11, 20_000))
    groups = names("g", np.arange(20_000) // 2)
    low, high = accuracy_interval(right, folds, groups, resamples=1000)
    half = 1.96 * np.sqrt(0.9 * 0.1 / 20_000)
    assert (low, high) == pytest.approx((right.mean() - half, right.mean() + half), abs=0.001)


def test_interval_without_a_wrong_answer_has_no_width() -> None:
    right, folds = np.ones(20, np.bool_), np.full(20, "fold 1")
    assert accuracy_interval(right, folds, each_alone(20)) == (1.0, 1.0)


def test_difference_is_of_all_clips_that_were_drawn() -> None:
    # One group of 9 clips and one of 1: drawn are the first twice, either once, the second twice.
    right_a = np.array([True] * 9 + [False])
    groups = np.array(["large"] * 9 + ["small"])
    assert accuracy_difference_interval(right_a, ~right_a, groups) == (-1.0, 1.0)
    assert accuracy_difference_interval(right_a, ~right_a, groups, level=0.4) == (
        pytest.approx((0.8, 0.8))
    )


def test_difference_of_one_and_the_same() -> None:
    right, _, groups = clustered(np.random.default_rng(9), groups=30, clips=3)
    assert accuracy_difference_interval(right, right, groups) == (0.0, 0.0)


def test_difference_is_of_the_first_less_the_second() -> None:
    better, worse = np.ones(40, np.bool_), np.arange(40) % 2 == 0
    low, high = accuracy_difference_interval(better, worse, each_alone(40))
    assert 0.3 < low < 0.5 < high < 0.7
    assert accuracy_difference_interval(worse, better, each_alone(40)) == (
        pytest.approx((-high, -low))
    )


def test_difference_agrees_with_scipy() -> None:
    random = np.random.default_rng(10)
    right_a = random.random(300) < 0.9
    right_b = np.where(random.random(300) < 0.1, ~right_a, right_a)
    found = accuracy_difference_interval(right_a, right_b, each_alone(300), 0.9, resamples=5000)
    expected = stats.bootstrap(
        (right_a.astype(float) - right_b,),
        np.mean,
        confidence_level=0.9,
        n_resamples=5000,
        method="percentile",
        rng=np.random.default_rng(11),
    ).confidence_interval
    assert found == pytest.approx(tuple(expected), abs=0.004)


def test_difference_holds_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(12)
    held = 0
    for seed in range(300):
        # Of groups of 1 to 5 clips; the second gets one in five of the first's right ones wrong.
        group = np.repeat(np.arange(80), random.integers(1, 6, 80))
        right_a = random.random(len(group)) < random.beta(1.5, 0.5, 80)[group]
        right_b = right_a & (random.random(80) < 0.8)[group]
        low, high = accuracy_difference_interval(
            right_a, right_b, names("g", group), resamples=300, seed=seed
        )
        held += low <= 0.15 <= high
    assert 0.91 <= held / 300 <= 0.975


def test_difference_is_of_pairs_and_of_groups() -> None:
    random = np.random.default_rng(13)
    right, _, groups = clustered(random, groups=60, clips=4)
    right_b = right & np.repeat(random.random(60) < 0.8, 4)
    low, high = accuracy_difference_interval(right, right_b, groups)
    low_of_clips, high_of_clips = accuracy_difference_interval(right, right_b, each_alone(240))
    assert high - low > 1.3 * (high_of_clips - low_of_clips)
    shuffled = random.permutation(240)
    low_unpaired, high_unpaired = accuracy_difference_interval(
        right, right_b[shuffled], each_alone(240)
    )
    assert high_unpaired - low_unpaired > 1.3 * (high_of_clips - low_of_clips)


def disagreeing(only_a: int, only_b: int) -> tuple[np.ndarray, np.ndarray]:
    """What two were right about, with some clips that both or neither got right."""
    right_a = np.array([True] * only_a + [False] * only_b + [True] * 5 + [False] * 3)
    right_b = np.array([False] * only_a + [True] * only_b + [True] * 5 + [False] * 3)
    return right_a, right_b


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_agrees_with_scipy(only_a: int, only_b: int) -> None:
    result = mcnemar(*disagreeing(only_a, only_b))
    assert (result.only_a, result.only_b) == (only_a, only_b)
    if only_a + only_b:
        expected = stats.binomtest(only_a, only_a + only_b).pvalue
        assert result.p_value == pytest.approx(expected, rel=1e-10)
    else:
        assert result.p_value == 1.0


@pytest.mark.parametrize(
    ("only_a", "only_b", "p_value"),
    [(0, 1, 1.0), (0, 2, 0.5), (5, 0, 0.0625), (1, 9, 22 / 1024), (3, 3, 1.0)],
)
def test_mcnemar(only_a: int, only_b: int, p_value: float) -> None:
    assert mcnemar(*disagreeing(only_a, only_b)).p_value == p_value


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(20_000, 20_300), (500, 39_500), (0, 40_000), (20_000, 20_000)]
)
def test_mcnemar_of_tens_of_thousands(only_a: int, only_b: int) -> None:
    expected = stats.binomtest(only_a, only_a + only_b).pvalue
    found = mcnemar(*disagreeing(only_a, only_b)).p_value
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-300)
    assert 0 <= found <= 1
