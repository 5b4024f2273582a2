"""Latency percentiles against NumPy's, and the closing summary."""

from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from sound_pipeline.events.text import clock_text, latency_text
from sound_pipeline.live.statistics import LATENCY_TOLERANCE, LatencyHistogram, SessionStatistics


def histogram(latencies: np.ndarray | list[float]) -> LatencyHistogram:
    filled = LatencyHistogram()
    for seconds in latencies:
        filled.add(float(seconds))
    return filled


@hypothesis.given(
    st.lists(st.floats(1e-4, 9.9e2), min_size=1, max_size=300),
    st.floats(0, 100),
)
def test_percentiles_are_within_the_tolerance(latencies: list[float], percent: float) -> None:
    expected = np.percentile(latencies, percent, method="inverted_cdf")
    found = histogram(latencies).percentile(percent)
    assert LATENCY_TOLERANCE <= 0.01
    assert found == pytest.approx(expected, rel=LATENCY_TOLERANCE + 1e-9)


def test_percentiles_of_a_usual_session() -> None:
    latencies = np.random.default_rng(0).lognormal(np.log(0.04), 0.5, 20_000)
    filled = histogram(latencies)
    assert filled.count == 20_000
    for percent in (50, 95, 99):
        assert filled.percentile(percent) == pytest.approx(
            np.percentile(latencies, percent), rel=0.01
        )


def test_the_ends_are_exact() -> None:
    filled = histogram([0.0123, 0.5, 7.77])
    assert (filled.percentile(0), filled.percentile(100)) == (0.0123, 7.77)


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 5000.0])
def test_latencies_beyond_the_scale_count(seconds: float) -> None:
    filled = histogram([seconds] * 10)
    assert filled.count == 10
    assert [filled.percentile(percent) for percent in (0, 50, 99, 100)] == [seconds] * 4


def test_latencies_beyond_the_scale_keep_their_place() -> None:
    filled = histogram([0.0] * 3 + [0.1] * 4 + [2000.0] * 3)
    assert filled.percentile(20) <= 1.01e-4
    assert filled.percentile(50) == pytest.approx(0.1, rel=0.01)
    assert filled.percentile(80) == 2000.0


def test_memory_does_not_grow() -> None:
    filled = LatencyHistogram()
    sizes = set()
    for seconds in np.random.default_rng(0).lognormal(-3, 3, 2000):
        filled.add(float(seconds))
        sizes.add(sum(getattr(value, "nbytes", 8) for value in vars(filled).values()))
    assert len(sizes) == 1 and sizes.pop() < 10_000


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no latency"):
        LatencyHistogram().percentile(50)


def test_the_summary_names_every_figure() -> None:
    statistics = SessionStatistics(3723.4, 1.26, 7421, 3, 12, histogram([0.041, 0.041, 0.063]))
    assert statistics.summary().split("\n") == [
        "captured 1:02:03 of sound, lost 1.3 s",
        "labelled 7421 windows, skipped 3; 12 events",
        "latency of labels: 50 % within 41 ms, 95 % within 63 ms, 99 % within 63 ms",
    ]


def test_the_summary_of_a_recording_has_no_latency() -> None:
    statistics = SessionStatistics(captured_seconds=59.99, windows=1, events=1)
    assert statistics.summary().split("\n") == [
        "captured 0:59 of sound, lost 0.0 s",
        "labelled 1 window, skipped 0; 1 event",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (61.9, "1:01"), (3599, "59:59"), (3600, "1:00:00"), (360_000, "100:00:00")],
)
def test_durations(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.00414, "4.1 ms"),
        (0.00996, "10 ms"),
        (0.063, "63 ms"),
        (0.9996, "1.0 s"),
        (12.34, "12.3 s"),
    ],
)
def test_latencies(seconds: float, text: str) -> None:
    assert latency_text(seconds) == text
