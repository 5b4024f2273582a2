"""Splits: disjoint, covering, even, deterministic, and source recordings stay whole."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sound_pipeline.datasets import DatasetConfig, Manifest, Recording, load_manifest
from sound_pipeline.datasets.leaks import leaked_fraction
from sound_pipeline.datasets.splits import (
    PROTOCOLS,
    Split,
    SplitConfig,
    cut_validation,
    grouped_folds,
    holdout,
    make_splits,
    official_folds,
    random_folds,
)
from sound_pipeline.errors import UserError
from tests.helpers.user_errors import error_of


def manifest_of(clips: Iterable[tuple[str, str, int | None]], name: str = "sounds") -> Manifest:
    """A manifest of (label, group, fold) clips."""
    recordings = tuple(
        Recording(f"{index}.wav", label, fold, group)
        for index, (label, group, fold) in enumerate(clips)
    )
    classes = tuple(sorted({recording.label for recording in recordings}))
    return Manifest(name, recordings, classes, 4.0)


def groups_of(manifest: Manifest, indices: np.ndarray) -> set[str]:
    return set(manifest.groups[indices].tolist())


def class_counts(manifest: Manifest, indices: np.ndarray) -> np.ndarray:
    return np.bincount(manifest.labels[indices], minlength=len(manifest.classes))


def assert_partition(sides: Sequence[np.ndarray], whole: Iterable[int]) -> None:
    for side in sides:
        assert side.dtype == np.int64
        assert (np.diff(side) > 0).all()
    assert sorted(np.concatenate(sides).tolist()) == sorted(whole)


def assert_sound(manifest: Manifest, split: Split) -> None:
    assert_partition((split.train, split.validation, split.test), range(len(manifest.recordings)))
    assert set(manifest.labels[split.train].tolist()) == set(range(len(manifest.classes)))
    assert groups_of(manifest, split.train).isdisjoint(groups_of(manifest, split.validation))


def same(left: Sequence[Split], right: Sequence[Split]) -> bool:
    return [(s.name, *map(list, (s.train, s.validation, s.test))) for s in left] == [
        (s.name, *map(list, (s.train, s.validation, s.test))) for s in right
    ]


@st.composite
def manifests(draw: st.DrawFn, mixed_groups: bool = True, folds: int = 0) -> Manifest:
    """Data sets of 2-4 classes with 2-6 source recordings each, of 1-5 clips.

    With `mixed_groups` some source recordings hold clips of two classes; with `folds` each
    source recording is in one of that many, and every class is in the first two.
    """
    clips: list[tuple[str, str, int | None]] = []
    for label in "abcd"[: draw(st.integers(2, 4))]:
        for number, size in enumerate(draw(st.lists(st.integers(1, 5), min_size=2, max_size=6))):
            group = f"{label}{number}"
            if mixed_groups and number > 1 and draw(st.booleans()):
                group = f"a{number}"
            fold = number + 1 if number < 2 else draw(st.integers(1, folds)) if folds else 0
            clips += [(label, group, fold if folds else None)] * size
    return manifest_of(draw(st.permutations(clips)))


seeds = st.integers(0, 5)
fractions = st.sampled_from([0.0, 0.1, 0.15, 0.3, 0.5, 0.9])


# ---- The validation side ---------------------------------------------------------------------


@settings(deadline=None)
@given(manifests(), fractions, seeds)
def test_validation_is_cut_by_whole_groups(manifest: Manifest, fraction: float, seed: int) -> None:
    indices = [i for i in range(len(manifest.recordings)) if i % 3]
    train, validation = cut_validation(manifest, indices, fraction, seed)
    assert_partition((train, validation), indices)
    assert groups_of(manifest, train).isdisjoint(groups_of(manifest, validation))
    assert set(manifest.labels[train].tolist()) == set(manifest.labels[indices].tolist())
    assert bool(fraction) or not validation.size


@settings(deadline=None)
@given(manifests(mixed_groups=False), fractions.filter(bool), seeds)
def test_validation_has_every_class_that_can_spare_a_group(
    manifest: Manifest, fraction: float, seed: int
) -> None:
    indices = np.array([i for i in range(len(manifest.recordings)) if i % 3])
    train, validation = cut_validation(manifest, indices, fraction, seed)
    for label in set(manifest.labels[indices].tolist()):
        of_class = indices[manifest.labels[indices] == label]
        can_spare = len(groups_of(manifest, of_class)) > 1
        assert bool(np.isin(of_class, validation).any()) == can_spare
        assert np.isin(of_class, train).any()


@pytest.mark.parametrize(("fraction", "cut"), [(0.15, 6), (0.25, 10), (0.5, 20), (0.01, 1)])
def test_validation_fraction_is_met_in_every_class(fraction: float, cut: int) -> None:
    manifest = manifest_of([("ab"[i % 2], str(i), None) for i in range(80)])
    _, validation = cut_validation(manifest, range(80), fraction)
    assert class_counts(manifest, validation).tolist() == [cut, cut]


def test_validation_fraction_with_groups_of_uneven_size() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 30, 200)
    manifest = manifest_of(
        [("abcd"[group % 4], str(group), None) for group, n in enumerate(sizes) for _ in range(n)]
    )
    total = class_counts(manifest, np.arange(len(manifest.recordings)))
    for seed in range(5):
        _, validation = cut_validation(manifest, range(len(manifest.recordings)), 0.15, seed)
        np.testing.assert_allclose(class_counts(manifest, validation) / total, 0.15, atol=0.02)


def test_validation_sides_of_the_folds_differ() -> None:
    # With one order of groups for all folds, the first would validate four times, never train.
    manifest = manifest_of([("ab"[i % 2], str(i), i // 2 % 5) for i in range(200)])
    trained = Counter(i for split in official_folds(manifest) for i in split.train.tolist())
    assert len(trained) == 200
    assert min(trained.values()) >= 1


def test_nothing_is_cut_from_nothing() -> None:
    manifest = manifest_of([("ab"[i % 2], str(i), None) for i in range(8)])
    for side in cut_validation(manifest, []):
        assert side.shape == (0,)


# ---- All protocols ---------------------------------------------------------------------------


@settings(deadline=None)
@given(manifests(folds=3), fractions, seeds)
def test_official_folds(manifest: Manifest, fraction: float, seed: int) -> None:
    splits = official_folds(manifest, fraction, seed)
    assert [split.name for split in splits] == [f"fold {fold}" for fold in manifest.folds]
    for split, fold in zip(splits, manifest.folds, strict=True):
        assert_sound(manifest, split)
        assert {manifest.recordings[i].fold for i in split.test} == {fold}
        assert fold not in {manifest.recordings[i].fold for i in split.train}
    assert_partition([split.test for split in splits], range(len(manifest.recordings)))


@settings(deadline=None)
@given(manifests(mixed_groups=False), st.integers(2, 4), fractions, seeds)
def test_grouped_folds(manifest: Manifest, folds: int, fraction: float, seed: int) -> None:
    splits = grouped_folds(manifest, folds, seed, fraction)
    assert [split.name for split in splits] == [f"fold {fold + 1}" for fold in range(folds)]
    for split in splits:
        assert_sound(manifest, split)
        assert leaked_fraction(manifest, [split]) == 0
    assert_partition([split.test for split in splits], range(len(manifest.recordings)))
    # Each source recording went to the fold with the least of its class.
    counts = np.array([class_counts(manifest, split.test) for split in splits])
    for label in range(len(manifest.classes)):
        of_class = manifest.groups[manifest.labels == label].tolist()
        assert np.ptp(counts[:, label]) <= max(Counter(of_class).values())


def test_grouped_folds_place_the_largest_source_first() -> None:
    sizes = [1, 1, 1, 1, 1, 1, 6]
    manifest = manifest_of(
        [
            (label, f"{label}{i}", None)
            for label in "ab"
            for i, n in enumerate(sizes)
            for _ in range(n)
        ]
    )
    for seed in range(5):
        for split in grouped_folds(manifest, 2, seed):
            assert class_counts(manifest, split.test).tolist() == [6, 6]


@settings(deadline=None)
@given(manifests(), seeds)
def test_grouped_folds_with_groups_of_several_classes(manifest: Manifest, seed: int) -> None:
    try:
        splits = grouped_folds(manifest, 2, seed)
    except UserError as error:
        assert "all recordings of class" in str(error)
        return
    for split in splits:
        assert_sound(manifest, split)
        assert leaked_fraction(manifest, [split]) == 0
    assert_partition([split.test for split in splits], range(len(manifest.recordings)))


@settings(deadline=None)
@given(manifests(), st.integers(2, 4), fractions, seeds)
def test_random_folds(manifest: Manifest, folds: int, fraction: float, seed: int) -> None:
    splits = random_folds(manifest, folds, seed, fraction)
    for split in splits:
        assert_sound(manifest, split)
    assert_partition([split.test for split in splits], range(len(manifest.recordings)))
    counts = np.array([class_counts(manifest, split.test) for split in splits])
    assert np.ptp(counts, axis=0).max() <= 1
    assert np.ptp(counts.sum(axis=1)) <= 1


@settings(deadline=None)
@given(manifests(folds=3), fractions, seeds)
def test_holdout_of_folds(manifest: Manifest, fraction: float, seed: int) -> None:
    split = holdout(manifest, [2, 2], validation_fraction=fraction, seed=seed)
    assert split.name == "fold 2"
    assert_sound(manifest, split)
    assert {manifest.recordings[i].fold for i in split.test} == {2}


@settings(deadline=None)
@given(manifests(), st.sampled_from([0.1, 0.2, 0.5, 0.9]), fractions, seeds)
def test_holdout_of_groups(
    manifest: Manifest, test_fraction: float, fraction: float, seed: int
) -> None:
    split = holdout(manifest, (), test_fraction, fraction, seed)
    assert split.name == "holdout"
    assert_sound(manifest, split)
    assert leaked_fraction(manifest, [split]) == 0
    assert split.test.size


def test_holdout_of_two_folds() -> None:
    manifest = manifest_of([("ab"[i % 2], str(i), i // 2 % 4 + 1) for i in range(40)])
    split = holdout(manifest, (4, 1))
    assert split.name == "folds 1, 4"
    assert {manifest.recordings[i].fold for i in split.test} == {1, 4}
    assert len(split.test) == 20


def test_holdout_fraction_is_met_in_every_class() -> None:
    manifest = manifest_of([("ab"[i % 4 == 0], str(i // 4), None) for i in range(400)])
    split = holdout(manifest, test_fraction=0.2)
    assert class_counts(manifest, split.test).tolist() == [60, 20]


@pytest.mark.parametrize("evaluate", PROTOCOLS)
def test_seed_decides(evaluate: str) -> None:
    clips = [
        ("ab"[i % 2], str(i // 2), i // 8 % 5 + 1 if evaluate == "folds" else None)
        for i in range(200)
    ]
    manifest = manifest_of(clips)
    first = make_splits(manifest, SplitConfig(evaluate))
    assert len(first) == (1 if evaluate == "holdout" else 5)
    assert same(first, make_splits(manifest_of(clips), SplitConfig(evaluate)))
    assert not same(first, make_splits(manifest, SplitConfig(evaluate, seed=1)))


@pytest.mark.parametrize("evaluate", ["grouped", "holdout"])
def test_splits_by_group_do_not_depend_on_the_order_of_the_rows(evaluate: str) -> None:
    clips = [("ab"[i % 2], f"{i % 2} {i // 7}", None) for i in range(150)]
    forward, backward = (manifest_of(rows) for rows in (clips, clips[::-1]))
    for ahead, back in zip(
        make_splits(forward, SplitConfig(evaluate)),
        make_splits(backward, SplitConfig(evaluate)),
        strict=True,
    ):
        for side in ("train", "validation", "test"):
            assert groups_of(forward, getattr(ahead, side)) == groups_of(
                backward, getattr(back, side)
            )


def test_splits_stay_the_same_from_version_to_version() -> None:
    # Recorded once: a change here changes every figure that anyone measured.
    manifest = manifest_of([("ab"[i % 2], str(i // 2), None) for i in range(20)])
    grouped = make_splits(manifest, SplitConfig("grouped", folds=2))[0]
    random = make_splits(manifest, SplitConfig("random", folds=2))[0]
    assert grouped.test.tolist() == [0, 1, 2, 3, 4, 5, 12, 13, 14, 15]
    assert grouped.validation.tolist() == [8, 9]
    assert random.test.tolist() == [1, 2, 4, 7, 10, 13, 14, 15, 16, 17]


# ---- Leakage ---------------------------------------------------------------------------------


def test_random_folds_leak_and_grouped_folds_do_not() -> None:
    manifest = manifest_of([("ab"[i // 4 % 2], str(i // 4), None) for i in range(400)])
    for leaky, clean in zip(random_folds(manifest), grouped_folds(manifest), strict=True):
        assert leaked_fraction(manifest, [leaky]) > 0.9
        assert leaked_fraction(manifest, [clean]) == 0


def test_official_folds_are_kept_where_a_source_is_in_two() -> None:
    clips = [("ab"[i % 2], str(i), i // 2 % 2 + 1) for i in range(20)]
    manifest = manifest_of([*clips, ("a", "both", 1), ("b", "both", 2)])
    first, second = official_folds(manifest)
    assert 20 in first.test
    assert 21 in second.test
    assert leaked_fraction(manifest, [first]) == pytest.approx(1 / 11)


def test_esc10_as_published(assets: Path) -> None:
    config = DatasetConfig("esc50", str(assets / "data" / "esc10"), subset="esc10")
    manifest = load_manifest(config)
    for split in make_splits(manifest, SplitConfig("folds")):
        assert_sound(manifest, split)
        assert class_counts(manifest, split.test).tolist() == [8] * 10
        assert leaked_fraction(manifest, [split]) == 0
        # Off by less than half the largest source recording, which has seven clips.
        np.testing.assert_allclose(class_counts(manifest, split.validation), 0.15 * 32, atol=3.5)
    for split in make_splits(manifest, SplitConfig("grouped")):
        assert_sound(manifest, split)
        assert leaked_fraction(manifest, [split]) == 0
        np.testing.assert_allclose(class_counts(manifest, split.test), 8, atol=1)
    for split in make_splits(manifest, SplitConfig("random")):
        assert class_counts(manifest, split.test).tolist() == [8] * 10
        assert leaked_fraction(manifest, [split]) > 0.2


# ---- Errors ----------------------------------------------------------------------------------

FOLDLESS = manifest_of([("ab"[i % 2], str(i), None) for i in range(8)])
FOLDED = manifest_of([("ab"[i % 2], str(i), i // 2 + 1) for i in range(8)])


def test_folds_of_a_data_set_without_folds() -> None:
    ways = "--evaluate=folds", "sounds", "--evaluate=grouped", "--evaluate=holdout"
    error_of(lambda: make_splits(FOLDLESS, SplitConfig("folds")), *ways, "no folds")
    one = manifest_of([("ab"[i % 2], str(i), 3) for i in range(8)])
    error_of(lambda: make_splits(one, SplitConfig("folds")), *ways, "only one fold")


def test_test_folds_that_cannot_be() -> None:
    def make(manifest: Manifest, *folds: int) -> Callable[[], object]:
        return lambda: make_splits(manifest, SplitConfig("holdout", test_folds=folds))

    error_of(make(FOLDED), "--test_folds", "1, 2, 3, 4")
    error_of(make(FOLDED, 2, 5, 9), "--test_folds", "no fold 5, 9", "1, 2, 3, 4")
    error_of(make(FOLDED, 4, 3, 2, 1), "--test_folds", "all folds", "1, 2, 3, 4")
    error_of(make(FOLDLESS, 1), "--test_folds", "no folds", "--test_fraction")


def divided(parts: tuple[str, ...], folds: Iterable[int]) -> Manifest:
    """Four recordings of each of two classes in each of some folds."""
    clips = [(label, f"{label}{fold}{n}", fold) for fold in folds for label in "ab" for n in "1234"]
    return dataclasses.replace(manifest_of(clips), parts=parts)


@pytest.mark.parametrize("evaluate", ["folds", "holdout"])
def test_parts_that_a_data_set_comes_in(evaluate: str) -> None:
    manifest = divided(("train", "validation", "test"), (1, 2, 3))
    (split,) = make_splits(manifest, SplitConfig(evaluate))
    assert split.name == "test"
    for fold, side in enumerate((split.train, split.validation, split.test), 1):
        assert side.tolist() == np.flatnonzero(manifest.fold_of == fold).tolist()
    manifest = divided(("train", "test"), (1, 2))
    (split,) = make_splits(manifest, SplitConfig(evaluate, validation_fraction=0.25))
    assert split.test.tolist() == np.flatnonzero(manifest.fold_of == 2).tolist()
    assert len(split.train) == 6 and len(split.validation) == 2
    assert_sound(manifest, split)
    assert len(make_splits(manifest, SplitConfig("grouped", folds=2))) == 2


def test_a_class_that_the_training_part_lacks() -> None:
    manifest = divided(("train", "validation", "test"), (1, 2, 3))
    extra = [*manifest.recordings, Recording("c.wav", "c", 2, "c"), Recording("d.wav", "c", 3, "d")]
    manifest = dataclasses.replace(manifest, recordings=extra, classes=("a", "b", "c"))
    error_of(
        lambda: make_splits(manifest, SplitConfig("folds")), "validation and test", "class 'c'"
    )


def test_class_that_is_in_one_fold_only() -> None:
    clips = [("ab"[i % 2], str(i), i // 2 + 1) for i in range(8)]
    manifest = manifest_of([*clips, ("rare", "x", 3), ("rare", "y", 3)])
    words = "fold 3", "'rare'", "--evaluate=grouped"
    error_of(lambda: official_folds(manifest), "--evaluate=folds", *words)
    error_of(lambda: holdout(manifest, [3]), "--test_folds", *words)
    # A test side without some class is no error.
    assert class_counts(manifest, holdout(manifest, [1]).test).tolist() == [1, 1, 0]


def test_a_fold_without_a_class_is_named(caplog: pytest.LogCaptureFixture) -> None:
    clips = [("ab"[i % 2], str(i), i // 2 % 4 + 1) for i in range(16)]
    manifest = manifest_of([*clips, ("rare", "x", 3), ("rare", "y", 4)])
    make_splits(manifest, SplitConfig("folds"))
    assert [record.getMessage().split(":")[1] for record in caplog.records] == [
        " fold 1 tests no recording of class 'rare'",
        " fold 2 tests no recording of class 'rare'",
    ]
    caplog.clear()
    make_splits(manifest_of(clips), SplitConfig("folds"))
    assert not caplog.records


def test_class_from_one_source() -> None:
    clips = [("ab"[i % 2], str(i), None) for i in range(8)]
    manifest = manifest_of([*clips, ("rare", "x", None), ("rare", "x", None)])
    error_of(lambda: grouped_folds(manifest, 2), "--evaluate=grouped", "'rare'", "fold ")
    split = holdout(manifest)
    assert {8, 9} <= set(split.train.tolist())
    alone = manifest_of([(label, label, None) for label in "aabb"])
    error_of(lambda: holdout(alone), "--evaluate=holdout", "sounds", "one source recording")


def test_fewer_groups_or_recordings_than_folds() -> None:
    pairs = manifest_of([("ab"[i % 2], str(i // 4 * 2 + i % 2), None) for i in range(8)])
    error_of(lambda: grouped_folds(pairs, 5), "--folds=5", "only 4 source recordings")
    assert len(random_folds(pairs, 8)) == 8
    error_of(lambda: random_folds(pairs, 9), "--folds=9", "only 8 recordings")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"evaluate": "fold"}, ("--evaluate", "'fold'", "folds, grouped, random, holdout")),
        ({"evaluate": "grouped", "test_folds": (1,)}, ("--test_folds", "holdout", "grouped")),
        ({"evaluate": "random", "folds": 1}, ("--folds=1", "2")),
        ({"evaluate": "holdout", "test_fraction": 0.0}, ("--test_fraction=0.0",)),
        ({"evaluate": "holdout", "test_fraction": 1.0}, ("--test_fraction=1.0",)),
        ({"evaluate": "folds", "validation_fraction": 1.0}, ("--validation_fraction=1.0",)),
        ({"evaluate": "folds", "validation_fraction": -0.1}, ("--validation_fraction=-0.1",)),
        ({"evaluate": "folds", "validation_fraction": float("nan")}, ("=nan",)),
    ],
)
def test_config_errors(values: dict, words: Sequence[str]) -> None:
    error_of(lambda: SplitConfig(**values), *words)
