"""Probes: oracles (separable, shuffled), scikit-learn as reference, the seal on test, pooling of windows, missing labels."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import scipy.special
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier

import benchmark.probes.linear as linear
from benchmark.contracts import probing
from benchmark.contracts.questions import KINDS, origin, problem
from benchmark.features import Features
from benchmark.metrics import get
from benchmark.probes import EncoderProbe, Fitted, Probe, Sealed, SealedError, evaluate, sees
from benchmark.probes.base import pool, standardise, standardiser
from jepakit import registry
from jepakit.nn import Embedder
from jepakit.types import PARTS, Data, DataError, Part, Task, UsageError

CLASS = KINDS["class"]
PROBES = ("linear", "knn", "ridge", "logreg")
EVERY = (*PROBES, "fewshot", "attentive", "finetune", "band")
PAIRS = [(probe, kind) for probe in EVERY for kind in KINDS if kind in registry.probes[probe].info["kinds"]]


@pytest.mark.parametrize("probe", [probe for probe, kind in PAIRS if kind == "class"])
def test_one_hot_labels_give_one(probe: str):
    """Features that are the labels: every probe scores exactly 1 on the other parts."""
    features: dict[Part, Features] = {}
    data: dict[Part, Data] = {}
    for seed, (part, n) in enumerate(zip(PARTS, (300, 120, 150), strict=True)):
        label = np.random.default_rng(seed).integers(0, 3, n)
        x = np.eye(12, dtype=np.float32)[label][:, None]
        features[part] = Features(x[:, 0], x)
        data[part] = Data(torch.from_numpy(x), {"shape": torch.from_numpy(label)}, np.arange(n).astype(str))
    score = evaluate(probe, features, data, CLASS, 0, origin(data))
    assert score.value == score.val == 1.0


@pytest.mark.parametrize(("probe", "kind"), PAIRS)
def test_separable_labels_are_found(probe: str, kind: str):
    features, data = problem(kind, tokens_too=True)
    score = evaluate(probe, features, data, KINDS[kind], 0, origin(data, 5))
    # Neighbours by cosine see directions, not lengths: a value along one line is found only roughly.
    least = 0.99 if kind != "regression" else 0.7 if probe == "knn" else 0.95
    assert min(score.value, score.val) > least - 0.02 and score.chosen
    assert (score.task, score.probe, score.metric, score.kind) == (KINDS[kind].name, probe, KINDS[kind].metric, kind)
    rows = 300 * (5 if kind == "dense" else 1)
    assert len(score.predictions) == len(score.labels) == len(score.units) == rows
    assert get(score.metric)(score.labels, score.predictions) == score.value
    if kind == "dense":
        assert list(score.units[:21]) == ["p0"] * 20 + ["p1"]


@pytest.mark.parametrize(("probe", "kind"), PAIRS)
def test_shuffled_labels_are_at_chance(probe: str, kind: str):
    probing.guesses(probe, kind)


def test_logistic_regression_equals_scikit_learn():
    """The whole path against sklearn's own solver at tight tolerance, on nearly collinear unbalanced features."""
    rng = np.random.default_rng(0)
    y = rng.choice(3, 600, p=[0.8, 0.15, 0.05])
    x = (rng.normal(size=(600, 10)) * 10.0 ** -np.arange(0, 2, 0.2) + 0.6 * rng.normal(size=(3, 10))[y]) @ rng.normal(
        size=(10, 10)
    )
    x = standardise(x.astype(np.float32), *standardiser(x.astype(np.float32)))
    found = list(linear.candidates(x, np.eye(3, dtype=np.float32)[y], False))
    assert [weighting for weighting, _ in found] == ["none"] * 11 + ["balanced"] * 11
    for weighting, one in found:
        weights = None if weighting == "none" else "balanced"
        oracle = LogisticRegression(C=1 / (600 * one.factor), class_weight=weights, max_iter=20_000, tol=1e-9)
        wanted = oracle.fit(x.astype(np.float64), y).predict_proba(x.astype(np.float64))
        np.testing.assert_allclose(scipy.special.softmax(x @ one.weight + one.bias, 1), wanted, atol=0.02)


def test_regression_is_ridge():
    """The published probe predicts what scikit-learn's Ridge does at the penalty that it chose."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 8)).astype(np.float32)
    y = x @ rng.normal(size=8) + rng.normal(size=300) + 40
    fitted = registry.probes["linear"].make().fit(x[:200], y[:200], x[200:], y[200:], KINDS["regression"], 0)
    mean, inverse = standardiser(x[:200])
    oracle = Ridge(alpha=200 * fitted.chosen["penalty"]).fit(standardise(x[:200], mean, inverse).astype(float), y[:200])
    np.testing.assert_allclose(fitted.predict(x), oracle.predict(standardise(x, mean, inverse)), atol=1e-3)


def test_one_neighbour_equals_scikit_learn():
    features, data = problem("class", noise=8.0)
    score = evaluate("knn", features, data, CLASS, 0)
    k = score.chosen["k"]
    mean, inverse = standardiser(features["train"].pooled)
    train, test = (standardise(features[part].pooled, mean, inverse) for part in ("train", "test"))
    oracle = KNeighborsClassifier(k, metric="cosine", weights=lambda distance: np.exp(-distance / 0.07))
    wanted = oracle.fit(train, data["train"].labels["shape"]).predict(test)
    assert (score.predictions.argmax(1) == wanted).mean() > 0.99


@pytest.mark.parametrize("probe", PROBES)
def test_scores_do_not_depend_on_the_scale_and_offset_of_features(probe: str):
    features, data = problem("class", noise=6.0)
    other = {part: Features(value.pooled * 1e-3 + 5e-3) for part, value in features.items()}
    one, two = (evaluate(probe, f, data, CLASS, 0) for f in (features, other))
    assert one.value == pytest.approx(two.value, abs=0.02)


def test_constant_dimensions_carry_nothing():
    features, data = problem("class")
    wide = {
        part: Features(np.c_[value.pooled, np.full(len(value), 1e4, np.float32)]) for part, value in features.items()
    }
    assert np.isfinite(evaluate("linear", wide, data, CLASS, 0).predictions).all()
    wide["test"].pooled[:, -1] += 1e4  # a sensor that only ever moves in the test part
    assert evaluate("linear", wide, data, CLASS, 0).value > 0.99


class Spy(Probe, EncoderProbe):
    """A probe of any kind that tries to look at the test part while it is being fitted."""

    peek: object = None
    seen: tuple[object, ...] = ()

    def fit(self, first, second, *rest, **more) -> Fitted:  # type: ignore[no-untyped-def]
        if isinstance(first, Embedder):
            _, train, val = second, *rest[:2]
            if Spy.peek == "modality":
                second.data("test")
            with torch.no_grad():
                first.layer.weight.zero_()
            Spy.seen = (len(train), len(val), len(train.labels["shape"]), len(val.labels["shape"]))
        else:
            Spy.seen = (len(first), len(rest[0]), len(second), len(rest[1]))
            Spy.shape = first.shape
        if isinstance(Spy.peek, Sealed):
            Spy.peek["test"]
        return Fitted({}, 0.5, lambda x: np.zeros((len(x), 3)))


@pytest.fixture(params=["pooled", "tokens", "encoder"])
def spy(request: pytest.FixtureRequest) -> Iterator[type[Spy]]:
    registry.probes.register("spy", kinds=("class",), sees=request.param)(Spy)
    Spy.peek = None
    yield Spy
    del registry.probes._entries["spy"]


def test_a_probe_that_reads_test_before_it_has_chosen_fails(spy: type[Spy]):
    features, data = problem("class")
    features = {part: Features(one.pooled, one.pooled[:, None].repeat(5, 1)) for part, one in features.items()}
    source = origin(data)
    sealed_data, sealed_features = Sealed(data), Sealed(features)
    evaluate("spy", sealed_features, sealed_data, CLASS, 0, source)  # an honest one is scored
    assert spy.seen == (400, 200, 400, 200)
    assert sees("spy") != "tokens" or spy.shape == (400, 5, 12)
    assert torch.equal(source.encoder.layer.weight, torch.eye(12))  # what it did to the encoder stays with it
    for spied in (sealed_data, sealed_features, *(["modality"] if sees("spy") == "encoder" else [])):
        spy.peek = spied
        with pytest.raises(SealedError):
            evaluate("spy", sealed_features, sealed_data, CLASS, 0, source)
    with pytest.raises(SealedError):  # and the seal is back afterwards
        sealed_data["test"]
    assert len(source.modality.data("test")) == 300


@pytest.mark.parametrize("probe", PROBES)
def test_nothing_of_test_reaches_the_choice(probe: str):
    """Other test features and labels change neither what is chosen nor the validation score."""
    features, data = problem("class", noise=6.0)
    one = evaluate(probe, features, data, CLASS, 0)
    rng = np.random.default_rng(9)
    features["test"] = Features(rng.normal(size=(300, 12)).astype(np.float32) * 100)
    data["test"] = dataclasses.replace(data["test"], labels={"shape": torch.from_numpy(rng.integers(0, 3, 300))})
    two = evaluate(probe, features, data, CLASS, 0)
    assert (one.chosen, one.val) == (two.chosen, two.val)
    assert one.value != two.value


@pytest.mark.parametrize("kind", ["class", "multilabel"])
def test_windows_of_a_record_are_judged_together(kind: str):
    """Four windows per record: mean (headline) and max of the logits, computed here by hand."""
    features, data = problem(kind, noise=8.0)
    name = KINDS[kind].name
    task = dataclasses.replace(KINDS[kind], metric="macro_auroc")
    for part in PARTS:
        one, n = data[part], len(data[part])
        first = torch.arange(n) // 4 * 4
        label = one.labels[name][first]
        # Records in an order that is not alphabetical, windows of a record side by side.
        record = np.array([f"r{999 - i // 4}" for i in range(n)])
        shift = 3.0 * (one.labels[name] != label).float().reshape(n, -1).mean(1).numpy()
        features[part] = Features(features[part].pooled + shift[:, None])
        data[part] = dataclasses.replace(one, labels={name: label}, record=record)
    score = evaluate("linear", features, data, task, 0)
    alone = {part: dataclasses.replace(value, record=None) for part, value in data.items()}
    assert len(score.labels) == 75 and list(score.units[:3]) == ["p0", "p1", "p2"]
    np.testing.assert_array_equal(score.labels, data["test"].labels[name][::4])
    assert set(score.extras) >= {"macro_auroc_max"}
    # The fitted map may be another one (it is chosen on records), so pool the windows of the same choice.
    fixed = {"val": data["val"], "train": data["train"], "test": alone["test"]}
    windows = evaluate("linear", features, fixed, task, 0)
    assert windows.chosen == score.chosen
    stacked = windows.predictions.reshape(75, 4, -1)
    np.testing.assert_allclose(score.predictions, stacked.mean(1), rtol=1e-4, atol=1e-4)
    assert score.extras["macro_auroc_max"] == pytest.approx(get("macro_auroc")(score.labels, stacked.max(1)), abs=1e-6)
    other = evaluate("linear", features, data, dataclasses.replace(task, aggregate="max"), 0)
    assert "macro_auroc_mean" in other.extras


def test_pool_keeps_the_order_of_first_appearance():
    record = np.array(["z", "a", "z", "m", "a"])
    rows = np.array([1.0, 2.0, 5.0, 7.0, 4.0])
    assert pool(rows, record, "first").tolist() == [1, 2, 7]
    assert pool(rows, record, "mean").tolist() == [3, 3, 7]
    assert pool(rows, record, "max").tolist() == [5, 4, 7]


def test_a_record_with_two_labels_is_an_error():
    features, data = problem("class")
    data["test"] = dataclasses.replace(data["test"], record=np.repeat(["a", "b"], 150))
    with pytest.raises(ValueError, match="different labels"):
        evaluate("linear", features, data, CLASS, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_without_a_label_are_dropped(kind: str):
    features, data = problem(kind)
    name = KINDS[kind].name
    for part in PARTS:
        label = data[part].labels[name].clone()
        label[::2] = -1 if kind in ("class", "dense") else float("nan")
        features[part].pooled[::2] = 1e6  # would be noticed
        if features[part].tokens is not None:
            features[part].tokens[::2] = 1e6
        data[part] = dataclasses.replace(data[part], labels={name: label})
    score = evaluate("linear", features, data, KINDS[kind], 0)
    assert len(score.labels) == 150 * (5 if kind == "dense" else 1)
    assert score.value > 0.95


def test_a_class_that_train_never_shows_is_never_predicted():
    features, data = problem("class")
    data["train"].labels["shape"][data["train"].labels["shape"] == 2] = -1
    for probe in PROBES:
        score = evaluate(probe, features, data, CLASS, 0)
        assert score.predictions.shape == (300, 3) and np.isfinite(score.predictions).all()
        assert not (score.predictions.argmax(1) == 2).any()


def test_impossible_tasks_end_in_one_sentence(spy: type[Spy]):
    features, data = problem("class")
    with pytest.raises(UsageError, match="did you mean 'linear'"):
        evaluate("linaer", features, data, CLASS, 0)
    with pytest.raises(UsageError, match="'spy' cannot do regression"):
        evaluate("spy", features, data, KINDS["regression"], 0)
    with pytest.raises(UsageError, match="metric"):
        evaluate("linear", features, data, dataclasses.replace(CLASS, metric="macro_f3"), 0)
    with pytest.raises(DataError, match="no labels in the train part"):
        evaluate("linear", features, data, KINDS["regression"], 0)
    single = {**data, "train": dataclasses.replace(data["train"], labels={"shape": torch.zeros(400, dtype=torch.long)})}
    with pytest.raises(DataError, match="one class only"):
        evaluate("linear", features, single, CLASS, 0)
    none = {**data, "test": dataclasses.replace(data["test"], labels={"shape": torch.full((300,), -1)})}
    with pytest.raises(DataError, match="no labelled row in the test part"):
        evaluate("linear", features, none, CLASS, 0)
    flat = {**data, "val": dataclasses.replace(data["val"], labels={"shape": torch.zeros(200, dtype=torch.long)})}
    with pytest.raises(DataError, match="nothing can be chosen"):
        evaluate("linear", features, flat, dataclasses.replace(CLASS, metric="macro_auroc"), 0)
    with pytest.raises(ValueError, match="tokens=True"):
        evaluate("linear", features, problem("dense")[1], KINDS["dense"], 0)


@pytest.mark.parametrize("probe", [pytest.param(one, marks=[] if one in PROBES else pytest.mark.slow) for one in EVERY])
@pytest.mark.parametrize("contract", [one for one in probing.CONTRACTS if one is not probing.guesses])
def test_every_probe_keeps_what_a_file_is_checked_for(contract: Callable[[str, str], None], probe: str):
    contract(probe, "class")


def test_speed_of_the_whole_path():
    """15,000 × 96 features, 4 unbalanced classes: every penalty and weighting within seconds on one thread."""
    rng = np.random.default_rng(0)
    y = rng.choice(4, 15_000, p=[0.85, 0.08, 0.05, 0.02])
    x = rng.normal(size=(15_000, 96)) * np.arange(1, 97) ** -0.7 + 0.3 * rng.normal(size=(4, 96))[y]
    task = Task("beat", "class", "macro_f1", ("N", "S", "V", "F"))
    start = time.process_time()
    registry.probes["linear"].make().fit(x.astype(np.float32), y, x[:3000].astype(np.float32), y[:3000], task, 0)
    assert time.process_time() - start < 15  # a few seconds on an idle core
