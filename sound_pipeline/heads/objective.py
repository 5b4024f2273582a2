"""Training objective of a head: the loss on its examples, with its gradient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from sound_pipeline.heads.standardised_rows import StandardisedRows
from sound_pipeline.system.arrays import Floats, Ints


class Layer(NamedTuple):
    """A linear layer: kernel float32 [inputs, classes] and bias float32 [classes]."""

    kernel: Floats
    bias: Floats


class TrainingSet(NamedTuple):
    """Examples and what is wanted of them.

    Attributes:
      inputs: standardised embeddings [windows, D].
      labels: int32 [windows], class ids.
      weights: float32 [windows].
      others: int32 [windows], the class ids beside the labels; None where each has one alone.
      shares: float32 [windows], how much of an example is its label's; the rest is the other's.
    """

    inputs: StandardisedRows
    labels: Ints
    weights: Floats
    others: Ints | None = None
    shares: Floats | None = None

    def wanted(self, part: slice, classes: int) -> Floats:
        """Targets of some of the examples: float32 [some, classes]."""
        labels = self.labels[part]
        rows = np.arange(len(labels))
        wanted = np.zeros((len(labels), classes), np.float32)
        if self.others is None or self.shares is None:
            wanted[rows, labels] = 1.0
            return wanted
        share = self.shares[part]
        wanted[rows, labels] = share
        wanted[rows, self.others[part]] += 1 - share
        return wanted


class Objective:
    """Mean loss of a linear layer on weighted examples, as a function of all its numbers.

    In NumPy, whose products of many rows with few columns take half as long as TensorFlow's.
    """

    def __init__(
        self,
        sets: Sequence[TrainingSet],
        classes: int,
        l2: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:
        """Notes the examples.

        Args:
          sets: what is trained on, all together; at least one.
          classes: how many there are.
          l2: weight decay: half of it times the squares of the kernel is added to the sum of the
            losses, as in scikit-learn.
          label_smoothing: fraction of every label that goes to all classes alike (Szegedy et al.:
            Rethinking the Inception Architecture, 2016).
        """
        self._sets = sets
        self._inputs, self._classes = len(sets[0].inputs.mean), classes
        self._total = float(sum(each.weights.sum() for each in sets))
        self._l2 = l2
        self._smoothing = label_smoothing

    @property
    def parameters(self) -> int:
        """Number of parameters of the layer."""
        return (self._inputs + 1) * self._classes

    def layer(self, parameters: Floats) -> Layer:
        """Kernel [inputs, classes] and bias [classes]: views of float32 [parameters]."""
        kernel, bias = np.split(parameters, [self._inputs * self._classes])
        return Layer(kernel.reshape(self._inputs, self._classes), bias)

    def __call__(self, parameters: Floats) -> tuple[float, Floats]:
        """Mean loss with the penalty, and its gradient float32 [parameters]."""
        gradient = np.zeros_like(parameters)
        layer, slope = self.layer(parameters), self.layer(gradient)
        loss = 0.0
        for inputs, logits, wanted, weights in self._portions(layer):
            value, error = self._losses(logits, wanted, weights)
            loss += value
            slope.kernel[:] += (error.T @ inputs).T
            slope.bias[:] += error.sum(axis=0)
        slope.kernel[:] += np.float32(self._l2) * layer.kernel
        gradient /= np.float32(self._total)
        return loss / self._total + self.penalty(parameters), gradient

    def penalty(self, parameters: Floats) -> float:
        """Weight decay penalty, which is added to the mean loss."""
        kernel = self.layer(parameters).kernel
        return self._l2 / (2.0 * self._total) * float(np.vdot(kernel, kernel))

    def loss(self, parameters: Floats) -> float:
        """Mean loss alone."""
        loss = 0.0
        for _, logits, wanted, weights in self._portions(self.layer(parameters)):
            loss += self._losses(logits, wanted, weights)[0]
        return loss / self._total

    def _portions(self, layer: Layer) -> Iterator[tuple[Floats, Floats, Floats, Floats]]:
        """Inputs, logits, targets and weights of the examples; a portion at a time."""
        for each in self._sets:
            for inputs, part in each.inputs.portions():
                logits = inputs @ layer.kernel + layer.bias
                yield inputs, logits, each.wanted(part, self._classes), each.weights[part]

    def _losses(self, logits: Floats, wanted: Floats, weights: Floats) -> tuple[float, Floats]:
        """Sum of the weighted losses, and its gradient by the logits."""
        logits = logits - logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        totals = odds.sum(axis=1, keepdims=True)
        log_shares = logits - np.log(totals)
        share = np.float32(self._smoothing / logits.shape[1])
        weighted = weights[:, None] * (np.float32(1.0 - self._smoothing) * wanted + share)
        loss = -float(np.vdot(weighted, log_shares))
        return loss, weights[:, None] * (odds / totals) - weighted
