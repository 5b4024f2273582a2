"""The loss of a head and its gradient, beside TensorFlow's."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.heads import standardised_rows
from sound_pipeline.heads.objective import Objective, TrainingSet
from sound_pipeline.heads.standardised_rows import StandardisedRows

COUNT, SIZE, CLASSES = 70, 9, 4
L2, SMOOTHING = 3.0, 0.1


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("portions", [[COUNT], [12] * 5 + [10]], ids=["in memory", "in portions"])
def test_loss_and_gradient_are_those_of_tensorflow(
    portions: list[int],
    random: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    values = random.normal(size=(COUNT, SIZE)).astype(np.float32)
    labels = random.integers(0, CLASSES, COUNT).astype(np.int32)
    weights = random.uniform(0.1, 2, COUNT).astype(np.float32)
    if len(portions) > 1:
        monkeypatch.setattr(
            standardised_rows, "memory_bytes", lambda: 4 * 8 * 4 * SIZE * portions[0]
        )
    inputs = StandardisedRows(values)
    assert [len(rows) for rows, _ in inputs.portions()] == portions
    examples = TrainingSet(inputs, labels, weights)
    objective = Objective([examples], CLASSES, L2, SMOOTHING)
    parameters = random.normal(size=objective.parameters).astype(np.float32)
    value, gradient = objective(parameters)

    seen = np.concatenate([rows for rows, _ in inputs.portions()])
    flat = tf.Variable(parameters)
    with tf.GradientTape() as tape:
        kernel = tf.reshape(flat[: SIZE * CLASSES], [SIZE, CLASSES])
        outputs = tf.matmul(tf.constant(seen), kernel) + flat[SIZE * CLASSES :]
        squares = tf.reduce_sum(tf.square(kernel))
        wanted = (1 - SMOOTHING) * tf.one_hot(labels, CLASSES) + SMOOTHING / CLASSES
        losses = tf.nn.softmax_cross_entropy_with_logits(wanted, outputs)
        total = tf.reduce_sum(weights)
        loss = tf.reduce_sum(weights * losses) / total
        penalty = L2 / (2 * total) * squares
        expected = loss + penalty
    assert value == pytest.approx(float(expected), rel=1e-5)
    assert objective.penalty(parameters) == pytest.approx(float(penalty), rel=1e-5)
    assert objective.loss(parameters) == pytest.approx(float(loss), rel=1e-5)
    np.testing.assert_allclose(gradient, tape.gradient(expected, flat), rtol=1e-3, atol=1e-5)
    layer = objective.layer(parameters)
    assert layer.kernel.shape == (SIZE, CLASSES) and layer.bias.shape == (CLASSES,)


def test_scores_too_far_apart_for_float32_have_a_loss() -> None:
    inputs = StandardisedRows(np.float32([[-1], [1]]))
    objective = Objective([TrainingSet(inputs, np.int32([0, 1]), np.ones(2, np.float32))], 2)
    right = np.float32([-1e4, 1e4, 0, 0])
    assert objective.loss(right) == 0.0
    value, gradient = objective(-right)
    assert value == pytest.approx(2e4)
    assert np.isfinite(gradient).all()


def test_the_loss_of_sets_together_is_that_of_all_their_examples(
    random: np.random.Generator,
) -> None:
    inputs = StandardisedRows(random.normal(size=(COUNT, SIZE)).astype(np.float32))
    labels = random.integers(0, CLASSES, COUNT).astype(np.int32)
    weights = random.uniform(0.1, 2, COUNT).astype(np.float32)
    examples = TrainingSet(inputs, labels, weights)
    twice = examples._replace(weights=np.float32(2) * weights)
    together, alone = Objective([examples, twice], CLASSES), Objective([examples], CLASSES)
    parameters = random.normal(size=alone.parameters).astype(np.float32)
    for found, expected in zip(together(parameters), alone(parameters), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_shared_label_wants_both(random: np.random.Generator) -> None:
    inputs = StandardisedRows(random.normal(size=(3, SIZE)).astype(np.float32))
    labels, others = np.int32([0, 1, 2]), np.int32([3, 1, 0])
    shares = np.float32([0.75, 0.2, 0.5])
    examples = TrainingSet(inputs, labels, np.ones(3, np.float32), others, shares)
    wanted = [[0.75, 0, 0, 0.25], [0, 1, 0, 0], [0.5, 0, 0.5, 0]]
    np.testing.assert_allclose(examples.wanted(slice(0, 3), CLASSES), wanted)
    np.testing.assert_allclose(examples.wanted(slice(1, 3), CLASSES), wanted[1:])
