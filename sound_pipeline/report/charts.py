"""Geometry of line charts, drawn as SVG by the page's template."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Plot:
    """Axes of a chart, both from 0, in an SVG drawing whose origin is the top left corner.

    Lengths are SVG units: pixels where the drawing is shown as wide as `width`, the narrowest
    that the page makes it.

    Attributes:
      width: of the drawing.
      height: of the drawing.
      highest_x: the value at the right end.
      highest_y: the value at the top end.
      left: room for the vertical axis's numbers.
      right: room for half of the horizontal axis's last number.
      top: room for half of the vertical axis's last number.
      bottom: room for the horizontal axis's numbers and name.
    """

    width: float
    height: float
    highest_x: float
    highest_y: float
    left: float = 30.0
    right: float = 12.0
    top: float = 8.0
    bottom: float = 36.0

    def x(self, value: float) -> float:
        """From the left edge of the drawing."""
        return round(self.left + value / self.highest_x * (self.width - self.left - self.right), 2)

    def y(self, value: float) -> float:
        """From the top edge of the drawing."""
        height = self.height - self.top - self.bottom
        return round(self.top + (1 - value / self.highest_y) * height, 2)

    def points(self, xs: Iterable[float], ys: Iterable[float]) -> str:
        """A line through the values, as an SVG polyline's `points`."""
        return " ".join(f"{self.x(x):g},{self.y(y):g}" for x, y in zip(xs, ys, strict=True))


def ticks(highest: float, most: int) -> list[float]:
    """0 and up to `most`, 3 or more, round numbers up to `highest`: steps of 1, 2 or 5 x 10^n."""
    least = highest / most
    decade = 10.0 ** math.floor(math.log10(least))
    step = next(
        factor * decade for factor in (1, 2, 5, 10) if factor * decade >= least * (1 - 1e-9)
    )
    count = math.floor(highest / step * (1 + 1e-9))
    return [round(number * step, 12) for number in range(count + 1)]
