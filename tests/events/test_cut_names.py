"""Names of cuts: given, and understood again."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from sound_pipeline.events.cut_names import clock_name, cut_name, source_of


@pytest.mark.parametrize("source", ["yard", "a_b", "Straße 5", "n_000001.5_x", "-"])
@pytest.mark.parametrize("label", ["dog", "dog bark", "_", "1-2", "サイレン"])
def test_what_is_given_is_understood(source: str, label: str) -> None:
    names = [cut_name(source, start, label) for start in (0, 20.9, 123456.789, 1e7)]
    found = {source_of(f"{name}{end}.wav") for name in names for end in ("", "-2")}
    assert len(found) == 1 and found.pop()


def test_what_a_microphone_heard_within_an_hour_is_one_source() -> None:
    zone = timezone(timedelta(hours=1))
    times = [datetime(2025, 11, 3, 14, minute, 7, 120_000, zone) for minute in (3, 59)]
    names = [f"{clock_name(time, 'dog_bark')}.wav" for time in times]
    assert names[0] == "20251103T130307.120Z_dog_bark.wav"
    assert {source_of(name) for name in names} == {"20251103T13"}


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("yard_000020.9_dog.wav", "yard"),
        ("my yard_000020.900_dog bark-2.flac", "my yard"),
        ("yard_20.9_24.9.wav", "yard"),
        ("yard 0.0-4.0.wav", "yard"),
        ("Ab-3_x_30.000_40.000.wav", "Ab-3_x"),
        ("100032-3-0-12.wav", "100032"),
        ("1-100032-A-0.wav", "100032"),
        ("dog_001.wav", ""),
        ("001.wav", ""),
        ("recorder_1.2_0001.wav", ""),
        ("2025-11-03.wav", ""),
        ("20251103_130307.WAV", ""),
        (".wav", ""),
    ],
)
def test_source(name: str, source: str) -> None:
    assert source_of(name) == source
