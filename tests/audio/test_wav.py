"""WAV decoding against libsndfile, file by file and in one pipeline, and against broken files."""

from __future__ import annotations

import io
import random
import struct
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from sound_pipeline.audio.sample_rates import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ
from sound_pipeline.audio.wav import DecodedAudio, decode_wav, is_wav
from sound_pipeline.audio.wav_header import MAX_CHUNKS
from tests.helpers import wav_files as wf
from tests.helpers.wav_matrix import FILES, FRAMES, by_libsndfile

_PCM16 = wf.fmt()
_DATA = wf.chunk(b"data", bytes(range(64)))
_NAN = np.array([0, np.nan, 0.5, -np.inf], "<f4").tobytes()
_LARGE = np.array([1e39, 0.5], "<f8").tobytes()
TAG = "is not decoded in-graph"

BROKEN = {
    "empty": (b"", "the file is empty"),
    "four bytes": (b"RIFF", "a file of 4 bytes is too short for a header"),
    "eleven bytes": (b"RIFF\0\0\0\0WAV", "a file of 11 bytes is too short for a header"),
    "junk": (random.Random(1).randbytes(500), "no RIFF, RF64 or BW64 WAVE header"),
    "zeros": (bytes(500), "no RIFF, RF64 or BW64 WAVE header"),
    "AVI": (b"RIFF\x20\0\0\0AVI " + bytes(28), "no RIFF, RF64 or BW64 WAVE header"),
    "RIFX": (wf.riff(_PCM16, _DATA, magic=b"RIFX"), "no RIFF, RF64 or BW64 WAVE header"),
    "header only": (b"RIFF\x04\0\0\0WAVE", "there is no fmt chunk"),
    "no fmt": (wf.riff(_DATA), "there is no fmt chunk"),
    "no data": (wf.riff(_PCM16), "there is no data chunk"),
    "data cut in its header": (wf.riff(_PCM16, _DATA)[:40], "there is no data chunk"),
    "JUNK over the file": (
        wf.riff(wf.chunk(b"JUNK", bytes(4), declared=0xFFFFFFF0), _PCM16, _DATA),
        "there is no fmt chunk",
    ),
    "too many chunks": (
        wf.riff(_PCM16, *[wf.chunk(b"JUNK", b"")] * (MAX_CHUNKS - 1), _DATA),
        "there is no data chunk among the first 4096",
    ),
    "fmt declares 14 bytes": (
        wf.riff(wf.chunk(b"fmt ", _PCM16[8:22]), _DATA),
        "the fmt chunk is truncated",
    ),
    "fmt cut by the end": (wf.riff(_DATA, _PCM16)[:-3], "the fmt chunk is truncated"),
    "EXTENSIBLE without its tail": (
        wf.riff(wf.fmt(wf.EXTENSIBLE, tail=b"\0\0"), _DATA),
        "the fmt chunk is truncated",
    ),
    "no channels": (
        wf.riff(wf.fmt(channels=0, frame_bytes=2), _DATA),
        "0 channels are not 1 to 32",
    ),
    "33 channels": (wf.riff(wf.fmt(channels=33), _DATA), "33 channels are not 1 to 32"),
    "65535 channels": (
        wf.riff(wf.fmt(channels=65535), _DATA),
        "65535 channels are not 1 to 32",
    ),
    "rate 0": (wf.riff(wf.fmt(rate_hz=0), _DATA), "a sample rate of 0 Hz is not 1000 to 384000"),
    "rate 999": (
        wf.riff(wf.fmt(rate_hz=999), _DATA),
        "a sample rate of 999 Hz is not 1000 to 384000",
    ),
    "rate 384001": (
        wf.riff(wf.fmt(rate_hz=384001), _DATA),
        "a sample rate of 384001 Hz is not 1000 to 384000",
    ),
    "rate 2**32-1": (
        wf.riff(wf.fmt(rate_hz=2**32 - 1), _DATA),
        "a sample rate of 4294967295 Hz is not 1000 to 384000",
    ),
    "24 bits in 4 bytes": (
        wf.riff(wf.fmt(bits=24, frame_bytes=4), _DATA),
        "a block alignment of 4 bytes is not 1 channel(s) of 24 bits",
    ),
    "block alignment 0": (
        wf.riff(wf.fmt(channels=2, frame_bytes=0), _DATA),
        "a block alignment of 0 bytes is not 2 channel(s) of 16 bits",
    ),
    "RF64 without ds64": (
        wf.riff(_PCM16, wf.chunk(b"data", bytes(8), declared=0xFFFFFFFF), magic=b"RF64"),
        "the ds64 chunk is missing or broken",
    ),
    "RF64 with a short ds64": (
        wf.riff(
            wf.chunk(b"ds64", bytes(16)),
            _PCM16,
            wf.chunk(b"data", bytes(8), declared=0xFFFFFFFF),
            magic=b"RF64",
        ),
        "the ds64 chunk is missing or broken",
    ),
    "RF64 of negative size": (
        wf.rf64(_PCM16, data=bytes(8), data_size=-8),
        "the ds64 chunk is missing or broken",
    ),
    "no frames": (
        wf.riff(_PCM16, wf.chunk(b"data", b"")),
        "the data chunk holds no audio frame",
    ),
    "no frames, then LIST": (
        wf.riff(_PCM16, wf.chunk(b"data", b""), wf.chunk(b"LIST", bytes(40))),
        "the data chunk holds no audio frame",
    ),
    "half a frame": (
        wf.riff(wf.fmt(channels=2), wf.chunk(b"data", b"\1\1")),
        "the data chunk holds no audio frame",
    ),
    "billions of samples, none there": (
        wf.riff(_PCM16, wf.chunk(b"data", b"", declared=0xFFFFFFF0)),
        "the data chunk holds no audio frame",
    ),
    "NaN and infinity": (
        wf.riff(wf.fmt(wf.FLOAT, bits=32), wf.chunk(b"data", _NAN)),
        "2 sample(s) are not finite",
    ),
    "NaN in one of two channels": (
        wf.riff(wf.fmt(wf.FLOAT, bits=32, channels=2), wf.chunk(b"data", _NAN)),
        "2 sample(s) are not finite",
    ),
    "more than float32 holds": (
        wf.riff(wf.fmt(wf.FLOAT, bits=64), wf.chunk(b"data", _LARGE)),
        "1 sample(s) are not finite",
    ),
}

UNSUPPORTED = {
    "IMA ADPCM": (
        by_libsndfile("WAV", "IMA_ADPCM", 8000, 1),
        f"format tag 0x0011 (IMA ADPCM) {TAG}",
    ),
    "MS ADPCM": (
        by_libsndfile("WAV", "MS_ADPCM", 8000, 2),
        f"format tag 0x0002 (Microsoft ADPCM) {TAG}",
    ),
    "GSM": (wf.riff(wf.fmt(0x31, bits=0), _DATA), f"format tag 0x0031 (GSM 6.10) {TAG}"),
    "MP3": (wf.riff(wf.fmt(0x55, bits=0), _DATA), f"format tag 0x0055 (MP3) {TAG}"),
    # RFC 2361's registry, and what came after it.
    "AAC": (wf.riff(wf.fmt(0xFF, bits=0), _DATA), f"format tag 0x00FF (AAC) {TAG}"),
    "WMA": (
        wf.riff(wf.fmt(0x161, bits=0), _DATA),
        f"format tag 0x0161 (Windows Media Audio) {TAG}",
    ),
    "AC-3": (wf.riff(wf.fmt(0x92, bits=0), _DATA), f"format tag 0x0092 (AC-3) {TAG}"),
    "Vorbis": (wf.riff(wf.fmt(0x674F, bits=0), _DATA), f"format tag 0x674F (Vorbis) {TAG}"),
    "FLAC": (wf.riff(wf.fmt(0xF1AC, bits=0), _DATA), f"format tag 0xF1AC (FLAC) {TAG}"),
    "no name": (wf.riff(wf.fmt(0xABCD), _DATA), f"format tag 0xABCD {TAG}"),
    "tag 0": (wf.riff(wf.fmt(0), _DATA), f"format tag 0x0000 {TAG}"),
    "ADPCM in EXTENSIBLE": (
        wf.riff(wf.extensible(0x11, bits=4), _DATA),
        f"format tag 0x0011 (IMA ADPCM) {TAG}",
    ),
    "ambisonic": (
        wf.riff(wf.extensible(guid=wf.AMBISONIC_PCM_GUID), _DATA),
        f"sub-format 00000001-0721-11D3-8644-C8C1CA000000 {TAG}",
    ),
    "half floats": (
        wf.riff(wf.fmt(wf.FLOAT, bits=16), _DATA),
        f"format tag 0x0003 (IEEE float) with 16 bits {TAG}",
    ),
    "64-bit PCM": (
        wf.riff(wf.fmt(bits=64), _DATA),
        f"format tag 0x0001 (PCM) with 64 bits {TAG}",
    ),
    "PCM of 0 bits": (
        wf.riff(wf.fmt(bits=0), _DATA),
        f"format tag 0x0001 (PCM) with 0 bits {TAG}",
    ),
    "A-law of 16 bits": (
        wf.riff(wf.fmt(wf.A_LAW, bits=16), _DATA),
        f"format tag 0x0006 (A-law) with 16 bits {TAG}",
    ),
}
REASONS = {
    name: (contents, f"WAV: {reason}", name in UNSUPPORTED)
    for name, (contents, reason) in (BROKEN | UNSUPPORTED).items()
}
LONG_WALKS = ("as many chunks as are looked at", "too many chunks")


def in_one_pipeline(files: Iterable[bytes]) -> list[DecodedAudio]:
    """Decodes files in a single `Dataset.map` that runs in parallel; NumPy values."""
    dataset = tf.data.Dataset.from_tensor_slices(list(files))
    decoded = dataset.map(decode_wav, num_parallel_calls=4, deterministic=True)
    assert decoded.element_spec.waveform == tf.TensorSpec([None], tf.float32)
    return [DecodedAudio(*audio) for audio in decoded.as_numpy_iterator()]


def eagerly(name: str, contents: bytes) -> DecodedAudio:
    if name in LONG_WALKS:
        pytest.skip("thousands of eager steps; covered in the pipeline")
    return DecodedAudio(*(value.numpy() for value in decode_wav(tf.constant(contents))))


def assert_as_libsndfile(audio: DecodedAudio, contents: bytes) -> None:
    """Equal to the mean of libsndfile's channels to one rounding step of float32."""
    frames, rate_hz = soundfile.read(io.BytesIO(contents), dtype="float32", always_2d=True)
    want = frames.astype(np.float64).mean(axis=1)
    assert audio.reason == b""
    assert audio.sample_rate_hz == rate_hz
    assert audio.waveform.shape == want.shape
    assert audio.waveform.dtype == np.float32
    step = np.spacing(np.abs(want).astype(np.float32))
    assert np.all(np.abs(audio.waveform - want) <= step)
    assert not audio.unsupported_encoding


def assert_is_reason(audio: DecodedAudio, reason: str, unsupported: bool) -> None:
    assert audio.reason.decode() == reason
    assert audio.sample_rate_hz == 0
    assert audio.waveform.shape == (0,)
    assert audio.unsupported_encoding == unsupported


def test_the_matrix_is_large() -> None:
    assert len(FILES) >= 100


@pytest.mark.parametrize("name", FILES)
def test_decodes_as_libsndfile(name: str) -> None:
    contents, alike = FILES[name]
    assert_as_libsndfile(eagerly(name, contents), alike)


def test_decodes_as_libsndfile_in_one_pipeline() -> None:
    decoded = in_one_pipeline(contents for contents, _ in FILES.values())
    for audio, (_, alike) in zip(decoded, FILES.values(), strict=True):
        assert_as_libsndfile(audio, alike)


@pytest.mark.parametrize("name", REASONS)
def test_names_the_reason(name: str) -> None:
    contents, reason, unsupported = REASONS[name]
    assert_is_reason(eagerly(name, contents), reason, unsupported)


def test_names_the_reason_in_one_pipeline() -> None:
    decoded = in_one_pipeline(contents for contents, _, _ in REASONS.values())
    for audio, (_, reason, unsupported) in zip(decoded, REASONS.values(), strict=True):
        assert_is_reason(audio, reason, unsupported)


def test_every_truncation_decodes_or_has_a_reason() -> None:
    whole = FILES["bext, JUNK, LIST before and after"][0]
    start = whole.index(b"data") + 8
    decoded = in_one_pipeline(whole[:length] for length in range(0, start + 2 * FRAMES, 3))
    for length, audio in zip(range(0, start + 2 * FRAMES, 3), decoded, strict=True):
        assert audio.waveform.size == max(0, (length - start) // 2)
        assert (audio.reason == b"") == (audio.waveform.size > 0)


def test_large_floats_are_mixed_without_overflow() -> None:
    frames = np.full((4, 2), 3e38, "<f4").tobytes()
    audio = decode_wav(wf.riff(wf.fmt(wf.FLOAT, channels=2, bits=32), wf.chunk(b"data", frames)))
    np.testing.assert_array_equal(audio.waveform, np.full(4, 3e38, np.float32))


def test_is_wav() -> None:
    data = wf.samples(wf.PCM, 16, 4)
    plain = wf.riff(wf.fmt(), wf.chunk(b"data", data))
    # Sizes are any bytes: line feeds and what is not UTF-8 among them.
    wavs = [
        plain,
        plain[:12],
        b"RIFF\n\n\n\nWAVE",
        b"RIFF\xff\xfe\x80\0WAVE",
        wf.rf64(data=data),
        wf.rf64(data=data, magic=b"BW64"),
    ]
    others = [b"", b"RIFF", plain[:11], b"RIFX" + plain[4:], b"\n" + plain, b"fLaC" + plain[4:]]
    assert is_wav(tf.constant(wavs)).numpy().tolist() == [True] * len(wavs)
    assert is_wav(tf.constant(others)).numpy().tolist() == [False] * len(others)
    assert is_wav(tf.constant(plain)).shape == ()


def test_decodes_in_map_fn() -> None:
    names = ["JUNK first", "RF64 with JUNK and odd LIST", "BW64"]
    waveforms = tf.map_fn(
        lambda contents: decode_wav(contents).waveform,
        tf.constant([FILES[name][0] for name in names]),
        fn_output_signature=tf.RaggedTensorSpec([None], tf.float32, ragged_rank=0),
    )
    for waveform, name in zip(waveforms, names, strict=True):
        frames, _ = soundfile.read(io.BytesIO(FILES[name][1]), dtype="float32")
        np.testing.assert_array_equal(waveform, frames)


class Decoder(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([], tf.string)])
    def decode(self, contents: tf.Tensor) -> dict[str, tf.Tensor]:
        return decode_wav(contents)._asdict()


@pytest.mark.slow
def test_decodes_in_a_saved_model(tmp_path: Path) -> None:
    tf.saved_model.save(Decoder(), str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    for name in ("WAV-PCM_24-48000-2", "WAV-FLOAT-8000-32", "A-law of all codes", "BW64"):
        contents, alike = FILES[name]
        audio = loaded.decode(tf.constant(contents))
        assert_as_libsndfile(DecodedAudio(**{k: v.numpy() for k, v in audio.items()}), alike)
    for contents, reason, unsupported in REASONS.values():
        audio = loaded.decode(tf.constant(contents))
        numbers = DecodedAudio(**{k: v.numpy() for k, v in audio.items()})
        assert_is_reason(numbers, reason, unsupported)


def test_the_graph_has_no_python_and_no_audio_ops() -> None:
    graph = Decoder().decode.get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    ops = {node.op for node in nodes}
    assert "DecodeRaw" in ops
    assert not {op for op in ops if "PyFunc" in op or "Wav" in op or "IO>" in op}


SIZES = (0, 1, 2, 7, 16, 40, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFE, 0xFFFFFFFF)
FIELDS = (0, 1, 2, 3, 4, 6, 7, 8, 12, 16, 17, 24, 32, 33, 64, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF)


def mutated(base: bytes, others: list[bytes], dice: random.Random) -> bytes:
    """A file with one to three faults of the kinds that transfers, disks and programs make."""
    data = bytearray(base)
    names = (b"RIFF", b"RF64", b"ds64", b"fmt ", b"data", b"LIST", b"JUNK")
    for _ in range(dice.randint(1, 3)):
        kind = dice.randrange(6)
        found = [at for name in names if (at := data.find(name)) >= 0]
        if kind == 0:
            for _ in range(dice.randint(1, 8)):
                if data:
                    end = dice.choice([min(60, len(data)), len(data)])
                    data[dice.randrange(end)] ^= 1 << dice.randrange(8)
        elif kind == 1:
            del data[dice.randint(0, len(data)) :]
        elif kind == 2 and found:
            other = dice.choice(others)
            start = dice.randrange(len(other))
            at = dice.choice([*found, dice.randint(0, len(data))])
            data[at:at] = other[start : start + dice.randint(1, 80)]
        elif kind == 3 and found:
            at = dice.choice(found) + 4
            size = dice.choice([*SIZES, len(data), dice.getrandbits(32)])
            data[at : at + 4] = struct.pack("<I", size)
        elif kind == 4 and (at := data.find(b"fmt ")) >= 0:
            at += 8 + 2 * dice.randrange(16)
            data[at : at + 2] = struct.pack("<H", dice.choice(FIELDS))
        elif kind == 5 and (at := data.find(b"ds64")) >= 0:
            at += 8 + 8 * dice.randrange(3)
            size = dice.choice([-1, -8, -(2**63), 2**63 - 1, 2**62, 0, 3, len(data)])
            data[at : at + 8] = struct.pack("<q", size)
    return bytes(data)


def fuzz(count: int) -> None:
    """Every one of `count` mutated files is decoded to sound values or has its reason."""
    dice = random.Random(20240607)
    bases = [contents for name, (contents, _) in FILES.items() if name not in LONG_WALKS]
    files = [mutated(dice.choice(bases), bases, dice) for _ in range(count)]
    outcomes: Counter[str] = Counter()
    for audio in in_one_pipeline(files):
        if audio.reason == b"":
            assert audio.waveform.size > 0
            assert np.all(np.isfinite(audio.waveform))
            assert MIN_SAMPLE_RATE_HZ <= audio.sample_rate_hz <= MAX_SAMPLE_RATE_HZ
            assert not audio.unsupported_encoding
            outcomes["decoded"] += 1
        else:
            reason = audio.reason.decode("ascii")
            assert reason.startswith("WAV: ") and "\n" not in reason
            assert_is_reason(audio, reason, reason.endswith(TAG))
            outcomes["".join(c for c in reason if not c.isdigit())] += 1
    print(f"{count} files, {outcomes['decoded']} decoded")
    for outcome, times in outcomes.most_common(20):
        print(f"{times:6d}  {outcome}")
    assert sum(outcomes.values()) == count
    # Faults that hit nothing, or everything, would prove little.
    assert 0.1 < outcomes["decoded"] / count < 0.9
    assert len(outcomes) >= 10


@pytest.mark.slow
def test_mutated_files() -> None:
    fuzz(2_000)


@pytest.mark.nightly
def test_many_mutated_files() -> None:
    fuzz(20_000)
