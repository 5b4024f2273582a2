"""What a head's training minimises: the loss on its examples, with its gradient."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from sound_pipeline.standardised import Standardised

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]
Layers = list[tuple[Floats, Floats]]


class Objective:
    """The mean loss of dense layers on weighted examples, as a function of all their numbers.

    In NumPy, whose products of many rows with few columns take half as long as TensorFlow's.
    """

    def __init__(
        self,
        inputs: Standardised,
        labels: Ints,
        weights: Floats,
        sizes: Sequence[int],
        l2: float = 0.0,
        label_smoothing: float = 0.0,
    ) -> None:
        """Notes the examples.

        Args:
          inputs: standardised embeddings [windows, D].
          labels: int32 [windows], class ids.
          weights: float32 [windows].
          sizes: D, the units of each hidden layer, classes.
          l2: weight decay: half of it times the squares of all kernels is added to the sum of the
            losses, as in scikit-learn.
          label_smoothing: share of every label that goes to all classes alike (Szegedy et al.:
            Rethinking the Inception Architecture, 2016).
        """
        self._inputs = inputs
        self._labels = labels
        self._weights = weights
        self._sizes = tuple(itertools.pairwise(sizes))
        self._total = float(weights.sum())
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
        for inputs, activations, labels, weights in self._portions(layers):
            value, error = self._losses(activations[-1], labels, weights)
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
        for _, activations, labels, weights in self._portions(self.layers(parameters)):
            loss += self._losses(activations[-1], labels, weights)[0]
        return loss / self._total

    def _portions(self, layers: Layers) -> Iterator[tuple[Floats, list[Floats], Ints, Floats]]:
        """Inputs, what each layer makes of them, labels and weights, a portion at a time."""
        for inputs, part in self._inputs.portions():
            activations, values = [], inputs
            for number, (kernel, bias) in enumerate(layers):
                values = values @ kernel + bias
                if number + 1 < len(layers):
                    values = np.maximum(values, 0)
                activations.append(values)
            yield inputs, activations, self._labels[part], self._weights[part]

    def _losses(self, logits: Floats, labels: Ints, weights: Floats) -> tuple[float, Floats]:
        """The sum of the weighted losses, and its gradient by the logits."""
        logits = logits - logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        totals = odds.sum(axis=1, keepdims=True)
        log_shares = logits - np.log(totals)
        rows = np.arange(len(labels))
        share = np.float32(self._smoothing / logits.shape[1])
        wanted = np.full_like(logits, share)
        wanted[rows, labels] += np.float32(1.0 - self._smoothing)
        weighted = weights[:, None] * wanted
        loss = -float(np.vdot(weighted, log_shares))
        return loss, weights[:, None] * (odds / totals) - weighted
