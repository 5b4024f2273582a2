"""What becomes of texts that would steer a terminal."""

from __future__ import annotations

import pytest

from sound_pipeline.system.text import one_line, printable, spreadsheet_row


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


@pytest.mark.parametrize("mark", "=+-@")
def test_a_spreadsheet_sees_no_formula(mark: str) -> None:
    assert spreadsheet_row([f"{mark}1.wav", -1.5, "a-b"]) == f"'{mark}1.wav,-1.5,a-b\n"
    assert spreadsheet_row([f" {mark}1"]) == f"' {mark}1\n"


def test_a_row_is_one_line() -> None:
    assert spreadsheet_row(["a\nb\u202e", "c,d"]) == 'a\\nb\\u202e,"c,d"\n'
