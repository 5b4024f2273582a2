"""Which sample stands where: against joining the stretches one by one, for arrays and tensors."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from sound_pipeline.features.mirroring import mirrored_index


@given(st.integers(0, 20), st.integers(1, 20), st.integers(1, 100))
def test_mirrored(onset: int, length: int, window: int) -> None:
    end = onset + length
    expected = list(range(onset))
    while len(expected) < window:
        expected += [*range(onset, end), *reversed(range(onset, end))]
    index = mirrored_index(np.arange(window), onset, end)
    assert index.tolist() == expected[:window]


def test_tensors_as_arrays() -> None:
    index = tf.function(mirrored_index)(tf.range(50), tf.constant(3), tf.constant(10))
    assert index.dtype == tf.int32
    np.testing.assert_array_equal(index, mirrored_index(np.arange(50), 3, 10))
