"""What a file is on disk, against files whose faults are known."""

from __future__ import annotations

import hashlib
import resource
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sound_pipeline.audio import wav_length
from sound_pipeline.audio.channels import REMARK
from sound_pipeline.audio.durations import MAX_WHOLE_FRAMES, TOO_LONG
from sound_pipeline.datasets import Recording
from sound_pipeline.datasets.checked_file import UNKNOWN, CheckedFile, check_file
from tests.helpers import sounds
from tests.helpers import wav_files as wf


def check(path: Path) -> CheckedFile:
    return check_file(Recording(str(path), "dog", 3, "s"))


@pytest.mark.parametrize(
    ("name", "subtype", "encoding"),
    [
        ("a.wav", "PCM_24", "WAV PCM_24"),
        ("a.flac", "PCM_16", "FLAC PCM_16"),
        ("a.ogg", "VORBIS", "OGG VORBIS"),
    ],
)
def test_facts_of_a_file(tmp_path: Path, name: str, subtype: str, encoding: str) -> None:
    path = tmp_path / name
    soundfile.write(path, np.full((8000, 2), 0.1), 16000, subtype=subtype)
    checked = check(path)
    assert checked == CheckedFile(
        str(path),
        "dog",
        3,
        "s",
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        encoding=encoding,
        sample_rate_hz=16000,
        channels=2,
        seconds=0.5,
    )
    assert checked.usable


def test_file_that_libsndfile_does_not_know(tmp_path: Path) -> None:
    """WAV of 20 bits is decoded in the graph alone."""
    (tmp_path / "a.wav").write_bytes(
        wf.riff(wf.fmt(bits=20, rate_hz=8000, frame_bytes=3), wf.chunk(b"data", bytes(3 * 4000)))
    )
    checked = check(tmp_path / "a.wav")
    assert (checked.usable, checked.sample_rate_hz, checked.seconds) == (True, 8000, 0.5)
    (tmp_path / "b.wav").write_bytes(bytes(250))
    checked = check(tmp_path / "b.wav")
    assert (checked.usable, checked.encoding, checked.channels) == (False, UNKNOWN, 0)


def test_missing_file(tmp_path: Path) -> None:
    (tmp_path / "link.wav").symlink_to(tmp_path / "nowhere")
    for name in ("absent.wav", "no/folder.wav", "link.wav"):
        checked = check(tmp_path / name)
        assert checked.missing
        assert not checked.usable
        assert checked.sha256 == ""


def test_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"broken")
    broken, folder = check(tmp_path / "broken.wav"), check(tmp_path)
    assert (broken.missing, broken.usable, broken.seconds) == (False, False, 0)
    assert broken.reason.startswith("libsndfile does not decode it")
    assert (folder.missing, folder.usable, folder.reason) == (False, False, "Is a directory")


def test_remarks(tmp_path: Path) -> None:
    noise = sounds.noise(4000, 0.1)
    soundfile.write(tmp_path / "a.wav", np.stack([noise, -noise], axis=1), 8000)
    assert check(tmp_path / "a.wav").remark == REMARK.format(1, 2)
    (tmp_path / "b.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:-400])
    assert check(tmp_path / "b.wav").remark == f"{wav_length.CUT_OFF}; {REMARK.format(1, 2)}"
    assert check(tmp_path / "b.wav").usable


def test_an_hour_in_half_a_megabyte_is_read_block_by_block(tmp_path: Path) -> None:
    path = tmp_path / "silence.flac"
    frames = MAX_WHOLE_FRAMES + 1
    with soundfile.SoundFile(path, "w", 48000, 1, "PCM_16") as file:
        block = np.zeros(1 << 20, np.int16)
        for start in range(0, frames, len(block)):
            file.write(block[: frames - start])
    assert path.stat().st_size < 1 << 20
    check(path)  # imports and the allocator's first blocks aside
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    checked = check(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000
    assert (checked.usable, checked.reason) == (False, TOO_LONG)
    assert checked.seconds == pytest.approx(frames / 48000)
