"""Trees and flattened tokens: oracles that they must solve, and one that they must not."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.probes import boosters
from benchmark.probes.flat import Flat, directions
from benchmark.probes.gbdt import Trees
from jepakit.registry import probes
from jepakit.types import DataError, Task

CLASS, VALUE = Task("c", "class", "accuracy", ("a", "b", "c")), Task("v", "regression", "rmse")


def rows(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 4)).astype(np.float32)


def test_trees_learn_a_product_that_no_line_parts() -> None:
    train, val, test = rows(600, 0), rows(200, 1), rows(400, 2)
    label = [(x[:, 0] * x[:, 1] > 0).astype(np.int64) for x in (train, val, test)]
    fitted = Trees().fit(train, label[0], val, label[1], CLASS, 0)
    scores = fitted.predict(test)
    assert scores.shape == (400, 3) and (scores[:, 2] < -40).all()  # train never shows the third class
    assert (scores.argmax(1) == label[2]).mean() > 0.9
    again = Trees().fit(train, label[0], val, label[1], CLASS, 0)
    np.testing.assert_array_equal(scores, again.predict(test))


def test_trees_learn_values_and_nothing_from_shuffled_ones() -> None:
    train, val, test = rows(600, 0), rows(200, 1), rows(400, 2)
    value = [np.abs(x[:, 0]) for x in (train, val, test)]
    fitted = Trees().fit(train, value[0], val, value[1], VALUE, 0)
    assert np.sqrt(np.mean((fitted.predict(test) - value[2]) ** 2)) < 0.15
    shuffled = np.random.default_rng(3).permutation(value[0])
    fitted = Trees().fit(train, shuffled, val, value[1], VALUE, 0)
    assert np.sqrt(np.mean((fitted.predict(test) - value[2]) ** 2)) > 0.9 * value[2].std()


def test_one_class_is_refused() -> None:
    with pytest.raises(DataError, match="one class only"):
        Trees().fit(rows(40, 0), np.zeros(40, np.int64), rows(20, 1), np.zeros(20, np.int64), CLASS, 0)


def test_flat_tokens_keep_what_their_mean_loses() -> None:
    random = np.random.default_rng(0)
    train, val, test = (random.standard_normal((n, 6, 4)).astype(np.float32) for n in (400, 200, 300))
    for x in (train, val, test):
        x[:, 5, :] = np.nan  # padding
    sign = [(x[:, 0, 0] - x[:, 1, 0] > 0).astype(np.int64) for x in (train, val, test)]  # 0 on average over tokens
    fitted = Flat().fit(train, sign[0], val, sign[1], CLASS, 0)
    assert (fitted.predict(test).argmax(1) == sign[2]).mean() > 0.9


def test_principal_directions_are_those_of_the_covariance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmark.probes.flat.WIDE", 3)
    for count in (200, 7):  # more rows than dimensions, and fewer
        x = np.random.default_rng(count).standard_normal((count, 10)) * np.arange(1, 11)
        _, _, right = np.linalg.svd(x, full_matrices=False)
        found = directions(x.astype(np.float32))
        assert found is not None
        np.testing.assert_allclose(np.abs(np.diag(found.T @ right[:3].T)), 1, atol=1e-3)


@pytest.mark.parametrize("kind", [boosters.LightGBM, boosters.XGBoost, boosters.CatBoost])
def test_other_boosters_learn_the_same(kind: type[boosters.Boosters], monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(kind.package)
    assert kind.package in probes
    monkeypatch.setattr(boosters, "PENALTIES", (0.0,))
    train, val, test = rows(600, 0), rows(200, 1), rows(400, 2)
    label = [2 * (x[:, 0] * x[:, 1] > 0).astype(np.int64) for x in (train, val, test)]  # the class between never shown
    fitted = kind().fit(train, label[0], val, label[1], CLASS, 0)
    scores = fitted.predict(test)
    assert scores.shape == (400, 3) and (scores[:, 1] < -40).all()
    assert (scores.argmax(1) == label[2]).mean() > 0.9
    np.testing.assert_array_equal(scores, kind().fit(train, label[0], val, label[1], CLASS, 0).predict(test))
    value = [np.abs(x[:, 0]) for x in (train, val, test)]
    fitted = kind().fit(train, value[0], val, value[1], VALUE, 0)
    assert np.sqrt(np.mean((fitted.predict(test) - value[2]) ** 2)) < 0.15 and 1 <= fitted.chosen["trees"] <= 1000
    with pytest.raises(DataError, match="one class only"):
        kind().fit(rows(40, 0), np.zeros(40, np.int64), rows(20, 1), np.zeros(20, np.int64), CLASS, 0)


def test_a_class_of_one_row_is_kept_to_fit_on() -> None:
    codes = np.array([0] * 30 + [1] * 29 + [2])
    (_, fitted), (_, held) = boosters._parted(rows(60, 0), codes, codes, 0)
    assert set(fitted) == {0, 1, 2} and len(held) == 6
