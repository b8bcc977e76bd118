"""Which neighbours resemble a token: shares by hand, and the verdict of planted numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmark.claims.claim import Evidence
from benchmark.claims.experiments.local_premise import judge
from benchmark.claims.judge import NOT_REPRODUCED, REPRODUCED
from benchmark.claims.toys.neighbourhood import PIXELS, PLACE, TRAINED, UNTRAINED, closest, measure, shares
from jepakit.aggregation import neighbours

# Four patches on a ring; each has both next ones and the opposite one as neighbours.
NEAR = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])


def test_shares_by_hand() -> None:
    """Classes A A B B: one of three neighbours is of a patch's class, so that half is the best of two."""
    label = np.array([[0, 0, 1, 1], [0, 0, 0, 0], [-1, -1, -1, -1]])  # all alike, and not asked: nothing to choose
    right = np.array([[1, 2], [0, 2], [3, 0], [2, 0]])
    wrong = np.array([[2, 3], [2, 3], [0, 1], [0, 1]])
    found = shares(label, NEAR, np.stack([right] * 3))
    assert found == pytest.approx({"picked": 0.5, "base": 1 / 3, "best": 0.5, "gain": 1.0})
    assert shares(label, NEAR, np.stack([wrong] * 3))["gain"] == pytest.approx(-2.0)
    mixed = np.concatenate([right[:2], wrong[2:]])
    assert shares(label, NEAR, np.stack([mixed] * 3))["gain"] == pytest.approx(-0.5)


def test_patches_alone_in_their_class_are_left_out() -> None:
    label = np.array([[0, 1, 1, 1]])
    chosen = np.array([[[1, 2], [2, 3], [1, 3], [1, 2]]])  # the first has no like, the others find theirs
    assert shares(label, NEAR, chosen) == pytest.approx({"picked": 1.0, "base": 2 / 3, "best": 1.0, "gain": 1.0})


def test_the_closest_cells_share_an_edge_and_do_not_wrap() -> None:
    near = neighbours((3, 3)).numpy()
    found = closest((3, 3), near, 4)
    assert set(found[4]) == {1, 3, 5, 7}  # the middle
    assert set(found[0][:3]) == {1, 3, 4} and list(found[0][:2]) == [1, 3]  # a corner: both edges, then the diagonal


@pytest.mark.parametrize(("gain", "verdict"), [(0.4, REPRODUCED), (0.03, NOT_REPRODUCED)])
def test_verdict_of_planted_numbers(gain: float, verdict: str) -> None:
    gains = {TRAINED: gain, UNTRAINED: 0.2, PIXELS: 0.3, PLACE: 0.1}
    lines = [
        {"features": name, "seed": seed, "gain": value + 0.01 * seed, "base": 0.5, "best": 0.9}
        for name, value in gains.items()
        for seed in range(3)
    ]
    found = judge(Evidence([], Path("nowhere"), {"lines": lines}))
    assert found.verdict == verdict and found.seeds == 3 and len(found.table) == 3
    assert found.effect is not None and found.effect.mean == pytest.approx(gain + 0.01)
    assert "0.50" in found.says and "0.90" in found.says and "pixels 0.31" in found.says


def test_pixels_do_not_move_with_the_seed_and_features_do() -> None:
    lines = {(one["features"], one["seed"]): one for one in measure(seeds=(0, 1), steps=2)["lines"]}
    assert set(lines) == {(name, seed) for name in (TRAINED, UNTRAINED, PIXELS, PLACE) for seed in (0, 1)}
    assert all(lines[name, 0]["gain"] == lines[name, 1]["gain"] for name in (PIXELS, PLACE))
    assert lines[UNTRAINED, 0]["gain"] != lines[UNTRAINED, 1]["gain"] and lines[TRAINED, 0] != lines[UNTRAINED, 0]
    assert all(one["base"] < one["best"] and one["picked"] <= one["best"] for one in lines.values())
