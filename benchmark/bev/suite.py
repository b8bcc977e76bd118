"""Every score of one encoder: four probes, shares of the labels, the data set's own test part and that of another
town."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from benchmark.bev.probes import PUBLISHED, Cells, Centres, Completion, Objects
from benchmark.bev.scores import Measure
from benchmark.bev.truth import Part, Plan, plan_of
from jepakit.modality import Modality

SHARES = {1.0: 1, 0.1: 2, 0.01: 3}  # of the training scenes with labels → how many draws of them are averaged


@dataclass(frozen=True, order=True)
class Question:
    """probe: cells, completion, completion-conv, centres or objects; labels: share of the training scenes; tested: data
    set."""

    probe: str
    metric: str
    labels: float
    tested: str


Scores = Mapping[Question, Measure]


@dataclass(frozen=True)
class Facts:
    """What a data set says of itself. classes: of cells; kinds: their codes that occur as boxes."""

    plan: Plan
    classes: tuple[str, ...]
    kinds: tuple[int, ...]


def facts(modality: Modality) -> Facts:
    """Raises UsageError for data without the truth about cells."""
    plan, extra = plan_of(modality), modality.data("train").extra
    found = int(extra["cell_class"].max()) + 1
    classes = tuple(getattr(modality, "cell_classes", ())) or tuple(map(str, range(found)))
    code = np.unique(extra["boxes"][..., 0].cpu().numpy())
    return Facts(plan, classes, tuple(int(kind) for kind in code if kind >= 0))


def scores(
    train: Part, val: Part, tests: Mapping[str, Part], known: Facts, seed: int, device: str
) -> dict[Question, Measure]:
    """All measures. Probes are fitted on ``train`` once per question and answer for every part of ``tests``."""
    out: dict[Question, Measure] = {}
    for share, draws in SHARES.items():
        gathered: dict[Question, list[Measure]] = {}
        for rows in drawn(len(train), share, draws, seed):
            part = train if share == 1 else train.take(rows)
            for probe, fitted in _fitted(part, val, known, seed, device, whole=share == 1):
                for name, test in tests.items():
                    for metric, one in fitted.score(test).items():
                        gathered.setdefault(Question(probe, metric, share, name), []).append(one)
        for question, found in gathered.items():
            mean = float(np.mean([one.value for one in found]))
            out[question] = Measure(mean, np.mean([one.replicates for one in found], axis=0))
    return out


def drawn(n: int, share: float, draws: int, seed: int) -> list[np.ndarray]:
    """``draws`` sorted random subsets of a share of n scenes, at least one scene each."""
    rng = np.random.default_rng([seed, round(1e6 * share), n])
    return [np.sort(rng.permutation(n)[: max(1, round(share * n))]) for _ in range(draws)]


def _fitted(
    train: Part, val: Part, known: Facts, seed: int, device: str, whole: bool
) -> Iterator[tuple[str, Cells | Completion | Centres | Objects]]:
    """The probes that are asked at this share: all with every label, cells and centres with few."""
    names = [known.classes[kind] for kind in known.kinds]
    yield "cells", Cells(train, val, known.plan, len(known.classes), seed, device)
    yield "centres", Centres(train, val, known.plan, known.kinds, names, seed, device)
    if whole:
        yield "completion", Completion(train, val, known.plan, seed, device)
        yield "completion-conv", Completion(train, val, known.plan, seed, device, PUBLISHED)
        yield "objects", Objects(train, known.plan, known.kinds, seed)
