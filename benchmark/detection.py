"""Detection of centres without boxes: heat maps as targets, peaks as answers, average precision by distance.

As in CenterPoint (arXiv 2006.11275) and nuScenes (arXiv 1903.11027), without regression: a class's heat map is 1 at the
cells of its centres and falls off as a Gaussian; peaks of the predicted map are matched greedily by score to the
nearest free centre of their class closer than .5, 1, 2 and 4 m; the precision–recall curve counts above recall .1 and
precision .1. Since an answer is the middle of a cell, it may be off by .7 of a cell's side. Tests: test_detection.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

THRESHOLDS = (0.5, 1.0, 2.0, 4.0)  # metres
FLOOR = 0.1  # least recall and precision that count
PEAKS = 100  # answers per scene, over all classes
LEAST_RADIUS = 2  # cells
ALPHA, BETA = 2.0, 4.0  # of the penalty-reduced focal loss


@dataclass(frozen=True)
class Centres:
    """Points on the plan: scene (k,) numbers, kind (k,) classes 0 …, place (k, 2) in metres, score (k,) (1 for
    truths)."""

    scene: np.ndarray
    kind: np.ndarray
    place: np.ndarray
    score: np.ndarray


def heat_maps(
    boxes: np.ndarray, kinds: Sequence[int], low: tuple[float, float], cell: float, sides: tuple[int, int]
) -> np.ndarray:
    """Targets (n, rows, columns, classes) in [0, 1], float32, of boxes (n, M, 8): class, x, y, z, l, w, h, yaw in
    metres.

    ``kinds``: codes of the classes, others are no targets. The radius is a quarter of length plus width, at least
    LEAST_RADIUS cells, and σ a sixth of the diameter; overlapping Gaussians take the larger value, centres are exactly
    1.
    """
    maps = np.zeros((len(boxes), *sides, len(kinds)), dtype=np.float32)
    for scene, box in zip(*np.nonzero(np.isin(boxes[..., 0], list(kinds))), strict=True):
        kind, x, y, _, length, width = boxes[scene, box, :6]
        row, column = int(np.floor((x - low[0]) / cell)), int(np.floor((y - low[1]) / cell))
        if not (0 <= row < sides[0] and 0 <= column < sides[1]):
            continue
        radius = max(LEAST_RADIUS, int((length + width) / 4 / cell))
        across = np.arange(-radius, radius + 1)
        bump = np.exp(-(across[:, None] ** 2 + across**2) / (2 * ((2 * radius + 1) / 6) ** 2))
        rows = slice(max(0, row - radius), min(sides[0], row + radius + 1))
        columns = slice(max(0, column - radius), min(sides[1], column + radius + 1))
        cut = bump[
            rows.start - row + radius : rows.stop - row + radius,
            columns.start - column + radius : columns.stop - column + radius,
        ]
        into = maps[scene, rows, columns, list(kinds).index(int(kind))]
        np.maximum(into, cut, out=into)
    return maps


def heat_loss(logit: Float[Tensor, "*s c"], wanted: Float[Tensor, "*s c"]) -> Float[Tensor, ""]:
    """Penalty-reduced focal loss (α = 2, β = 4), summed and divided by the number of centres."""
    p = logit.sigmoid()
    centre = (wanted == 1).to(logit.dtype)
    hit = (1 - p) ** ALPHA * F.logsigmoid(logit) * centre
    miss = (1 - wanted) ** BETA * p**ALPHA * F.logsigmoid(-logit) * (1 - centre)
    return -(hit + miss).sum() / centre.sum().clamp_min(1)


def peaks(heat: np.ndarray, low: tuple[float, float], cell: float, most: int = PEAKS) -> Centres:
    """The ``most`` highest local maxima (3 × 3) of every scene of maps (n, rows, columns, classes), any increasing
    score."""
    n, rows, columns, _ = heat.shape
    x = torch.from_numpy(np.ascontiguousarray(heat.transpose(0, 3, 1, 2))).float()
    top = torch.where(F.max_pool2d(x, 3, 1, 1) == x, x, -torch.inf).flatten(1)
    score, index = (value.numpy() for value in top.topk(min(most, top.shape[1])))
    scene = np.repeat(np.arange(n), score.shape[1]).reshape(score.shape)
    kind, place = np.divmod(index, rows * columns)
    at = np.stack([low[0] + (place // columns + 0.5) * cell, low[1] + (place % columns + 0.5) * cell], -1)
    real = np.isfinite(score)
    return Centres(scene[real], kind[real], at[real], score[real])


def truths(boxes: np.ndarray, kinds: Sequence[int]) -> Centres:
    """The centres of boxes (n, M, 8) of these classes."""
    scene, box = np.nonzero(np.isin(boxes[..., 0], list(kinds)))
    found = boxes[scene, box]
    kind = np.searchsorted(np.asarray(kinds), found[:, 0].astype(np.int64), sorter=np.argsort(kinds))
    return Centres(scene, np.argsort(kinds)[kind], found[:, 1:3], np.ones(len(scene)))


@dataclass(frozen=True)
class Matched:
    """Answers of one class, highest score first: scene (k,), and under every threshold whether each hit a centre (t,
    k); positives (n,): centres of every scene."""

    scene: np.ndarray
    hit: np.ndarray
    positives: np.ndarray


def match(said: Centres, true: Centres, kind: int, scenes: int, thresholds: Sequence[float] = THRESHOLDS) -> Matched:
    """Greedy matching within scenes: the answers in order of score each take the nearest free centre closer than the
    threshold."""
    mine, own = said.kind == kind, true.kind == kind
    order = np.argsort(-said.score[mine], kind="stable")
    scene, place = said.scene[mine][order], said.place[mine][order]
    hit = np.zeros((len(thresholds), len(scene)), dtype=bool)
    at = {s: true.place[own][true.scene[own] == s] for s in np.unique(true.scene[own])}
    rank = np.argsort(scene, kind="stable")  # answers by scene, in order of score
    edges = np.searchsorted(scene[rank], np.arange(scenes + 1))
    for s, centres in at.items():
        answers = rank[edges[s] : edges[s + 1]]
        distance = np.linalg.norm(place[answers][:, None] - centres, axis=-1)
        for t, threshold in enumerate(thresholds):
            free = distance.copy()
            for i, answer in enumerate(answers):
                nearest = int(free[i].argmin())
                if free[i, nearest] < threshold:
                    hit[t, answer] = True
                    free[:, nearest] = np.inf
                    if not np.isfinite(free).any():
                        break
    return Matched(scene, hit, np.bincount(true.scene[own], minlength=scenes))


def average_precision(one: Matched, weights: np.ndarray | None = None) -> np.ndarray:
    """(r, t): area of the precision–recall curve above FLOOR under every weighting (r, n) of the scenes and threshold,
    as nuScenes computes it (101 recalls, precision interpolated between answers, 0 beyond the last hit); NaN without
    truths.
    """
    weights = np.ones((1, len(one.positives))) if weights is None else weights
    recalls = np.linspace(0, 1, 101)[round(100 * FLOOR) + 1 :]
    out = np.full((len(weights), len(one.hit)), np.nan)
    for r, weight in enumerate(weights):
        positives = float(weight @ one.positives)
        if positives == 0:
            continue
        own = weight[one.scene]
        drawn = own > 0
        own, hits = own[drawn], one.hit[:, drawn]
        total = np.cumsum(own)
        for t, hit in enumerate(hits):
            true = np.cumsum(own * hit)
            if not len(true) or true[-1] == 0:
                out[r, t] = 0
                continue
            end = int(np.searchsorted(true, true[-1])) + 1  # what comes after the last hit takes nothing away
            precision = np.interp(recalls, true[:end] / positives, true[:end] / total[:end], right=0)
            out[r, t] = np.clip(precision - FLOOR, 0, None).mean() / (1 - FLOOR)
    return out


def averaged(each: np.ndarray) -> np.ndarray:
    """(r,): mean over classes and thresholds of (classes, r, thresholds), classes without truths left out; NaN where
    none is left."""
    count = (~np.isnan(each)).sum((0, 2))
    return np.asarray(np.where(count > 0, np.nansum(each, axis=(0, 2)) / np.maximum(count, 1), np.nan))


def mean_ap(matched: Sequence[Matched], weights: np.ndarray | None = None) -> np.ndarray:
    """(r,): ``averaged`` precision of several classes."""
    return averaged(np.stack([average_precision(one, weights) for one in matched]))
