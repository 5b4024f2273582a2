"""A trainer that is used again trains as a new one does."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from sound_pipeline.config import HeadConfig
from sound_pipeline.trainer import Trainer, borrowed_trainer, shuffled

LINEAR = HeadConfig(batch_size=8, learning_rate=0.01)
HIDDEN = HeadConfig(batch_size=8, learning_rate=0.01, hidden_units=6, dropout=0.5)


def learned(trainer: Trainer, seed: int) -> tuple[list[np.ndarray], float]:
    """The weights after two epochs on 20 windows, and the loss then."""
    random = np.random.default_rng(seed)
    rows = tf.constant(random.standard_normal([20, 5], np.float32))
    labels = random.integers(0, 3, 20).astype(np.int32)
    weights = np.ones(20, np.float32)
    trainer.reset(6)
    for epoch in range(2):
        order = shuffled(20, [0, epoch]).numpy()
        trainer.train(rows, order, labels[order], weights[order], 0.01)
    return [part for layer in trainer.layers for part in layer], trainer.loss(rows, labels, weights)


@pytest.mark.parametrize("config", [LINEAR, HIDDEN], ids=["linear", "hidden layer, dropout"])
def test_starts_anew(config: HeadConfig) -> None:
    used = Trainer(5, 3, config)
    other, _ = learned(used, seed=1)
    again, loss = learned(used, seed=0)
    fresh, expected = learned(Trainer(5, 3, config), seed=0)
    assert loss == expected
    assert not np.array_equal(other[0], again[0])
    for one, two in zip(again, fresh, strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_learning_rate_falls_to_zero() -> None:
    trainer = Trainer(5, 3, LINEAR)
    learned(trainer, seed=0)
    before = trainer.layers[0][0]
    rows, ones = tf.ones([8, 5]), np.ones(8, np.float32)
    trainer.train(rows, np.arange(8, dtype=np.int32), np.zeros(8, np.int32), ones, 0.0)
    np.testing.assert_array_equal(trainer.layers[0][0], before)


def test_is_lent_to_one_at_a_time_and_kept() -> None:
    with borrowed_trainer(5, 3, LINEAR) as first:
        with borrowed_trainer(5, 3, LINEAR) as second:
            assert second is not first
        with borrowed_trainer(5, 3, LINEAR) as third:
            assert third is second
    with borrowed_trainer(5, 3, HIDDEN) as other:
        assert other not in (first, second)
