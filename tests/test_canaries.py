"""Leak canaries: units apart over parts, no exact copy in two parts, permuted labels at chance; and that they can sing."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier

import modalities  # noqa: F401 - registers
from benchmark.request import is_embedded
from jepakit.registry import datasets
from jepakit.types import PARTS, Data, Part

EMBEDDED = [name for name in datasets if is_embedded(name) and not name.startswith("toy/")]
# Data sets that take more than a few seconds to make.
HEAVY = {name for name in EMBEDDED if name.partition("/")[0] != "tabular"}
ROWS, WIDTH = 1500, 64  # of what the probe sees: a leak that matters shows in that many

Parts = Mapping[Part, Data]


def shared_units(parts: Parts) -> list[tuple[str, str, str]]:
    """(part, part, unit) of every unit in two parts."""
    units = {part: set(map(str, data.unit)) for part, data in parts.items()}
    pairs = [(a, b) for k, a in enumerate(PARTS) for b in PARTS[k + 1 :]]
    return [(a, b, unit) for a, b in pairs for unit in sorted(units[a] & units[b])]


def copies(parts: Parts) -> list[tuple[str, int, str, int]]:
    """(part, row, part, row) of every input that is in two parts bit by bit."""
    home: dict[bytes, tuple[str, int]] = {}
    found = []
    for part in PARTS:
        x = parts[part].x.contiguous()
        rows = x.reshape(len(x), -1).numpy()
        for row in range(len(rows)):
            first = home.setdefault(rows[row].tobytes(), (part, row))
            if first[0] != part:
                found.append((*first, part, row))
    return found


def seen(data: Data) -> np.ndarray:
    """Inputs of the first rows as numbers (n, WIDTH): seeded random projections of what is stored."""
    x = data.x[:ROWS].float().reshape(min(ROWS, len(data.x)), -1).nan_to_num()
    direction = torch.randn(x.shape[1], WIDTH, generator=torch.Generator().manual_seed(0))
    return (x @ direction / x.shape[1] ** 0.5).numpy()


def permuted(label: np.ndarray, unit: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Labels (n,) drawn anew for every unit: those of one row of another unit, so that shares stay about the same."""
    names, which = np.unique(unit, return_inverse=True)
    pool = label[random.permutation(len(label))[: len(names)]] if len(names) <= len(label) else label
    return pool[which % len(pool)]


def canary(parts: Parts, label: Mapping[Part, np.ndarray]) -> tuple[float, float]:
    """How far above chance, and three standard errors over test units, a linear probe is where labels are permuted by unit.

    Chance is what the same predictions score against other permutations: class shares and units are as they are.
    """
    random = np.random.default_rng(0)
    units = {part: parts[part].unit[:ROWS] for part in ("train", "test")}
    known = {part: permuted(label[part][:ROWS], units[part], random) for part in ("train", "test")}
    if len(set(known["train"].tolist())) < 2:
        return 0.0, 1.0
    x = {part: seen(parts[part]) for part in ("train", "test")}
    scale = x["train"].std(0) + 1e-6
    probe = RidgeClassifier(1.0).fit(x["train"] / scale, known["train"])
    said = probe.predict(x["test"] / scale)
    others = [(said == permuted(label["test"][:ROWS], units["test"], random)).mean() for _ in range(200)]
    return float((said == known["test"]).mean() - np.mean(others)), 3 * float(np.std(others)) + 1e-6


def check(parts: Parts, tasks: tuple[str, ...]) -> None:
    assert not shared_units(parts)
    assert not copies(parts)
    for name in tasks:
        above, margin = canary(parts, {part: parts[part].labels[name].numpy() for part in ("train", "test")})
        assert abs(above) <= margin, (
            f"permuted labels of '{name}' are told {above:+.3f} from chance (3 SE: {margin:.3f})"
        )


def loaded(name: str) -> tuple[Parts, tuple[str, ...]]:
    modality = datasets[name].make()
    tasks = tuple(t.name for t in modality.tasks if t.kind == "class" and not t.nuisance)
    return {part: modality.data(part) for part in PARTS}, tasks[:1]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in HEAVY else []) for name in EMBEDDED]
)
def test_an_embedded_data_set_leaks_nothing(name: str) -> None:
    check(*loaded(name))


def rows(n: int, seed: int, unit: str) -> Data:
    random = np.random.default_rng(seed)
    x, label = random.standard_normal((n, 8)).astype(np.float32), random.integers(0, 2, n)
    return Data(torch.from_numpy(x), {"kind": torch.from_numpy(label)}, np.array([f"{unit}{k // 2}" for k in range(n)]))


def test_the_canaries_sing_of_planted_leaks() -> None:
    parts: dict[Part, Data] = {"train": rows(300, 0, "a"), "val": rows(100, 1, "b"), "test": rows(200, 2, "c")}
    check(parts, ("kind",))
    both = {**parts, "test": rows(200, 2, "a")}
    assert shared_units(both)[0][:2] == ("train", "test")
    with_copy = rows(200, 2, "c")
    with_copy.x[7] = parts["train"].x[3]
    assert copies({**parts, "test": with_copy}) == [("train", 3, "test", 7)]


def test_a_label_in_the_input_is_told_when_it_is_permuted_with_it() -> None:
    """The canary probes what is stored: a column that carries the permuted answer is far from chance."""
    parts: dict[Part, Data] = {"train": rows(400, 0, "a"), "val": rows(100, 1, "b"), "test": rows(400, 2, "c")}
    random = np.random.default_rng(0)  # the canary's own draws
    for part in ("train", "test"):
        told = permuted(parts[part].labels["kind"].numpy(), parts[part].unit, random)
        parts[part].x[:] += 9 * torch.from_numpy(told[:, None].astype(np.float32) - 0.5)
    above, margin = canary(parts, {part: parts[part].labels["kind"].numpy() for part in ("train", "test")})
    assert above > 0.3 > margin
