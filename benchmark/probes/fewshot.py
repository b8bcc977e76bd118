"""Few-shot probe: ``ridge`` on 1, 5 and 10 labels per class and on 1, 10 and 100 % of the labels.

Label-scarce accuracy is a claim of its own (FEET, Lee et al. 2024: frozen, few-shot, fine-tuned), and where features differ
little on all labels they may differ on few. The headline is the first draw of the 10 % arm, since every kind of task has
it and its predictions can be stored; the mean of every arm over DRAWS draws is an extra: "<metric>_1shot", "…_5shot",
"…_10shot", "…_1pct", "…_10pct", "…_100pct" (the last is ``ridge`` itself).

Draws come from the seed alone, so they are the same for every row of a board, and they are nested: a draw's one shot is
among its five. Fractions are stratified by class and hold each class at least once; for multi-label tasks a shot is one
positive and one negative row of every class, and a fraction a plain draw to which a shot of every class is added. A row is
a window where recordings are cut into windows. Only labels are scarce: features are standardised on all of train, and the
penalty is chosen on all of validation. Regression has fractions only.
Tests: test_probe_fewshot.py.
"""

from __future__ import annotations

import math

import numpy as np

from benchmark.probes import ridge
from benchmark.probes.base import Choice, Fitted, Probe, standardise, standardiser
from jepakit.registry import probes
from jepakit.types import Task

SHOTS = (1, 5, 10)
FRACTIONS = (1, 10, 100)  # percent
HEADLINE = "10pct"
DRAWS = 5


@probes.register("fewshot", kinds=("class", "multilabel", "regression"))
class FewShot(Probe):
    """Ridge regression on few labels."""

    def fit(
        self,
        train: np.ndarray,
        train_label: np.ndarray,
        val: np.ndarray,
        val_label: np.ndarray,
        task: Task,
        seed: int,
        val_record: np.ndarray | None = None,
    ) -> Fitted:
        mean, inverse = standardiser(train)

        def prepare(features: np.ndarray) -> np.ndarray:
            return standardise(features, mean, inverse)

        x, held = prepare(train), prepare(val)
        arms: dict[str, list[Fitted]] = {}
        for draw in range(DRAWS):
            for name, rows in subsets(train_label, task, seed, draw).items():
                if len(rows) == len(x) and draw:
                    continue  # all labels: every draw is the same
                choice: Choice[float] = Choice(task, val_label, val_record)
                arms.setdefault(name, []).append(ridge.regress(x[rows], train_label[rows], held, choice, prepare))
        headline = arms[HEADLINE][0]
        chosen = {**headline.chosen, "arm": HEADLINE, "labels": len(subsets(train_label, task, seed, 0)[HEADLINE])}
        return Fitted(
            chosen,
            headline.val_score,
            headline.predict,
            {name: [one.predict for one in draws] for name, draws in arms.items()},
        )


def subsets(label: np.ndarray, task: Task, seed: int, draw: int) -> dict[str, np.ndarray]:
    """Sorted row numbers of every arm of one draw; each arm holds the smaller ones of its sort."""
    order = np.random.default_rng([seed, draw, len(label)]).permutation(len(label))
    ranks = _ranks(label, order, task)
    found: dict[str, np.ndarray] = {}
    if task.kind != "regression":
        found |= {f"{shots}shot": np.sort(order[ranks.min(1) < shots]) for shots in SHOTS}
    for percent in FRACTIONS:
        if task.kind == "class":  # the share of each class, at least one row
            kept = ranks[:, 0] < np.maximum(1, np.ceil(_sizes(label, order) * percent / 100))
        else:
            kept = np.arange(len(order)) < max(1, math.ceil(len(order) * percent / 100))
        if task.kind == "multilabel":
            kept |= ranks.min(1) < 1
        found[f"{percent}pct"] = np.sort(order[kept])
    return found


def _ranks(label: np.ndarray, order: np.ndarray, task: Task) -> np.ndarray:
    """(n, g): for row order[i], how many rows before it in ``order`` are of the same group: its class, or for each of the
    classes of a multi-label task the positives or the negatives; zeros for regression."""
    if task.kind == "regression":
        return np.zeros((len(order), 1), dtype=np.int64)
    column = (label > 0.5).astype(np.int64)[order] if task.kind == "multilabel" else label[order][:, None]
    ranks = np.zeros(column.shape, dtype=np.int64)
    for c in range(column.shape[1]):
        for value in np.unique(column[:, c]):
            same = column[:, c] == value
            ranks[same, c] = np.arange(same.sum())
    return ranks


def _sizes(label: np.ndarray, order: np.ndarray) -> np.ndarray:
    """(n,): how many rows have the class of row order[i]."""
    _, code, count = np.unique(label, return_inverse=True, return_counts=True)
    return np.asarray(count[code][order])
