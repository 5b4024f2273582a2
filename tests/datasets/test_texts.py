"""Strings in one buffer, against the list of them."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sound_pipeline.datasets.texts import StringColumn

# Names of files may be any bytes, which Python writes as lone surrogates.
LETTERS = st.sampled_from("aé日😀\ud800\udcff") | st.characters()
TEXTS = st.lists(st.text(LETTERS, max_size=5), max_size=20)


@given(TEXTS, st.data())
def test_is_what_the_list_is(texts: list[str], data: st.DataObject) -> None:
    kept = StringColumn(iter(texts))
    assert list(kept) == texts and len(kept) == len(texts)
    assert [kept[n] for n in range(-len(texts), len(texts))] == texts + texts
    some = data.draw(st.slices(len(texts)))
    assert list(kept[some]) == texts[some]
    for position in (len(texts), -len(texts) - 1):
        with pytest.raises(IndexError):
            kept[position]
    for alike in (StringColumn(texts), pickle.loads(pickle.dumps(kept)), copy.deepcopy(kept)):
        assert kept == alike and hash(kept) == hash(alike)


@given(TEXTS, TEXTS)
def test_equals_what_has_the_same_strings(texts: list[str], others: list[str]) -> None:
    assert (StringColumn(texts) == StringColumn(others)) == (texts == others)
    assert StringColumn(texts) != texts


def test_the_same_letters_divided_otherwise_are_not_the_same() -> None:
    assert StringColumn(["ab", "c"]) != StringColumn(["a", "bc"])


def test_takes_the_integers_of_numpy_and_none_but_integers() -> None:
    kept = StringColumn(["a", "b"])
    assert [kept[n] for n in np.flatnonzero([True, True])] == ["a", "b"]
    with pytest.raises(TypeError):
        kept[1.0]  # type: ignore[call-overload]
