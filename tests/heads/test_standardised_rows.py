"""Standardised rows, in memory or not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from sound_pipeline.heads import standardised_rows
from sound_pipeline.heads.standardised_rows import FARTHEST, StandardisedRows


def everything(rows: StandardisedRows) -> npt.NDArray[np.float32]:
    return np.concatenate([values for values, _ in rows.portions()])


@pytest.fixture(params=["in memory", "in portions"])
def rows_at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "in portions":
        # Seven rows of five numbers.
        monkeypatch.setattr(standardised_rows, "memory_bytes", lambda: 7 * 4 * 8 * 4 * 5)


@pytest.mark.usefixtures("rows_at_once")
def test_moments_are_exact_however_far_from_zero() -> None:
    random = np.random.default_rng(0)
    scale, offset = np.float64([1e-3, 1, 5, 100, 1e4]), np.float64([10, 0, -300, 1e4, 1e7])
    values = (random.normal(size=(1000, 5)) * scale + offset).astype(np.float32)
    # What stands first is the guess that sums are made from.
    values[:50] += (3 * scale).astype(np.float32)
    rows = StandardisedRows(values)
    exact = values.astype(np.float64)
    np.testing.assert_allclose(rows.mean, exact.mean(axis=0), rtol=1e-6, atol=1e-3 * scale.min())
    np.testing.assert_allclose(rows.deviation, exact.std(axis=0), rtol=1e-3)
    expected = np.clip((exact - rows.mean) / rows.deviation, -FARTHEST, FARTHEST)
    np.testing.assert_allclose(everything(rows), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("rows_at_once")
def test_others_are_measured_by_the_first_and_nobody_elses_rows_change() -> None:
    random = np.random.default_rng(1)
    first, other = random.normal(size=(2, 40, 5)).astype(np.float32)
    kept = first.copy(), other.copy()
    rows = StandardisedRows(first)
    like = StandardisedRows(other * 100, like=rows)
    np.testing.assert_array_equal(like.mean, rows.mean)
    np.testing.assert_array_equal(like.deviation, rows.deviation)
    expected = np.clip((other * 100 - rows.mean) / rows.deviation, -4, 4)
    np.testing.assert_allclose(everything(like), expected, rtol=1e-5, atol=1e-5)
    assert np.abs(expected).max() == 4.0
    np.testing.assert_array_equal(first, kept[0])
    np.testing.assert_array_equal(other, kept[1])


def test_a_constant_has_deviation_one() -> None:
    random = np.random.default_rng(2)
    values = np.stack(
        [np.full(99, 1000.1), 1000 + random.uniform(-1e-3, 1e-3, 99), np.zeros(99)], axis=1
    )
    rows = StandardisedRows(values.astype(np.float32))
    np.testing.assert_array_equal(rows.deviation, 1.0)
    np.testing.assert_allclose(everything(rows), 0, atol=1e-2)


def test_portions_come_in_order_with_their_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standardised_rows, "memory_bytes", lambda: 7 * 4 * 8 * 4 * 5)
    values = np.random.default_rng(3).normal(size=(30, 5)).astype(np.float32)
    rows = StandardisedRows(values)
    for _ in range(2):
        places = [(part.start, len(portion)) for portion, part in rows.portions()]
        assert places == [(0, 7), (7, 7), (14, 7), (21, 7), (28, 2)]
