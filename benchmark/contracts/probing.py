"""Probing: what a probe owes, asked through the suite's own ``evaluate`` on questions with known answers."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from benchmark import metrics
from benchmark.contracts.questions import CLASSES, KINDS, PLACES, origin, problem
from benchmark.contracts.verdict import Fault, Unasked, need
from benchmark.features import Features
from benchmark.probes import EncoderProbe, Probe, Score, Sealed, SealedError, evaluate
from jepakit.registry import probes
from jepakit.types import Data, Part, UsageError

SEES = {"pooled": Probe, "tokens": Probe, "encoder": EncoderProbe, "pairs": object}
ROOM = 1 / 3  # of the way from chance to perfect: what an honest probe reaches with ease on separable labels
SIZES = (400, 400, 1000)  # of shuffled parts: chance is then known within a few hundredths
Parts = tuple[dict[Part, Features], dict[Part, Data]]


def kinds(name: str) -> tuple[str, ...]:
    """The kinds of tasks that a probe says it can do."""
    return tuple(probes[name].info.get("kinds", KINDS))


def asked(name: str, kind: str, parts: Parts, seed: int = 0, state: int = 0) -> Score:
    """The probe's score on parts that are sealed as the harness seals them; ``state``: of the global generators."""
    features, data = parts
    np.random.seed(state)  # noqa: NPY002 - what a probe must not draw from
    torch.manual_seed(state)
    try:
        return evaluate(name, Sealed(features), Sealed(data), KINDS[kind], seed, origin(data, PLACES))
    except SealedError as error:
        raise Fault(
            "it asks for the test part while it is fitted; use the train and validation parts it is handed"
        ) from (error)


def registered(name: str) -> None:
    """Kinds and what it sees are words that the suite knows, and its class is made for them."""
    entry = probes[name]
    foreign = sorted(set(kinds(name)) - set(KINDS))
    need(
        not foreign and kinds(name),
        f"kinds={kinds(name)!r} is not made of {', '.join(KINDS)}; say kinds=(…) in @probes.register",
    )
    sees = entry.info.get("sees", "pooled")
    need(sees in SEES, f"sees={sees!r} is none of {', '.join(SEES)}; say what the probe is handed in @probes.register")
    base = SEES[sees]
    need(
        isinstance(entry.make, type) and issubclass(entry.make, base),
        f"a probe with sees='{sees}' subclasses benchmark.probes.{base.__name__}; derive its class from it",
    )


def finds(name: str, kind: str) -> None:
    """It fits and predicts one finite score per row (and class), far above chance where labels are separable."""
    score = asked(name, kind, problem(kind, tokens_too=True))
    rows = 300 * (PLACES if kind == "dense" else 1)
    shape = (rows,) if kind == "regression" else (rows, CLASSES)
    need(
        score.predictions.shape == shape,
        f"predictions of a {kind} task have shape {score.predictions.shape}, not {shape}; give "
        + ("one value per row" if kind == "regression" else "a score of every class, as many as class_count says"),
    )
    need(np.isfinite(score.predictions).all(), "some predictions are not finite; guard divisions and logarithms")
    chance = metrics.get(score.metric).chance(score.labels)
    least = chance + ROOM * (1 - chance)
    need(
        score.value > least,
        f"it reaches {score.metric} {score.value:.2f} on separable labels of a {kind} task, where {chance:.2f} is chance; "
        "look at the order of the classes in its scores, and at the sign",
    )


def guesses(name: str, kind: str) -> None:
    """Shuffled labels are answered at chance."""
    score = asked(name, kind, problem(kind, shuffle=True, sizes=SIZES, tokens_too=True))
    chance = metrics.get(score.metric).chance(score.labels)
    # Four standard errors of a share of 1/3 over 1,000 rows; F1 of three even classes and AUROC vary less or alike.
    margin = 4 * np.sqrt(1 / 3 * 2 / 3 / SIZES[-1])
    need(
        score.value < chance + margin,
        f"it reaches {score.metric} {score.value:.2f} on shuffled labels, where {chance:.2f} is chance; it sees answers "
        "that it must not see",
    )
    need(
        kind == "regression" or score.value > chance - 3 * margin,
        f"it reaches {score.metric} {score.value:.2f} on shuffled labels, far below the chance of {chance:.2f}; it knows "
        "the answers and says the opposite",
    )


def repeats(name: str, kind: str) -> None:
    """The same seed gives the same bits, whatever the global generators are at."""
    found = [asked(name, kind, problem(kind, noise=6.0, tokens_too=True), seed=3, state=state) for state in range(2)]
    need(
        np.array_equal(found[0].predictions, found[1].predictions),
        "the same seed gives other predictions; draw from np.random.default_rng(seed) or a torch.Generator seeded with it",
    )


def chooses_honestly(name: str, kind: str) -> None:
    """The validation score that it reports is what its predictions reach on validation."""
    features, data = problem(kind, noise=6.0, tokens_too=True)
    features["test"], data["test"] = features["val"], data["val"]
    score = asked(name, kind, (features, data))
    need(
        abs(score.value - score.val) < 0.02,
        f"it reports {score.val:.3f} on validation, but its predictions reach {score.value:.3f} there; report the score "
        "of what Fitted.predict returns (benchmark.probes.Choice does)",
    )


def sees_no_test(name: str, kind: str) -> None:
    """Test changes nothing that is chosen, rows of test are judged one by one, and what was handed over stays as it was."""
    features, data = problem(kind, noise=6.0, tokens_too=True)
    kept = {part: features[part].pooled.copy() for part in ("train", "val")}
    one = asked(name, kind, (features, data))
    for part, before in kept.items():
        same = np.array_equal(features[part].pooled, before)  # type: ignore[index]
        need(same, f"it writes into the features of {part}; work on a copy, other probes get the same arrays")
    far = Features(features["test"].pooled * 3 - 40, None if (t := features["test"].tokens) is None else t * 3 - 40)
    two = asked(name, kind, ({**features, "test": far}, {**data, "test": _moved(data["test"])}))
    need(
        (one.chosen, one.val) == (two.chosen, two.val),
        "other test rows change what it chooses; choose on validation alone",
    )
    half = data["test"].take(np.arange(100))
    few = Features(features["test"].pooled[:100], None if t is None else t[:100])
    three = asked(name, kind, ({**features, "test": few}, {**data, "test": half}))
    need(
        np.allclose(three.predictions, one.predictions[: len(three.predictions)], rtol=1e-3, atol=1e-3),
        "the score of a test row depends on the other test rows; take means, scales and neighbours from train",
    )


def _moved(data: Data) -> Data:
    return dataclasses.replace(data, x=data.x * 3 - 40)


def lacks_classes(name: str, kind: str) -> None:
    """A class that train does not show has a column of its own and is not predicted; one class alone is refused with a
    sentence, or answered."""
    if kind != "class":
        raise Unasked("no classes")
    features, data = problem(kind, tokens_too=True)
    task = KINDS[kind].name
    for part in ("train", "val"):
        one = data[part]
        label = torch.where(one.labels[task] == CLASSES - 1, -1, one.labels[task])
        data[part] = dataclasses.replace(one, labels={task: label})
    score = asked(name, kind, (features, data))
    need(
        score.predictions.shape == (300, CLASSES) and np.isfinite(score.predictions).all(),
        "where train lacks the last class its predictions are not finite numbers (n, classes); give such a class the "
        "lowest score (benchmark.probes.base.class_count says how many there are)",
    )
    need(
        not (score.predictions.argmax(1) == CLASSES - 1).any(),
        "it predicts a class that train never shows; give such a class the lowest score",
    )
    flat = dataclasses.replace(data["train"], labels={task: torch.zeros(400, dtype=torch.long)})
    remedy = "raise DataError with a sentence when train shows one class only"
    try:
        score = asked(name, kind, (features, {**data, "train": flat}))
    except UsageError as error:
        need(len(str(error).split()) > 5, f"it refuses one class without a sentence ('{error}'); {remedy}")
        return
    except Exception as error:
        raise Fault(f"it crashes with {type(error).__name__} when train shows one class only; {remedy}") from error
    need(
        np.isfinite(score.predictions).all() and not score.predictions.argmax(1).any(),
        f"it answers with another class although train shows one class only; {remedy}",
    )


CONTRACTS = (finds, guesses, repeats, chooses_honestly, sees_no_test, lacks_classes)
