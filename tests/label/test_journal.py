"""What is kept of a run that may be killed at any byte."""

from __future__ import annotations

import logging
import os
import random
from pathlib import Path

import numpy as np
import pytest

from sound_pipeline.errors import UserError
from sound_pipeline.events.event import Event
from sound_pipeline.label.journal import EventRow, Identity, Journal, Result, event_row, identity

A = (
    Identity(10, 1),
    Result("a.wav", (EventRow(0.0, 1.5, "dog", 0.9, (("cat", 0.1),)),), "", "", 5.0, 8000),
)
B = (Identity(20, 2), Result("b.wav", (), "silent", "", 3.0, 8000))
C = (Identity(30, 3), Result("ü\n.wav", (), "silent", "", 3.0, 8000))


def write(path: Path, *groups: list[tuple[Identity, Result]], key: str = "k") -> bytes:
    journal = Journal(path, key)
    journal.open()
    for group in groups:
        journal.add(group)
    journal.close()
    return path.read_bytes()


def test_results_come_back(tmp_path: Path) -> None:
    write(tmp_path / "new" / "j", [A, B], [C])
    journal = Journal(tmp_path / "new" / "j", "k")
    assert journal.is_continued
    for known, result in (A, B, C):
        assert journal.result(result.path, known) == result and result.path in journal
        assert journal.result(result.path, Identity(known.size, 9)) is None, "the file has changed"
    assert journal.result("d.wav", Identity(0, 0)) is None and "d.wav" not in journal


def test_every_cut_leaves_whole_groups(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole", [A, B], [C])
    ends = [index + 1 for index, byte in enumerate(whole) if byte == ord("\n")]
    assert len(ends) == 3
    path = tmp_path / "cut"
    for length in range(len(whole) + 1):
        path.write_bytes(whole[:length])
        journal = Journal(path, "k")
        groups = sum(end <= length for end in ends) - 1
        assert journal.is_continued == (groups >= 0)
        assert [result.path in journal for _, result in (A, B, C)] == [
            groups >= 1,
            groups >= 1,
            groups >= 2,
        ]
        # What goes on from here is as if nothing had been cut.
        left = [[A, B], [C]][max(groups, 0) :]
        assert write(path, *left) == whole


def test_nothing_of_another_model_is_used(tmp_path: Path) -> None:
    write(tmp_path / "j", [A])
    other = Journal(tmp_path / "j", "other")
    assert not other.is_continued and "a.wav" not in other
    assert "a.wav" in Journal(tmp_path / "j", "k"), "reading writes nothing"
    write(tmp_path / "j", [B], key="other")
    assert "a.wav" not in Journal(tmp_path / "j", "other")
    assert not Journal(tmp_path / "j", "k").is_continued


def test_a_later_result_replaces_an_earlier(tmp_path: Path) -> None:
    changed = (Identity(11, 5), Result("a.wav", (), "silent"))
    write(tmp_path / "j", [A], [changed])
    journal = Journal(tmp_path / "j", "k")
    assert journal.result("a.wav", A[0]) is None
    assert journal.result("a.wav", changed[0]) == changed[1]


@pytest.mark.skipif(os.name == "nt", reason="links take rights there")
@pytest.mark.parametrize("continues", [False, True])
def test_a_link_is_replaced_and_not_written_through(tmp_path: Path, continues: bool) -> None:
    other = tmp_path / "other file"
    other.write_bytes(write(tmp_path / "j", [A]) if continues else b"of somebody else")
    before = other.read_bytes()
    (tmp_path / "j").unlink(missing_ok=True)
    (tmp_path / "j").symlink_to(other)
    write(tmp_path / "j", [B])
    assert other.read_bytes() == before
    assert not (tmp_path / "j").is_symlink()
    assert "b.wav" in Journal(tmp_path / "j", "k")


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/j cannot be written"):
        Journal(tmp_path / "file" / "j", "k").open()


def test_the_identity_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert identity(str(path)) == Identity(0, 0)
    path.write_bytes(b"123")
    before = identity(str(path))
    assert before.size == 3
    os.utime(path, ns=(0, before.modified_ns + 1))
    assert identity(str(path)) == Identity(3, before.modified_ns + 1)


def test_digits_and_other_labels_of_an_event() -> None:
    labels = ("dog", "cat", "rain")
    event = Event(1 / 3, 2 / 3, "cat", 0.123456, (0.6, 0.123456, 0.276544))
    assert event_row(event, labels, 1) == EventRow(0.333, 0.667, "cat", 0.1235)
    assert event_row(event, labels, 2).others == (("dog", 0.6),)
    assert event_row(event, labels, 3).others == (("dog", 0.6), ("rain", 0.2765))
    unknown = Event(0, 1, "unknown", 0.4, (0.4, 0.3, 0.3))
    assert [label for label, _ in event_row(unknown, labels, 3).others] == ["dog", "cat"]


def test_answers_of_a_group_are_kept_until_it_is_complete(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    parts = [random.random((rows, 3), np.float32) for rows in (16, 16, 5)]
    journal = Journal(tmp_path / "j", "k")
    journal.open()
    journal.add([A])
    journal.add_answers("g", parts[:2])
    journal.add_answers("g", parts[2:])
    journal.close()
    kept = Journal(tmp_path / "j", "k")
    for part, known in zip(parts, kept.answers("g"), strict=True):
        np.testing.assert_array_equal(part, known)
    assert kept.answers("other") == [] and "a.wav" in kept
    kept.open()
    kept.add([B])
    kept.close()
    assert Journal(tmp_path / "j", "k").answers("g") == []


def test_nothing_is_left_of_what_was_cut_off(tmp_path: Path) -> None:
    whole = write(tmp_path / "j", [B])
    (tmp_path / "j").write_bytes(whole + b'[["half a line')
    assert write(tmp_path / "j") == whole


@pytest.mark.parametrize("seed", range(100))
def test_nothing_damaged_is_used(tmp_path: Path, seed: int) -> None:
    path, rng = tmp_path / "j", random.Random(seed)
    whole = write(path, [A, B], [C])
    header = whole.index(b"\n") + 1
    place = rng.randrange(header, len(whole))
    damage = [b"[" * 50_000, b"null\n", b'{"group": 1}\n', bytes(8), rng.randbytes(3), b""]
    path.write_bytes(whole[:place] + rng.choice(damage) + whole[place + rng.randrange(1, 9) :])
    kept = Journal(path, "k")
    assert kept.is_continued
    for known, result in (A, B, C):
        assert kept.result(result.path, known) in (result, None)
    if place < whole.index(b"\n", header):
        assert "a.wav" not in kept
    # What goes on from here is as if nothing had been damaged.
    left = [[A, B], [C]][("a.wav" in kept) + (C[1].path in kept) :]
    assert write(path, *left) == whole


def test_damage_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = write(tmp_path / "j", [A, B], [C])
    (tmp_path / "j").write_bytes(whole.replace(b"0.9", b"0.8"))
    with caplog.at_level(logging.WARNING):
        assert "a.wav" not in Journal(tmp_path / "j", "k")
    assert "j: damaged; what follows there is labelled again" in caplog.text


@pytest.mark.parametrize("key", ["k", "other"])
def test_two_programs_do_not_write_into_one(tmp_path: Path, key: str) -> None:
    path = tmp_path / "j"
    first = Journal(path, "k")
    first.open()
    first.add([A])
    with pytest.raises(UserError, match="another sound-label is writing to the same --output"):
        Journal(path, key).open()
    first.add([B])
    first.close()
    again = Journal(path, "k")
    assert "a.wav" in again and "b.wav" in again
