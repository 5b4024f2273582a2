"""Decoding by libsndfile, against its own reading of a file in one go."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sound_pipeline.audio import libsndfile

RATE_HZ = 8000


def encoded(
    kind: str, subtype: str, channels: int = 1, seconds: float = 2.0, rate: int = RATE_HZ
) -> bytes:
    random = np.random.default_rng(0)
    time = np.arange(round(seconds * rate))[:, np.newaxis] / rate
    tone = 0.4 * np.sin(2 * np.pi * 440 * time)
    file = io.BytesIO()
    samples = tone + random.uniform(-0.1, 0.1, (len(time), channels))
    soundfile.write(file, samples, rate, format=kind, subtype=subtype)
    return file.getvalue()


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libsndfile, "_BLOCK_SAMPLES", 1500)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", "MPEG_LAYER_III"),
        ("AIFF", "PCM_24"),
        ("CAF", "ALAC_16"),
        ("WAV", "IMA_ADPCM"),
        ("WAV", "MS_ADPCM"),
        ("AU", "ULAW"),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_blocks_make_up_the_whole(kind: str, subtype: str, channels: int) -> None:
    contents = encoded(kind, subtype, channels)
    whole, rate = soundfile.read(io.BytesIO(contents), dtype="float32", always_2d=True)
    parts = list(libsndfile.blocks(io.BytesIO(contents)))
    assert len(parts) > 5
    assert {part.sample_rate_hz for part in parts} == {rate}
    # libmpg123's last bit depends on where its output is cut.
    tolerance = 2.0**-22 if kind == "MP3" else 0
    joined = np.concatenate([part.samples for part in parts])
    np.testing.assert_allclose(joined, whole, rtol=0, atol=tolerance)
    waveform, decoded_rate, reason, _ = libsndfile.decode(contents)
    assert (decoded_rate, reason) == (rate, "")
    assert waveform.dtype == np.float32
    np.testing.assert_allclose(waveform, whole.mean(axis=1), atol=1e-6)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("WAV", "GSM610"),
        ("WAV", "G721_32"),
        ("WAV", "NMS_ADPCM_16"),
        ("AU", "G723_24"),
        ("AIFF", "DWVW_16"),
        ("XI", "DPCM_16"),
    ],
)
def test_encodings_that_cannot_be_sought_in(kind: str, subtype: str) -> None:
    waveform, _, reason, _ = libsndfile.decode(encoded(kind, subtype))
    assert reason == ""
    tone = 0.4 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE_HZ) / RATE_HZ)
    assert len(tone) <= len(waveform) < len(tone) + 1000
    assert np.corrcoef(waveform[: len(tone)], tone)[0, 1] > 0.9


def test_header_that_claims_too_much_is_not_believed() -> None:
    contents = bytearray(encoded("WAV", "PCM_16"))
    size_at = contents.index(b"data") + 4
    contents[size_at : size_at + 4] = struct.pack("<I", 0x7FFFFFF0)
    waveform, _, reason, _ = libsndfile.decode(bytes(contents))
    assert reason == ""
    assert len(waveform) == 2 * RATE_HZ


def not_finite() -> bytes:
    file = io.BytesIO()
    samples = np.array([0, np.nan, 0], np.float32)
    soundfile.write(file, samples, RATE_HZ, format="WAV", subtype="FLOAT")
    return file.getvalue()


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (b"", "libsndfile does not decode it"),
        (b"no audio" * 100, "libsndfile does not decode it"),
        (encoded("FLAC", "PCM_16")[:8000], "libsndfile does not decode it"),
        (encoded("WAV", "PCM_16", seconds=0), "the file holds no samples"),
        (not_finite(), "the samples are not finite"),
        (encoded("WAV", "PCM_16", rate=999), "a sample rate of 999 Hz is not 1000 to 384000"),
    ],
    ids=["empty", "no audio", "truncated", "no samples", "not finite", "rate"],
)
def test_what_cannot_be_decoded(contents: bytes, reason: str) -> None:
    waveform, rate, said, _ = libsndfile.decode(contents)
    assert said.startswith(reason)
    assert len(said.splitlines()) == 1
    assert (len(waveform), rate) == (0, 0)


def test_file_stays_open(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    path.write_bytes(encoded("FLAC", "PCM_16"))
    with path.open("rb") as file:
        assert sum(len(block.samples) for block in libsndfile.blocks(file)) == 2 * RATE_HZ
        assert not file.closed
