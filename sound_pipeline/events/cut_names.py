"""File names of sounds cut from recordings: given to saved events, and understood in data sets."""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime, timezone

# A label's and a recording's share of a file name, which most systems limit to 255 bytes.
_LONGEST_PART_BYTES = 90

# Each tells the source where the whole name, its ending aside, is like it.
_CUTS = tuple(
    map(
        re.compile,
        (
            # Of `cut_name`: yard_000020.900_dog, and yard_000020.900_dog-2.
            r"(?P<source>.+?)_\d{6,}\.\d{1,3}_.+",
            # Start and end in seconds, as tools that cut by labels write them: yard_20.9-24.9.
            r"(?P<source>.+?)[-_ ]\d+\.\d+s?[-_]\d+\.\d+s?",
            # Of `clock_name`. What a microphone heard within an hour is one source.
            r"(?P<source>\d{8}T\d{2})\d{4}\.\d{3}Z_.+",
            # UrbanSound8K's, without its table: source, class, occurrence, slice.
            r"(?P<source>\d+)-\d+-\d+-\d+",
            # ESC-50's: fold, source, take, class.
            r"[1-5]-(?P<source>\d+)-[A-Z]-\d+",
        ),
    )
)


def cut_name(source_stem: str, start_seconds: float, label: str) -> str:
    """Name of a cut from a recording: `yard_000012.340_dog_bark` of yard.wav, from 12.34 s on."""
    return f"{safe_part(source_stem)}_{start_seconds:010.3f}_{safe_part(label)}"


def clock_name(time: datetime, label: str) -> str:
    """Name of a cut from live sound: `20251103T130307.120Z_dog_bark`, in UTC."""
    utc = time.astimezone(timezone.utc)
    return f"{utc:%Y%m%dT%H%M%S}.{utc.microsecond // 1000:03}Z_{safe_part(label)}"


def source_of(file_name: str) -> str:
    """The source recording that a file was cut from, by its name; '' where that doesn't tell."""
    stem, _, _ = file_name.rpartition(".")
    for pattern in _CUTS:
        if match := pattern.fullmatch(stem):
            return match["source"]
    return ""


def safe_part(text: str) -> str:
    """A text as part of a file name on any system: letters, marks, digits, `-` and `_`."""
    kept = (
        character if character in "-_" or unicodedata.category(character)[0] in "LMN" else "_"
        for character in unicodedata.normalize("NFC", text)
    )
    part = "".join(kept).encode()[:_LONGEST_PART_BYTES].decode(errors="ignore")
    return part.strip("-_") or "event"
