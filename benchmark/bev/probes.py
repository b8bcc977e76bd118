"""The four questions: the class of a cell, whether anything stands in it, where the middles of things are, what a thing
is.

Each probe is fitted on train, chooses on validation, and answers for any number of test parts: the data set's own and
that of another town and sensor (transfer). ``share``: of the training scenes with labels.

cells       linear, cross-entropy with class weights 1/√share; mIoU over the cells in sight, and by range completion
occupied by anything, seen or hidden, from the sparse cloud; linear, and three convolutions with a linear map (BCE, 3
epochs, learning rate 5e-4, as published); the threshold is chosen on validation; IoU of all cells and of close ones
centres     linear, one heat map per class of ``benchmark.detection``; mean AP over classes and distances, and AP of a
class objects     no training: tokens that a box overlaps and whose middle is closer than 3 m to its middle, by their 20
nearest neighbours (cosine, temperature .07) of a bank with equally many tokens of every class; mean accuracy of classes
Tests: test_probes_bev.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmark import detection, metrics
from benchmark.bev.heads import Fit, Head, best
from benchmark.bev.scores import CLOSE, IOU, Measure, by_range, codes_of, drawn, measured
from benchmark.bev.truth import Part, Plan, ranges, sides
from benchmark.probes.base import standardise, standardiser, unit

LINEAR = Fit()
PUBLISHED = Fit(batch=16, lr=5e-4, decays=(0.0,), conv=True)  # for three epochs
EPOCHS = 3
THRESHOLDS = np.linspace(-3, 3, 25)  # of logits
NEIGHBOURS, TEMPERATURE, BANK, NEAR = 20, 0.07, 10_000, 3.0


class Cells:
    """The class of every cell in sight."""

    def __init__(
        self, train: Part, val: Part, plan: Plan, classes: int, seed: int, device: str, how: Fit | None = None
    ):
        label = torch.from_numpy(train.truth.cell_class).to(device)
        count = np.bincount(train.truth.cell_class[train.truth.cell_class >= 0], minlength=classes)
        weight = np.where(count > 0, 1 / np.sqrt(np.maximum(count, 1)), 0)
        weights = torch.tensor(weight / weight.max(), dtype=torch.float32, device=device)

        def loss(answers: Tensor, rows: Tensor) -> Tensor:
            return F.cross_entropy(answers.flatten(0, 1), label[rows].flatten(), weights, ignore_index=-1)

        def judge(answers: np.ndarray) -> float:
            known = val.truth.cell_class >= 0
            return metrics.get("miou")(val.truth.cell_class[known], answers.argmax(-1)[known])

        self.plan, self.device = plan, device
        self.head = best(train.x, val.x, plan, classes, loss, judge, how or LINEAR, seed, device)

    def said(self, part: Part) -> np.ndarray:
        """(n, m) classes."""
        return np.asarray(self.head.answers(part.x, self.device).argmax(-1))

    def score(self, part: Part) -> dict[str, Measure]:
        said, label = self.said(part), part.truth.cell_class
        codes, units = codes_of(part.truth.unit)
        scene = np.broadcast_to(codes[:, None], label.shape)

        def of(cells: np.ndarray) -> Measure:
            known = (label >= 0) & cells
            return measured(metrics.get("miou"), label[known], said[known], scene[known], units)

        bands = by_range(of, ranges(self.plan))
        return {"miou": of(np.ones(label.shape[1], bool)), **{f"miou {name}": one for name, one in bands.items()}}


class Completion:
    """Whether anything stands in a cell, seen or hidden."""

    def __init__(self, train: Part, val: Part, plan: Plan, seed: int, device: str, how: Fit | None = None):
        if how is not None and how.conv:
            how = replace(how, steps=max(1, EPOCHS * len(train) // how.batch))
        label = torch.from_numpy(train.truth.full.astype(np.float32)).to(device)

        def loss(answers: Tensor, rows: Tensor) -> Tensor:
            return F.binary_cross_entropy_with_logits(answers[..., 0], label[rows])

        def judge(answers: np.ndarray) -> float:
            return max(IOU(val.truth.full.ravel(), (answers.ravel() > cut).astype(np.int64)) for cut in (-1, 0))

        self.plan, self.device = plan, device
        self.head: Head = best(train.x, val.x, plan, 1, loss, judge, how or LINEAR, seed, device, bias=-2.0)
        answers, full = self.head.answers(val.x, device).ravel(), val.truth.full.ravel()
        overlap = [IOU(full, (answers > cut).astype(np.int64)) for cut in THRESHOLDS]
        self.threshold = float(THRESHOLDS[int(np.nanargmax(overlap))])

    def said(self, part: Part) -> np.ndarray:
        """(n, m) 0 or 1."""
        return (self.head.answers(part.x, self.device)[..., 0] > self.threshold).astype(np.int64)

    def score(self, part: Part) -> dict[str, Measure]:
        said, label = self.said(part), part.truth.full.astype(np.int64)
        codes, units = codes_of(part.truth.unit)
        scene, found = np.broadcast_to(codes[:, None], label.shape), {}
        for name, cells in {"iou full": ranges(self.plan) >= 0, "iou close": ranges(self.plan) < CLOSE}.items():
            found[name] = measured(IOU, label[:, cells].ravel(), said[:, cells].ravel(), scene[:, cells].ravel(), units)
        return found


class Centres:
    """Where the middles of things are."""

    def __init__(
        self, train: Part, val: Part, plan: Plan, kinds: Sequence[int], names: Sequence[str], seed: int, device: str,
        how: Fit | None = None,
    ):  # fmt: skip
        self.plan, self.kinds, self.names, self.device = plan, tuple(kinds), tuple(names), device
        maps = detection.heat_maps(train.truth.boxes, self.kinds, plan.low, plan.cell, sides(plan))
        wanted = torch.from_numpy(maps).flatten(1, 2).to(device)

        def loss(answers: Tensor, rows: Tensor) -> Tensor:
            return detection.heat_loss(answers, wanted[rows])

        def judge(answers: np.ndarray) -> float:
            return float(detection.mean_ap(self.match(answers, val))[0])

        self.head = best(train.x, val.x, plan, len(self.kinds), loss, judge, how or LINEAR, seed, device, bias=-2.19)

    def match(self, answers: np.ndarray, part: Part) -> list[detection.Matched]:
        heat = answers.reshape(len(answers), *sides(self.plan), -1)
        said = detection.peaks(heat, self.plan.low, self.plan.cell)
        true = detection.truths(part.truth.boxes, self.kinds)
        return [detection.match(said, true, kind, len(part)) for kind in range(len(self.kinds))]

    def score(self, part: Part) -> dict[str, Measure]:
        matched = self.match(self.head.answers(part.x, self.device), part)
        draws = np.concatenate([np.ones((1, len(part))), drawn(part.truth.unit)])
        each = np.stack([detection.average_precision(one, draws) for one in matched])  # c r t
        found = {"ap": detection.averaged(each)}
        found |= {f"ap {name}": detection.averaged(one[None]) for name, one in zip(self.names, each, strict=True)}
        return {name: Measure(float(values[0]), values[1:]) for name, values in found.items()}


def objects(truth: Part, plan: Plan, kinds: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(scene, token, kind) of every occupied token that a box of these classes overlaps and whose middle lies closer
    than NEAR to the box's; of several boxes the nearest names it."""
    spots = np.stack(np.meshgrid(*[np.linspace(-0.499, 0.499, 7)] * 2, indexing="ij"), -1).reshape(-1, 2)
    side = plan.cell * plan.patch
    nearest: dict[tuple[int, int], tuple[float, int]] = {}
    boxes = truth.truth.boxes
    for scene, box in zip(*np.nonzero(np.isin(boxes[..., 0], list(kinds))), strict=True):
        kind, x, y, _, length, width, _, yaw = boxes[scene, box]
        u, v = (spots * (length, width)).T
        at = np.stack([x + np.cos(yaw) * u - np.sin(yaw) * v, y + np.sin(yaw) * u + np.cos(yaw) * v], -1)
        place = np.floor((at - plan.low) / side).astype(int)
        inside = ((place >= 0) & (place < plan.grid)).all(1)
        for row, column in np.unique(place[inside], axis=0):
            token = int(row) * plan.grid[1] + int(column)
            middle = np.array(plan.low) + side * (np.array([row, column]) + 0.5)
            distance = float(np.hypot(*(middle - (x, y))))
            key = (int(scene), token)
            if truth.truth.occupied[scene, token] and distance < min(NEAR, nearest.get(key, (np.inf, 0))[0]):
                nearest[key] = distance, list(kinds).index(int(kind))
    found = np.array([(*key, kind) for key, (_, kind) in sorted(nearest.items())], dtype=np.int64).reshape(-1, 3)
    return found[:, 0], found[:, 1], found[:, 2]


class Objects:
    """What a thing is, by the neighbours of its tokens."""

    def __init__(self, train: Part, plan: Plan, kinds: Sequence[int], seed: int):
        self.plan, self.kinds = plan, tuple(kinds)
        scene, token, kind = objects(train, plan, kinds)
        count = np.bincount(kind, minlength=len(self.kinds))
        most = min(BANK, int(count[count > 0].min(initial=BANK)))
        draw = np.random.default_rng([seed, most])
        rows = np.concatenate([draw.permutation(np.flatnonzero(kind == k))[:most] for k in range(len(self.kinds))])
        x = train.x[scene[rows], token[rows]]
        self.statistics = standardiser(x) if len(x) else (np.zeros(train.x.shape[-1]), np.ones(train.x.shape[-1]))
        self.bank, self.kind = unit(standardise(x, *self.statistics)), kind[rows]

    def score(self, part: Part) -> dict[str, Measure]:
        scene, token, kind = objects(part, self.plan, self.kinds)
        if not len(kind) or not len(self.bank):
            return {}
        query = unit(standardise(part.x[scene, token], *self.statistics))
        similar = torch.from_numpy(query) @ torch.from_numpy(self.bank).T
        top = similar.topk(min(NEIGHBOURS, len(self.bank)), dim=1)
        votes = torch.zeros(len(query), len(self.kinds))
        votes.scatter_add_(1, torch.from_numpy(self.kind)[top.indices], ((top.values - 1) / TEMPERATURE).exp())
        codes, units = codes_of(part.truth.unit)
        metric = metrics.get("balanced_accuracy")
        return {"accuracy": measured(metric, kind, votes.argmax(1).numpy(), codes[scene], units)}
