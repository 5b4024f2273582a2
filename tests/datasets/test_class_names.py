"""Names of classes that look alike."""

from __future__ import annotations

import pytest

from sound_pipeline.datasets.class_names import look_alikes


@pytest.mark.parametrize(
    "other",
    ["Tür", "TÜR", "tu\u0308r", "tür ", "t\u200bür", "tür\ufe0f", "\ufefftür", "tü\u00adr", "t-ür"],
)
def test_alike(other: str) -> None:
    assert look_alikes(["tür", "dog", other]) == ([("tür", other)] if other != "tür" else [])


def test_other_names_are_not() -> None:
    assert look_alikes(["dog", "dogs", "tür", "tur", "a1", "a2", "犬", "猫", "c", "c#", "c+"]) == []
