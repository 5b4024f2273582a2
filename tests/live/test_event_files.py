"""Events on disk: their sound, image and record, their names, and disks that fail."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import pytest
import soundfile
from matplotlib.image import imread

from sound_pipeline.errors import UserError
from sound_pipeline.events.event import Event
from sound_pipeline.live.event_files import EventSaver

RATE = 16000
TIME = datetime(2025, 11, 3, 14, 3, 7, 120_999, timezone(timedelta(hours=1)))
BARK = Event(12.34, 13.34, "dog_bark", 0.9)
SOUND = np.random.default_rng(0).uniform(-1, 1, RATE).astype(np.float32)


def draw(samples: np.ndarray, rate: int) -> np.ndarray:
    """An image from which sound and rate can be told."""
    image = np.zeros((299, 299, 3), np.uint8)
    image[0, 0] = (len(samples) // 1000, rate // 1000, round(100 * float(abs(samples).max())))
    return image


@pytest.fixture
def notices() -> list[str]:
    return []


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "new" / "events"


@pytest.fixture
def saver(directory: Path, notices: list[str]) -> EventSaver:
    return EventSaver(directory, draw, notices.append)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def records(directory: Path) -> list[dict[str, object]]:
    lines = (directory / "events.jsonl").read_text(encoding="ascii").splitlines()
    return [json.loads(line) for line in lines]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Makes writing beyond a size fail, half way through, as on a full disk."""
    resource = pytest.importorskip("resource")
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


def test_an_event_is_a_sound_a_image_and_a_record(saver: EventSaver, directory: Path) -> None:
    assert saver.save(BARK, SOUND, RATE, "default", TIME)
    name = "20251103T130307.120Z_dog_bark"
    assert names(directory) == [f"{name}.png", f"{name}.wav", "events.jsonl"]
    sound, rate = soundfile.read(directory / f"{name}.wav", dtype="float32")
    information = soundfile.info(directory / f"{name}.wav")
    assert (rate, information.subtype, information.channels) == (RATE, "PCM_16", 1)
    np.testing.assert_allclose(sound, SOUND, atol=1.01 / 32768)
    image = np.round(imread(directory / f"{name}.png")[..., :3] * 255).astype(np.uint8)
    np.testing.assert_array_equal(image, draw(SOUND, RATE))
    assert records(directory) == [
        {
            "type": "event",
            "source": "default",
            "time": "2025-11-03T14:03:07.120+01:00",
            "start_seconds": 12.34,
            "end_seconds": 13.34,
            "label": "dog_bark",
            "score": 0.9,
            "audio": f"{name}.wav",
            "picture": f"{name}.png",
        }
    ]


def test_without_a_way_to_draw_there_is_no_image(directory: Path, notices: list[str]) -> None:
    saver = EventSaver(directory, None, notices.append)
    assert saver.save(BARK, SOUND, RATE, "default", TIME)
    name = "20251103T130307.120Z_dog_bark"
    assert names(directory) == [f"{name}.wav", "events.jsonl"]
    (record,) = records(directory)
    assert (record["audio"], record["picture"]) == (f"{name}.wav", None)
    assert saver.save(BARK, SOUND, RATE, "default", TIME)
    assert names(directory) == [f"{name}-2.wav", f"{name}.wav", "events.jsonl"]
    assert notices == []


def test_what_is_too_loud_is_clipped(saver: EventSaver, directory: Path) -> None:
    saver.save(BARK, np.array([1.0, -1.0, 1.5, -1.5] * 100, np.float32), RATE, "default", TIME)
    sound, _ = soundfile.read(next(directory.glob("*.wav")), dtype="int16")
    assert sound[:4].tolist() == [32767, -32768, 32767, -32768]


def test_names_within_recordings(saver: EventSaver, directory: Path) -> None:
    saver.save(BARK, SOUND, RATE, "yards/Café 1.wav")
    assert names(directory)[0] == "Café_1_000012.340_dog_bark.png"


def test_names_sort_by_time(saver: EventSaver, directory: Path) -> None:
    # The second two are an hour apart, when clocks are set back at the end of summer time.
    clock = datetime(2025, 10, 26, 2, 30, tzinfo=timezone(timedelta(hours=2)))
    wintry = datetime(2025, 10, 26, 2, 10, tzinfo=timezone(timedelta(hours=1)))
    for number, time in enumerate([clock - timedelta(days=30), clock, wintry]):
        saver.save(Event(number, number + 1, "zyx"[number], 0.5), SOUND, RATE, "default", time)
    for seconds in (9.0, 99.0, 12345.0):
        saver.save(Event(seconds, seconds + 1, "rain", 0.5), SOUND, RATE, "a.wav")
    starts = {str(record["audio"]): record["start_seconds"] for record in records(directory)}
    ordered = [starts[name] for name in names(directory) if name.endswith(".wav")]
    assert ordered == [0.0, 1.0, 2.0, 9.0, 99.0, 12345.0]


ODD_LABELS = ["a/b", "..", "", "con:", 'x<>"|?*y', "two\nlines", "-rf", "nul\0", "half\udce9"]
UNICODE_LABELS = ["犬の鳴き声", "ध्वनि", "Café"]
LONG_LABELS = ["w" * 500, "犬" * 300, "𠮷" * 300]


@pytest.mark.parametrize("label", [*ODD_LABELS, *UNICODE_LABELS, *LONG_LABELS])
def test_any_label_makes_a_safe_name(saver: EventSaver, directory: Path, label: str) -> None:
    assert saver.save(Event(1, 2, label, 0.5), SOUND, RATE, f"{label}.wav")
    assert saver.save(Event(1, 2, label, 0.5), SOUND, RATE, "default", TIME)
    found = names(directory)
    assert len(found) == 5
    for name in found:
        assert len(name.encode()) < 250
        assert not set(name) & set('/\\:*?"<>|\0\n ') and not name.startswith((".", "-"))
    assert records(directory)[0]["label"] == label


def test_names_are_unique_and_nothing_is_overwritten(
    saver: EventSaver, directory: Path, notices: list[str]
) -> None:
    again = EventSaver(directory, draw, notices.append)  # a second program
    for number, one in enumerate([saver, again, saver, again]):
        one.save(BARK, SOUND[: 4000 + number], RATE, "default", TIME)
    written = [str(record["audio"]) for record in records(directory)]
    assert len(set(written)) == 4
    lengths = [soundfile.info(directory / name).frames for name in written]
    assert lengths == [4000, 4001, 4002, 4003]


def test_a_name_that_another_program_is_writing_is_taken(
    saver: EventSaver, directory: Path
) -> None:
    (directory / ".20251103T130307.120Z_dog_bark.reserved").touch()
    saver.save(BARK, SOUND, RATE, "default", TIME)
    assert records(directory)[0]["audio"] == "20251103T130307.120Z_dog_bark-2.wav"


def test_files_appear_when_they_are_whole(
    directory: Path, monkeypatch: pytest.MonkeyPatch, saver: EventSaver
) -> None:
    seen: list[list[str]] = []
    replace = os.replace

    def spy(aside: Path, path: Path) -> None:
        seen.append([name for name in names(directory) if not name.startswith(".")])
        replace(aside, path)

    monkeypatch.setattr(os, "replace", spy)
    saver.save(BARK, SOUND, RATE, "default", TIME)
    image, sound = (f"20251103T130307.120Z_dog_bark.{end}" for end in ("png", "wav"))
    assert seen == [["events.jsonl"], [image, "events.jsonl"]]
    assert {image, sound} < set(names(directory))
    assert not [name for name in names(directory) if name.startswith(".")]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError) as caught:
        EventSaver(tmp_path / "file" / "events", draw, print)
    assert str(caught.value) == (
        f"--save_events={tmp_path}/file/events: can't be written: Not a directory; "
        "give another folder"
    )


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").mkdir()
    with pytest.raises(UserError, match="can't be written: Is a directory"):
        EventSaver(tmp_path, draw, print)


def test_a_full_disk_is_found_out_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=3 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(UserError) as caught:
        EventSaver(tmp_path, draw, print)
    assert str(caught.value) == (
        f"--save_events={tmp_path}: only 3 MiB are free on its disk; make room, or give another "
        "folder"
    )


def test_a_folder_that_goes_away_is_noticed_once(
    saver: EventSaver, directory: Path, notices: list[str]
) -> None:
    assert saver.save(BARK, SOUND, RATE, "default", TIME)
    shutil.rmtree(directory)
    assert not saver.save(BARK, SOUND, RATE, "default", TIME)
    assert not saver.save(BARK, SOUND, RATE, "default", TIME)
    assert notices == [
        f"--save_events={directory}: No such file or directory; events are not saved until that "
        "is mended"
    ]
    directory.mkdir()
    assert saver.save(BARK, SOUND, RATE, "default", TIME)
    assert saver.save(BARK, SOUND, RATE, "default", TIME)
    assert notices[1:] == ["events are saved again; not saved: 2"]
    assert len(records(directory)) == 2


@pytest.mark.parametrize("size", [0, 100, 5000])
def test_a_disk_that_fills_up_leaves_no_halves(
    saver: EventSaver, directory: Path, notices: list[str], size: int
) -> None:
    with largest_file(size):
        assert not saver.save(BARK, SOUND, RATE, "default", TIME)
    assert "File too large" in notices[0]
    assert names(directory) == ["events.jsonl"]
    assert records(directory) == []


@pytest.mark.slow
def test_a_record_is_whole_or_not_there(
    saver: EventSaver, directory: Path, notices: list[str]
) -> None:
    for _ in range(200):  # until the records' file is larger than any other
        saver.save(BARK, SOUND[:100], RATE, "default", TIME)
    size = (directory / "events.jsonl").stat().st_size
    with largest_file(size + 10):
        assert not saver.save(BARK, SOUND[:100], RATE, "default", TIME)
    assert (directory / "events.jsonl").stat().st_size == size
    assert len(records(directory)) == 200 == len(list(directory.glob("*.wav")))
    assert saver.save(BARK, SOUND[:100], RATE, "default", TIME)
    assert len(records(directory)) == 201


def test_a_line_cut_short_by_a_crash_spoils_no_other(directory: Path, notices: list[str]) -> None:
    directory.mkdir(parents=True)
    (directory / "events.jsonl").write_text('{"type": "event"}\n{"type": "ev')
    EventSaver(directory, draw, notices.append).save(BARK, SOUND, RATE, "default", TIME)
    lines = (directory / "events.jsonl").read_text().splitlines()
    assert lines[:2] == ['{"type": "event"}', '{"type": "ev']
    assert json.loads(lines[2])["label"] == "dog_bark"


def test_an_event_whose_sound_is_gone_is_told_and_not_saved(tmp_path: Path) -> None:
    notices: list[str] = []
    saver = EventSaver(tmp_path, None, notices.append)
    for _ in range(2):
        assert not saver.save(BARK, None, 8000, "a.wav")
    assert [path.name for path in tmp_path.iterdir()] == ["events.jsonl"]
    (notice,) = notices
    assert "is not saved: its label came over 600 s after its sound" in notice
