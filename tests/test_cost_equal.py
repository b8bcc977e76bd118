"""Boards of equal FLOPs and equal seconds: inverse proportion, the same plan every time, never mixed with others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_flops import Planned, planned, toy_cell
from test_leaderboard import board as lines
from test_leaderboard import fresh, read, write
from toybox import toys

from benchmark import budget, equal, leaderboard, record, request
from benchmark.__main__ import main
from benchmark.board import boards
from benchmark.cell import is_stale
from benchmark.equal import rounded, step_seconds
from benchmark.plan import Plan, plan
from jepakit.registry import datasets, methods
from jepakit.types import Batch, Losses, Size, UsageError

SMALL = ("train.batch_size=4", "size.dim=8", "size.depth=1")


@pytest.fixture(autouse=True)
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Rows whose step costs a known number of the same product: 2 (the reference), 1, 5, and 5 in a quarter of the run."""
    with toys():
        planned((1.0,), (2,), "two")
        planned((1.0,), (1,), "one")
        planned((1.0,), (5,), "five")
        planned((0.75, 0.25), (1, 5), "mixed")
        planned((1.0,), (1,), "often", accumulate=4)
        monkeypatch.setattr(budget, "REFERENCE", "two")
        yield


def ask(results: Path, *words: str, **options: Any) -> Plan:
    return plan(request.parse(["toy", *SMALL, *words]), None, results, **options)


def steps(made: Plan) -> dict[str, int]:
    return {cell.method: cell.training.steps for cell in made.cells}


def test_steps_are_inverse_to_flops(tmp_path: Path) -> None:
    made = ask(tmp_path, "method=one,two,five,mixed,often,toy-still", "budget=flops", "train.steps=1000", "seeds=2")
    # 2 products × 1000 steps for every row: mixed costs 0.75 · 1 + 0.25 · 5 = 2, often 4 · 1.
    assert steps(made) == {"one": 2000, "two": 1000, "five": 400, "mixed": 1000, "often": 500, "toy-still": 1000}
    assert len(made.cells) == 12 and {cell.budget for cell in made.cells} == {"flops"}
    assert all(cell.size.steps == cell.training.steps for cell in made.cells)  # recipes see the steps they get


def test_the_same_request_plans_the_same_cells(tmp_path: Path) -> None:
    words = ("method=one,five", "budget=flops", "train.steps=333", "seeds=2")
    first = [cell.key for cell in ask(tmp_path / "a", *words).cells]
    assert [cell.key for cell in ask(tmp_path / "a", *words).cells] == first
    assert [cell.key for cell in ask(tmp_path / "b", *words, remember=False).cells] == first
    assert not (tmp_path / "b").exists()


def test_a_budget_word_changes_the_key_of_a_row_that_keeps_its_steps(tmp_path: Path) -> None:
    plain, flops = (ask(tmp_path, "method=two", "seeds=1", *more).cells[0] for more in ((), ("budget=flops",)))
    assert plain.training == flops.training
    assert plain.key != flops.key
    assert plain.encoder_key == flops.encoder_key  # it is not trained twice
    assert ask(tmp_path, "method=two", "seeds=1", "budget=samples").cells[0].key == plain.key


@pytest.mark.slow
def test_too_few_steps_are_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"'five' on toy/toy would take 8 steps .* 20 steps of 'two'; raise train.steps"
    ):
        ask(tmp_path, "method=one,five", "budget=flops", "train.steps=20")
    del methods._entries["toy-die"]  # it would end this process; the box puts it back
    everything = ask(tmp_path, "budget=flops", "train.steps=20")  # all methods: what cannot be had is left out
    assert "would take 8 steps" in everything.skipped["five on toy/toy"]
    assert "cannot be measured" in everything.skipped["toy-crash on toy/toy"]
    assert steps(everything)["one"] == 40


def test_a_reference_row_that_cannot_run_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "REFERENCE", "toy-crash")
    with pytest.raises(UsageError, match=r"budget=flops measures rows by 'toy-crash', which cannot run on toy/toy"):
        ask(tmp_path, "method=one", "budget=flops")


@pytest.mark.parametrize(
    ("word", "sentence"), [("budget=flop", "did you mean 'flops'"), ("budget.steps=9", "did you mean 'budget'")]
)
def test_wrong_words(word: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        request.parse(["toy", word])


def test_boards_of_another_budget_stand_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> str:
        options = ["--results", str(tmp_path), "--jobs", "1", "--device", "cpu"]
        command = ["run", "toy", *SMALL, "method=one,two,toy-still", "seeds=1", "probe=linear", "train.steps=12"]
        assert main([*command, *words, *options]) == 0
        return capsys.readouterr().out

    run()
    said = run("budget=flops")
    assert "equal training FLOPs" in " ".join(said.split()) and "two" in said
    found = record.load_all(tmp_path)
    assert len(found) == 6 and not any(is_stale(one) for one in found)
    rows = [
        row for row in read(tmp_path / "leaderboard_toy.csv") if (row["task"], row["metric"]) == ("kind", "macro_f1")
    ]
    ordinary = "size.depth=1 size.dim=8 train.batch_size=4 train.steps=12"
    assert {(row["budget"], row["method"], row["variant"]) for row in rows if row["method"] != "chance"} == {
        (text, method, "") for text in (ordinary, f"budget=flops {ordinary}") for method in ("one", "two", "toy-still")
    }
    cost = {(row["budget"].startswith("budget"), row["method"]): row["pflops"] for row in rows}
    assert float(cost[False, "two"]) == pytest.approx(2 * float(cost[False, "one"]), rel=1e-3)
    assert cost[True, "two"] == cost[True, "one"] == cost[False, "two"]
    assert "as many steps as the FLOPs of `two` pay for." in (tmp_path / "leaderboard_toy.md").read_text()
    assert "3 finished before, 0 to run" in run("budget=flops")


def test_a_row_never_mixes_steps_of_two_plans(tmp_path: Path) -> None:
    old, new = ({"budget": "seconds", "budget.steps": steps} for steps in ("630", "700"))
    for seed in range(3):
        write(tmp_path, "ijepa", seed, overrides=old, created="2026-01-01T00:00:00+00:00")
    write(tmp_path, "ijepa", 0, overrides=new, created="2026-02-01T00:00:00+00:00")
    (one,) = boards(record.load_all(tmp_path), tmp_path, fresh)
    assert one.budget == "budget=seconds"
    assert [r["overrides"]["budget.steps"] for r in one.records] == ["700"]
    leaderboard.rebuild(tmp_path, stale=fresh)
    assert [row["n_seeds"] for row in lines(tmp_path, method="ijepa")] == ["1"]


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(7, 7), (10.4, 10), (94, 94), (123, 120), (987, 990), (999, 1000), (12345, 12000), (0.2, 0), (125, 120)],
)
def test_rounding_to_two_digits(steps: float, expected: int) -> None:
    assert rounded(steps) == expected


def test_seconds_are_measured_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = {"one": 0.003, "two": 0.010, "five": 0.031}
    monkeypatch.setattr(equal, "step_seconds", lambda cell, *place: clock[cell.method])
    words = ("method=one,two,five,toy-still", "budget=seconds", "train.steps=450", "seeds=1")
    made = ask(tmp_path, *words, device="cpu")
    assert steps(made) == {"one": 1500, "two": 450, "five": 150, "toy-still": 450}  # 4.5 s ÷ 3 ms, ÷ 31 ms = 145.2
    assert made.cells[0].overrides["budget.steps"] == "1500" and "budget.steps" not in made.cells[0].variant
    clock |= {"one": 0.004, "two": 0.020, "five": 0.010}  # the machine has a bad day
    assert [cell.key for cell in ask(tmp_path, *words, device="cpu").cells] == [cell.key for cell in made.cells]
    assert [c.key for c in ask(tmp_path, *words, device="cpu", threads=2).cells] != [cell.key for cell in made.cells]
    for path in (tmp_path / ".speed").iterdir():
        path.write_text("{}")
    assert steps(ask(tmp_path, *words, device="cpu"))["one"] == 2200  # 9 s ÷ 4 ms = 2250, to the even digit
    ticks = iter((0.010, 0.005, 0.012, 0.030))  # a clock that never says the same twice
    monkeypatch.setattr(equal, "step_seconds", lambda *row: next(ticks))
    dry = ask(tmp_path / "dry", *words, device="cpu", remember=False)
    assert steps(dry) == {"one": 900, "two": 450, "five": 380, "toy-still": 450}  # 4.5 s; the reference is timed once
    assert not (tmp_path / "dry").exists()


def test_a_step_is_timed_in_every_stage(tmp_path: Path) -> None:
    class Slow(Planned):
        def forward(self, batch: Batch, progress: float) -> Losses:
            time.sleep(0.01 if progress < 0.5 else 0.03)
            return super().forward(batch, progress)

    @methods.register("slow")
    def build(modality: Any, size: Size) -> Slow:
        return Slow(modality, size, (0.5, 0.5), (1, 1))

    found = step_seconds(toy_cell("slow"), datasets["toy/toy"].make(None), "cpu", 1)
    assert 0.020 < found < 0.060  # (10 + 30) / 2 ms and what the loop adds; a median of all steps would say 10 or 30
