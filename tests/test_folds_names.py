"""Names of folds: all of them by one word, those that do not exist, and the convention of data sets that have folds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from toybox import TOY, toys

from benchmark import folds, plugin, request
from benchmark.__main__ import main
from jepakit.registry import datasets

K = 4
FOLDED = TOY.with_name("folded.py")
PLUGINS = ("--plugin", str(TOY), "--plugin", str(FOLDED))


@pytest.fixture(autouse=True)
def box() -> Iterator[None]:
    with toys():
        plugin.load(FOLDED)
        yield


def test_all_folds_are_asked_for_by_one_name() -> None:
    every = ("ring-fold1", "ring-fold2", "ring-fold3", "ring-fold4")
    asked = request.parse(["toy", "dataset=ring-folds,toy"])
    assert (asked.datasets, asked.boards) == ((*every, "toy"), ("ring-folds", "toy"))
    assert request.parse(["toy", "dataset=ring-fold3,ring-folds"]).boards == ("ring-folds",)
    asked = request.parse(["toy", "dataset=ring-fold3,ring-fold1"])
    assert asked.datasets == asked.boards == ("ring-fold3", "ring-fold1")
    assert not {"ring-fold1", "ring-folds"} & set(request.parse(["toy", "dataset=all"]).datasets)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("ring-fold9", "there are ring-fold1 … ring-fold4, and ring-folds for all of them"),
        ("ring-fold0", "there are ring-fold1 … ring-fold4"),
        ("ring-fold", "there are ring-fold1 … ring-fold4"),
        ("toy-folds", "'toy' has no folds (those that have: ring); say dataset=toy"),
        ("toy-fold1", "'toy' has no folds"),
        ("rnig-folds", "did you mean 'ring-folds'?"),
    ],
)
def test_folds_that_do_not_exist(name: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "toy", f"dataset={name}", *PLUGINS]) == 3
    error = capsys.readouterr().err
    assert sentence in error and error.count("\n") == 1


def test_names_lead_to_folds_boards_and_files() -> None:
    assert folds.fold("toy", "ring-fold3") == folds.Fold("ring", 3, K)
    for name in ("ring", "toy", "ring-folds", "ring-fold9", "nothing"):
        assert folds.fold("toy", name) is None
    assert [folds.board("toy", name) for name in ("ring-fold2", "ring", "gone")] == ["ring-folds", "ring", "gone"]
    assert [folds.origin("toy", name) for name in ("ring-fold2", "ring-folds", "ring", "x-folds")] == [
        "ring", "ring", "ring", "x-folds",
    ]  # fmt: skip


def test_every_registered_data_set_with_folds_keeps_the_convention() -> None:
    having = [name for name in datasets if getattr(datasets[name].make, "folds", 0)]
    assert "toy/ring" in having
    for name in having:
        modality, _, short = name.partition("/")
        found = folds.members(modality, f"{short}{folds.ALL}")
        assert len(found) == datasets[name].make.folds > 1
        for one in found:
            make = datasets[f"{modality}/{one}"].make
            assert (make.dataset, make.card) == (one, datasets[name].make.card), "the name that its records carry"
