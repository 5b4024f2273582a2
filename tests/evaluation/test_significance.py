"""Significance: against SciPy, plain loops, and simulated truth."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sound_pipeline.evaluation.significance import (
    McNemar,
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


def clopper_pearson(hits: float, clips: float, level: float = 0.95) -> tuple[float, float]:
    tail = (1 - level) / 2
    low = stats.beta.ppf(tail, hits, clips - hits + 1) if hits else 0.0
    high = stats.beta.ppf(1 - tail, hits + 1, clips - hits) if hits < clips else 1.0
    return float(low), float(high)


def effective(clips: float, effect: float, sources: int, level: float = 0.95) -> float:
    quantile = (1 + level) / 2
    return clips / effect * (stats.norm.ppf(quantile) / stats.t.ppf(quantile, sources - 1)) ** 2


@pytest.mark.parametrize("level", [0.95, 0.5])
@pytest.mark.parametrize(("hits", "sources"), [(0, 30), (29, 30), (30, 30), (170, 200)])
def test_interval_of_clips_of_their_own_is_clopper_and_pearsons(
    hits: int, sources: int, level: float
) -> None:
    right, folds = np.arange(sources) < hits, np.full(sources, "fold 1")
    # Of such clips the variance is what it would be of independent ones, but for G / (G - 1).
    showing = min(hits, sources - hits)
    effect = (showing * sources / (sources - 1) + 1) / (showing + 1)
    clips = effective(sources, effect, sources, level)
    found = accuracy_interval(right, folds, each_alone(sources), level)
    assert found == pytest.approx(clopper_pearson(hits / sources * clips, clips, level), rel=1e-9)


def test_interval_of_clips_that_are_all_alike_is_that_of_their_sources() -> None:
    right = np.repeat(np.arange(40) < 30, 6)
    folds, groups = np.full(240, "fold 1"), names("g", np.repeat(np.arange(40), 6))
    effect = (10 * 6 * 40 / 39 + 6) / 11
    clips = effective(240, effect, 40)
    found = accuracy_interval(right, folds, groups)
    assert found == pytest.approx(clopper_pearson(0.75 * clips, clips), rel=1e-9)


def test_folds_count_alike_whatever_their_size() -> None:
    right = np.array([True] * 90 + [False] * 10)
    folds = np.array(["large"] * 90 + ["small"] * 10)
    low, high = accuracy_interval(right, folds, each_alone(100))
    assert low < 0.5 < high
    # A tenth of the clips decides half of the figure: they tell less than 100 alike would.
    even = accuracy_interval(np.arange(100) % 2 == 0, np.full(100, "one"), each_alone(100))
    mixed = accuracy_interval(np.arange(100) % 2 == 0, folds, each_alone(100))
    assert mixed[1] - mixed[0] > 1.4 * (even[1] - even[0])


def test_interval_does_not_depend_on_the_order_of_clips_or_on_names() -> None:
    random = np.random.default_rng(3)
    right, folds, groups = clustered(random, groups=40, clips=3)
    found = accuracy_interval(right, folds, groups)
    order = random.permutation(len(right))
    shuffled = accuracy_interval(right[order], folds[order], groups[order])
    renamed = accuracy_interval(right, folds, np.char.add("other ", groups))
    assert shuffled == pytest.approx(found, abs=1e-12)
    assert renamed == pytest.approx(found, abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("accuracy", "sources", "clips", "alike"),
    [(0.75, 80, 4, 0.5), (0.98, 240, 2, 1.0), (0.993, 240, 1, 0.0), (0.9, 30, 8, 0.7)],
)
def test_interval_holds_the_truth_as_often_as_it_says(
    accuracy: float, sources: int, clips: int, alike: float
) -> None:
    random = np.random.default_rng(6)
    groups = names("g", np.repeat(np.arange(sources), clips))
    folds = names("fold ", np.repeat(np.arange(sources) % 5, clips))
    held = narrow = 0
    for _ in range(400):
        right = drawn(random, accuracy, sources, clips, alike)
        low, high = accuracy_interval(right, folds, groups)
        held += low <= accuracy <= high
        low, high = accuracy_interval(right, folds, each_alone(len(right)))
        narrow += low <= accuracy <= high
    # Less by chance than 1 in 300 at 0.95.
    assert held / 400 >= 0.92
    # To take alike clips for independent is to promise too much.
    assert clips * alike < 3 or narrow / 400 < 0.8


def test_interval_of_one_source_says_nothing() -> None:
    right, same = np.arange(9) < 5, np.full(9, "one")
    assert accuracy_interval(right, same, same) == (0.0, 1.0)
    assert accuracy_interval(~right | right, same, same) == (0.0, 1.0)
    assert accuracy_difference_interval(right, ~right, same) == (-1.0, 1.0)


def test_interval_without_a_wrong_answer_has_a_width() -> None:
    right, folds = np.ones(300, np.bool_), np.full(300, "fold 1")
    low, high = accuracy_interval(right, folds, each_alone(300))
    # The rule of three, two-sided.
    assert high == 1.0 and low == pytest.approx(1 - 3.7 / 300, abs=0.0005)
    by_tens = names("g", np.arange(300) // 10)
    assert accuracy_interval(right, folds, by_tens)[0] == pytest.approx(1 - 4 / 30, abs=0.01)


def test_interval_of_many_groups() -> None:
    random = np.random.default_rng(8)
    right = random.random(20_000) < 0.9
    folds = names("fold ", random.integers(1, 11, 20_000))
    groups = names("g", np.arange(20_000) // 2)
    low, high = accuracy_interval(right, folds, groups)
    half = 1.96 * np.sqrt(0.9 * 0.1 / 20_000)
    assert (low, high) == pytest.approx((right.mean() - half, right.mean() + half), abs=0.001)


def test_difference_of_one_and_the_same() -> None:
    right, _, groups = clustered(np.random.default_rng(9), groups=30, clips=3)
    low, high = accuracy_difference_interval(right, right, groups)
    assert -low == high and 0 < high < 0.13


def test_difference_of_clips_of_their_own_is_bonett_and_prices() -> None:
    # Their example: 12 and 1 of 100 pairs disagree.
    right_a = np.arange(100) < 12
    right_b = np.arange(100) == 99
    low, high = accuracy_difference_interval(right_a, right_b, each_alone(100))
    only_a, only_b = 13 / 102, 2 / 102
    half = 1.96 * np.sqrt((only_a + only_b - (only_a - only_b) ** 2) / 102)
    middle = only_a - only_b
    assert (low, high) == pytest.approx((middle - half, middle + half), abs=0.004)


def test_difference_is_of_the_first_less_the_second() -> None:
    better, worse = np.ones(40, np.bool_), np.arange(40) % 2 == 0
    low, high = accuracy_difference_interval(better, worse, each_alone(40))
    assert 0.25 < low < 0.5 < high < 0.7
    assert accuracy_difference_interval(worse, better, each_alone(40)) == (
        pytest.approx((-high, -low))
    )


@pytest.mark.parametrize("sizes", [(1, 2), (1, 6), (8, 9)])
def test_difference_holds_the_truth_as_often_as_it_says(sizes: tuple[int, int]) -> None:
    random = np.random.default_rng(12)
    held = 0
    for _ in range(300):
        # The second gets one in five of the first's right ones wrong, source by source.
        group = np.repeat(np.arange(80), random.integers(*sizes, 80))
        right_a = random.random(len(group)) < random.beta(1.5, 0.5, 80)[group]
        right_b = right_a & (random.random(80) < 0.8)[group]
        low, high = accuracy_difference_interval(right_a, right_b, names("g", group))
        held += low <= 0.15 <= high
    assert held / 300 >= 0.91


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


def drawn(
    random: np.random.Generator, accuracy: float, sources: int, clips: int, alike: float
) -> np.ndarray:
    """Right or wrong of clips, of which a share are as one draw a source says."""
    of_source = np.repeat(random.random(sources) < accuracy, clips)
    of_clip = random.random(sources * clips) < accuracy
    return np.where(random.random(sources * clips) < np.sqrt(alike), of_source, of_clip)


def disagreeing(only_a: int, only_b: int) -> tuple[np.ndarray, np.ndarray]:
    """What two were right about, with some clips that both or neither got right."""
    right_a = np.array([True] * only_a + [False] * only_b + [True] * 5 + [False] * 3)
    right_b = np.array([False] * only_a + [True] * only_b + [True] * 5 + [False] * 3)
    return right_a, right_b


def mcnemar_of_clips(only_a: int, only_b: int) -> McNemar:
    right_a, right_b = disagreeing(only_a, only_b)
    return mcnemar(right_a, right_b, each_alone(len(right_a)))


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_agrees_with_scipy(only_a: int, only_b: int) -> None:
    result = mcnemar_of_clips(only_a, only_b)
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
    assert mcnemar_of_clips(only_a, only_b).p_value == pytest.approx(p_value, rel=1e-12)


@pytest.mark.parametrize(
    ("only_a", "only_b"), [(20_000, 20_300), (500, 39_500), (0, 40_000), (20_000, 20_000)]
)
def test_mcnemar_of_tens_of_thousands(only_a: int, only_b: int) -> None:
    expected = stats.binomtest(only_a, only_a + only_b).pvalue
    found = mcnemar_of_clips(only_a, only_b).p_value
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-300)
    assert 0 <= found <= 1


def test_mcnemar_exchanges_whole_sources() -> None:
    """Against every way to exchange them, one by one."""
    random = np.random.default_rng(14)
    for _ in range(20):
        group = np.repeat(np.arange(9), random.integers(1, 5, 9))
        right_a, right_b = random.random((2, len(group))) < 0.6
        gains = np.bincount(group, right_a.astype(int) - right_b)
        sums = [abs(np.dot(signs, gains)) for signs in itertools.product((1, -1), repeat=9)]
        expected = np.mean(np.array(sums) >= abs(gains.sum()) - 1e-9)
        found = mcnemar(right_a, right_b, names("g", group))
        assert found.p_value == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_alike_clips_is_seldom_wrong() -> None:
    """With 8 alike clips a source, taking them for independent finds a difference in half."""
    random = np.random.default_rng(15)
    groups = names("g", np.repeat(np.arange(40), 8))
    found = {"sources": 0, "clips": 0}
    for _ in range(200):
        right_a, right_b = (np.repeat(random.random(40) < 0.8, 8) for _ in "ab")
        found["sources"] += mcnemar(right_a, right_b, groups).p_value < 0.05
        found["clips"] += mcnemar(right_a, right_b, each_alone(320)).p_value < 0.05
    assert found["sources"] / 200 <= 0.08 < 0.3 < found["clips"] / 200
