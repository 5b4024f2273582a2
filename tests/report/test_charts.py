"""Charts: where values lie, and the numbers on the axes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sound_pipeline.report.charts import Plot, ticks


def test_a_plot_puts_values_between_its_margins() -> None:
    plot = Plot(200, 100, highest_x=10, highest_y=4, left=30, right=20, top=5, bottom=25)
    assert (plot.x(0), plot.x(10), plot.x(5)) == (30, 180, 105)
    assert (plot.y(0), plot.y(4), plot.y(1)) == (75, 5, 57.5)
    assert plot.points([0, 10], [4, 0]) == "30,5 180,75"


@pytest.mark.parametrize(
    ("highest", "most", "expected"),
    [
        (1, 5, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (2.3, 3, [0, 1, 2]),
        (149, 3, [0, 50, 100]),
        (0.3, 3, [0, 0.1, 0.2, 0.3]),
        (1, 3, [0, 0.5, 1]),
        (7e-5, 4, [0, 2e-5, 4e-5, 6e-5]),
    ],
)
def test_ticks_are_round_numbers(highest: float, most: int, expected: list[float]) -> None:
    assert ticks(highest, most) == pytest.approx(expected)


@given(st.floats(1e-6, 1e6), st.integers(3, 8))
def test_ticks_are_few_and_within_the_axis(highest: float, most: int) -> None:
    values = ticks(highest, most)
    assert values[0] == 0 and 2 <= len(values) <= most + 1
    assert values[-1] <= highest * (1 + 1e-6)
