"""WAV files whose header doesn't give the length of their sound: read to the end, and said."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.audio import libsndfile, wav_length
from sound_pipeline.audio.decoding import decode_file, decode_whole
from sound_pipeline.audio.reader import AudioReader
from sound_pipeline.audio.wav import decode_wav
from tests.helpers import wav_files as wf

RATE = 8000
SOUND = np.random.default_rng(0).integers(-(2**15), 2**15, 40_000, np.int16).tobytes()
FMT = wf.fmt(rate_hz=RATE)
LIST = wf.chunk(b"LIST", b"INFOISFT\6\0\0\0Lavf60")
OPEN, CUT_OFF, RIGHT = wav_length.OPEN, wav_length.CUT_OFF, ""


def riff(declared: int, after: bytes = b"", sound: bytes = SOUND, size: int | None = None) -> bytes:
    return wf.riff(FMT, wf.chunk(b"data", sound, declared=declared), after, declared=size)


# Contents, the bytes of sound in them, and what is said.
CASES: dict[str, tuple[bytes, int, str]] = {
    "as it should be": (riff(80_000), 80_000, RIGHT),
    "chunks behind it": (riff(80_000, LIST + wf.chunk(b"id3 ", bytes(500))), 80_000, RIGHT),
    "chunks that the RIFF size leaves out": (riff(80_000, LIST * 60, size=80_036), 80_000, RIGHT),
    "a tag behind it": (riff(80_000, b"TAG" + bytes(range(125)) * 40), 80_000, RIGHT),
    "an APE tag behind it": (riff(80_000, b"APETAGEX" + bytes(3000)), 80_000, RIGHT),
    "a few bytes behind it": (riff(80_000, bytes(512)), 80_000, RIGHT),
    "of odd size, and padded": (
        wf.riff(wf.fmt(rate_hz=RATE, bits=8), wf.chunk(b"data", SOUND[:79_999]), LIST * 60),
        79_999,
        RIGHT,
    ),
    "wrapped": (riff(3_000), 80_000, OPEN),
    "wrapped, with its own size wrapped alike": (riff(3_000, size=3_036), 80_000, OPEN),
    "never updated since the first second": (riff(16_000), 80_000, OPEN),
    "0, from a stream": (riff(0, size=0), 80_000, OPEN),
    "0, and the size of a header": (riff(0, size=36), 80_000, OPEN),
    "0xFFFFFFFF in RIFF": (riff(0xFFFFFFFF, size=0xFFFFFFFF), 80_000, OPEN),
    "0x7FFFFFFF, more than there is": (riff(0x7FFFFFFF), 80_000, CUT_OFF),
    "cut off": (riff(80_000)[:50_000], 50_000 - 44, CUT_OFF),
    "a padding byte is missing": (
        wf.riff(wf.fmt(rate_hz=RATE, bits=8), wf.chunk(b"data", SOUND[:79_999], pad=False)),
        79_999,
        RIGHT,
    ),
    "RF64": (wf.rf64(FMT, data=SOUND), 80_000, RIGHT),
    "RF64, never updated": (wf.rf64(FMT, data=SOUND, data_size=16_000), 80_000, OPEN),
}


@pytest.mark.parametrize("name", CASES)
def test_by_every_way_in(tmp_path: Path, name: str) -> None:
    contents, size, remark = CASES[name]
    dtype = np.uint8 if "bits=8" in name or size == 79_999 else np.int16
    start = contents.index(b"data") + 8
    values = np.frombuffer(contents[start : start + size], dtype)
    expected = values / 128.0 - 1 if dtype == np.uint8 else values / 2.0**15
    path = tmp_path / "a.wav"
    path.write_bytes(contents)
    whole = [decode_whole(contents), libsndfile.decode(contents)]
    for samples, rate, reason, said in whole:
        assert (rate, reason, said) == (RATE, "", remark)
        np.testing.assert_array_equal(samples, expected)
    in_graph = decode_file(tf.constant(str(path)))
    np.testing.assert_array_equal(in_graph.waveform, expected)
    assert in_graph.remark == remark.encode()
    for block_bytes, tensorflow in ((10_000, True), (1 << 20, True), (1 << 20, False)):
        with AudioReader(str(path), block_bytes, tensorflow=tensorflow) as reader:
            assert reader.remark == remark
            np.testing.assert_array_equal(np.concatenate(list(reader.blocks)), expected)
    with AudioReader(str(path), mono=False) as reader:
        assert sum(map(len, reader.blocks)) == len(expected)


def test_mapped() -> None:
    files = [contents for contents, _, _ in CASES.values()]
    mapped = tf.data.Dataset.from_tensor_slices(files).map(decode_wav)
    assert [each.remark.numpy().decode() for each in mapped] == [
        remark for _, _, remark in CASES.values()
    ]


def test_over_4_gib_is_read_to_its_end(tmp_path: Path) -> None:
    """Sparse: zeros on disk take no room, and the last second is sound."""
    path, size = tmp_path / "long.wav", 2**32 + 2 * RATE * 100
    header = riff(size % 2**32, sound=b"", size=(size + 36) % 2**32)
    with open(path, "wb") as file:
        file.write(header)
        file.seek(len(header) + size - len(SOUND))
        file.write(SOUND)
    with open(path, "rb") as file:
        found = wav_length.wav_length(file)
        assert file.tell() == 0
    assert found.remark == OPEN and found.size_at == len(header) - 4
    with AudioReader(str(path), 1 << 27) as reader:
        assert reader.remark == OPEN


def test_nothing_is_said_of_other_files() -> None:
    for contents in (
        b"",
        b"RIFF",
        b"fLaC" + bytes(100),
        struct.pack("<4sI4s", b"RIFF", 9, b"AVI "),
    ):
        assert wav_length.wav_length(io.BytesIO(contents)) == wav_length.WavLength()
