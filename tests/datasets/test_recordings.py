"""Recordings in columns, against the list of them."""

from __future__ import annotations

import pickle
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sound_pipeline.datasets import Manifest, Recording, Recordings

NAMES = st.text(st.sampled_from("aé日/."), max_size=4)


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    path = draw(NAMES)
    ending = path[draw(st.integers(0, len(path))) :]
    return Recording(
        path,
        draw(st.sampled_from(["cat", "dog", "Tür"])),
        draw(st.none() | st.integers(-2, 2) | st.just(10**30)),
        draw(NAMES | st.just(ending)),
    )


LISTS = st.lists(recordings(), max_size=12)


@given(LISTS, st.data())
def test_are_what_the_list_is(plain: list[Recording], data: st.DataObject) -> None:
    kept = Recordings(iter(plain))
    assert list(kept) == plain and len(kept) == len(plain) and bool(kept) == bool(plain)
    assert [kept[n] for n in range(-len(plain), len(plain))] == plain + plain
    assert list(kept.paths) == [each.path for each in plain]
    assert list(kept.groups()) == [each.group for each in plain]
    some = data.draw(st.slices(len(plain)))
    assert list(kept[some]) == plain[some] and kept[some] == Recordings(plain[some])
    for position in (len(plain), -len(plain) - 1):
        with pytest.raises(IndexError):
            kept[position]
    for alike in (Recordings(plain), pickle.loads(pickle.dumps(kept))):
        assert kept == alike and hash(kept) == hash(alike)
    assert Recordings.of(kept) is kept and Recordings.of(plain) == kept


@given(LISTS, LISTS)
def test_equal_what_has_the_same(plain: list[Recording], others: list[Recording]) -> None:
    assert (Recordings(plain) == Recordings(others)) == (plain == others)
    for position, other in enumerate(others[: len(plain)]):
        changed = [*plain[:position], other, *plain[position + 1 :]]
        assert (Recordings(plain) == Recordings(changed)) == (plain == changed)


@given(LISTS)
def test_a_manifest_has_their_columns(plain: list[Recording]) -> None:
    known, unknown = ("Tür", "cat"), ("dog",)
    manifest = Manifest("some", plain, known, 4.0, unknown)
    assert list(manifest.recordings) == plain and list(manifest.paths) == [r.path for r in plain]
    assert manifest.labels.tolist() == [(known + unknown).index(r.label) for r in plain]
    assert manifest.is_known.tolist() == [r.label != "dog" for r in plain]
    assert manifest.folds == tuple(sorted({r.fold for r in plain} - {None}))
    expected = np.array([r.group for r in plain], np.str_)
    np.testing.assert_array_equal(manifest.groups, expected)
    assert manifest.groups.dtype == expected.dtype
    assert manifest == Manifest("some", tuple(plain), known, 4.0, unknown)
    if None not in (folds := [r.fold for r in plain]) and 10**30 not in folds:
        assert manifest.fold_of.tolist() == folds
    else:
        with pytest.raises((TypeError, OverflowError)):
            print(manifest.fold_of)


@given(LISTS, st.dictionaries(st.integers(0, 11), NAMES, max_size=4))
def test_paths_change_and_nothing_else_does(plain: list[Recording], paths: dict[int, str]) -> None:
    assert list(Recordings(plain).with_paths(paths)) == [
        Recording(paths.get(n, r.path), r.label, r.fold, r.group) for n, r in enumerate(plain)
    ]


def test_nothing_can_be_written_to() -> None:
    kept = Recordings([Recording("a", "cat", 1, "b"), Recording("c", "dog", 2, "c")])
    manifest = Manifest("two", kept, ("cat", "dog"), 4.0)
    columns: Sequence[np.ndarray] = (
        kept.label_codes,
        kept.fold_codes,
        manifest.labels,
        manifest.is_known,
        manifest.fold_of,
        manifest.groups,
    )
    for column in columns:
        with pytest.raises(ValueError, match="read-only"):
            column[0] = column[1]


def test_any_file_name_is_kept() -> None:
    recording = Recording("a/b\udcff.wav", "cat", None, "b\udcff.wav")
    assert Manifest("one", [recording], ("cat",), 4.0).recordings[0] == recording
