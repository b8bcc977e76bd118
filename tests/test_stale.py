"""Stale rows: an edit lists exactly its rows, with the stage it changed, the cost and a command that mends them."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from toybox import TINY, TOY, toys

from benchmark import cache, record, source, stale
from benchmark.__main__ import main
from benchmark.stale import FEATURES, PRETRAINING, PROBES, UNKNOWN

PLUGIN = ("--plugin", str(TOY))
OWN = (*PLUGIN, "--jobs", "1")
COST = {"pretrain_s": 10.0, "features_s": 3.0, "probe_s": 2.0}


@pytest.fixture(autouse=True)
def box() -> Iterator[None]:
    with toys():
        yield


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods with two seeds each, one of them with the probe knn only."""
    results = tmp_path_factory.mktemp("ran")
    with toys():
        for method, probe in (("toy-ae", "linear,knn"), ("toy-still", "knn")):
            words = ["run", "toy", f"method={method}", f"probe={probe}", "seeds=2", *TINY]
            assert main([*words, "--results", str(results), *OWN]) == 0
    return results


def edited(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """As if the code of these files were another: every digest that covers one of them changes."""
    code = source.code

    def other(path: Path) -> str:
        return code(path) + ("# edited\nx = 1" if path.name in names else "")

    monkeypatch.setattr(source, "code", other)
    monkeypatch.setattr(source, "_digests", {})  # as in a process that starts after the edit
    folders = [source.CHECKOUT / name for name in source.PACKAGES]
    assert set(names) <= {path.name for folder in folders for path in folder.rglob("*.py")}


def rows(results: Path) -> list[stale.StaleRow]:
    return stale.rows(record.load_all(results), results, stale.Stages())


def told(found: Iterable[stale.StaleRow]) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(one.method, one.stage, one.seeds) for one in found]


def test_nothing_is_stale_without_an_edit(ran: Path) -> None:
    assert rows(ran) == []


@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        ("linear.py", [("toy-ae", PROBES, (0, 1))]),
        ("knn.py", [("toy-ae", PROBES, (0, 1)), ("toy-still", PROBES, (0, 1))]),
        ("features.py", [("toy-ae", FEATURES, (0, 1)), ("toy-still", FEATURES, (0, 1))]),
        ("schedules.py", [("toy-ae", PRETRAINING, (0, 1)), ("toy-still", PRETRAINING, (0, 1))]),
        ("ijepa.py", []),
        ("leaderboard.py", []),
    ],
)
def test_an_edit_lists_exactly_its_rows(
    ran: Path, monkeypatch: pytest.MonkeyPatch, file: str, wanted: list[Any]
) -> None:
    edited(monkeypatch, file)
    assert told(rows(ran)) == wanted


def test_one_method_edited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Methods in files of their own, one file edited on disk."""
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(
            "from jepakit.registry import methods\n"
            f"@methods.register('toy-{name}', family='jepa', augmentation='none')\n"
            "def make(modality, size):\n    return methods['toy-ae'].make(modality, size)\n"
        )
    more = [word for name in ("one", "two") for word in ("--plugin", str(tmp_path / f"{name}.py"))]
    results = tmp_path / "r"
    words = ["run", "toy", "method=toy-one,toy-two", "seeds=1", *TINY, "--results", str(results), *OWN, *more]
    assert main(words) == 0
    assert rows(results) == []
    path = tmp_path / "two.py"
    path.write_text(path.read_text() + "# a remark\n")
    assert rows(results) == [], "a comment changes nothing"
    path.write_text(path.read_text() + "WIDTH = 3\n")
    assert told(rows(results)) == [("toy-two", PRETRAINING, (0,))]


def plant(results: Path, method: str, seed: int, **changes: Any) -> record.Record:
    """A finished record of today's code with a known cost."""
    from benchmark.cell import resolve
    from benchmark.outcome import Outcome, describe

    data = {part: part[0] * 64 for part in ("train", "val", "test")}
    cell = resolve("toy/toy", method, "quick", seed, changes.pop("overrides", {}), data)
    score = {
        "task": "kind", "kind": "class", "probe": "linear", "metric": "macro_f1", "value": 0.5, "val": 0.5, "chosen": {},
        "headline": True, "nuisance": False,
    }  # fmt: skip
    return record.save(results, {**describe(cell, Outcome(scores=[score], cost=dict(COST))), **changes})


def test_costs_count_from_the_stage_that_changed_and_what_the_cache_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from benchmark.cell import again

    one = plant(tmp_path, "toy-ae", 0)
    stored = cache.Cache(tmp_path)

    def cost(where: str) -> float | None:
        return stale.seconds(one, where, stored)

    assert [cost(where) for where in (PRETRAINING, FEATURES, PROBES)] == [15.0, 15.0, 15.0], "nothing is cached"
    key = again(one).encoder_key
    stored.encoders.mkdir(parents=True)
    (stored.encoders / f"{key}.json").write_text("{}")
    (stored.encoders / f"{key}.safetensors").write_text("")
    assert [cost(where) for where in (PRETRAINING, FEATURES, PROBES)] == [15.0, 5.0, 5.0]
    stored.features.mkdir(parents=True)
    (stored.features / f"{again(one).feature_key}.npz").write_text("")
    assert [cost(where) for where in (PRETRAINING, FEATURES, PROBES)] == [15.0, 5.0, 2.0]
    assert stale.seconds({**one, "cost": {"wall_s": 4.0}}, PROBES, stored) == 4.0
    assert stale.seconds({**one, "cost": {}}, PROBES, stored) is None


def test_listing_totals_and_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in (0, 1):
        plant(tmp_path, "toy-ae", seed)
        plant(tmp_path, "toy-still", seed)
    plant(tmp_path, "toy-ae", 0, overrides={"tuned": "4 train.lr=0.01"})
    plant(tmp_path, "toy-ae", 0, overrides={"train.lr": "0.02", "recipe.pair": "0,1"})
    gone = {**plant(tmp_path / "elsewhere", "toy-ae", 7), "method": "toy-gone"}
    record.save(tmp_path, gone)
    board = ["board", "--stale", "--results", str(tmp_path), *PLUGIN]
    assert main(board) == 0
    out = capsys.readouterr().out
    assert "toy-gone" in out and UNKNOWN in out and "benchmark run" not in out and "15 s one after another" in out, out
    monkeypatch.setattr("benchmark.cell.SUITE", 99)
    assert main(board) == 0
    out = capsys.readouterr().out
    assert "1 min 45 s one after another" in out  # seven records of 15 s, one of them of an unknown method
    lines = [line for line in out.splitlines() if line.startswith("python -m benchmark run")]
    assert sorted(lines) == [
        "python -m benchmark run toy dataset=toy method=toy-ae preset=quick seed=0 recipe.pair=0,1 train.lr=0.02",
        "python -m benchmark run toy dataset=toy method=toy-ae preset=quick seed=0 tuned=yes",
        "python -m benchmark run toy dataset=toy method=toy-ae,toy-still preset=quick seed=0,1",
    ]
    assert not list(tmp_path.glob("*.csv")), "--stale writes nothing"


def test_the_shown_command_mends_the_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "toy", "method=toy-ae", "seeds=1", *TINY, "--results", str(tmp_path), *OWN]
    assert main(words) == 0
    edited(monkeypatch, "knn.py")
    capsys.readouterr()
    assert main(["board", "toy", "--results", str(tmp_path), *PLUGIN]) == 0
    out = capsys.readouterr().out
    assert "older code" in out and PROBES in out and (tmp_path / "leaderboard_toy.csv").is_file()
    (command,) = [line for line in out.splitlines() if line.startswith("python -m benchmark run")]
    assert main([*shlex.split(command)[3:], "--results", str(tmp_path), *OWN]) == 0
    assert rows(tmp_path) == []
    capsys.readouterr()
    assert main(["board", "--stale", "--results", str(tmp_path), *PLUGIN]) == 0
    assert "nothing is stale" in capsys.readouterr().out
    assert main(["board", "--stale", "--bradley-terry", "--results", str(tmp_path)]) == 3


def test_a_seed_with_a_fresh_record_is_not_listed(tmp_path: Path) -> None:
    plant(tmp_path, "toy-ae", 0)
    plant(tmp_path, "toy-ae", 0, key="0" * 16)
    plant(tmp_path, "toy-ae", 1, key="1" * 16)
    assert told(rows(tmp_path)) == [("toy-ae", PROBES, (1,))]
