"""Few-shot probe: which rows an arm has, counted by hand; nested draws; the full arm is ridge; what the board shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.board import boards
from benchmark.features import Features
from benchmark.metrics import get
from benchmark.probes import evaluate
from benchmark.probes.fewshot import subsets
from jepakit.types import PARTS, Data, Task

CLASS = Task("shape", "class", "macro_f1", ("a", "b", "c"))
SIGNS = Task("signs", "multilabel", "macro_auroc", ("a", "b"))
AGE = Task("age", "regression", "r2")


def test_arms_hold_what_their_names_say():
    label = np.repeat([0, 1, 2], [700, 260, 40])
    found = subsets(label, CLASS, 0, 0)
    counts = {name: np.bincount(label[rows], minlength=3).tolist() for name, rows in found.items()}
    assert counts == {
        "1shot": [1, 1, 1], "5shot": [5, 5, 5], "10shot": [10, 10, 10],
        "1pct": [7, 3, 1], "10pct": [70, 26, 4], "100pct": [700, 260, 40],
    }  # fmt: skip
    for small, large in (("1shot", "5shot"), ("5shot", "10shot"), ("1pct", "10pct")):
        assert set(found[small]) < set(found[large])
    again, other = subsets(label, CLASS, 0, 0), subsets(label, CLASS, 0, 1)
    assert all(np.array_equal(found[name], again[name]) for name in found)
    assert not np.array_equal(found["5shot"], other["5shot"])


def test_a_shot_of_a_multi_label_task_is_a_positive_and_a_negative_of_every_class():
    rng = np.random.default_rng(0)
    label = (rng.random((500, 2)) < [0.5, 0.01]).astype(np.float32)
    found = subsets(label, SIGNS, 0, 0)
    for name, rows in found.items():
        assert label[rows].any(0).all() and not label[rows].all(0).any(), name
    assert (label[found["5shot"]].sum(0) >= [5, min(5, label[:, 1].sum())]).all()
    assert list(subsets(np.arange(200.0), AGE, 0, 0)) == ["1pct", "10pct", "100pct"]
    assert [len(rows) for rows in subsets(np.arange(200.0), AGE, 0, 0).values()] == [2, 20, 200]


def parts() -> tuple[dict, dict]:
    features, data = {}, {}
    centre = np.random.default_rng(9).normal(size=(3, 20))
    for seed, part in enumerate(PARTS):
        rng = np.random.default_rng(seed)
        label = rng.integers(0, 3, 400)
        x = (centre[label] + 1.5 * rng.normal(size=(400, 20))).astype(np.float32)
        features[part] = Features(x)
        data[part] = Data(torch.zeros(400, 1), {"shape": torch.from_numpy(label)}, np.arange(400).astype(str))
    return features, data


def test_extras_are_means_over_draws_and_the_full_arm_is_ridge():
    features, data = parts()
    score = evaluate("fewshot", features, data, CLASS, 0)
    extras = {name.removeprefix("macro_f1_"): value for name, value in score.extras.items()}
    assert set(extras) == {"1shot", "5shot", "10shot", "1pct", "10pct", "100pct"}
    assert extras["1shot"] < extras["5shot"] < extras["10shot"] < extras["100pct"]
    assert extras["100pct"] == pytest.approx(evaluate("ridge", features, data, CLASS, 0).value, abs=1e-9)
    assert 40 <= score.chosen["labels"] <= 43  # a tenth, rounded up per class
    assert score.value == get("macro_f1")(score.labels, score.predictions)  # the headline can be computed again
    assert score.value != extras["10pct"] and abs(score.value - extras["10pct"]) < 0.2  # one draw, and the mean of five


def test_the_board_shows_arms_but_not_counts():
    extras = {"macro_f1_1shot": 0.2, "macro_f1_10pct": 0.4, "macro_f1_left_out": 2.0, "macro_f1_mean_last_std": 0.5}
    score = {"task": "shape", "probe": "fewshot", "metric": "macro_f1", "value": 0.45, "extras": extras,
             "headline": True, "nuisance": False}  # fmt: skip
    made = {
        "modality": "toy", "dataset": "toy", "preset": "quick", "data": {"fingerprint": {}}, "method": "m",
        "family": "jepa", "seed": 0, "status": "ok", "key": "k", "scores": [score], "diagnostics": {},
    }  # fmt: skip
    (board,) = boards([made], None)
    assert [m.metric for m in board.measures] == ["macro_f1", "macro_f1_10pct", "macro_f1_1shot"]
    assert [line.mean for line in board.of(board.measures[1])] == [0.4]
