"""Running cells: resume, caching, failures as records, equal results whatever the number of processes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toybox import TINY, TOY, toys

from benchmark import grid, record
from benchmark.cell import Cell, resolve
from benchmark.fingerprint import fingerprints
from benchmark.outcome import classify
from benchmark.run import run_cell
from jepakit import pretrain
from jepakit.pretrain import Diverged
from jepakit.registry import datasets


@pytest.fixture(autouse=True)
def box() -> Iterator[None]:
    with toys():
        yield


def make(results: Path, method: str = "toy-ae", seed: int = 0, **overrides: str) -> Cell:
    data = fingerprints(results, "toy/toy", datasets["toy/toy"].make(None))
    words = dict(word.split("=") for word in TINY)
    return resolve("toy/toy", method, "quick", seed, {**words, **overrides}, data)


def run(results: Path, cell: Cell, **options: Any) -> record.Record:
    return run_cell(cell, datasets[cell.name].make(None), results, device="cpu", **options)


def result(one: record.Record) -> Any:
    """What must not depend on interruptions, processes or the day."""
    kept = {name: value for name, value in one.items() if name not in ("cost", "created", "sha256")}
    return json.loads(json.dumps(kept))


def test_a_cell_gives_a_complete_record(tmp_path: Path) -> None:
    one = run(tmp_path, make(tmp_path))
    assert one["status"] == "ok"
    assert {(s["task"], s["probe"]) for s in one["scores"]} == {
        (t, p) for t in ("kind", "size") for p in ("linear", "knn")
    }
    assert [s["task"] for s in one["scores"] if s["headline"]] == ["kind", "kind"]
    assert all(s["nuisance"] == (s["task"] == "size") for s in one["scores"])
    assert one["cost"]["threads"] == 1
    assert one["cost"]["wall_s"] >= one["cost"]["pretrain_s"] > 0
    assert one["data"]["n_train"] == 240
    assert one["data"]["units_test"] == 30
    assert [row["step"] for row in one["history"]] == list(range(1, 11))
    assert not (tmp_path / ".runs" / one["key"]).exists()
    with np.load(next(tmp_path.rglob("records/**/*.npz"))) as arrays:
        assert set(arrays) == {"kind.linear.pred", "kind.knn.pred", "kind.label", "kind.unit",
                               "size.linear.pred", "size.knn.pred", "size.label", "size.unit"}  # fmt: skip
        assert len(arrays["kind.linear.pred"]) == 120
        # macro-F1 from the stored predictions, by hand
        f1 = []
        for c in range(3):
            hit, true = arrays["kind.linear.pred"] == c, arrays["kind.label"] == c
            f1.append(2 * (hit & true).sum() / (hit.sum() + true.sum()))
        headline = next(s for s in one["scores"] if (s["task"], s["probe"]) == ("kind", "linear"))
        assert headline["value"] == pytest.approx(np.mean(f1), abs=1e-6)


def test_a_finished_cell_is_not_run_again_unless_forced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = make(tmp_path)
    first = run(tmp_path, cell)
    calls: list[int] = []
    fit = pretrain.fit
    monkeypatch.setattr(pretrain, "fit", lambda *a, **k: calls.append(1) or fit(*a, **k))
    assert run(tmp_path, cell) == first
    assert calls == []
    assert result(run(tmp_path, cell, force=True)) == result(first)
    assert calls == [1]


def test_another_probe_does_not_train_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = run(tmp_path, make(tmp_path))
    monkeypatch.setattr(pretrain, "fit", lambda *a, **k: pytest.fail("trained again"))
    for path in (tmp_path / ".cache" / "features").iterdir():
        path.write_bytes(b"damaged")  # then the stored encoder is used
    knn = run(tmp_path, make(tmp_path, probe="knn"))
    assert knn["scores"] == [s for s in both["scores"] if s["probe"] == "knn"]
    assert knn["history"] == both["history"]
    linear = run(tmp_path, make(tmp_path, probe="linear"))
    assert linear["scores"] == [s for s in both["scores"] if s["probe"] == "linear"]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_cell_resumes_to_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    cell = make(tmp_path, "toy-interrupt")
    undisturbed = run(tmp_path / "a", cell)
    marker = tmp_path / "marker"
    marker.write_text("")
    monkeypatch.setenv("TOY_INTERRUPT", str(marker))
    monkeypatch.setenv("TOY_SIGNAL", name)
    with pytest.raises(KeyboardInterrupt, match=name):
        run(tmp_path / "b", cell)
    assert not marker.exists()
    assert not list((tmp_path / "b").rglob("*.json.tmp"))
    assert record.load_all(tmp_path / "b") == []
    steps: list[str] = []
    resumed = run(tmp_path / "b", cell, say=lambda stage, fraction, detail: steps.append(detail))
    assert result(resumed) == result(undisturbed)
    weights = [(tmp_path / x / ".cache" / "encoders" / f"{cell.encoder_key}.safetensors").read_bytes() for x in "ab"]
    assert weights[0] == weights[1]
    counted = [int(d.split()[1].split("/")[0]) for d in steps if d.startswith("step ")]
    assert not {1, 2, 3, 4, 5} & set(counted), "it began anew instead of going on"


@pytest.mark.parametrize(
    ("method", "status", "reason"),
    [
        ("toy-nan", "nan", "step 6"),
        ("toy-oom", "oom", "out of memory"),
        ("toy-crash", "error", "KeyError: 'files'"),
        ("toy-collapse", "collapsed", "same for every sample"),
    ],
)
def test_a_failure_is_a_record(tmp_path: Path, method: str, status: str, reason: str) -> None:
    one = run(tmp_path, make(tmp_path, method))
    assert one["status"] == status
    assert reason in one["reason"]
    assert "secret" not in json.dumps(one)
    assert bool(one["scores"]) == (status == "collapsed")
    assert record.load_all(tmp_path) == [one]
    if status == "collapsed":
        assert one["diagnostics"]["collapsed"] is True
        assert one["diagnostics"]["collapse_step"] == 6
    else:
        assert [row["step"] for row in one["history"]] == [1, 2, 3, 4, 5]


def test_reference_rows_are_not_trained_and_not_called_collapsed(tmp_path: Path) -> None:
    one = run(tmp_path, make(tmp_path, "toy-still"))
    assert one["status"] == "ok"
    assert one["history"] == []
    assert one["cost"]["params_trained_m"] == 0.0
    assert one["diagnostics"]["collapsed"] is False


def test_a_timeout_is_a_record_and_more_time_goes_on(tmp_path: Path) -> None:
    cell = make(tmp_path, **{"train.steps": "400"})
    late = run(tmp_path, cell, timeout=0.3)
    assert late["status"] == "timeout"
    assert (tmp_path / ".runs" / cell.key / "last.ckpt").exists()
    assert run(tmp_path, cell)["status"] == "ok"


def test_a_changed_setting_leaves_the_other_record_alone(tmp_path: Path) -> None:
    run(tmp_path, make(tmp_path))
    run(tmp_path, make(tmp_path, **{"train.lr": "0.01"}))
    assert {one["variant"].count("train.lr") for one in record.load_all(tmp_path)} == {0, 1}


def test_a_cell_computes_with_one_thread_and_the_caller_keeps_its_own(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        assert run(tmp_path, make(tmp_path, "toy-still"))["cost"]["threads"] == 1
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (Diverged(3), "nan"),
        (ValueError("toy/toy: 3 of 9 rows have non-finite features"), "nan"),
        (MemoryError(), "oom"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "oom"),
        (RuntimeError("CUDA out of memory"), "oom"),
        (RuntimeError("shapes differ"), "error"),
        (ValueError(""), "error"),
    ],
)
def test_classes_of_failure(error: Exception, status: str) -> None:
    found, reason = classify(error)
    assert found == status
    assert "\n" not in reason


def test_reasons_name_no_folders() -> None:
    assert classify(OSError("cannot read '/home/someone/data/a.dat' at /tmp/x/y.py:3; ratio 1/2"))[1] == (
        "OSError: cannot read 'a.dat' at y.py:3; ratio 1/2"
    )


def collect(results: Path, cells: list[Cell], jobs: int) -> dict[int, record.Record]:
    done: dict[int, record.Record] = {}
    options = grid.Options(results=results, plugins=(TOY,), device="cpu")
    grid.run_grid(list(enumerate(cells)), options, jobs, lambda *a: None, lambda n, one: done.update({n: one}))
    return done


def test_two_processes_give_what_one_gives_and_survive_a_death(tmp_path: Path) -> None:
    cells = [make(tmp_path, m) for m in ("toy-ae", "toy-still", "toy-collapse")]
    one = collect(tmp_path / "one", cells, 1)
    dying = make(tmp_path, "toy-die")
    two = collect(tmp_path / "two", [*cells[:1], dying, *cells[1:]], 2)
    assert two.pop(1)["status"] == "oom"
    assert [result(one[i]) for i in sorted(one)] == [result(two[i]) for i in sorted(two)]
    assert len(record.load_all(tmp_path / "two")) == 4


def test_jobs_choose_themselves() -> None:
    assert grid.choose_jobs(None, 50, "cuda") == max(1, torch.cuda.device_count())
    assert grid.choose_jobs(None, 1, "cpu") == 1
    assert grid.choose_jobs(3, 50, "cuda") == 3
    assert grid.choose_jobs(3, 2, "cpu") == 2
    assert grid.choose_jobs(None, 0, "cpu") == 1


def test_processes_take_the_gpus_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five workers on the two GPUs that are left visible: three and two, and the next one where there is room."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert grid.gpus("cpu") == [] and grid.gpus("cuda") == ["2", "5"]
    assert grid.choose_jobs(None, 50, "cuda") == 2 and grid.choose_jobs(None, 1, "cuda") == 1
    pool = grid._Pool(grid.Options(results=tmp_path, device="cuda"), 5, lambda *a: None, lambda *a: None)
    seen: list[str | None] = []

    class Started:
        def __init__(self, **words: Any) -> None:
            """Takes what a process takes."""

        def start(self) -> None:
            seen.append(os.environ.get("CUDA_VISIBLE_DEVICES"))

    monkeypatch.setattr(pool.context, "Process", Started, raising=False)
    for _ in range(5):
        pool._start()
    assert seen == ["2", "5", "2", "5", "2"] and os.environ["CUDA_VISIBLE_DEVICES"] == "2,5"
    pool.workers.pop(0)
    pool._start()
    assert seen[-1] == "2" and [worker.gpu for worker in pool.workers].count("5") == 2
