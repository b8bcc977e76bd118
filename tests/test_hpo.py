"""Tuning: the same room for all, blind to test scores, reproducible, resumable; rows that say how much they had."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from test_leaderboard import fresh, only
from test_leaderboard import write as plant
from toybox import TINY, TOY, toys
from waves import Waves

from benchmark import hpo, leaderboard, record, space, tuned
from benchmark.__main__ import main
from benchmark.cell import Cell, is_stale, resolve
from benchmark.hpo import Search
from benchmark.space import Dimension
from jepakit.pretrain import Training, build
from jepakit.registry import datasets, methods
from jepakit.types import PARTS, Size, Task, UsageError

DATA = {part: part[0] * 64 for part in PARTS}
OWN = ("--plugin", str(TOY), "--jobs", "1")


@pytest.fixture(autouse=True)
def box() -> Iterator[None]:
    with toys():
        yield


def cell(method: str = "toy-ae") -> Cell:
    return resolve("toy/toy", method, "quick", tuned.SEED, dict(w.split("=") for w in TINY) | {"probe": "linear"}, DATA)


def search(method: str = "toy-ae", *tasks: Task) -> Search:
    modality = datasets["toy/toy"].make(None)
    modality.tasks = tasks or modality.tasks
    return Search(cell(method), modality)


class Sealed(dict[str, Any]):
    """A score whose test value must not be read."""

    def __getitem__(self, name: str) -> Any:
        assert name != "value", "the test score was read"
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        assert name != "value", "the test score was read"
        return super().get(name, default)


Judge = Callable[[Cell], float | None]


def runs(judge: Judge, test: float = 0.0, seen: list[Cell] | None = None) -> hpo.Run:
    """Instead of training: records whose validation score is ``judge``'s, out of order, with a sealed test score."""

    def run(cells: Sequence[Cell]) -> list[Any]:
        out = []
        for one in reversed(cells):
            value = judge(one)
            score = Sealed(
                task="kind", probe="linear", metric="macro_f1", value=test, val=value, headline=True, nuisance=False
            )
            other = Sealed(score | {"probe": "knn", "val": 99.0})
            status = "nan" if value is None else "collapsed" if value > 100 else "ok"
            out.append({"key": one.key, "status": status, "reason": None, "scores": [other, score] if value else []})
            if seen is not None:
                seen.append(one)
        return out

    return run


def peak(one: Cell) -> float:
    """Best at lr = .02 (published: .007)."""
    return 1 - abs(one.training.lr - 0.02)


# --- the space -------------------------------------------------------------------------------------------------------

TRAINED = [name for name in methods if methods[name].info["family"] != "reference"]


@pytest.mark.parametrize("name", TRAINED)
def test_every_method_has_equally_much_room(name: str) -> None:
    dimensions = space.space(name)
    assert [one.key for one in dimensions[:2]] == ["train.lr", "train.weight_decay"]
    assert [one.values for one in dimensions[:2]] == [(0.2, 5.0), (0.1, 10.0)]
    assert len(dimensions) == space.SIZE == 3 and len({one.key for one in dimensions}) == 3
    base = resolve("ecg/simulated", name, "quick", 0, {}, DATA)
    try:
        build(name, Waves(), Size(32, 2, 2, 16, 2, 2, steps=50), 0)
    except UsageError:
        pytest.skip("needs another modality")
    for at in (0, -1):
        words = space.words(base, dimensions, {one.key: one.values[at] for one in dimensions})
        there = resolve("ecg/simulated", name, "quick", 0, words, DATA)
        assert there.training.lr == pytest.approx(base.training.lr * (0.2, 5.0)[at], rel=1e-3)
        ends = [end * (0.1, 10.0)[at] for end in base.training.weight_decay]
        assert there.training.weight_decay == pytest.approx(ends if any(ends) else [0.05 * (0.1, 10)[at]] * 2, rel=1e-3)
        build(name, Waves(), Size(32, 2, 2, 16, 2, 2, steps=50), 0, dict(there.settings))
        own = dimensions[2].key
        changed = there.settings if own.startswith("recipe.") else {}
        assert own.partition(".")[2] in changed or own == "train.warmup"


def test_references_have_nothing_to_tune() -> None:
    references = ["moments", "random_init", "raw_features", "tangent", "toy-still"]
    assert [name for name in methods if not space.tunable(name)] == references


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ({"recipe.at": (0.1, 0.5, "log"), "train.warmup": (0.1, 0.2, "log")}, "exactly one setting"),
        ({"train.lr": (1e-4, 1e-2, "log")}, "exactly one setting"),
        ({"recipe.gone": (0.1, 0.5, "log")}, "recipe.gone"),
        ({"train.steps": (10, 20, "int")}, "no budget"),
        ({"size.dim": (8, 16, "int")}, "size.dim"),
        ({"recipe.at": (0.5, 0.1, "log")}, "low, high, scale"),
        ({"recipe.at": (0.0, 0.1, "log")}, "low, high, scale"),
        ({"recipe.at": (0.1, 0.2, "square")}, "low, high, scale"),
        ({"recipe.at": (0.1, "choice")}, "low, high, scale"),
    ],
)
def test_an_unfair_or_wrong_space_is_refused(declared: dict[str, Any], words: str) -> None:
    kept = methods["toy-ae"]
    methods.register("toy-wide", family="jepa", space=declared)(kept.make)
    with pytest.raises(UsageError, match=words):
        space.space("toy-wide")


def test_points_become_words() -> None:
    assert Dimension("train.weight_decay", (0.1, 10.0), "factor").text(2.0, (0.04, 0.4)) == "0.08,0.8"
    assert Dimension("recipe.keep", (0.1, 10.0), "log").text(0.123456, 0.5) == "0.1235"
    assert Dimension("recipe.targets", (2, 6), "int").text(4, 3) == "4"
    assert Dimension("recipe.blocks", (True, False), "choice").text(False, True) == "false"
    assert Dimension("recipe.blocks", (True, False), "choice").holds(True) is True
    assert Dimension("recipe.keep", (0.1, 0.5), "log").holds(0.7) is None
    assert Dimension("recipe.random", (0.1, 0.5), "log").holds(None) is None
    base = cell()
    assert space.published(base, "recipe.at") == 0.5 and space.published(base, "train.lr") == 7e-3
    assert space.published(base, "train.weight_decay") == (0.05, 0.05)
    zero = resolve("toy/toy", "toy-ae", "quick", 0, {"train.weight_decay": "0,0"}, DATA)
    assert space.published(zero, "train.weight_decay") == Training().weight_decay


# --- the search ------------------------------------------------------------------------------------------------------


def test_the_best_validation_score_wins_and_test_scores_are_not_seen(tmp_path: Path) -> None:
    cells: list[Cell] = []
    (found,) = hpo.tune([search()], 12, tmp_path / "a", runs(peak, seen=cells))
    assert len(cells) == len(found.trials) == 12 and {one.seed for one in cells} == {1000}
    values = [1 - abs(one.training.lr - 0.02) for one in cells]
    by_key = {one.key: one for one in cells}
    assert found.trials[0].settings == {} and by_key[found.trials[0].key].training.lr == 7e-3
    chosen = by_key[found.trials[found.chosen].key]
    assert 1 - abs(chosen.training.lr - 0.02) == max(values) > values[0]
    assert float(found.settings["train.lr"]) == chosen.training.lr
    assert all(7e-3 / 5.01 <= one.training.lr <= 7e-3 * 5.01 for one in cells)
    assert all(0.0199 <= one.training.warmup <= 0.401 for one in cells)
    # other test scores, another order of running: the same file
    hpo.tune([search()], 12, tmp_path / "b", runs(peak, test=0.9))
    files = [path for name in "ab" for path in (tmp_path / name).rglob("*.json")]
    assert len(files) == 2 and files[0].read_bytes() == files[1].read_bytes()
    stored = json.loads(files[0].read_text())
    assert stored["part"] == "val" and set(stored["space"]) == {"train.lr", "train.weight_decay", "train.warmup"}
    assert stored["space"]["train.lr"] == [0.2, 5.0, "factor"]


def test_lower_is_better_where_the_metric_says_so(tmp_path: Path) -> None:
    (found,) = hpo.tune([search("toy-ae", Task("size", "regression", "rmse"))], 6, tmp_path, runs(peak))
    values = [one.value for one in found.trials if one.value is not None]
    assert found.trials[found.chosen].value == min(values) and not found.higher_is_better


def test_failed_and_collapsed_trials_count_but_are_never_chosen(tmp_path: Path) -> None:
    seen: list[Cell] = []

    def judge(one: Cell) -> float | None:
        return None if one.training.lr > 0.012 else 101.0 if one.training.lr > 0.008 else peak(one)

    (found,) = hpo.tune([search()], 12, tmp_path / "a", runs(judge, seen=seen))
    assert {one.status for one in found.trials} == {"ok", "nan", "collapsed"} and len(found.trials) == 12
    best = max(value for one in seen if (value := judge(one)) is not None and value < 100)
    assert found.trials[found.chosen].value == best
    (found,) = hpo.tune([search()], 4, tmp_path / "b", runs(lambda one: None))
    assert (found.chosen, dict(found.settings), found.word) == (0, {}, "4")


def test_settings_that_cannot_be_built_are_failed_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(one: Cell, modality: Any) -> None:
        if one.training.lr > 0.01:
            raise UsageError("too fast")

    monkeypatch.setattr("benchmark.plan.buildable", refuse)
    seen: list[Cell] = []
    (found,) = hpo.tune([search()], 10, tmp_path, runs(peak, seen=seen))
    lost = [one for one in found.trials if one.status == "error"]
    assert lost and len(seen) + len(lost) == 10 and {one.reason for one in lost} == {"too fast"}
    assert all(one.training.lr <= 0.01 for one in seen)


def test_more_trials_continue_a_search_and_every_method_gets_as_many(tmp_path: Path) -> None:
    (few,) = hpo.tune([search()], 5, tmp_path, runs(peak))
    many = hpo.tune([search(), search("toy-collapse")], 11, tmp_path, runs(peak))
    assert [len(one.trials) for one in many] == [11, 11]
    assert many[0].trials[:4] == few.trials[:4]
    # the fifth was asked for alone: rounds are cut at the last trial only, so it is the same too
    assert many[0].trials[4] == few.trials[4]
    assert many[0].trials[1].settings != many[1].trials[1].settings  # a seed of their own


# --- the command -----------------------------------------------------------------------------------------------------


def tune(results: Path, *words: str) -> int:
    return main(["hpo", "toy", *words, *TINY, "--results", str(results), *OWN])


def test_from_trials_to_marked_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune(tmp_path, "method=toy-ae", "trials=3") == 0
    out = capsys.readouterr().out
    assert "validation 0." in out and "macro_f1 0." not in out, "nobody watches test scores while tuning"
    (path,) = (tmp_path / "hpo").rglob("*.json")
    assert path.parent == tmp_path / "hpo" / "toy" / "toy" / "quick" and path.name.startswith("toy-ae.")
    stored = json.loads(path.read_text())
    trials = record.load_all(tmp_path / ".hpo")
    curves = {path.parent.name.rpartition("-")[2] for path in (tmp_path / ".hpo" / ".logs").rglob("events.*")}
    assert curves == {one["key"] for one in trials}, "every trial has its curves"
    vals = {r["key"]: s["val"] for r in trials for s in r["scores"] if s["headline"] and s["probe"] == "linear"}
    assert [one["value"] for one in stored["trials"]] == [vals[one["key"]] for one in stored["trials"]]
    before = path.read_bytes()
    assert tune(tmp_path, "method=toy-ae", "trials=3") == 0
    assert "cached" in capsys.readouterr().out and path.read_bytes() == before
    assert record.load_all(tmp_path) == [], "trials are no rows"

    words = ["run", "toy", *TINY, "seeds=2", "--results", str(tmp_path), *OWN]
    assert main([*words, "method=toy-ae,toy-still", "tuned=yes"]) == 0
    assert main([*words, "method=toy-ae,toy-still"]) == 0
    out = capsys.readouterr().out
    out = " ".join(out.split())
    assert "‡ fewer than 3 trials of tuning" in out and "toy-ae ‡" in out and "toy-ae tuned ‡" not in out
    found = [one for one in record.load_all(tmp_path) if one["method"] == "toy-ae"]
    assert len(found) == 4 and not any(is_stale(one) for one in found)
    wanted = stored["settings"]
    for one in found:
        if one["variant"].endswith("tuned"):
            assert one["overrides"]["tuned"] == stored_word(stored)
            if wanted:
                assert one["training"]["lr"] == float(wanted["train.lr"])
                assert one["training"]["warmup"] == float(wanted["train.warmup"])
        else:
            assert one["training"]["lr"] == 7e-3
    rows = {(x["method"], x["variant"]): x["hpo_trials"] for x in boards(tmp_path)}
    assert rows == {("toy-ae", "tuned"): "3", ("toy-ae", ""): "0", ("toy-still", ""): "0", ("chance", ""): "0"}
    page = (tmp_path / "leaderboard_toy.md").read_text()
    assert "toy-ae ‡" in page.replace("*", "") and "‡ fewer than the 3 trials" in page


def stored_word(stored: dict[str, Any]) -> str:
    return " ".join([str(len(stored["trials"])), *(f"{k}={v}" for k, v in sorted(stored["settings"].items()))])


def boards(results: Path) -> list[dict[str, str]]:
    from test_leaderboard import read

    return read(results / "leaderboard_toy.csv")


def test_nothing_is_tuned_silently(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "toy", *TINY, "tuned=yes", "--results", str(tmp_path), *OWN]
    assert main([*words, "method=toy-ae", "seeds=1"]) == 3
    said = capsys.readouterr().err
    assert "first run `python -m benchmark hpo toy dataset=toy method=toy-ae preset=quick" in said
    command = said.split("`python -m benchmark ")[1].split("`")[0].split()
    assert main([*command, "trials=2", "--results", str(tmp_path), *OWN]) == 0
    assert main([*words, "method=toy-ae", "seeds=1"]) == 0
    assert main([*words, "method=toy-ae", "seed=1000"]) == 3
    assert "takes other seeds" in capsys.readouterr().err
    for path in (tmp_path / "hpo").rglob("*.json"):
        path.write_text(path.read_text().replace('"chosen": ', '"chosen": 7'))
    assert main([*words, "method=toy-ae", "seeds=1"]) == 3
    assert "is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("seed=1",), "seed is not for tuning"),
        (("probe=knn",), "probe is not for tuning"),
        (("tuned=yes",), "tuned is not for tuning"),
        (("trials=1",), "from 2 on"),
        (("trials=many",), "whole number"),
        (("train.lr=1",), "train.lr is what tuning changes"),
        (("method=toy-still",), "nothing to tune"),
    ],
)
def test_wrong_requests(tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str) -> None:
    method = () if any(word.startswith("method=") for word in words) else ("method=toy-ae",)
    assert tune(tmp_path, *method, *words) == 3
    assert said in capsys.readouterr().err


def test_a_dry_run_shows_the_space_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tune(tmp_path / "r", "method=toy-ae", "trials=4", "--dry-run") == 0
    out = capsys.readouterr().out
    assert "train.warmup" in out and "0.0014" in out and "0.035" in out  # .007 / 5 and .007 · 5
    assert not (tmp_path / "r").exists()


def test_a_search_without_any_good_trial_ends_with_two(tmp_path: Path) -> None:
    assert tune(tmp_path, "method=toy-nan", "trials=2") == 2


# --- rows on a board -------------------------------------------------------------------------------------------------


def test_rows_of_two_searches_never_mix(tmp_path: Path) -> None:
    for seed in range(3):
        plant(tmp_path, "ijepa", seed, skill=0.5, overrides={"tuned": "4 train.lr=0.1"})
    plant(tmp_path, "ijepa", 0, skill=0.9, overrides={"tuned": "8 train.lr=0.2"}, created="2026-02-01T00:00:00+00:00")
    plant(tmp_path, "ijepa", 0, skill=0.7)
    leaderboard.rebuild(tmp_path, stale=fresh)
    row, plain = only(tmp_path, "ijepa", variant="tuned"), only(tmp_path, "ijepa", variant="")
    assert (row["hpo_trials"], row["n_seeds"], row["rank"]) == ("8", "1", "1") and float(row["mean"]) > 0.8
    assert (plain["hpo_trials"], plain["rank"]) == ("0", "2")


def test_a_tuned_cell_is_a_cell_of_its_own_with_the_same_encoder() -> None:
    plain = resolve("toy/toy", "toy-ae", "quick", 0, {"train.lr": "0.01"}, DATA)
    chosen = resolve("toy/toy", "toy-ae", "quick", 0, {"tuned": "8 train.lr=0.01"}, DATA)
    assert plain.training == chosen.training and plain.encoder_key == chosen.encoder_key
    assert plain.key != chosen.key != resolve("toy/toy", "toy-ae", "quick", 0, {"tuned": "9 train.lr=0.01"}, DATA).key
    assert (plain.variant, chosen.variant) == ("train.lr=0.01", "tuned")
    assert (tuned.trials(chosen.overrides), tuned.trials(plain.overrides)) == (8, 0)
