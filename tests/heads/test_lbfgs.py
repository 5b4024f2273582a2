"""L-BFGS, on functions whose minimum is known."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from scipy import optimize

from sound_pipeline.heads.lbfgs import ValueAndGradient, descend

Floats = npt.NDArray[np.float32]


def counted(function: ValueAndGradient) -> tuple[ValueAndGradient, Callable[[], int]]:
    calls = 0

    def wrapped(place: Floats) -> tuple[float, Floats]:
        nonlocal calls
        calls += 1
        return function(place)

    return wrapped, lambda: calls


def rosenbrock(place: Floats) -> tuple[float, Floats]:
    exact = place.astype(np.float64)
    return float(optimize.rosen(exact)), optimize.rosen_der(exact).astype(np.float32)


def quadratic(condition: float, size: int) -> tuple[ValueAndGradient, Floats]:
    """A bowl `condition` times as steep in one direction as in another, and its lowest point."""
    random = np.random.default_rng(0)
    turned, _ = np.linalg.qr(random.normal(size=(size, size)))
    curvature = turned @ np.diag(np.geomspace(1, condition, size)) @ turned.T
    lowest = random.normal(size=size).astype(np.float32)

    def function(place: Floats) -> tuple[float, Floats]:
        off = place.astype(np.float64) - lowest
        return float(off @ curvature @ off / 2), (curvature @ off).astype(np.float32)

    return function, lowest


@pytest.mark.parametrize("condition", [1.0, 100.0, 1e4])
def test_finds_the_lowest_point_of_a_bowl(condition: float) -> None:
    function, lowest = quadratic(condition, 50)
    function, calls = counted(function)
    steps = list(itertools.islice(descend(function, np.zeros(50, np.float32)), 400))
    np.testing.assert_allclose(steps[-1].parameters, lowest, atol=2e-3)
    # Mostly one call a step: that is what an epoch costs.
    assert calls() <= 1.25 * len(steps) + 25


def test_finds_the_end_of_a_bent_valley_in_about_as_many_calls_as_scipy() -> None:
    start = np.tile(np.float32([-1.2, 1.0]), 5)
    function, calls = counted(rosenbrock)
    reached = next(step for step in descend(function, start) if step.value < 1e-6)
    ours = calls()
    np.testing.assert_allclose(reached.parameters, 1, atol=1e-2)
    oracle = optimize.minimize(
        lambda place: optimize.rosen(place),
        start.astype(np.float64),
        jac=optimize.rosen_der,
        method="L-BFGS-B",
    )
    assert oracle.fun < 1e-6
    assert ours < 2 * oracle.nfev


def test_every_step_is_lower_and_says_where_it_is() -> None:
    last = np.inf
    for step in itertools.islice(descend(rosenbrock, np.full(6, -2, np.float32)), 100):
        assert step.value < last
        assert step.value == rosenbrock(step.parameters)[0]
        last = step.value
    assert last < 1e-3


def test_ends_where_it_starts_at_the_lowest_point() -> None:
    assert not list(descend(rosenbrock, np.ones(4, np.float32)))


def test_shortens_a_step_into_what_is_no_number() -> None:
    def barrier(place: Floats) -> tuple[float, Floats]:
        with np.errstate(all="ignore"):
            return float(np.sum(place - np.log(place))), (1 - 1 / place).astype(np.float32)

    # The first step from here leads below zero.
    steps = list(itertools.islice(descend(barrier, np.full(3, 1.5, np.float32)), 50))
    np.testing.assert_allclose(steps[-1].parameters, 1, atol=1e-3)
    far = list(itertools.islice(descend(barrier, np.full(3, 1e-3, np.float32)), 50))
    np.testing.assert_allclose(far[-1].parameters, 1, atol=1e-3)
