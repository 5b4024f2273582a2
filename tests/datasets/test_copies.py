"""Files of equal content are of one source recording."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from sound_pipeline.datasets.content_keys import Keys
from sound_pipeline.datasets.copies import join_copies
from sound_pipeline.datasets.leaks import leaked_fraction
from sound_pipeline.datasets.manifest import Manifest
from sound_pipeline.datasets.recordings import Recording
from sound_pipeline.datasets.splits import SplitConfig, make_splits


def manifest_of(rows: list[tuple[str, str, int]]) -> Manifest:
    """Of (label, source, fold), with a file each."""
    recordings = [
        Recording(f"{number}.wav", label, fold, group)
        for number, (label, group, fold) in enumerate(rows)
    ]
    return Manifest("some", recordings, ("a", "b"), 1.0, grouping="by name")


def keys(contents: str) -> Keys:
    return np.array([letter.encode() for letter in contents])


def test_without_copies_nothing_changes(caplog: pytest.LogCaptureFixture) -> None:
    manifest = manifest_of([("a", "x", 1), ("b", "y", 2)])
    assert join_copies(manifest, keys("12")) is manifest
    assert not caplog.records


def test_sources_that_share_a_content_are_one(caplog: pytest.LogCaptureFixture) -> None:
    rows = [("a", name, 1) for name in "pqrstuv"]
    # q has what r has, and s (of two clips) what r and u have, by two steps.
    manifest = manifest_of([*rows, ("a", "s", 1)])
    joined = join_copies(manifest, keys("12234563"))
    assert joined.groups.tolist() == ["p", "q", "q", "s", "t", "u", "v", "s"]
    joined = join_copies(manifest, keys("12234562"))
    assert joined.groups.tolist() == ["p", "q", "q", "q", "t", "u", "v", "q"]
    assert joined.grouping == "by name; those that share a content are one"
    assert joined.paths == manifest.paths
    assert "1 recordings are copies" in caplog.text or "2 recordings are copies" in caplog.text
    assert "first 2.wav of 1.wav" in caplog.text


def test_copies_within_a_source_are_told_and_change_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    manifest = manifest_of([("a", "x", 1), ("a", "x", 1), ("b", "y", 2)])
    assert join_copies(manifest, keys("112")) is manifest
    assert "1 recordings are copies of others (first 1.wav of 0.wav)" in caplog.text
    assert "another label" not in caplog.text


def test_a_copy_with_another_label_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        join_copies(manifest_of([("a", "x", 1), ("b", "y", 2), ("b", "z", 2)]), keys("121"))
    assert "1 of them have another label" in caplog.text
    assert "2.wav: b, 0.wav: a" in caplog.text


def test_copies_stay_on_one_side_and_own_folds_are_called_leaky() -> None:
    rows = [(label, f"{label}{n}", 1 + n % 2) for label in "ab" for n in range(20)]
    manifest = manifest_of(rows)
    # Each clip of fold 1 is one of fold 2 too.
    contents = np.array([f"{label}{n // 2}".encode() for label in "ab" for n in range(20)])
    joined = join_copies(manifest, contents)
    for protocol in ("grouped", "folds", "random"):
        config = SplitConfig(protocol, folds=2)
        leaked = leaked_fraction(joined, make_splits(joined, config))
        assert (leaked == 0) == (protocol == "grouped")
        assert protocol != "folds" or leaked == 1
