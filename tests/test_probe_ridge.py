"""Ridge probe: scikit-learn's Ridge for every penalty, with more and with fewer rows than dimensions; one-hot labels → 1."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from benchmark.metrics import get
from benchmark.probes import ridge
from jepakit import registry
from jepakit.types import DataError, Task

CLASS = Task("shape", "class", "macro_auroc", ("a", "b", "c"))


@pytest.mark.parametrize("rows", [300, 25], ids=["more rows than dimensions", "fewer rows than dimensions"])
def test_every_penalty_equals_scikit_learn(rows: int):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(rows, 40)) * 10.0 ** -np.arange(0, 2, 0.05)) @ rng.normal(size=(40, 40)) + 3
    y = np.stack([x[:, 0] + rng.normal(size=rows), rng.choice([-1.0, 1.0], rows)], 1)
    fresh = rng.normal(size=(50, 40))
    solved = ridge.solve(x, y)
    assert solved.unit == pytest.approx(np.square(x - x.mean(0)).sum() / 40)
    assert len(ridge.FACTORS) == 40
    for factor in ridge.FACTORS:
        oracle = Ridge(alpha=factor * solved.unit, solver="cholesky").fit(x, y)
        weight, bias = solved.map(factor)
        np.testing.assert_allclose(weight, oracle.coef_.T, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(bias, oracle.intercept_, rtol=1e-5, atol=1e-6)
        wanted = oracle.predict(fresh)
        scores = solved.scores(solved.rotate(fresh.astype(np.float32)), factor)
        np.testing.assert_allclose(scores, wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())


def test_rows_in_blocks_are_summed_exactly(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(1000, 5)), rng.normal(size=(1000, 2))
    whole = ridge.solve(x, y).map(1e-3)
    monkeypatch.setattr(ridge, "CHUNK", 77)
    for one, other in zip(whole, ridge.solve(x, y).map(1e-3), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


def test_features_that_say_nothing_give_the_mean():
    solved = ridge.solve(np.ones((10, 4)), np.arange(10.0)[:, None])
    weight, bias = solved.map(1e-6)
    assert not weight.any() and bias == pytest.approx([4.5])


@pytest.mark.parametrize("width", [6, 600])
@pytest.mark.parametrize("metric", ["macro_auroc", "accuracy"])
def test_one_hot_labels_are_found_and_the_strongest_of_equal_penalties_wins(width: int, metric: str):
    label = np.random.default_rng(0).choice(3, 200, p=[0.4, 0.3, 0.3])
    x = np.zeros((200, width), np.float32)
    x[np.arange(200), label] = 1
    task = Task("shape", "class", metric, ("a", "b", "c"))
    fitted = registry.probes["ridge"].make().fit(x, label, x, label, task, 0)
    assert fitted.val_score == get(metric)(label, fitted.predict(x)) == 1.0
    # Ranking the rows is right from the strongest penalty on; the arg-max needs outputs larger than the class shares.
    assert fitted.chosen["penalty"] in (ridge.FACTORS[:1] if metric == "macro_auroc" else ridge.FACTORS[:-1])


def test_a_class_that_train_never_shows_is_never_predicted():
    label = np.random.default_rng(0).integers(0, 2, 200)
    x = np.random.default_rng(1).normal(size=(200, 3)).astype(np.float32)
    scores = registry.probes["ridge"].make().fit(x, label, x, label, CLASS, 0).predict(1e3 * x)
    assert scores.shape == (200, 3) and not (scores.argmax(1) == 2).any()


def test_nothing_to_learn_is_said():
    x = np.ones((4, 2), np.float32)
    probe = registry.probes["ridge"].make()
    with pytest.raises(DataError, match="one class only"):
        probe.fit(x, np.zeros(4, int), x, np.zeros(4, int), CLASS, 0)
    signs = Task("signs", "multilabel", "macro_auroc", ("a", "b"))
    with pytest.raises(DataError, match="both outcomes"):
        probe.fit(x, np.ones((4, 2)), x, np.ones((4, 2)), signs, 0)
