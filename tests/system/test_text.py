"""What becomes of texts that would steer a terminal."""

from __future__ import annotations

import pytest

from sound_pipeline.system.text import one_line, printable


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dog bark", "dog bark"),
        ("サイレン, Straße, e\u0301", "サイレン, Straße, e\u0301"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("two\nlines\r", "two\\nlines\\r"),
        ("a\u2028b\u2029", "a\\u2028b\\u2029"),
        ("\udcff.wav", "\\udcff.wav"),
        *((f"gpj{mark}.wav", f"gpj\\u{ord(mark):04x}.wav") for mark in "\u202e\u2066\u200f\u061c"),
    ],
)
def test_printable(text: str, expected: str) -> None:
    assert printable(text) == expected
    assert printable(expected) == expected


def test_one_line() -> None:
    assert one_line(" a\n b\x07 ") == "a b\\x07"
