"""Mixtures of two examples, to train on beside them."""

from __future__ import annotations

import numpy as np

from sound_pipeline.embeddings.matrices import Matrix, MixedRows
from sound_pipeline.heads.objective import TrainingSet
from sound_pipeline.heads.standardised_rows import StandardisedRows


def with_mixtures(
    rows: Matrix, examples: TrainingSet, alpha: float, seed: int
) -> list[TrainingSet]:
    """Examples and as many mixtures of them, which weigh together what they weighed alone.

    Every example is mixed with another, drawn by weight; what is wanted of a mixture is the same
    mixture of their labels (Zhang et al.: mixup: Beyond empirical risk minimization, 2018). There
    they take the place of the examples and are drawn anew for every batch; here they are drawn
    once, since L-BFGS minimises one function.

    Args:
      rows: the examples' embeddings as they were before they were standardised.
      examples: none of which is a mixture.
      alpha: proportions are drawn from the beta distribution with this for both of its parameters:
        1 draws all alike, less draws mostly one example or the other.
      seed: of what is drawn.
    """
    random = np.random.default_rng(seed)
    count = len(examples.labels)
    chance = examples.weights.astype(np.float64)
    partner = random.choice(count, count, p=chance / chance.sum())
    share = random.beta(alpha, alpha, count).astype(np.float32)
    half = examples.weights / np.float32(2)
    mixtures = TrainingSet(
        StandardisedRows(MixedRows(rows, partner, share), like=examples.inputs),
        examples.labels,
        half,
        examples.labels[partner],
        share,
    )
    return [examples._replace(weights=half), mixtures]
