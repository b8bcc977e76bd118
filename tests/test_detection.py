"""Centre detection: golden cases (perfect, shifted, permuted), a slow oracle of average precision, targets and loss by
hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.detection import (
    THRESHOLDS,
    Centres,
    average_precision,
    heat_loss,
    heat_maps,
    match,
    mean_ap,
    peaks,
    truths,
)

LOW, CELL, SIDES = (-25.6, -25.6), 0.8, (64, 64)
KINDS = (1, 2)


def boxes_of(n: int = 30, apart: int = 9) -> np.ndarray:
    """Boxes in the middles of cells, at least ``apart`` cells from each other in one direction."""
    rng, out = np.random.default_rng(0), np.full((n, 8, 8), -1.0)
    for scene in range(n):
        rows = rng.permutation(64 // apart)[: rng.integers(1, 6)] * apart + 4
        for k, row in enumerate(rows):
            column = rng.integers(6, 58)
            x, y = LOW[0] + (row + 0.5) * CELL, LOW[1] + (column + 0.5) * CELL
            out[scene, k] = KINDS[rng.integers(2)], x, y, 0.8, 4.5, 1.9, 1.6, rng.uniform(-3, 3)
    return out


def scores(heat: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """(classes, thresholds)"""
    said, true = peaks(heat, LOW, CELL), truths(boxes, KINDS)
    return np.concatenate([average_precision(match(said, true, kind, len(boxes))) for kind in range(2)])


def test_a_perfect_heat_map_scores_one() -> None:
    boxes = boxes_of()
    np.testing.assert_allclose(scores(heat_maps(boxes, KINDS, LOW, CELL, SIDES), boxes), 1, rtol=1e-12)


def test_peaks_three_cells_away_miss_below_four_metres() -> None:
    boxes = boxes_of()
    moved = np.roll(heat_maps(boxes, KINDS, LOW, CELL, SIDES), 3, axis=2)  # 2.4 m
    np.testing.assert_allclose(scores(moved, boxes), [[0, 0, 0, 1]] * 2, rtol=1e-12)


def test_permuted_scenes_score_as_chance() -> None:
    boxes = boxes_of(60)
    heat = heat_maps(boxes, KINDS, LOW, CELL, SIDES)[np.random.default_rng(1).permutation(60)]
    assert scores(heat, boxes)[:, :3].max() < 0.05


def test_permuted_scores_rank_hits_at_random() -> None:
    """Every peak right or wrong by a coin of p, ranked by noise: precision is p at every recall up to p."""
    rng = np.random.default_rng(2)
    scene = np.repeat(np.arange(200), 10)
    place = np.stack([np.tile(10.0 * np.arange(10), 200), np.zeros(2000)], 1)
    true = Centres(scene, np.zeros(2000, int), place, np.ones(2000))
    far = np.where(rng.uniform(size=(2000, 1)) < 0.6, 0.0, 5.0) * np.array([[0.0, 1.0]])
    said = Centres(scene, np.zeros(2000, int), place + far, rng.uniform(size=2000))
    found = average_precision(match(said, true, 0, 200))[0]
    expected = (0.6 - 0.1) * (0.6 - 0.105) / 0.895 / 0.9  # recalls .11 … .60 of .11 … 1
    assert np.abs(found - expected).max() < 0.02


def oracle(said: Centres, true: Centres, kind: int, threshold: float) -> float:
    """One answer after the other, one recall after the other."""
    answers = sorted(
        ((-s, i) for i, (s, k) in enumerate(zip(said.score, said.kind)) if k == kind), key=lambda pair: pair
    )
    taken: set[int] = set()
    positives = int((true.kind == kind).sum())
    hits = wrong = 0
    curve = []
    for _, i in answers:
        best, nearest = threshold, None
        for j in range(len(true.scene)):
            if true.scene[j] == said.scene[i] and true.kind[j] == kind and j not in taken:
                distance = float(np.hypot(*(said.place[i] - true.place[j])))
                if distance < best:
                    best, nearest = distance, j
        if nearest is None:
            wrong += 1
        else:
            taken.add(nearest)
            hits += 1
        curve.append((hits / positives, hits / (hits + wrong)))
    while len(curve) > 1 and curve[-2][0] == curve[-1][0]:  # answers after the last hit
        curve.pop()
    total = 0.0
    for step in range(11, 101):
        recall = step / 100
        precision = 0.0
        before = [point for point in curve if point[0] <= recall + 1e-12]
        after = [point for point in curve if point[0] > recall + 1e-12]
        if before and after:
            (r0, p0), (r1, p1) = before[-1], after[0]
            precision = p0 + (p1 - p0) * (recall - r0) / (r1 - r0)
        elif after:
            precision = after[0][1]
        elif before and abs(before[-1][0] - recall) < 1e-12:
            precision = before[-1][1]
        total += max(0.0, precision - 0.1)
    return total / 90 / 0.9


def noisy(seed: int) -> tuple[Centres, Centres]:
    rng = np.random.default_rng(seed)
    true = Centres(rng.integers(0, 8, 60), rng.integers(0, 2, 60), rng.uniform(-10, 10, (60, 2)), np.ones(60))
    near = rng.integers(0, 60, 150)
    place = true.place[near] + rng.normal(size=(150, 2)) * rng.choice([0.2, 1.0, 3.0], (150, 1))
    return Centres(true.scene[near], true.kind[near], place, rng.normal(size=150)), true


@pytest.mark.parametrize("seed", range(4))
def test_against_the_slow_oracle(seed: int) -> None:
    said, true = noisy(seed)
    for kind in range(2):
        found = average_precision(match(said, true, kind, 8))[0]
        np.testing.assert_allclose(found, [oracle(said, true, kind, t) for t in THRESHOLDS], atol=0.012)
        assert 0.02 < found[-1] < 1  # (a step of the curve on a recall of the grid may fall on either side of it)


def test_weights_repeat_scenes() -> None:
    """A scene of weight two counts as two copies of it, one of weight zero as absent."""
    said, true = noisy(0)
    weight = np.array([2, 0, 1, 1, 3, 1, 0, 1])

    def copies(one: Centres) -> Centres:
        rows = [(i, 10 * s + c) for i, s in enumerate(one.scene) for c in range(weight[s])]
        index = np.array([i for i, _ in rows])
        return Centres(np.array([s for _, s in rows]), one.kind[index], one.place[index], one.score[index])

    for kind in range(2):
        weighted = average_precision(match(said, true, kind, 8), weight[None].astype(float))
        repeated = average_precision(match(copies(said), copies(true), kind, 90))
        np.testing.assert_allclose(weighted, repeated, atol=0.02)  # copies tie, and a tie is a slope or a step


def test_without_truths_a_class_is_left_out() -> None:
    said, true = noisy(1)
    both = [match(said, true, kind, 8) for kind in range(3)]
    assert np.isnan(average_precision(both[2])).all()
    expected = np.mean([average_precision(one) for one in both[:2]])
    assert mean_ap(both)[0] == pytest.approx(expected) and np.isnan(mean_ap(both[2:])[0])


def test_targets_by_hand() -> None:
    boxes = np.full((1, 3, 8), -1.0)
    boxes[0, 0] = 1, 0.1, 0.1, 0, 4.5, 1.9, 1.6, 0  # cell (32, 32), radius int(6.4 / 4 / .8) = 2, σ = 5/6
    boxes[0, 1] = 2, -25.5, 25.5, 0, 12, 3, 3, 0  # cell (0, 63), radius int(15 / 3.2) = 4, σ = 1.5
    boxes[0, 2] = 1, 30, 0, 0, 4, 2, 2, 0  # outside
    heat = heat_maps(boxes, KINDS, LOW, CELL, SIDES)[0]
    assert heat[32, 32, 0] == 1 and heat[..., 0].sum() < 5 and (heat[..., 0] > 0).sum() == 25
    assert heat[33, 34, 0] == pytest.approx(np.exp(-5 / (2 * (5 / 6) ** 2)), rel=1e-6)
    assert heat[0, 63, 1] == 1 and heat[4, 59, 1] == pytest.approx(np.exp(-32 / (2 * 1.5**2)), rel=1e-6)
    assert heat[5, 63, 1] == 0 and (heat == 1).sum() == 2


def test_loss_by_hand() -> None:
    logit, wanted = torch.tensor([[0.0, 1.0, -1.0]]), torch.tensor([[1.0, 0.5, 0.0]])
    p = 1 / (1 + np.exp(-np.array([0.0, 1.0, -1.0])))
    total = (1 - p[0]) ** 2 * np.log(p[0]) + 0.5**4 * p[1] ** 2 * np.log(1 - p[1]) + p[2] ** 2 * np.log(1 - p[2])
    assert float(heat_loss(logit, wanted)) == pytest.approx(-total, rel=1e-5)
    assert float(heat_loss(torch.stack([logit, logit]), torch.stack([wanted, wanted]))) == pytest.approx(-total)


def test_peaks_are_local_maxima_in_metres() -> None:
    heat = np.zeros((1, 6, 6, 2), np.float32)
    heat[0, 1, 1, 0], heat[0, 1, 2, 0], heat[0, 4, 4, 1] = 0.9, 0.8, 0.7
    found = peaks(heat, (-3.0, -3.0), 1.0, most=2)
    assert found.kind.tolist() == [0, 1] and found.place.tolist() == [[-1.5, -1.5], [1.5, 1.5]]
    assert found.score.tolist() == pytest.approx([0.9, 0.7])
