"""A head, and heads that answer together: the weighted mean of what they say."""

from __future__ import annotations

import numpy as np
import tf_keras
from scipy.special import log_softmax

from sound_pipeline.heads.head import Head, JointHead, Member


def random_head(size: int, seed: int, classes: int = 4) -> Head:
    random = np.random.default_rng(seed)
    kernel, bias = random.normal(size=(size, classes)), random.normal(size=classes)
    mean, deviation = random.normal(size=size), random.uniform(1, 2, size)
    head = Head(*(values.astype("f4") for values in (mean, deviation, kernel, bias)))
    head.temperature.assign(random.uniform(0.5, 2))
    return head


def embeddings(size: int) -> np.ndarray:
    return np.random.default_rng(9).normal(size=(6, size)).astype("f4")


def test_head_computes_what_keras_and_numpy_do() -> None:
    random = np.random.default_rng(8)
    kernel = random.normal(size=(6, 4)).astype(np.float32)
    bias = random.normal(size=4).astype(np.float32)
    mean = random.normal(size=6).astype(np.float32)
    deviation = random.uniform(0.5, 2, 6).astype(np.float32)
    inputs = (mean + deviation * random.uniform(-3.9, 3.9, (11, 6))).astype(np.float32)
    head = Head(mean, deviation, kernel, bias)
    logits = head(inputs).numpy()
    assert head.classes == 4 and logits.shape == (11, 4) and logits.dtype == np.float32
    standard = (inputs.astype(np.float64) - mean) / deviation
    np.testing.assert_allclose(logits, standard @ kernel + bias, atol=1e-4)

    normalise = tf_keras.layers.Normalization(
        mean=mean, variance=np.square(deviation), input_shape=(6,)
    )
    model = tf_keras.Sequential([normalise, tf_keras.layers.Dense(4)])
    model.layers[1].set_weights([kernel, bias])
    np.testing.assert_allclose(logits, model(inputs).numpy(), atol=1e-4)


def test_each_looks_at_its_columns_and_counts_by_its_weight() -> None:
    first, second = random_head(3, 0), random_head(5, 1)
    joint = JointHead([Member(first, (0, 3), 0.75), Member(second, (3, 8), 0.25)])
    assert joint.classes == 4
    values = embeddings(8)
    expected = 0.75 * log_softmax(first(values[:, :3]), axis=1)
    expected = expected + 0.25 * log_softmax(second(values[:, 3:]), axis=1)
    np.testing.assert_allclose(joint(values), expected, atol=1e-5)
    joint.temperature.assign(2.5)
    np.testing.assert_allclose(joint(values), expected / 2.5, atol=1e-5)


def test_all_weights_are_its_variables() -> None:
    heads = [random_head(5, seed) for seed in range(2)]
    joint = JointHead([Member(head, (0, 5), 0.5) for head in heads])
    assert len(joint.variables) == 1 + sum(len(head.variables) for head in heads)
