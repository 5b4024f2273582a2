"""Mixtures of examples against their definition, and what learning from them does."""

from __future__ import annotations

import dataclasses

import numpy as np

from sound_pipeline.heads.config import HeadConfig
from sound_pipeline.heads.fitting import TrainingExamples, fit_head
from sound_pipeline.heads.mixup import with_mixtures
from sound_pipeline.heads.objective import TrainingSet
from sound_pipeline.heads.standardised_rows import StandardisedRows

COUNT, SIZE, CLASSES = 400, 5, 3


def lesson_of(distance: float = 1.2) -> tuple[np.ndarray, TrainingSet]:
    """Classes that overlap; the first half weighs nine times what the second does."""
    random = np.random.default_rng(0)
    labels = random.integers(0, CLASSES, COUNT).astype(np.int32)
    centres = distance * np.eye(CLASSES, SIZE)
    rows = (centres[labels] + random.normal(size=(COUNT, SIZE))).astype(np.float32)
    weights = np.repeat(np.float32([1.8, 0.2]), COUNT // 2)
    return rows, TrainingSet(StandardisedRows(rows), labels, weights)


def values_of(lesson: TrainingSet) -> np.ndarray:
    return np.concatenate([values for values, _ in lesson.inputs.portions()])


def test_every_example_is_mixed_with_another_and_so_is_its_label() -> None:
    rows, lesson = lesson_of()
    plain, mixtures = with_mixtures(rows, lesson, 1.0, seed=3)
    np.testing.assert_array_equal(values_of(plain), values_of(lesson))
    assert mixtures.others is not None and mixtures.shares is not None
    own, mixed, share = values_of(lesson), values_of(mixtures), mixtures.shares[:, None]
    # What is left of a mixture without its own example's share is the share of another example.
    rest = (mixed - share * own) / (1 - share)
    sure = mixtures.shares < 0.9
    distance = np.linalg.norm(rest[sure, None] - own[None], axis=2)
    assert distance.min(axis=1).max() < 1e-3
    partner = distance.argmin(axis=1)
    np.testing.assert_array_equal(lesson.labels[partner], mixtures.others[sure])
    np.testing.assert_array_equal(mixtures.labels, lesson.labels)
    # Drawn by weight: nine in ten of them from the first half.
    assert 0.85 < (partner < COUNT // 2).mean() < 0.95
    assert abs(mixtures.shares.mean() - 0.5) < 0.05 and mixtures.shares.std() > 0.25


def test_together_they_weigh_what_the_examples_did() -> None:
    rows, lesson = lesson_of()
    for part in with_mixtures(rows, lesson, 0.3, seed=0):
        np.testing.assert_allclose(part.weights, lesson.weights / 2)


def test_seeds_and_parameters_draw_what_they_say() -> None:
    rows, lesson = lesson_of()

    def shares(alpha: float, seed: int) -> np.ndarray:
        drawn = with_mixtures(rows, lesson, alpha, seed)[1].shares
        assert drawn is not None
        return drawn

    np.testing.assert_array_equal(shares(1.0, 1), shares(1.0, 1))
    assert (shares(1.0, 1) != shares(1.0, 2)).any()
    # The deviation of the beta distribution of two equal parameters.
    for alpha in (0.2, 5.0):
        assert abs(shares(alpha, 1).std() - 0.5 / np.sqrt(2 * alpha + 1)) < 0.03


def test_heads_that_learned_from_them_are_less_sure_between_classes() -> None:
    rows, lesson = lesson_of(distance=6.0)
    training = TrainingExamples(rows, lesson.labels, np.ones(COUNT, np.float32))
    plain = HeadConfig(l2=0.0, epochs=60)
    heads = [
        fit_head(training, None, CLASSES, config).head
        for config in (plain, dataclasses.replace(plain, mixup=1.0))
    ]
    between = (rows[:-1] + rows[1:]) / 2
    sure = []
    for head in heads:
        odds = np.exp(head(between).numpy())
        sure.append((odds.max(axis=1) / odds.sum(axis=1)).mean())
    assert sure[1] < sure[0] - 0.05
