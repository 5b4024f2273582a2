"""Decoding by content: recordings, and everything that is none."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from sound_pipeline.audio.decoding import (
    decode_audio,
    decode_bytes,
    decode_file,
    decode_file_by_libsndfile,
    read_recording,
)
from sound_pipeline.audio.sample_rates import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ
from sound_pipeline.audio.wav import DecodedAudio
from sound_pipeline.errors import UserError
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


@pytest.fixture(scope="module", params=["eager", "mapped"])
def decoded(request: pytest.FixtureRequest) -> dict[str, DecodedAudio]:
    """All contents, decoded one by one or in one pipeline."""
    if request.param == "eager":
        return {name: decode_audio(tf.constant(item)) for name, item in CONTENTS.items()}
    dataset = tf.data.Dataset.from_tensor_slices(list(CONTENTS.values())).map(decode_audio)
    return dict(zip(CONTENTS, dataset, strict=True))


@pytest.mark.parametrize("name", WAVS)
def test_wav_is_read_as_libsndfile_reads_it(name: str, decoded: dict[str, DecodedAudio]) -> None:
    waveform, rate_hz, reason, unsupported = decoded[name]
    expected, expected_rate_hz = soundfile.read(io.BytesIO(WAVS[name]), always_2d=True)
    assert (reason, unsupported, rate_hz) == (b"", False, expected_rate_hz)
    assert waveform.dtype == tf.float32
    np.testing.assert_allclose(waveform, expected.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("name", NOT_READ)
def test_what_cannot_be_read_comes_with_a_reason(
    name: str, decoded: dict[str, DecodedAudio]
) -> None:
    waveform, rate_hz, reason, unsupported = decoded[name]
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
    assert {op for op in ops(decode_file_by_libsndfile, string) if "PyFunc" in op}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_decoded_as_libsndfile_does(name: str) -> None:
    waveform, rate_hz, reason = decode_bytes(FORMATS[name])
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
    waveform, rate_hz, reason = decode_bytes(contents)
    assert reason
    assert words in reason
    assert "\n" not in reason
    assert (waveform.dtype, waveform.shape, rate_hz) == (np.float32, (0,), 0)


def test_files_are_decoded_by_libsndfile_in_a_pipeline(tmp_path: Path) -> None:
    good = sounds.write_wav(tmp_path / "good.wav", sounds.noise(2000).reshape(-1, 2), 16000)
    (tmp_path / "über.wav").write_bytes(FORMATS["FLAC-PCM_16-44100-2"])
    (tmp_path / "junk.wav").write_bytes(bytes(100))
    paths = [good, *(str(tmp_path / name) for name in ("über.wav", "junk.wav", "gone.wav", ""))]
    dataset = tf.data.Dataset.from_tensor_slices(paths).map(decode_file_by_libsndfile)
    assert [tuple(spec.shape) for spec in dataset.element_spec] == [(None,), (), (), ()]
    results = [DecodedAudio(*(value.numpy() for value in one)) for one in dataset]
    for one, path in zip(results[:2], paths, strict=False):
        expected, rate_hz = encoded.by_libsndfile(Path(path).read_bytes())
        assert (one.reason, one.sample_rate_hz) == (b"", rate_hz)
        np.testing.assert_array_equal(one.waveform, expected)
    for one, words in zip(results[2:], (b"libsndfile", b"No such file", b"directory"), strict=True):
        assert words in one.reason
        assert (one.waveform.size, one.sample_rate_hz) == (0, 0)
    assert not any(one.unsupported_encoding for one in results)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"not audio", ": "),
        (b"RIFF\x04\0\0\0WAVE", "there is no fmt chunk"),
    ],
    ids=["empty", "text", "header"],
)
def test_an_unreadable_recording_is_named_with_the_reason(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    path = tmp_path / "bad.wav"
    path.write_bytes(content)
    with pytest.raises(UserError, match=reason) as error:
        read_recording(str(path))
    assert str(error.value).startswith(f"{path}: ")


def test_a_recording_that_vanished_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gone\.wav: No such file"):
        read_recording(str(tmp_path / "gone.wav"))


@pytest.mark.skipif(sys.platform != "linux", reason="file names are Unicode there")
def test_a_file_name_that_can_not_be_printed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    os.rename(tmp_path / "a.wav", os.fsencode(tmp_path) + b"/caf\xe9.wav")
    (path,) = tmp_path.iterdir()
    with pytest.raises(UserError, match="the file name is not UTF-8") as error:
        read_recording(str(path))
    assert "caf" in str(error.value).encode().decode()


def test_whichever_decoder_can_reads_files_in_a_pipeline(tmp_path: Path) -> None:
    contents = {"a.wav": WAVS["24 bits, stereo"], "b.flac": NOT_READ["FLAC"][0], "c": b"R"}
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    paths = [str(tmp_path / name) for name in (*contents, "missing")]
    dataset = tf.data.Dataset.from_tensor_slices(paths).map(decode_file)
    decoded = list(dataset)
    for found, data in zip(decoded[:2], contents.values(), strict=False):
        waveform, rate, _ = decode_bytes(data)
        np.testing.assert_array_equal(found.waveform, waveform)
        assert found.sample_rate_hz == rate and found.reason == b""
    assert b"libsndfile" in decoded[2].reason.numpy()
    assert decoded[3].reason == b"No such file or directory"
    assert not any(found.unsupported_encoding for found in decoded)
