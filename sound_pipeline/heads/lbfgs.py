"""Minimising a smooth function of many numbers by its gradient, step by step."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator

import numpy as np

from sound_pipeline.system.arrays import Floats

ValueAndGradient = Callable[[Floats], tuple[float, Floats]]

# Pairs of steps and changes of the gradient that the curvature is known from; Liu and Nocedal
# found little use in more than seven.
_MEMORY = 10
# Armijo's rule: the least fraction of what the slope promises that a step must gain. Nocedal and
# Wright: Numerical Optimization, 2006, give this one.
_LEAST_GAIN = 1e-4
# A step is shortened to between these fractions of itself until it gains enough.
_SHORTENED = (0.1, 0.5)
# After so many attempts the function can't be told from flat in float32.
_MOST_ATTEMPTS = 20


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """Place of the search.

    Attributes:
      parameters: float32 [n].
      value: the function's there.
    """

    parameters: Floats
    value: float


def descend(function: ValueAndGradient, start: Floats) -> Iterator[Step]:
    """Steps of L-BFGS (Liu and Nocedal: On the limited memory BFGS method, 1989), as asked for.

    SciPy's keeps its vectors in float64 and minds bounds, which takes three times as long as the
    function itself does for a classifier's (measured on 20,000 parameters).

    Args:
      function: parameters float32 [n] to a value and its gradient float32 [n]; smooth, bounded
        from below.
      start: float32 [n].

    Yields:
      Every step, each with a lower value than the one before; ends where none is found.
    """
    place = start
    value, gradient = function(place)
    pairs: deque[tuple[Floats, Floats, float]] = deque(maxlen=_MEMORY)
    while True:
        direction = -_by_curvature(gradient, pairs)
        slope = float(np.vdot(gradient, direction))
        if not slope < 0.0:
            return
        # Nothing is known yet about how far to go: the first step has a length of 1.
        length = 1.0 if pairs else 1.0 / float(np.sqrt(-slope))
        for _ in range(_MOST_ATTEMPTS):
            tried = place + np.float32(length) * direction
            new_value, new_gradient = function(tried)
            if new_value <= value + _LEAST_GAIN * length * slope:
                break
            # The lowest point of the parabola through what is known.
            above = new_value - value - length * slope
            best = -slope * length / (2.0 * above) if np.isfinite(above) and above > 0 else 0.0
            length *= min(max(best, _SHORTENED[0]), _SHORTENED[1])
        else:
            return
        moved, turned = tried - place, new_gradient - gradient
        curvature = float(np.vdot(moved, turned))
        # Else the function isn't convex between the two, and says nothing about the next step.
        if curvature > 0.0:
            pairs.append((moved, turned, curvature))
        if not new_value < value:
            return
        place, value, gradient = tried, new_value, new_gradient
        yield Step(place, value)


def _by_curvature(gradient: Floats, pairs: deque[tuple[Floats, Floats, float]]) -> Floats:
    """Gradient times an estimate of the inverse of the second derivatives."""
    result = gradient.copy()
    shares = []
    for moved, turned, curvature in reversed(pairs):
        share = np.float32(np.vdot(moved, result) / curvature)
        shares.append(share)
        result -= share * turned
    if pairs:
        _, turned, curvature = pairs[-1]
        result *= np.float32(curvature / np.vdot(turned, turned))
    for (moved, turned, curvature), share in zip(pairs, reversed(shares), strict=True):
        result += (share - np.float32(np.vdot(turned, result) / curvature)) * moved
    return result
