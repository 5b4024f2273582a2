"""What a head's training minimises: the loss on its examples, with its gradient."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from sound_pipeline.heads.standardised_rows import StandardisedRows
from sound_pipeline.system.arrays import Floats, Ints

Layers = list[tuple[Floats, Floats]]


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
        """What a head should say to some of the examples: float32 [some, classes]."""
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
    """The mean loss of dense layers on weighted examples, as a function of all their numbers.

    In NumPy, whose products of many rows with few columns take half as long as TensorFlow's.
    """

    def __init__(
        self,
        lessons: Sequence[TrainingSet],
        sizes: Sequence[int],
        l2: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:
        """Notes the examples.

        Args:
          lessons: what is learned from, all together.
          sizes: D, the units of each hidden layer, classes.
          l2: weight decay: half of it times the squares of all kernels is added to the sum of the
            losses, as in scikit-learn.
          label_smoothing: share of every label that goes to all classes alike (Szegedy et al.:
            Rethinking the Inception Architecture, 2016).
        """
        self._lessons = lessons
        self._sizes = tuple(itertools.pairwise(sizes))
        self._total = float(sum(lesson.weights.sum() for lesson in lessons))
        self._l2 = l2
        self._smoothing = label_smoothing

    @property
    def parameters(self) -> int:
        """How many numbers the layers have."""
        return sum((inputs + 1) * units for inputs, units in self._sizes)

    def layers(self, parameters: Floats) -> Layers:
        """(kernel [inputs, units], bias [units]) of each layer: views of float32 [parameters]."""
        layers, start = [], 0
        for inputs, units in self._sizes:
            end = start + inputs * units
            kernel = parameters[start:end].reshape(inputs, units)
            layers.append((kernel, parameters[end : end + units]))
            start = end + units
        return layers

    def __call__(self, parameters: Floats) -> tuple[float, Floats]:
        """The mean loss with the penalty, and its gradient float32 [parameters]."""
        gradient = np.zeros_like(parameters)
        layers, slopes = self.layers(parameters), self.layers(gradient)
        loss = 0.0
        for inputs, activations, wanted, weights in self._portions(layers):
            value, error = self._losses(activations[-1], wanted, weights)
            loss += value
            for number in reversed(range(len(layers))):
                below = activations[number - 1] if number else inputs
                kernel_slope, bias_slope = slopes[number]
                kernel_slope += (error.T @ below).T
                bias_slope += error.sum(axis=0)
                if number:
                    error = (error @ layers[number][0].T) * (below > 0)
        for (kernel, _), (kernel_slope, _) in zip(layers, slopes, strict=True):
            kernel_slope += np.float32(self._l2) * kernel
        gradient /= np.float32(self._total)
        return loss / self._total + self.penalty(parameters), gradient

    def penalty(self, parameters: Floats) -> float:
        """What weight decay adds to the mean loss."""
        squares = sum(float(np.vdot(kernel, kernel)) for kernel, _ in self.layers(parameters))
        return self._l2 / (2.0 * self._total) * squares

    def loss(self, parameters: Floats) -> float:
        """The mean loss alone."""
        loss = 0.0
        for _, activations, wanted, weights in self._portions(self.layers(parameters)):
            loss += self._losses(activations[-1], wanted, weights)[0]
        return loss / self._total

    def _portions(self, layers: Layers) -> Iterator[tuple[Floats, list[Floats], Floats, Floats]]:
        """Inputs, what each layer makes of them, what is wanted, weights; a portion at a time."""
        classes = self._sizes[-1][1]
        for lesson in self._lessons:
            for inputs, part in lesson.inputs.portions():
                activations, values = [], inputs
                for number, (kernel, bias) in enumerate(layers):
                    values = values @ kernel + bias
                    if number + 1 < len(layers):
                        values = np.maximum(values, 0)
                    activations.append(values)
                yield inputs, activations, lesson.wanted(part, classes), lesson.weights[part]

    def _losses(self, logits: Floats, wanted: Floats, weights: Floats) -> tuple[float, Floats]:
        """The sum of the weighted losses, and its gradient by the logits."""
        logits = logits - logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        totals = odds.sum(axis=1, keepdims=True)
        log_shares = logits - np.log(totals)
        share = np.float32(self._smoothing / logits.shape[1])
        weighted = weights[:, None] * (np.float32(1.0 - self._smoothing) * wanted + share)
        loss = -float(np.vdot(weighted, log_shares))
        return loss, weights[:, None] * (odds / totals) - weighted
