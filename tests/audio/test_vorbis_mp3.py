"""Vorbis and MP3 in the graph, and what lies in wait for those who decode them."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.audio import decoding, vorbis_mp3
from sound_pipeline.audio.sample_rates import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ
from sound_pipeline.audio.wav import DecodedAudio
from tests.helpers import encoded

needs_tensorflow_io = pytest.mark.skipif(
    vorbis_mp3.tensorflow_io_audio() is None,
    reason="tensorflow-io has no package for this Python or platform",
)

MP3 = encoded.encode("MP3", "MPEG_LAYER_III", 22050, 2)
VORBIS = encoded.encode("OGG", "VORBIS", 44100, 2)
MONO_VORBIS = encoded.encode("OGG", "VORBIS", 44100, 1, seed=1)
FLAC = encoded.encode("FLAC", "PCM_16", 44100, 2)

COMPRESSED = {
    name: contents
    for name, contents in encoded.every_format().items()
    if name.startswith(("OGG-VORBIS", "MP3"))
} | {
    "seconds of Vorbis": encoded.encode("OGG", "VORBIS", 48000, 2, 200_000),
    "seconds of MP3": encoded.encode("MP3", "MPEG_LAYER_III", 44100, 2, 200_000),
    "MP3 behind a large tag": encoded.tag_id3(MP3, 70_000),
    "MP3 with a tag at its end": MP3 + b"TAG" + bytes(125),
}
# What tensorflow-io's ops would crash on, wait for or make terabytes of room for, and the sound
# file that it starts with.
DANGEROUS = {
    "Vorbis, then of fewer channels": (VORBIS + MONO_VORBIS, VORBIS),
    "Vorbis, then of more channels": (MONO_VORBIS + VORBIS, MONO_VORBIS),
    "Vorbis, then at another rate": (VORBIS + encoded.encode("OGG", "VORBIS", 16000, 1), VORBIS),
    "Vorbis of years": (encoded.claim_vorbis_samples(VORBIS, 2**40), VORBIS),
    "MP3 of years": (encoded.claim_mp3_frames(MP3, 0x7FFFFFFF), MP3),
    "MP3 of more years": (encoded.claim_mp3_frames(MP3, 0xFFFFFFFF), MP3),
    "FLAC that claims a sample more": (encoded.claim_flac_samples(FLAC, 3001), FLAC),
    "FLAC of weeks": (encoded.claim_flac_samples(FLAC, 2**36 - 1), FLAC),
}
OTHERS = {
    "empty": b"",
    "FLAC": FLAC,
    "Opus": encoded.encode("OGG", "OPUS", 48000),
    "AIFF": encoded.encode("AIFF", "PCM_16"),
    "WAV": encoded.encode("WAV", "PCM_16"),
    "MPEG layer II": b"\xff\xfd\x90\x00" + bytes(400),
    "UTF-16": "text".encode("utf-16"),
    "half an Ogg page": VORBIS[:30],
}


def test_tensorflow_io_loads_where_it_is_installed() -> None:
    wanted = sys.version_info < (3, 13) and sys.platform != "win32"
    assert (vorbis_mp3.tensorflow_io_audio() is not None) == wanted


def test_is_compressed() -> None:
    for name, contents in COMPRESSED.items():
        assert vorbis_mp3.is_compressed(tf.constant(contents)), name
    for name, contents in OTHERS.items():
        assert not vorbis_mp3.is_compressed(tf.constant(contents)), name


@pytest.fixture(
    scope="module", params=[pytest.param("one by one", marks=pytest.mark.slow), "mapped"]
)
def decoded(request: pytest.FixtureRequest) -> dict[str, DecodedAudio]:
    """All of `COMPRESSED` and `DANGEROUS`, decoded by the graph alone."""
    contents = COMPRESSED | {name: item for name, (item, _) in DANGEROUS.items()}
    if request.param == "one by one":
        return {name: decoding.decode_audio(tf.constant(item)) for name, item in contents.items()}
    dataset = tf.data.Dataset.from_tensor_slices(list(contents.values())).map(decoding.decode_audio)
    return dict(zip(contents, dataset, strict=True))


@needs_tensorflow_io
@pytest.mark.parametrize("name", COMPRESSED)
def test_the_graph_decodes_as_libsndfile_does(name: str, decoded: dict[str, DecodedAudio]) -> None:
    waveform, rate_hz, reason, unsupported, _ = decoded[name]
    expected, expected_rate_hz = encoded.by_libsndfile(COMPRESSED[name])
    assert (reason, unsupported, rate_hz) == (b"", False, expected_rate_hz)
    assert waveform.dtype == tf.float32
    assert np.abs(expected).max() > 0.2
    np.testing.assert_allclose(waveform, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", DANGEROUS)
def test_dangerous_files_never_reach_the_ops(name: str, decoded: dict[str, DecodedAudio]) -> None:
    waveform, rate_hz, reason, unsupported, _ = decoded[name]
    assert waveform.shape == [0]
    assert rate_hz == 0
    assert b"not decoded in-graph" in reason.numpy()
    assert unsupported
    contents, sound = DANGEROUS[name]
    waveform, rate_hz, reason, _ = decoding.decode_whole(contents)
    expected, expected_rate_hz = encoded.by_libsndfile(sound)
    assert (reason, rate_hz) == ("", expected_rate_hz)
    # An encoder's padding may follow, where its end is not known.
    assert len(expected) <= len(waveform) < len(expected) + 600
    np.testing.assert_allclose(waveform[: len(expected)], expected, rtol=0, atol=1e-6)


@needs_tensorflow_io
@pytest.mark.parametrize("contents", [MP3[:-300], encoded.flip(VORBIS, -100)])
def test_a_damaged_file_raises_in_the_graph(contents: bytes) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        decoding.decode_audio(tf.constant(contents))


def test_without_tensorflow_io_libsndfile_decodes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vorbis_mp3, "tensorflow_io_audio", lambda: None)
    in_graph = tf.function(decoding.decode_audio, input_signature=[tf.TensorSpec([], tf.string)])
    monkeypatch.setattr(decoding, "_decode_in_graph", in_graph)
    graph = in_graph.get_concrete_function().graph.as_graph_def()
    assert not {op for op in encoded.ops(graph) if "IO>" in op}
    for name, contents in COMPRESSED.items():
        assert in_graph(tf.constant(contents)).unsupported_encoding, name
        waveform, rate_hz, reason, _ = decoding.decode_whole(contents)
        expected, expected_rate_hz = encoded.by_libsndfile(contents)
        assert (reason, rate_hz) == ("", expected_rate_hz)
        np.testing.assert_allclose(waveform, expected, rtol=0, atol=1e-6)


BASES = [contents for name, contents in encoded.every_format().items() if "WAV-PCM" not in name]


def fuzz(count: int) -> None:
    """Every one of `count` mutated files is decoded to sound values or has its reason."""
    dice = random.Random(20240607)
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    for contents in BASES:
        # Whatever is made ready on first use is not the mutants' time.
        decoding.decode_whole(contents)
    for _ in range(count):
        mutant = encoded.mutate(dice.choice(BASES), BASES, dice)
        started = time.perf_counter()
        waveform, rate_hz, reason, _ = decoding.decode_whole(mutant)
        slowest = max(slowest, time.perf_counter() - started)
        assert waveform.dtype == np.float32
        if reason:
            assert "\n" not in reason
            assert (waveform.size, rate_hz) == (0, 0)
            outcomes[reason] += 1
        else:
            assert waveform.size > 0
            assert np.isfinite(waveform).all()
            assert MIN_SAMPLE_RATE_HZ <= rate_hz <= MAX_SAMPLE_RATE_HZ
            outcomes["decoded"] += 1
    print(f"{count} files, {outcomes['decoded']} decoded, the slowest in {slowest:.3f} s")
    for outcome, times in outcomes.most_common(12):
        print(f"{times:6d}  {outcome}")
    # Faults that hit nothing, or everything, would prove little.
    assert 0.1 < outcomes["decoded"] / count < 0.9
    assert slowest < 1


def test_mutated_files() -> None:
    fuzz(600)


@pytest.mark.nightly
def test_many_mutated_files() -> None:
    fuzz(6_000)
