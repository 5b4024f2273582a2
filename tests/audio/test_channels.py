"""Channels that cancel each other out: one of them is heard, by every way in."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from sound_pipeline.audio import channel_ops, channels
from sound_pipeline.audio.decoding import decode_audio, decode_file, decode_whole
from sound_pipeline.audio.reader import AudioReader
from sound_pipeline.audio.wav import decode_wav
from tests.helpers import sounds

RATE = 16000
SOUND = sounds.noise(20000, 0.1)
OTHER = sounds.noise(20000, 0.1, seed=1)
HUM = sounds.tone(50, 20000, RATE, 0.08)

# Channels, and the number of the one to hear.
CASES: dict[str, tuple[list[sounds.Floats], int]] = {
    "one": ([SOUND], channels.MEAN),
    "alike": ([SOUND, SOUND], channels.MEAN),
    "unlike": ([SOUND, OTHER], channels.MEAN),
    "one silent": ([SOUND, 0 * SOUND], channels.MEAN),
    "all silent": ([0 * SOUND, 0 * SOUND], channels.MEAN),
    "a little alike": ([SOUND, OTHER - 0.3 * SOUND], channels.MEAN),
    "inverted": ([SOUND, -SOUND], 0),
    "inverted and quieter": ([SOUND, -0.6 * SOUND], 1),
    "inverted with hum on one side": ([-SOUND + HUM, SOUND], 1),
    "inverted, with offsets": ([SOUND + 0.2, 0.2 - SOUND], 0),
    "two of three": ([SOUND, -SOUND, 0.01 * OTHER], 0),
    "in pairs": ([SOUND, -SOUND, OTHER, -OTHER], 0),
}


@pytest.mark.parametrize("name", CASES)
def test_which_is_heard(name: str) -> None:
    of_channels, expected = CASES[name]
    frames = np.stack(of_channels, axis=1)
    parts = [channels.channel_sums(part) for part in np.array_split(frames, 7)]
    found = channels.channel_to_hear(len(frames), np.sum(parts, axis=0))
    if name == "in pairs":
        assert found in range(4)
    else:
        assert found == expected
    if len(of_channels) > 1:
        by_graph = channel_ops.channel_to_hear(len(frames), channel_ops.channel_sums(frames))
        assert by_graph == found


def test_nothing_is_heard_of_nothing() -> None:
    assert channels.channel_to_hear(0, np.zeros((2, 3))) == channels.MEAN


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "AIFF"])
@pytest.mark.parametrize("name", ["inverted", "inverted with hum on one side", "two of three"])
def test_by_every_way_in(tmp_path: Path, name: str, kind: str) -> None:
    of_channels, number = CASES[name]
    path = str(tmp_path / "a.sound")
    soundfile.write(path, np.stack(of_channels, axis=1), RATE, format=kind, subtype="PCM_16")
    expected = soundfile.read(path, dtype="float32")[0][:, number]
    contents = Path(path).read_bytes()
    np.testing.assert_array_equal(decode_whole(path)[0], expected)
    np.testing.assert_array_equal(decode_whole(contents)[0], expected)
    np.testing.assert_array_equal(decode_file(tf.constant(path)).waveform, expected)
    for block_bytes in (1000, 1 << 20):
        with AudioReader(path, block_bytes) as reader:
            np.testing.assert_array_equal(np.concatenate(list(reader.blocks)), expected)
    with AudioReader(path, tensorflow=False) as reader:
        np.testing.assert_array_equal(np.concatenate(list(reader.blocks)), expected)
    if kind == "WAV":
        (mapped,) = tf.data.Dataset.from_tensors(contents).map(decode_wav)
        np.testing.assert_array_equal(mapped.waveform, expected)


def test_of_a_long_recording_every_way_in_decides_alike(tmp_path: Path) -> None:
    sound = sounds.noise(100_000, 0.1)
    for hum, number in (0.1, 1), (0.3, channels.MEAN):
        other = sounds.tone(50, 100_000, RATE, hum) - sound
        path = str(tmp_path / "long.wav")
        soundfile.write(path, np.stack([other, sound], axis=1), RATE, subtype="FLOAT")
        expected = sound if number == 1 else 0.5 * other + 0.5 * sound
        np.testing.assert_array_equal(decode_whole(path)[0], expected)
        with AudioReader(path, 30_000) as reader:
            np.testing.assert_array_equal(np.concatenate(list(reader.blocks)), expected)


def test_of_vorbis() -> None:
    file = io.BytesIO()
    sweep = sounds.chirp(20000, RATE, 4000)
    soundfile.write(file, np.stack([sweep, -sweep], axis=1), RATE, format="OGG")
    heard, _, _, _ = decode_whole(file.getvalue())
    assert heard.std() == pytest.approx(sweep.std(), rel=0.1)
    in_graph = decode_audio(tf.constant(file.getvalue()))
    if in_graph.reason == b"":
        np.testing.assert_allclose(in_graph.waveform, heard, atol=1e-4)
