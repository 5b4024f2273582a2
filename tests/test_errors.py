"""Hints about names that a user may have meant."""

from __future__ import annotations

import pytest

from sound_pipeline.errors import nearest_name, nearest_names

KNOWN = ("dog_bark", "Siren", "drilling")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("dog_brak", "did you mean 'dog_bark'?"),
        ("SIREN", "did you mean 'Siren'?"),
        ("dril", "did you mean 'drilling'?"),
        ("xyz", "choose one"),
        ("", "choose one"),
    ],
)
def test_the_nearest_name_is_hinted_at(name: str, hint: str) -> None:
    assert nearest_name(name, KNOWN, "choose one") == hint


def test_nothing_is_near_where_nothing_is_known() -> None:
    assert nearest_name("dog", (), "") == ""
    assert nearest_names("dog", (), 3) == []


def test_the_likest_names_come_first_however_unlike() -> None:
    assert nearest_names("sirens", KNOWN, 2)[0] == "Siren"
    assert nearest_names("drill", iter(KNOWN), 9)[0] == "drilling"
