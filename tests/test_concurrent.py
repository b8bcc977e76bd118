"""Several real processes on one results folder: no record, no board line and no finished result is lost."""

from __future__ import annotations

import csv
import json
import multiprocessing
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_leaderboard import fresh, write
from test_record import example
from test_run import make, run
from toybox import TOY, toys

from benchmark import grid, leaderboard, record
from benchmark.lock import locked
from benchmark.run import lock_of

WRITERS, EACH = 3, 6
FORK = multiprocessing.get_context("fork")  # a process that has to import everything anew takes seconds


def together(count: int, body: Callable[..., None], *given: Any) -> None:
    """Processes that run ``body(number, *given)`` at the same time; an exception in one of them fails the test."""
    processes = [FORK.Process(target=body, args=(number, *given)) for number in range(count)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0, f"ended with {process.exitcode}; what it said stands in the captured output"


def writes(number: int, results: Path, gun: Any) -> None:
    """Waits for the others, then writes records of its own keys and of one that all share, and boards in between."""
    warnings.simplefilter("error")  # no file is seen half written
    gun.wait()
    for i in range(EACH):
        write(results, f"method-{number}", i)
        shared = example("f" * 16, preset="smoke", reason=f"{number} {i} " + "x" * 50_000)
        record.save(results, shared, {"t.linear.pred": np.full(5_000, number)})
        record.retire(results, shared)
        if i % 3 == 2:
            leaderboard.rebuild(results, stale=fresh)


def test_many_writers_of_records_and_boards_lose_nothing(tmp_path: Path) -> None:
    results = tmp_path / "r"
    together(WRITERS, writes, results, FORK.Barrier(WRITERS))
    found = record.load_all(results)
    expected = {(f"method-{n}", i) for n in range(WRITERS) for i in range(EACH)}
    assert {(one["method"], one["seed"]) for one in found if one["modality"] == "ecg"} == expected
    (shared,) = [one for one in found if one["modality"] == "toy"]
    assert shared["reason"].split()[1] == str(EACH - 1)
    with np.load(record.folder(results, shared) / f"{'f' * 16}.npz") as arrays:
        assert len(set(arrays["t.linear.pred"].tolist())) == 1
    # Whoever wrote the boards last had waited for the others, so every record that was there is in the files.
    with (results / "runs.csv").open(newline="") as file:
        runs = {(row["method"], int(row["seed"])) for row in csv.DictReader(file) if row["modality"] == "ecg"}
    assert runs == expected
    with (results / "leaderboard_ecg.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row["task"], row["probe"]) == ("rhythm", "linear")]
    assert {r["method"]: r["n_seeds"] for r in rows if r["method"] != "chance" and r["metric"] == "macro_f1"} == {
        f"method-{n}": str(EACH) for n in range(WRITERS)
    }
    assert not list(results.rglob(".*.tmp"))


def test_a_slow_board_does_not_undo_a_later_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One process has read the records; another saves one more and writes the boards; then the first one writes."""
    write(tmp_path, "mae")
    load, has_read, other_is_done = record.load_all, threading.Event(), threading.Event()

    def slow(results: Path) -> list[record.Record]:
        found = load(results)
        if not has_read.is_set():
            has_read.set()
            other_is_done.wait(1.0)  # in vain where boards take turns
        return found

    monkeypatch.setattr(record, "load_all", slow)
    first = threading.Thread(target=leaderboard.rebuild, args=(tmp_path,), kwargs={"stale": fresh})
    first.start()
    assert has_read.wait(5)
    write(tmp_path, "ijepa")
    leaderboard.rebuild(tmp_path, stale=fresh)
    other_is_done.set()
    first.join(10)
    with (tmp_path / "leaderboard_ecg.csv").open(newline="") as file:
        assert {row["method"] for row in csv.DictReader(file)} == {"ijepa", "mae", "chance"}


def counts(_: int, lock: Path, path: Path) -> None:
    """Adds one inside the lock, which it removes at the end, as run_cell does."""
    for _ in range(60):
        with locked(lock, poll=0.0005, remove=True):
            path.write_text(str((int(path.read_text() or 0) if path.exists() else 0) + 1))


def test_a_lock_whose_file_is_removed_is_still_exclusive(tmp_path: Path) -> None:
    together(4, counts, tmp_path / "a.lock", tmp_path / "count")
    assert (tmp_path / "count").read_text() == "240"
    assert not (tmp_path / "a.lock").exists()


@pytest.fixture
def box() -> Iterator[None]:
    with toys():
        yield


@pytest.mark.usefixtures("box")
def test_the_death_of_a_worker_takes_no_finished_record_away(tmp_path: Path) -> None:
    """Two runs want the same cell; one finishes it while the worker of the other waits for the lock and is killed."""
    cell = make(tmp_path)
    finished = run(tmp_path, cell)
    done: dict[int, Any] = {}
    options = grid.Options(results=tmp_path, plugins=(TOY,), device="cpu")
    pool = grid._Pool(options, 1, lambda *a: None, lambda number, one: done.update({number: one}))

    class Dead:
        exitcode = -9

        def join(self, timeout: float) -> None:
            """It has ended."""

    worker = grid._Worker(Dead(), None, True, (3, cell))  # type: ignore[arg-type]
    pool.workers.append(worker)
    pool._bury(worker)
    assert done == {3: finished}
    assert record.load_all(tmp_path) == [finished]
    assert not lock_of(tmp_path, cell).exists()
    # Without a finished record the death is one.
    other = make(tmp_path, seed=1)
    worker = grid._Worker(Dead(), None, True, (4, other))  # type: ignore[arg-type]
    pool.workers.append(worker)
    pool._bury(worker)
    assert done[4]["status"] == "oom" and json.loads(json.dumps(done[4]))["key"] == other.key


# Processes race for one toy cell: forks of one that has taken no step, as torch cannot train in a fork of one that has.
RACE = """
import os, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:4]
from toybox import toys
with toys():
    from test_run import make, run
    from jepakit import pretrain
    fit, results = pretrain.fit, Path(sys.argv[1])
    def counted(*a, **k):
        with (results / "trained").open("a") as file:
            file.write("x")
        return fit(*a, **k)
    pretrain.fit = counted
    cell = make(results)
    racers = []
    for _ in range(3):
        racers.append(os.fork())
        if not racers[-1]:
            os._exit(run(results, cell)["status"] != "ok")
    sys.exit(sum(os.waitpid(racer, 0)[1] for racer in racers))
"""


def test_a_cell_that_several_processes_want_is_trained_once(tmp_path: Path, checkout: Path) -> None:
    words = [sys.executable, "-c", RACE, str(tmp_path), str(checkout), str(Path(__file__).parent)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "trained").read_text() == "x"
    assert len(record.load_all(tmp_path)) == 1
