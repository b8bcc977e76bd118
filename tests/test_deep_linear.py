"""Deep linear encoders: half-times and fixed points against numbers derived apart from this code; the full matrices."""

from __future__ import annotations

import numpy as np
import pytest

from jepakit.deep_linear import Kind, fixed_point, flow, half_time, rate
from jepakit.types import UsageError

# Half-time of the feature (λ 1, ρ .5) over that of (λ 1, ρ .9) at depths 1 … 5, worked out apart from this code.
EQUAL = {
    (1e-2, "jepa"): (1.010, 1.160, 1.421, 1.743, 1.612),
    (1e-2, "mae"): (0.927, 0.971, 0.983, 0.989, 0.993),
    (1e-3, "jepa"): (1.003, 1.048, 1.154, 1.328, 1.596),
    (1e-3, "mae"): (0.953, 0.992, 0.997, 0.999, 1.000),
    (1e-4, "jepa"): (1.001, 1.014, 1.059, 1.138, 1.253),
}
# (λ 1.2, ρ .5) over (λ .9, ρ .9): large but noisy is learnt first by the shallow JEPA, last by the deep one.
FLIP = {"jepa": (0.757, 0.870, 1.065, 1.307, 1.209), "mae": (0.695, 0.728, 0.737, 0.742, 0.745)}
# Their half-times, start 1e-2.
TIMES = {
    ("jepa", 1): (86.49, 114.18), ("jepa", 2): (387.2, 445.2), ("jepa", 3): (734.4, 689.2), ("jepa", 4): (1126, 862),
    ("mae", 1): (3.09, 4.45), ("mae", 3): (8.44, 11.44),
}  # fmt: skip


@pytest.mark.parametrize(("start", "kind"), EQUAL)
def test_ratios_of_half_times_at_equal_covariance(start: float, kind: Kind) -> None:
    found = [half_time(kind, 1.0, 0.5, depth, start) / half_time(kind, 1.0, 0.9, depth, start) for depth in range(1, 6)]
    assert found == pytest.approx(EQUAL[start, kind], rel=0.01)


@pytest.mark.parametrize("kind", FLIP)
def test_depth_turns_the_order_of_a_jepa_and_not_of_an_mae(kind: Kind) -> None:
    found = [half_time(kind, 1.2, 0.5, depth, 1e-2) / half_time(kind, 0.9, 0.9, depth, 1e-2) for depth in range(1, 6)]
    assert found == pytest.approx(FLIP[kind], rel=0.01)


@pytest.mark.parametrize(("kind", "depth"), TIMES)
def test_half_times(kind: Kind, depth: int) -> None:
    found = half_time(kind, 1.2, 0.5, depth, 1e-2), half_time(kind, 0.9, 0.9, depth, 1e-2)
    assert found == pytest.approx(TIMES[kind, depth], rel=0.01)


@pytest.mark.parametrize("kind", ["jepa", "mae"])
def test_a_feature_rests_at_its_fixed_point(kind: Kind) -> None:
    assert fixed_point("jepa", 0.5, 3) == 0.125 and fixed_point("mae", 0.5, 3) == pytest.approx(0.5**0.75)
    for depth in (1, 4):
        end = fixed_point(kind, 0.7, depth)
        assert rate(kind, end, 1.3, 0.7, depth) == pytest.approx(0, abs=1e-12)
        assert rate(kind, 0.9 * end, 1.3, 0.7, depth) > 0 > rate(kind, 1.1 * end, 1.3, 0.7, depth)


@pytest.mark.parametrize(("kind", "depth"), [("jepa", 1), ("jepa", 3), ("mae", 3)])
def test_full_matrices_do_what_single_features_do(kind: Kind, depth: int) -> None:
    times = np.r_[0.0, np.geomspace(1e-2, 2e4 if kind == "jepa" else 3e2, 2000)]
    found = flow(kind, (1.2, 0.9), (0.5, 0.9), depth, 1e-2, times, seed=3)
    ends = [fixed_point(kind, one, depth) for one in (0.5, 0.9)]
    assert found.gains[0] == pytest.approx([1e-2, 1e-2])
    assert found.gains[-1] == pytest.approx(ends, abs=1e-3)
    assert found.apart.max() < 1e-8
    halves = [np.interp(end / 2, found.gains[:, i], times) for i, end in enumerate(ends)]
    assert halves == pytest.approx(TIMES[kind, depth], rel=0.01)


def test_plain_gradient_descent_agrees_with_the_flow() -> None:
    """Two layers, no rotation, steps of .05 written out by hand."""
    first, second, reader = (np.full(2, 0.1) for _ in range(3))  # of diagonal matrices
    covariance, coefficient = np.array([1.2, 0.9]), np.array([0.5, 0.9])
    for _ in range(20_000):
        w = first * second
        missing = w * covariance - reader * w * covariance / coefficient
        first, second, reader = (
            first + 0.05 * reader * missing * second,
            second + 0.05 * reader * missing * first,
            reader + 0.05 * missing * w,
        )
    found = flow("jepa", (1.2, 0.9), (0.5, 0.9), 2, 1e-2, np.array([0.0, 1000.0]))
    assert found.gains[-1] == pytest.approx(first * second, rel=2e-3)


@pytest.mark.parametrize("depth", [1, 3])
def test_without_stop_gradient_the_encoder_vanishes(depth: int) -> None:
    times = np.array([0.0, 1e8])
    held, free = (
        flow("jepa", (1.2, 0.9), (0.5, 0.9), depth, 0.25, times, stop_gradient=hold) for hold in (True, False)
    )
    assert free.norms[-1] < 1e-4 * free.norms[0]
    assert held.norms[-1] > 0.5 * held.norms[0]


def test_what_is_not_defined_is_refused() -> None:
    with pytest.raises(UsageError, match="start lower"):
        half_time("jepa", 1.0, 0.5, 5, 0.02)
    with pytest.raises(UsageError, match="two features"):
        flow("jepa", (1.0,), (0.5,), 2, 1e-2, np.array([0.0, 1.0]))
