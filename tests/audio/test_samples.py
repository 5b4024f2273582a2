"""Waveforms of any real type, and rates of any number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.audio.samples import mono_samples, whole_rate_hz
from sound_pipeline.errors import UserError

SOUND = np.sin(np.arange(100)) * 0.5


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int8", "int16", "int32"])
def test_real_types_are_the_same_sound(dtype: str) -> None:
    kind = np.dtype(dtype)
    scaled = SOUND * 2.0 ** (8 * kind.itemsize - 1) if kind.kind == "i" else SOUND
    found = mono_samples(scaled.astype(kind))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, SOUND, atol=2.0**-6 if kind.itemsize == 1 else 1e-3)


def test_bfloat16_of_tensorflow() -> None:
    kind = tf.bfloat16.as_numpy_dtype
    np.testing.assert_allclose(mono_samples(SOUND.astype(kind)), SOUND, atol=0.01)


def test_unsigned_bytes_have_their_zero_in_the_middle() -> None:
    found = mono_samples(np.array([0, 128, 255], np.uint8))
    np.testing.assert_allclose(found, [-1, 0, 127 / 128])
    assert mono_samples([0.5, -0.5]).tolist() == [0.5, -0.5]


@pytest.mark.parametrize(
    ("waveform", "words"),
    [
        (SOUND[:, None], "[100, 1]"),
        (SOUND[None], "[1, 100]"),
        (0.5, "shape []"),
        ([1, 2, 3], "int64"),
        (np.zeros(3, np.uint16), "uint16"),
        (np.zeros(3, bool), "bool"),
        (np.zeros(3, complex), "complex128"),
        (["a"], "str"),
        ([[1.0], [1.0, 2.0]], "no array"),
    ],
)
def test_what_is_no_sound_is_refused_in_a_line(waveform: Any, words: str) -> None:
    with pytest.raises(UserError) as caught:
        mono_samples(waveform)
    assert words in str(caught.value) and "\n" not in str(caught.value)


RATES = [16000, 16000.0, np.int16(16000), np.float32(16000), np.array(16000)]
NO_RATES = [0, 999, 10**9, float("nan"), float("inf"), "16000", None, [16000], True]


@pytest.mark.parametrize("rate", RATES)
def test_rates(rate: Any) -> None:
    assert whole_rate_hz(rate) == 16000


@pytest.mark.parametrize("rate", NO_RATES)
def test_what_is_no_rate_is_refused(rate: Any) -> None:
    with pytest.raises(UserError, match="a sample rate of"):
        whole_rate_hz(rate)
