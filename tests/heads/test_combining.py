"""Answers about windows, put together to one about their recording."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from sound_pipeline.heads.combining import combine_windows
from tests.helpers import sounds


@settings(max_examples=25, deadline=None)
@given(
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    classes=st.integers(2, 6),
    seed=st.integers(0, 999),
)
def test_combined_windows_are_the_normalised_geometric_mean(
    counts: list[int], classes: int, seed: int
) -> None:
    logits = np.random.default_rng(seed).normal(0, 5, (sum(counts), classes)).astype(np.float32)
    recording = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    probabilities = np.exp(logits.astype(np.float64))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    means = np.stack(
        [
            np.prod(probabilities[recording == number], axis=0) ** (1 / count)
            for number, count in enumerate(counts)
        ]
    )
    combined = combine_windows(logits, recording)
    np.testing.assert_allclose(combined, means / means.sum(axis=1, keepdims=True), atol=1e-5)


def test_one_window_keeps_its_answer_and_a_sure_one_weighs_more() -> None:
    logits = np.array([[2.0, 0.0], [8.0, 0.0], [0.0, 1.0]], np.float32)
    combined = sounds.eager_and_mapped(combine_windows, logits, np.int32([0, 1, 1]))
    np.testing.assert_allclose(combined[0], tf.nn.softmax(logits[0]), atol=1e-6)
    assert combined[1, 0] > 0.9
    np.testing.assert_allclose(combined.sum(axis=1), 1, atol=1e-6)
