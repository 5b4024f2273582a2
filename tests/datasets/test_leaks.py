"""Leaks are found, and said, in every protocol."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from sound_pipeline.datasets.leaks import (
    is_leaky,
    leaked_fraction,
    on_both_sides,
    protocol_name,
    without_mark,
)
from sound_pipeline.datasets.manifest import Manifest
from sound_pipeline.datasets.recordings import Recording
from sound_pipeline.datasets.splits import Split, SplitConfig, make_splits

NOTHING = np.array([], np.int64)


def manifest_of(groups: str, folds: str = "", classes: str = "ab") -> Manifest:
    """A recording of each class in turn for each letter: its source, and its fold."""
    recordings = [
        Recording(f"{number}.wav", "abc"[number % 2], int(folds[number]) if folds else None, group)
        for number, group in enumerate(groups)
    ]
    return Manifest("some", recordings, tuple(classes), 1.0)


def test_the_fraction_is_of_all_that_are_tested() -> None:
    manifest = manifest_of("pqrspqrt")
    sides = np.array([0, 1]), np.array([2]), np.array([3, 4, 5, 6, 7])
    assert leaked_fraction(manifest, [Split("x", *sides)]) == pytest.approx(3 / 5)
    clean = Split("y", sides[2], NOTHING, NOTHING)
    assert leaked_fraction(manifest, [clean]) == 0
    small = Split("z", np.array([0]), NOTHING, np.array([4]))
    assert leaked_fraction(manifest, [Split("x", *sides), clean, small]) == pytest.approx(4 / 6)


def test_recordings_of_unknown_classes_do_not_count() -> None:
    manifest = manifest_of("pppp", classes="a")
    manifest = dataclasses.replace(manifest, unknown_classes=("b",))
    split = Split("x", np.array([0]), NOTHING, np.array([1, 3]))
    assert leaked_fraction(manifest, [split]) == 0


@pytest.mark.parametrize(
    ("config", "groups", "folds", "leaked", "name"),
    [
        (SplitConfig("folds"), "ppqqrrss", "11112222", 0.0, "folds"),
        (SplitConfig("folds"), "ppqqpprr", "11112222", 0.5, "folds (leaky)"),
        (SplitConfig("holdout", test_folds=(1,)), "ppqqpprr", "11112222", 0.5, "holdout (leaky)"),
        (SplitConfig("holdout", test_folds=(1,)), "ppqqrrss", "11112222", 0.0, "holdout"),
        (SplitConfig("holdout"), "ppqqrrss", "", 0.0, "holdout"),
        (SplitConfig("grouped", folds=2), "ppqqrrss", "", 0.0, "grouped"),
        (SplitConfig("random", folds=2), "pppppppp", "", 1.0, "random split (leaky)"),
        # Where no two are known to share a source.
        (SplitConfig("random", folds=2), "pqrstuvw", "", 0.0, "random split (leaky)"),
    ],
)
def test_every_protocol_says_what_it_leaks(
    config: SplitConfig, groups: str, folds: str, leaked: float, name: str
) -> None:
    manifest = manifest_of(groups, folds)
    assert leaked_fraction(manifest, make_splits(manifest, config)) == leaked
    assert protocol_name(manifest, config, leaked) == name
    assert is_leaky(name) == ("leaky" in name)
    assert without_mark(name) == name.removesuffix(" (leaky)")


def test_pairs_on_both_sides() -> None:
    splits = [
        Split("one", np.array([0, 1]), np.array([2]), np.array([3, 4])),
        Split("two", np.array([3]), NOTHING, np.array([0])),
    ]
    pairs = [(0, 3), (0, 1), (3, 4), (2, 4), (1, 5), (1, 4)]
    assert on_both_sides(splits, pairs, 6) == [(0, 3), (4, 2), (4, 1)]
    assert on_both_sides(splits[1:], pairs, 6) == [(0, 3)]


def test_parts_of_a_data_set_that_share_sources_leak() -> None:
    manifest = dataclasses.replace(manifest_of("pqrspqrs", "11112222"), parts=("train", "test"))
    for evaluate in ("folds", "holdout"):
        config = SplitConfig(evaluate)
        leaked = leaked_fraction(manifest, make_splits(manifest, config))
        assert protocol_name(manifest, config, leaked) == "own parts (leaky)"
        assert protocol_name(manifest, config, 0.0) == "own parts"
