"""Metrics: hand-computed values, scikit-learn as oracle, perfect and shuffled predictions, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn.metrics

from benchmark import metrics
from benchmark.metrics import METRICS, get
from jepakit.types import UsageError

LABELS = np.array([0, 0, 0, 1, 1, 2])
GUESS = np.array([0, 0, 1, 1, 2, 2])


def test_hand_computed_values():
    assert get("accuracy")(LABELS, GUESS) == pytest.approx(4 / 6)
    assert get("balanced_accuracy")(LABELS, GUESS) == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    # F1: class 0: 2·2/(3+2), class 1: 2·1/(2+2), class 2: 2·1/(1+2)
    assert get("macro_f1")(LABELS, GUESS) == pytest.approx((4 / 5 + 1 / 2 + 2 / 3) / 3)
    # IoU: class 0: 2/(3+2-2), class 1: 1/(2+2-1), class 2: 1/(1+2-1)
    assert get("miou")(LABELS, GUESS) == pytest.approx((2 / 3 + 1 / 3 + 1 / 2) / 3)
    y, p = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 5.0])
    assert get("rmse")(y, p) == pytest.approx(np.sqrt(4 / 3))
    assert get("r2")(y, p) == pytest.approx(1 - 4 / 2)
    # Class 0: positives .9 and .4 against negatives .5 and .1: 3 of 4 pairs. Class 1: one tie counts a half.
    labels = np.array([[1, 0], [1, 1], [0, 0], [0, 1]])
    scores = np.array([[0.9, 0.2], [0.4, 0.2], [0.5, 0.1], [0.1, 0.7]])
    assert get("macro_auroc")(labels, scores) == pytest.approx((3 / 4 + 3.5 / 4) / 2)


def test_a_class_without_both_outcomes_is_left_out_and_counted():
    labels = np.array([[1, 0, 1], [0, 0, 1], [1, 0, 1]])
    scores = np.array([[0.9, 0.2, 0.1], [0.4, 0.2, 0.3], [0.5, 0.1, 0.2]])
    assert get("macro_auroc")(labels, scores) == 1.0
    assert metrics.left_out(labels, 3) == 2
    assert np.isnan(get("macro_auroc")(labels[:, 1:], scores[:, 1:]))


def test_iou_leaves_out_what_is_neither_true_nor_predicted():
    labels, guess = np.array([0, 0, 2, 2]), np.array([0, 2, 2, 2])
    assert get("miou")(labels, np.eye(9)[guess]) == pytest.approx((1 / 2 + 2 / 3) / 2)  # of nine classes two occur
    assert get("miou")(labels, np.array([0, 1, 2, 2])) == pytest.approx((1 / 2 + 0 + 1) / 3)  # 1 is only predicted
    rng = np.random.default_rng(0)
    labels, guess = rng.integers(0, 5, 400), rng.integers(0, 5, 400)
    assert get("miou")(labels, guess) == pytest.approx(sklearn.metrics.jaccard_score(labels, guess, average="macro"))


def test_auroc_equals_scikit_learn_with_ties_and_weights():
    rng = np.random.default_rng(0)
    labels = rng.random((300, 4)) < [0.5, 0.1, 0.3, 0.02]
    scores = np.round(rng.normal(size=(300, 4)) + labels, 1)  # many ties
    weights = rng.integers(0, 4, size=(5, 300))
    ours = metrics.auroc(labels, scores, weights)
    for r, row in enumerate(weights):
        for c in range(4):
            wanted = sklearn.metrics.roc_auc_score(labels[:, c], scores[:, c], sample_weight=row)
            assert ours[r, c] == pytest.approx(wanted)
    assert get("macro_auroc")(labels, scores) == pytest.approx(sklearn.metrics.roc_auc_score(labels, scores))


def test_one_versus_rest_auroc_of_class_labels():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, 200)
    scores = rng.normal(size=(200, 3)) + np.eye(3)[labels]
    share = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    wanted = sklearn.metrics.roc_auc_score(labels, share, multi_class="ovr", average="macro")
    assert get("macro_auroc")(labels, np.log(share)) == pytest.approx(wanted)


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "macro_f1", "miou", "macro_auroc"])
def test_one_hot_scores_are_perfect(name: str):
    labels = np.random.default_rng(0).integers(0, 5, 400)
    assert get(name)(labels, np.eye(5)[labels]) == 1.0


@pytest.mark.parametrize("name", ["accuracy", "balanced_accuracy", "macro_f1", "miou", "macro_auroc"])
def test_shuffled_scores_are_at_chance_within_binomial_error(name: str):
    rng = np.random.default_rng(3)
    labels = rng.permutation(np.repeat(np.arange(4), 1000))
    scores = np.eye(4)[rng.permutation(labels)]
    # Standard error of a share of 1/4 over 4,000 rows is .007; four of them.
    assert abs(get(name)(labels, scores) - get(name).chance(labels)) < 4 * np.sqrt(0.25 * 0.75 / 4000)


def test_chance_is_what_a_label_blind_guesser_gets():
    rng = np.random.default_rng(0)
    labels = rng.choice(3, 30_000, p=[0.7, 0.2, 0.1])
    majority, prior = np.zeros_like(labels), rng.permutation(labels)
    assert get("accuracy").chance(labels) == pytest.approx(get("accuracy")(labels, majority))
    assert get("balanced_accuracy").chance(labels) == pytest.approx(get("balanced_accuracy")(labels, majority))
    assert get("macro_f1").chance(labels) == pytest.approx(get("macro_f1")(labels, prior), abs=0.01)
    assert get("macro_f1").chance(labels) >= get("macro_f1")(labels, majority)
    assert get("miou").chance(labels) == pytest.approx(
        max(get("miou")(labels, guess) for guess in (majority, prior)), abs=0.01
    )
    even = np.arange(30_000) % 3
    assert get("miou").chance(even) == pytest.approx(get("miou")(even, rng.permutation(even)), abs=0.01)
    y = rng.normal(5, 2, 1000)
    mean = np.full_like(y, y.mean())
    assert get("rmse").chance(y) == pytest.approx(get("rmse")(y, mean))
    assert get("r2").chance(y) == pytest.approx(get("r2")(y, mean))
    many = rng.random((20_000, 2)) < [0.3, 0.05]
    assert get("macro_f1").chance(many) == pytest.approx(get("macro_f1")(many, np.ones_like(many)))


@pytest.mark.parametrize("name", [m.name for m in METRICS.values() if m.additive])
def test_sums_over_units_give_the_metric_of_the_resampled_rows(name: str):
    """The bootstrap's shortcut against the metric itself on rows that were really repeated (a class may drop out)."""
    metric, rng = get(name), np.random.default_rng(5)
    assert metric.additive is not None
    codes = np.repeat(np.arange(8), 12)
    if metric.needs == "label":
        labels, guess = rng.integers(0, 3, 96), rng.integers(0, 4, 96)
        labels[codes == 0] = 4  # only one unit has this class
    else:
        labels = rng.normal(100, 3, 96)
        guess = labels + rng.normal(size=96)
    draws = rng.multinomial(8, np.full(8, 1 / 8), size=20)
    fast = metric.additive.finish(draws @ metric.additive.sums(labels, guess, codes, 8))
    for draw, value in zip(draws, fast, strict=True):
        rows = np.concatenate([np.flatnonzero(codes == unit) for unit, times in enumerate(draw) for _ in range(times)])
        assert value == pytest.approx(metric(labels[rows], guess[rows]))


def test_multilabel_f1_equals_scikit_learn():
    rng = np.random.default_rng(0)
    labels, logits = (rng.random((50, 3)) < 0.4).astype(np.float32), rng.normal(size=(50, 3))
    assert get("macro_f1")(labels, logits) == pytest.approx(
        sklearn.metrics.f1_score(labels, logits > 0, average="macro")
    )
    sums = get("macro_f1").additive.sums(labels, logits, np.zeros(50, int), 1)  # type: ignore[union-attr]
    assert get("macro_f1").additive.finish(sums)[0] == pytest.approx(get("macro_f1")(labels, logits))  # type: ignore[union-attr]


def test_wrong_use_says_what_to_do():
    with pytest.raises(UsageError, match="did you mean 'macro_f1'"):
        get("macro_f2")
    with pytest.raises(UsageError, match="macro_auroc"):
        get("accuracy")(np.zeros((3, 2)), np.zeros((3, 2)))
    with pytest.raises(UsageError, match="logits"):
        get("macro_auroc")(LABELS, GUESS)
    with pytest.raises(ValueError, match="6 labels but 5"):
        get("accuracy")(LABELS, GUESS[:5])


def test_better_knows_the_direction_and_nan():
    assert get("r2").better(0.2, 0.1) and not get("r2").better(0.1, 0.1)
    assert get("rmse").better(0.1, 0.2)
    assert get("r2").better(-5.0, float("nan")) and not get("r2").better(float("nan"), -5.0)
