"""Recordings read in blocks, against the decoding of whole files."""

from __future__ import annotations

import os
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.audio import libsndfile
from sound_pipeline.audio.decoding import decode_whole
from sound_pipeline.audio.reader import AudioReader
from sound_pipeline.errors import UnreadableError
from tests.audio import test_wav
from tests.helpers import encoded, wav_matrix
from tests.helpers import wav_files as wf

# Thousands of chunks are thousands of eager steps.
LONG_WALKS = test_wav.LONG_WALKS
SIZES = (40, 1 << 22)
FORMATS = {name: item for name, item in encoded.every_format().items() if "VORBIS" not in name}


def read(path: Path, block_bytes: int) -> tuple[list[np.ndarray], int, str]:
    """Blocks, rate and reason."""
    blocks: list[np.ndarray] = []
    try:
        with AudioReader(str(path), block_bytes) as recording:
            for block in recording.blocks:
                blocks.append(block)
            return blocks, recording.sample_rate_hz, ""
    except UnreadableError as error:
        assert str(error) == f"{path}: {error.reason}"
        return blocks, 0, error.reason


@pytest.mark.parametrize("name", [name for name in wav_matrix.FILES if name not in LONG_WALKS])
def test_blocks_are_the_whole_file(name: str, tmp_path: Path) -> None:
    contents, _ = wav_matrix.FILES[name]
    path = tmp_path / "a.wav"
    path.write_bytes(contents)
    whole, rate, reason, _ = decode_whole(contents)
    assert (reason, len(whole) > 0) == ("", True)
    for size in SIZES:
        blocks, block_rate, reason = read(path, size)
        assert (block_rate, reason) == (rate, "")
        assert len(blocks) > 1 or size > 40 or len(whole) <= 40
        assert all(block.dtype == np.float32 and block.size for block in blocks)
        np.testing.assert_array_equal(np.concatenate(blocks), whole)


@pytest.mark.slow
def test_thousands_of_chunks_before_the_samples(tmp_path: Path) -> None:
    contents, _ = wav_matrix.FILES[LONG_WALKS[0]]
    (tmp_path / "a.wav").write_bytes(contents)
    blocks, rate, reason = read(tmp_path / "a.wav", 64)
    whole, whole_rate, _, _ = decode_whole(contents)
    assert (rate, reason) == (whole_rate, "")
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


@pytest.mark.parametrize("name", [name for name in test_wav.REASONS if name not in LONG_WALKS])
def test_reasons_are_those_of_the_whole_file(name: str, tmp_path: Path) -> None:
    contents, *_ = test_wav.REASONS[name]
    (tmp_path / "a.wav").write_bytes(contents)
    whole, rate, reason, _ = decode_whole(contents)
    for size in (16, 1 << 22):
        blocks, block_rate, block_reason = read(tmp_path / "a.wav", size)
        assert (block_rate, block_reason) == (rate, reason)
        if not reason:  # an encoding that libsndfile knows
            np.testing.assert_array_equal(np.concatenate(blocks), whole)


def test_all_samples_that_are_no_numbers_are_counted(tmp_path: Path) -> None:
    samples = np.zeros(100, "<f4")
    samples[[50, 51, 99]] = np.nan, np.inf, np.nan
    contents = wf.riff(wf.fmt(wf.FLOAT, bits=32), wf.chunk(b"data", samples.tobytes()))
    (tmp_path / "a.wav").write_bytes(contents)
    blocks, _, reason = read(tmp_path / "a.wav", 40)
    assert reason == decode_whole(contents)[2] == "WAV: 3 sample(s) are not finite"
    assert len(blocks) == 5  # those before the first


@pytest.mark.parametrize("name", FORMATS)
def test_other_formats_are_those_of_libsndfile(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libsndfile, "_BLOCK_SAMPLES", 1000)
    (tmp_path / "a").write_bytes(FORMATS[name])
    blocks, rate, reason = read(tmp_path / "a", 1 << 22)
    whole, whole_rate, whole_reason, _ = decode_whole(FORMATS[name])
    assert (rate, reason) == (whole_rate, whole_reason)
    # tensorflow-io's MP3 decoder rounds differently.
    tolerance = 1e-5 if name.startswith("MP3") else 0
    np.testing.assert_allclose(np.concatenate(blocks), whole, rtol=0, atol=tolerance)


@pytest.mark.parametrize("content", [b"", b"R", b"no audio" * 100], ids=["empty", "byte", "text"])
def test_what_is_no_recording(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    assert read(tmp_path / "a.wav", 64) == ([], 0, decode_whole(content)[2])


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode there")
def test_a_file_name_that_can_not_be_printed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    os.rename(tmp_path / "a.wav", os.fsencode(tmp_path) + b"/caf\xe9.wav")
    (path,) = tmp_path.iterdir()
    with pytest.raises(UnreadableError, match="the file name is not UTF-8") as error:
        AudioReader(str(path))
    assert "caf" in str(error.value).encode().decode()


def test_a_recording_that_vanished_is_named(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"gone\.wav: No such file"):
        AudioReader(str(tmp_path / "gone.wav"))


def test_libsndfile_reads_all_where_there_is_no_tensorflow(tmp_path: Path) -> None:
    """And all channels where they are asked for."""
    for name in ("RF64-PCM_16-44100-2", "FLAC-PCM_16-44100-2"):
        (tmp_path / "a").write_bytes(FORMATS[name])
        expected, rate_hz = encoded.by_libsndfile(FORMATS[name])
        with AudioReader(str(tmp_path / "a"), tensorflow=False) as recording:
            np.testing.assert_array_equal(np.concatenate(list(recording.blocks)), expected)
            assert recording.sample_rate_hz == rate_hz
        with AudioReader(str(tmp_path / "a"), mono=False) as recording:
            channels = np.concatenate(list(recording.blocks))
        assert channels.shape == (len(expected), 2)
        np.testing.assert_array_equal(channels.mean(axis=1), expected)


@pytest.mark.slow
def test_memory_is_that_of_a_block(tmp_path: Path) -> None:
    data = np.zeros(1 << 24, np.int16).tobytes()
    (tmp_path / "a.wav").write_bytes(wf.riff(wf.fmt(), wf.chunk(b"data", data)))
    tracemalloc.start()
    with AudioReader(str(tmp_path / "a.wav"), 1 << 16) as recording:
        samples = sum(block.size for block in recording.blocks)
        position = recording.position_bytes
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (samples, position) == (1 << 24, recording.size_bytes)
    assert peak < 1 << 21


def test_a_file_that_shrinks_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(wf.riff(wf.fmt(), wf.chunk(b"data", bytes(1 << 18))))
    with AudioReader(str(path), 1 << 16) as recording:
        next(recording.blocks)
        with path.open("r+b") as file:
            file.truncate(1 << 16)
        with pytest.raises(UnreadableError, match="became shorter"):
            list(recording.blocks)


def test_files_of_more_than_2_gib_are_read(tmp_path: Path) -> None:
    """A sparse one, in which the samples start beyond 2 GiB."""
    size = 2**31 + 10
    head = wf.riff(wf.fmt())
    with (tmp_path / "a.wav").open("wb") as file:
        file.write(head + b"JUNK" + size.to_bytes(4, "little"))
        file.seek(size, 1)
        file.write(wf.chunk(b"data", np.arange(8, dtype="<i2").tobytes()))
    blocks, rate, reason = read(tmp_path / "a.wav", 1 << 16)
    assert (rate, reason) == (44100, "")
    np.testing.assert_array_equal(np.concatenate(blocks), np.arange(8) / 2.0**15)


def test_one_graph_is_traced_for_all_slices(tmp_path: Path) -> None:
    from sound_pipeline.audio.block_decoding import _decode_slice

    for channels in (1, 2):
        header, data = wf.fmt(channels=channels), wf.chunk(b"data", bytes(1000))
        (tmp_path / "a.wav").write_bytes(wf.riff(header, data))
        read(tmp_path / "a.wav", 64)
    assert isinstance(_decode_slice, tf.types.experimental.GenericFunction)
    assert _decode_slice.experimental_get_tracing_count() == 1
