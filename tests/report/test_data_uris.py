"""Sounds and images as data: URIs, decoded again."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
import soundfile
from matplotlib.image import imread

from sound_pipeline.report.data_uris import image_uri, sound_uri


def decoded(uri: str) -> tuple[str, io.BytesIO]:
    head, body = uri.split(",")
    assert head.startswith("data:") and head.endswith(";base64")
    return head[len("data:") : -len(";base64")], io.BytesIO(base64.b64decode(body, validate=True))


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 96000, 384000])
def test_a_sound_keeps_its_rate_and_sixteen_bits(rate: int) -> None:
    waveform = np.random.default_rng(rate).uniform(-1, 1, 20_000).astype(np.float32)
    kind, file = decoded(sound_uri(waveform, rate))
    read, read_rate = soundfile.read(file, dtype="float32")
    assert (kind, read_rate) == ("audio/flac", rate)
    np.testing.assert_allclose(read, waveform, atol=1.01 / 32768)


def test_full_scale_and_beyond_is_clipped() -> None:
    waveform = np.tile(np.array([1.0, -1.0, 1.5, -1.5], np.float32), 3000)
    read, _ = soundfile.read(decoded(sound_uri(waveform, 44100))[1], dtype="int16")
    assert read[:4].tolist() == [32767, -32768, 32767, -32768]


@pytest.mark.parametrize(("samples", "kind"), [(10, "wav"), (4096, "wav"), (10_000, "flac")])
def test_the_shortest_sounds_are_wav(samples: int, kind: str) -> None:
    waveform = np.linspace(-0.5, 0.5, samples, dtype=np.float32)
    found, file = decoded(sound_uri(waveform, 44100))
    assert found == f"audio/{kind}"
    np.testing.assert_allclose(soundfile.read(file)[0], waveform, atol=1.01 / 32768)


@pytest.mark.parametrize(("rate", "factor"), [(1000, 8), (3000, 3), (7999, 2)])
def test_a_low_rate_is_raised_by_a_whole_factor(rate: int, factor: int) -> None:
    waveform = np.sin(np.arange(2 * rate) / 9).astype(np.float32) * 0.9
    _, file = decoded(sound_uri(waveform, rate))
    read, read_rate = soundfile.read(file, dtype="float32")
    assert read_rate == rate * factor >= 8000
    assert len(read) == len(waveform) * factor
    # Every old sample is there still, and half way between two of them is their mean.
    np.testing.assert_allclose(read[::factor], waveform, atol=1.01 / 32768)
    if factor == 2:
        np.testing.assert_allclose(read[1:-1:2], (waveform[1:] + waveform[:-1]) / 2, atol=2 / 32768)


def test_a_image_is_a_png_of_the_same_pixels() -> None:
    image = np.random.default_rng(0).integers(0, 256, (12, 7, 3), np.uint8)
    kind, file = decoded(image_uri(image))
    assert kind == "image/png"
    read = np.round(imread(file, format="png")[..., :3] * 255)
    np.testing.assert_array_equal(read, image)
