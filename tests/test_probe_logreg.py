"""Logistic probe: scikit-learn's LogisticRegression at every penalty, convergence said, classes that train never shows."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special
from sklearn.linear_model import LogisticRegression

from benchmark.probes import logreg
from benchmark.probes.base import standardise, standardiser
from jepakit import registry
from jepakit.types import DataError, Task

CLASS = Task("shape", "class", "accuracy", ("a", "b", "c"))


def unbalanced(rows: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Nearly collinear standardised features of three unequal classes."""
    rng = np.random.default_rng(0)
    y = rng.choice(3, rows, p=[0.8, 0.15, 0.05])
    x = rng.normal(size=(rows, 10)) * 10.0 ** -np.arange(0, 2, 0.2) + 0.6 * rng.normal(size=(3, 10))[y]
    x = (x @ rng.normal(size=(10, 10))).astype(np.float32)
    return standardise(x, *standardiser(x)), y


# Not below 2e-5: gradients are float32, and on some processors their last bits keep one penalty of the path above 1e-5.
@pytest.mark.parametrize(("tolerance", "within"), [(2e-5, 2e-3), (logreg.TOLERANCE, 0.05)])
def test_every_penalty_equals_scikit_learn(tolerance: float, within: float):
    x, y = unbalanced()
    found = list(logreg.path(x, np.eye(3, dtype=np.float32)[y], False, tolerance=tolerance))
    assert len(found) == 15 and all(one.converged for one in found)
    for one in found:
        assert one.penalty == pytest.approx(one.factor * np.square(x).mean(), rel=1e-4)
        oracle = LogisticRegression(C=1 / (len(x) * one.penalty), max_iter=50_000, tol=1e-9)
        wanted = oracle.fit(x.astype(np.float64), y).predict_proba(x.astype(np.float64))
        probability = scipy.special.softmax(x @ one.weight + one.bias, 1)
        np.testing.assert_allclose(probability, wanted, atol=within)
        assert (probability.argmax(1) == wanted.argmax(1)).mean() > 0.99


def test_sigmoids_equal_scikit_learn():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6)).astype(np.float32)
    y = (x[:, :2] + rng.normal(size=(400, 2)) > 0.5).astype(np.float32)
    for one in logreg.path(x, y, True, tolerance=1e-5):
        for c in range(2):
            oracle = LogisticRegression(C=1 / (400 * one.penalty), max_iter=5000, tol=1e-9).fit(x, y[:, c])
            np.testing.assert_allclose(one.weight[:, c], oracle.coef_[0], atol=2e-3 * np.abs(oracle.coef_).max())
            np.testing.assert_allclose(one.bias[c], oracle.intercept_[0], atol=2e-3)


def test_a_warm_path_ends_where_a_cold_start_does():
    x, y = unbalanced()
    target = np.eye(3, dtype=np.float32)[y]
    warm = list(logreg.path(x, target, False, tolerance=1e-5))[9]
    (cold,) = logreg.path(x, target, False, (warm.factor,), tolerance=1e-5)
    one, other = (scipy.special.softmax(x @ found.weight + found.bias, 1) for found in (warm, cold))
    np.testing.assert_allclose(one, other, atol=2e-3)


def test_what_did_not_converge_is_said(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(logreg, "STEPS", 1)
    x, y = unbalanced()
    fitted = registry.probes["logreg"].make().fit(x, y, x, y, CLASS, 0)
    assert fitted.chosen["converged"] is False


def test_only_classes_of_train_are_predicted_and_scores_are_log_probabilities():
    x, y = unbalanced()
    y = np.where(y == 1, 0, y)
    scores = registry.probes["logreg"].make().fit(x, y, x, y, CLASS, 0).predict(x)
    assert scores.shape == (600, 3) and (scores[:, 1] == logreg.UNSEEN).all()
    np.testing.assert_allclose(np.exp(scores).sum(1), 1, atol=1e-5)
    with pytest.raises(DataError, match="one class only"):
        registry.probes["logreg"].make().fit(x, np.zeros(600, int), x, y, CLASS, 0)
    signs = Task("signs", "multilabel", "macro_auroc", ("a", "b"))
    with pytest.raises(DataError, match="both outcomes"):
        registry.probes["logreg"].make().fit(x, np.ones((600, 2)), x, np.ones((600, 2)), signs, 0)
