"""Whole groups shared out evenly: small cases worked out by hand, and properties of all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sound_pipeline.datasets.stratify import cut_groups, deal_groups, shuffled


def arrays(clips: Sequence[tuple[int, str]]) -> tuple[np.ndarray, np.ndarray]:
    labels, groups = zip(*clips, strict=True)
    return np.array(labels, np.int32), np.array(groups, np.str_)


def sizes_of(sizes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """One class, of one group for each size."""
    return arrays([(0, f"g{group}") for group, n in enumerate(sizes) for _ in range(n)])


clips = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([f"g{i}" for i in range(12)])),
    min_size=1,
    max_size=60,
).map(arrays)
keys = st.sampled_from(["0", "1 test", "é"])


def test_shuffled() -> None:
    items = list(range(100))
    order = shuffled(items, "key")
    assert sorted(order) == items
    assert order != items
    assert order != shuffled(items, "another")
    assert order == shuffled(items[::-1], "key")
    # Recorded once: a change here changes every split that anyone made.
    assert shuffled(range(8), "key") == [1, 5, 3, 0, 7, 2, 4, 6]


@settings(deadline=None)
@given(clips, st.integers(1, 5), keys)
def test_dealt_groups_stay_whole(
    clips: tuple[np.ndarray, np.ndarray], parts: int, key: str
) -> None:
    labels, groups = clips
    part = deal_groups(labels, groups, parts, key)
    assert part.dtype == np.int64
    assert part.shape == labels.shape
    assert part.min() >= 0
    assert part.max() < parts
    assert all(len(set(part[groups == group].tolist())) == 1 for group in set(groups.tolist()))


@pytest.mark.parametrize(
    ("sizes", "parts", "expected"),
    [
        ([6, 1, 1, 1, 1, 1, 1], 2, [6, 6]),
        ([5, 4, 3, 3, 3], 2, [8, 10]),
        ([1] * 9, 3, [3, 3, 3]),
        ([2, 2], 3, [0, 2, 2]),
    ],
)
def test_dealt_largest_first(sizes: list[int], parts: int, expected: list[int]) -> None:
    for key in "abc":
        part = deal_groups(*sizes_of(sizes), parts, key)
        assert sorted(np.bincount(part, minlength=parts).tolist()) == expected


def test_dealing_is_even_in_every_class() -> None:
    labels, groups = arrays([(int(i % 10 == 0), f"{i}") for i in range(200)])
    part = deal_groups(labels, groups, 4, "key")
    assert np.bincount(part[labels == 1]).tolist() == [5] * 4
    assert np.bincount(part[labels == 0]).tolist() == [45] * 4


def test_dealing_weighs_classes_by_their_size() -> None:
    # 'common' has 5 of 40 clips of class 0, 'rare' 4 of 5 of class 1: 'mixed' joins the former.
    sizes = {"common": [0] * 5, "rare": [1] * 4, "mixed": [0, 0, 1]}
    clips = [(label, group) for group, inside in sizes.items() for label in inside]
    labels, groups = arrays([*clips, *((0, f"{i}") for i in range(33))])
    part = deal_groups(labels, groups, 2, "key")
    assert part[groups == "mixed"][0] == part[groups == "common"][0]
    assert part[groups == "mixed"][0] != part[groups == "rare"][0]


@settings(deadline=None)
@given(clips, st.sampled_from([0.0, 0.15, 0.5, 0.9]), keys)
def test_cut_groups_stay_whole_and_every_class_keeps_one(
    clips: tuple[np.ndarray, np.ndarray], fraction: float, key: str
) -> None:
    labels, groups = clips
    cut = cut_groups(labels, groups, fraction, key)
    assert cut.dtype == np.bool_
    assert cut.shape == labels.shape
    assert set(groups[cut].tolist()).isdisjoint(groups[~cut].tolist())
    assert set(labels[~cut].tolist()) == set(labels.tolist())
    assert bool(fraction) or not cut.any()


@pytest.mark.parametrize(
    ("sizes", "fraction", "cut"),
    [
        ([1] * 20, 0.15, 3),
        ([2] * 10, 0.3, 6),
        ([1] * 20, 0.01, 1),
        ([7, 5, 3], 0.01, 3),  # all are too large: the smallest is spared
        ([4, 4], 0.9, 4),
        ([4], 0.5, 0),
    ],
)
def test_cut_fraction(sizes: list[int], fraction: float, cut: int) -> None:
    for key in "abc":
        assert cut_groups(*sizes_of(sizes), fraction, key).sum() == cut


def test_group_of_two_classes_that_cannot_be_spared() -> None:
    # Class 1 is in the group 'both' only, so that stays whole; class 0 spares its other one.
    labels, groups = arrays([(0, "both"), (1, "both"), (0, "own")])
    assert cut_groups(labels, groups, 0.5, "key").tolist() == [False, False, True]
