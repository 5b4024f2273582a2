"""Decoding by content: recordings, and everything that is none."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from sound_pipeline.audio import decoding
from sound_pipeline.audio.decoding import (
    decode_audio,
    decode_file,
    decode_file_in_graph,
    decode_whole,
)
from sound_pipeline.audio.sample_rates import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ
from sound_pipeline.audio.wav import DecodedAudio
from sound_pipeline.system.filesystem import read_bytes
from tests.helpers import encoded, sounds

FORMATS = encoded.every_format()
ADVICE = "; python -m sound_pipeline.convert makes a plain WAV file of it"


def written(
    rate_hz: int, channels: int = 1, container: str = "WAV", subtype: str = "PCM_16"
) -> bytes:
    return encoded.encode(container, subtype, rate_hz, channels, 200)


WAVS = {
    "16 bits": written(44100),
    "24 bits, stereo": written(48000, 2, subtype="PCM_24"),
    "float, three channels": written(MIN_SAMPLE_RATE_HZ, 3, subtype="FLOAT"),
}
# Why there is no recording, in-graph; the last column: whether it is for the encoding alone.
NOT_READ = {
    "empty": (b"", "the file is empty", False),
    "a byte": (b"R", "the format is not decoded in-graph", True),
    "a web page": (b"<html>not found</html>", "the format is not decoded in-graph", True),
    "noise": (bytes(range(256)) * 40, "the format is not decoded in-graph", True),
    "a film": (b"RIFF\x24\x00\x00\x00AVI LIST", "the format is not decoded in-graph", True),
    "half a header": (WAVS["16 bits"][:30], "WAV: there is no data chunk", False),
    "too low a rate": (written(MIN_SAMPLE_RATE_HZ - 1), f"{MIN_SAMPLE_RATE_HZ - 1} Hz", False),
    "too high a rate": (written(MAX_SAMPLE_RATE_HZ + 1), f"{MAX_SAMPLE_RATE_HZ + 1} Hz", False),
    "ADPCM": (written(44100, subtype="IMA_ADPCM"), "IMA ADPCM", True),
    "AIFF": (written(44100, container="AIFF"), "the format is not decoded in-graph", True),
    "FLAC": (written(44100, container="FLAC"), "the format is not decoded in-graph", True),
}
CONTENTS = WAVS | {name: contents for name, (contents, _, _) in NOT_READ.items()}
# What no decoder reads, and a word of the reason.
LOST = {
    "empty": (b"", "empty"),
    "a byte": (b"R", "libsndfile"),
    "a web page": (b"<html>not found</html>", "libsndfile"),
    "noise": (bytes(range(256)) * 40, "libsndfile"),
    "half a header": (WAVS["16 bits"][:30], "data"),
    "half of a FLAC": (FORMATS["FLAC-PCM_16-44100-1"][:3000], "libsndfile"),
    "a FLAC's header": (FORMATS["FLAC-PCM_16-44100-1"][:60], ""),
    "an MP3's tag": (encoded.tag_id3(b"", 300), ""),
    "a Vorbis page": (FORMATS["OGG-VORBIS-44100-1"][:58], "libsndfile"),
    "an AIFF of no samples": (encoded.encode("AIFF", "PCM_16", frames=0), "no samples"),
    "slow FLAC": (written(MIN_SAMPLE_RATE_HZ - 1, container="FLAC"), "999 Hz"),
    "slow AIFF": (written(MIN_SAMPLE_RATE_HZ - 1, container="AIFF"), "999 Hz"),
    "fast AU": (written(MAX_SAMPLE_RATE_HZ + 1, container="AU"), "384001 Hz"),
    "slow ADPCM": (written(MIN_SAMPLE_RATE_HZ - 1, subtype="IMA_ADPCM"), "999 Hz"),
}


@pytest.fixture(scope="module", params=[pytest.param("eager", marks=pytest.mark.slow), "mapped"])
def decoded(request: pytest.FixtureRequest) -> dict[str, DecodedAudio]:
    """All contents, decoded one by one or in one pipeline."""
    if request.param == "eager":
        return {name: decode_audio(tf.constant(item)) for name, item in CONTENTS.items()}
    dataset = tf.data.Dataset.from_tensor_slices(list(CONTENTS.values())).map(decode_audio)
    return dict(zip(CONTENTS, dataset, strict=True))


@pytest.mark.parametrize("name", WAVS)
def test_wav_is_read_as_libsndfile_reads_it(name: str, decoded: dict[str, DecodedAudio]) -> None:
    waveform, rate_hz, reason, unsupported, _ = decoded[name]
    expected, expected_rate_hz = soundfile.read(io.BytesIO(WAVS[name]), always_2d=True)
    assert (reason, unsupported, rate_hz) == (b"", False, expected_rate_hz)
    assert waveform.dtype == tf.float32
    np.testing.assert_allclose(waveform, expected.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("name", NOT_READ)
def test_what_cannot_be_read_comes_with_a_reason(
    name: str, decoded: dict[str, DecodedAudio]
) -> None:
    waveform, rate_hz, reason, unsupported, _ = decoded[name]
    _, words, is_unsupported = NOT_READ[name]
    text = reason.numpy().decode()
    assert words in text
    assert "\n" not in text
    assert waveform.shape == [0]
    assert rate_hz == 0
    assert unsupported == is_unsupported
    # Advice is given where it helps, and there only.
    assert text.endswith(ADVICE) == is_unsupported


def test_the_graph_calls_no_python() -> None:
    def ops(function: object, argument: tf.TensorSpec) -> set[str]:
        graph = tf.function(function).get_concrete_function(argument).graph
        return encoded.ops(graph.as_graph_def())

    string = tf.TensorSpec([], tf.string)
    assert not {op for op in ops(decode_audio, string) if "PyFunc" in op}
    assert not {op for op in ops(decode_file_in_graph, string) if "PyFunc" in op}
    assert {op for op in ops(decode_file, string) if "PyFunc" in op}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_decoded_as_libsndfile_does(name: str) -> None:
    waveform, rate_hz, reason, _ = decode_whole(FORMATS[name])
    expected, expected_rate_hz = encoded.by_libsndfile(FORMATS[name])
    assert (reason, rate_hz) == ("", expected_rate_hz)
    assert waveform.dtype == np.float32
    assert waveform.shape == expected.shape
    assert np.abs(expected).max() > 0.2
    if name.startswith(("MP3", "OGG-VORBIS")):
        np.testing.assert_allclose(waveform, expected, rtol=0, atol=1e-5)
    else:
        np.testing.assert_array_max_ulp(waveform, expected, maxulp=1)


@pytest.mark.parametrize("name", LOST)
def test_what_no_decoder_reads_has_a_reason(name: str) -> None:
    contents, words = LOST[name]
    waveform, rate_hz, reason, _ = decode_whole(contents)
    assert reason
    assert words in reason
    assert "\n" not in reason
    assert (waveform.dtype, waveform.shape, rate_hz) == (np.float32, (0,), 0)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Paths of recordings of every kind, of what is none and of nothing."""
    folder = tmp_path_factory.mktemp("files")
    # Silence at the end is bytes of zero, which NumPy's strings lose.
    silent = io.BytesIO()
    soundfile.write(silent, np.append(sounds.noise(100), np.zeros(50)), 8000, format="WAV")
    contents = FORMATS | CONTENTS | {"faded": silent.getvalue(), "lost": LOST["half of a FLAC"][0]}
    mp3 = encoded.encode("MP3", "MPEG_LAYER_III", 44100, 2, 60_000)
    contents |= {"cut MP3": mp3[:-500], "hurt MP3": encoded.flip(mp3, *range(6000, 6100))}
    for number, data in enumerate(contents.values()):
        (folder / f"{number}-über[0].wav").write_bytes(data)
    paths = {name: str(folder / f"{i}-über[0].wav") for i, name in enumerate(contents)}
    return paths | {"missing": str(folder / "none.wav"), "folder": str(folder), "no name": ""}


@pytest.mark.parametrize("kind", ["eager", "mapped"])
def test_every_file_is_decoded_in_its_place(files: dict[str, str], kind: str) -> None:
    paths = list(files.values())
    if kind == "eager":
        decoded = [decode_file(tf.constant(path)) for path in paths]
    else:
        dataset = tf.data.Dataset.from_tensor_slices(paths).map(decode_file, num_parallel_calls=4)
        assert [tuple(spec.shape) for spec in dataset.element_spec] == [(None,), (), (), (), ()]
        decoded = list(dataset)
    for name, found in zip(files, decoded, strict=True):
        waveform, rate_hz, reason, _ = decode_whole(files[name])
        assert (found.reason.numpy().decode(), found.sample_rate_hz) == (reason, rate_hz), name
        assert not found.unsupported_encoding
        np.testing.assert_array_equal(found.waveform, waveform)
        assert (waveform.size > 0) == (reason == "") == (rate_hz > 0)
        if name in FORMATS or name in WAVS or name in ("faded", "ADPCM", "AIFF", "FLAC"):
            expected, expected_hz = encoded.by_libsndfile(Path(files[name]).read_bytes())
            np.testing.assert_allclose(waveform, expected, rtol=0, atol=1e-5)
            assert rate_hz == expected_hz
    reasons = {name: found.reason.numpy().decode() for name, found in zip(files, decoded)}  # noqa: B905
    assert reasons["missing"] == "No such file or directory"
    assert "directory" in reasons["folder"] and reasons["no name"]
    assert reasons["empty"] == "the file is empty"
    assert "libsndfile" in reasons["lost"] and "libsndfile" in reasons["a web page"]


@pytest.mark.parametrize("name", ["16 bits", "FLAC", "ADPCM", "cut MP3", "missing"])
def test_a_file_is_read_once(
    files: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []

    def noted(path: str) -> bytes:
        reads.append(path)
        return read_bytes(path)

    monkeypatch.setattr(decoding, "read_bytes", noted)
    decode_whole(files[name])
    decode_file(tf.constant(files[name]))
    assert reads == [files[name]] * (0 if name == "missing" else 2)
    graph = tf.function(decode_file).get_concrete_function(tf.TensorSpec([], tf.string)).graph
    assert "ReadFile" not in encoded.ops(graph.as_graph_def())


@pytest.mark.parametrize("name", WAVS)
def test_wav_is_decoded_in_the_graph(
    files: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "decode_whole", None)
    (found,) = tf.data.Dataset.from_tensors(files[name]).map(decode_file)
    assert found.reason == b"" and tf.size(found.waveform) > 0


@pytest.mark.slow
def test_files_are_read_where_one_thread_runs_all_ops(files: dict[str, str]) -> None:
    """Python, which an op waits for, runs ops of its own."""
    program = """
import sys, tensorflow as tf
from sound_pipeline.audio.decoding import decode_file
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.config.threading.set_intra_op_parallelism_threads(1)
dataset = tf.data.Dataset.from_tensor_slices(sys.argv[1:]).map(decode_file, num_parallel_calls=4)
assert all(found.reason == b"" for found in dataset)
"""
    paths = [path for name, path in files.items() if name in FORMATS]
    subprocess.run([sys.executable, "-c", program, *paths], check=True, timeout=100)
