"""Faults of the surroundings: full disks, too little memory, silent workers, damaged checkpoints, odd places and times."""

from __future__ import annotations

import fcntl
import hashlib
import locale
import os
import resource
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch
from test_cli import board
from test_record import example
from test_run import make, result, run
from toybox import TOY, toys

from benchmark import checkpoint, grid, outcome, record
from benchmark.__main__ import main
from benchmark.lock import locked
from benchmark.stress import settled
from jepakit import pretrain


@pytest.fixture(autouse=True)
def box() -> Iterator[None]:
    with toys():
        yield


@contextmanager
def limited(what: int, most: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(what, (soft, hard))


def test_a_full_disk_is_told_and_the_run_goes_on_when_there_is_space(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(board(tmp_path, "method=toy-still", "seeds=1")) == 0
    (before,) = record.load_all(tmp_path)
    words = board(tmp_path, "method=toy-still,toy-ae", "seeds=1")
    with limited(resource.RLIMIT_FSIZE, 2000):  # the record does not fit, nor does anything else
        assert main(words) == 2
    out = capsys.readouterr()
    (line,) = [line for line in out.out.splitlines() if line.startswith("  toy/toy toy-ae seed 0 (")]
    assert "): error: the results could not be written (File too large); free some space" in line
    assert "Traceback" not in out.out + out.err
    assert record.load_all(tmp_path) == [before]
    assert not list(tmp_path.rglob("*.tmp"))
    assert main(words) == 0
    assert {one["status"] for one in record.load_all(tmp_path)} == {"ok"}


def test_a_checkpoint_that_does_not_fit_keeps_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save, steps = torch.save, []

    def refuse(content: Any, file: Any) -> None:
        steps.append(content["step"])
        if steps == [1, 2, 3]:
            # What torch says when the disk is full: no OSError.
            raise RuntimeError("[enforce fail at inline_container.cc:659] . unexpected pos 64 vs 0")
        save(content, file)

    cell = make(tmp_path)
    monkeypatch.setattr(pretrain.torch, "save", refuse)
    one = run(tmp_path, cell)
    assert (one["status"], steps) == ("error", [1, 2, 3])
    assert "could not be written" in one["reason"]
    again = run(tmp_path, cell)
    assert again["status"] == "ok"
    assert steps[3] == 3, "it went on from step 2"
    assert result(again) == result(run(tmp_path / "undisturbed", cell))


def test_too_little_memory_is_a_row_and_the_others_go_on(tmp_path: Path) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    with limited(resource.RLIMIT_AS, pages * resource.getpagesize() + (1 << 31)):
        assert main(board(tmp_path, "method=toy-hungry,toy-still", "seeds=1")) == 2
    found = {one["method"]: one for one in record.load_all(tmp_path)}
    assert (found["toy-hungry"]["status"], found["toy-still"]["status"]) == ("oom", "ok")
    assert found["toy-hungry"]["training"]["batch_size"] == 16


def test_features_that_are_not_finite_are_a_row(tmp_path: Path) -> None:
    one = run(tmp_path, make(tmp_path, "toy-void"))
    assert (one["status"], one["scores"]) == ("nan", [])
    assert "120 of 120" in one["reason"] or "240 of 240" in one["reason"]


def stopped(results: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A toy cell that was interrupted in step 6: its folder."""
    (results.parent / "marker").write_text("")
    monkeypatch.setenv("TOY_INTERRUPT", str(results.parent / "marker"))
    cell = make(results, "toy-interrupt")
    with pytest.raises(KeyboardInterrupt):
        run(results, cell)
    return results / ".runs" / cell.key


def test_a_damaged_checkpoint_is_set_aside_and_the_cell_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, cell = stopped(tmp_path / "r", monkeypatch), make(tmp_path, "toy-interrupt")
    objective = pretrain.build(cell.method, grid.datasets[cell.name].make(None), cell.size, 0)
    path, watch = folder / "last.ckpt", folder / "watch.json"
    whole, history = path.read_bytes(), watch.read_bytes()
    assert checkpoint.damage(path, objective) is None
    for kept in (0, 1, len(whole) // 2, len(whole) * 99 // 100):
        path.write_bytes(whole[:kept])
        assert checkpoint.damage(path, objective) == "does not match its checksum", kept
    sums = path.with_name("last.ckpt.sha256")
    listed = sums.read_text()
    assert listed.split()[0] == hashlib.sha256(whole).hexdigest()
    path.write_bytes(whole)
    sums.write_text("0" * 64 + "\n" + listed)  # killed between the checksum of the next one and the next one
    assert checkpoint.damage(path, objective) is None
    sums.unlink()
    assert "cannot be read" in str(checkpoint.damage(path, objective))
    sums.write_text(listed)
    weight = next(iter(torch.load(path.with_name("last.ckpt"), weights_only=True)["state_dict"].values())
                  if path.write_bytes(whole) else ())  # fmt: skip
    place = whole.index(weight.numpy().tobytes())  # one bit of one weight
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    assert checkpoint.damage(path, objective) == "does not match its checksum"
    path.write_bytes(whole)
    watch.write_bytes(b"[]")
    assert checkpoint.damage(path, objective) == "of step 6 has lost the history of its losses"
    watch.write_bytes(history)
    torch.save({"state_dict": {}, "epoch": 3}, path)
    sums.write_text(hashlib.sha256(path.read_bytes()).hexdigest())
    assert checkpoint.damage(path, objective) == "is not one of this version"
    path.write_bytes(whole)
    sums.write_text(listed)
    other = pretrain.build(
        cell.method, grid.datasets[cell.name].make(None), make(tmp_path, **{"size.dim": "16"}).size, 0
    )
    assert checkpoint.damage(path, other) == "holds other weights than this method has"
    path.write_bytes(whole[:-200])
    with pytest.warns(UserWarning, match="set aside and the cell begins anew"):
        one = run(tmp_path / "r", cell)
    assert result(one) == result(run(tmp_path / "undisturbed", cell))


def test_the_lock_of_a_dead_process_is_free_at_once_and_not_before(tmp_path: Path) -> None:
    path, taken = tmp_path / "a.lock", threading.Event()
    pid = os.fork()
    if not pid:  # holds the lock until it is killed
        with path.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            (tmp_path / "held").write_text("")
            time.sleep(600)
    while not (tmp_path / "held").exists():
        time.sleep(0.01)
    os.utime(path, (0, 0))  # the age of a lock says nothing

    def wait() -> None:
        with locked(path, poll=0.01):
            taken.set()

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    assert not taken.wait(0.3)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert taken.wait(30)
    waiter.join(30)


def test_a_silent_worker_is_told_to_stop_then_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    class Process:
        pid, exitcode = 4242, -9

        def terminate(self) -> None:
            calls.append("SIGTERM")

        def join(self, timeout: float) -> None:
            """It has ended."""

    done: dict[int, Any] = {}
    options = grid.Options(results=tmp_path, device="cpu", heartbeat=60.0)
    pool = grid._Pool(options, 1, lambda *a: None, lambda number, one: done.update({number: one}))
    worker = grid._Worker(Process(), None, True, (3, make(tmp_path)), heard=0.0)  # type: ignore[arg-type]
    pool.workers.append(worker)
    monkeypatch.setattr(os, "killpg", lambda *words: calls.append(words))
    for now in (59.0, 61.0, 70.0, 72.0):
        monkeypatch.setattr(grid.time, "monotonic", lambda now=now: now)
        pool._watch_over(worker)
    assert calls == ["SIGTERM", (4242, signal.SIGKILL)]
    monkeypatch.undo()
    pool._bury(worker)
    assert done[3]["status"] == "timeout" and "said nothing for 60 s" in done[3]["reason"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["asleep", "deaf"])
def test_a_hanging_cell_ends_with_its_children_and_the_grid_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    marker = tmp_path / "marker"
    marker.write_text(how)
    monkeypatch.setenv("TOY_INTERRUPT", str(marker))
    cells = [make(tmp_path, "toy-hang"), make(tmp_path, "toy-still")]
    done: dict[int, Any] = {}
    options = grid.Options(results=tmp_path, plugins=(TOY,), device="cpu", heartbeat=15.0)
    grid.run_grid(list(enumerate(cells)), options, 1, lambda *a: None, lambda number, one: done.update({number: one}))
    assert (done[0]["status"], done[1]["status"]) == ("timeout", "ok")
    for pid in map(int, marker.with_suffix(".pids").read_text().split()):
        if how == "deaf":  # killed with its group
            assert not Path(f"/proc/{pid}/exe").exists()
    assert run(tmp_path, cells[0])["status"] == "ok", "with more patience it goes on"


def test_only_cache_trains_nothing_and_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(board(tmp_path, "method=toy-ae", "seeds=1", "probe=linear")) == 0
    monkeypatch.setattr(pretrain, "fit", lambda *a, **k: pytest.fail("trained"))
    assert main([*board(tmp_path, "method=toy-ae", "seeds=1", "probe=knn"), "--only-cache"]) == 0
    capsys.readouterr()
    assert main([*board(tmp_path, "method=toy-ae", "seeds=2", "probe=knn"), "--only-cache"]) == 2
    assert "not in the cache, so not run: 1 cells\n  toy/toy toy-ae seed 1\n" in capsys.readouterr().out
    assert main([*board(tmp_path, "method=toy-ae"), "--only-cache", "--force"]) == 3


def test_a_run_ends_with_what_failed_and_commands_that_try_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(board(tmp_path, "method=toy-nan,toy-crash,toy-still", "seeds=2")) == 2
    lines = capsys.readouterr().out.split("failed: ")[1].splitlines()
    assert lines[0] == "4 of 6 cells have no result"
    assert sum("toy-nan seed" in line and "nan: " in line for line in lines[1:5]) == 2
    again, final = (line.strip() for line in lines if line.startswith("  python"))
    start = "python -m benchmark run toy dataset=toy method={} seed=0,1 preset=quick size.depth=1 "
    assert again.startswith(start.format("toy-crash")) and not again.endswith("--force")
    assert final.startswith(start.format("toy-nan")) and final.endswith("--force")
    assert f"--results {tmp_path}" in again and f"--plugin {TOY}" in again
    assert "train.steps=10" in again


@pytest.mark.parametrize("schema", [0, record.SCHEMA + 1])
def test_records_of_another_version_are_skipped_with_a_message_and_run_again(tmp_path: Path, schema: int) -> None:
    record.save(tmp_path, example())
    (path,) = tmp_path.rglob("*.json")
    other = {**example(), "schema": schema, "fields": "of that time"}
    import hashlib
    import json

    path.write_text(json.dumps({**other, "sha256": hashlib.sha256(record.canonical(other)).hexdigest()}))
    with pytest.warns(UserWarning, match=f"has record schema {schema}, this version reads {record.SCHEMA}"):
        assert record.load_all(tmp_path) == []


def test_place_time_zone_language_and_clock_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, odd = tmp_path / "plain", tmp_path / "with spaces" / "ünïcode 数 'quoted'"
    words = ("method=toy-ae,toy-still", "seeds=1")
    assert main(board(plain, *words)) == 0
    for name in ("HOME", "USER", "LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TZ", "Pacific/Kiritimati")
    time.tzset()
    before = locale.setlocale(locale.LC_NUMERIC)
    for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "C.UTF-8"):
        try:
            locale.setlocale(locale.LC_NUMERIC, name)
            break
        except locale.Error:
            continue

    class Stopped(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(1970, 1, 1, tzinfo=tz)  # a clock that was reset and does not run: all times are equal

    monkeypatch.setattr(outcome, "datetime", Stopped)
    try:
        assert main(board(odd, *words)) == 0
    finally:
        monkeypatch.undo()
        time.tzset()
        locale.setlocale(locale.LC_NUMERIC, before)
    assert settled(plain, tmp_path / "a") == settled(odd, tmp_path / "b") != {}


@pytest.mark.slow
def test_boards_do_not_depend_on_order_repetition_or_lost_files(tmp_path: Path) -> None:
    words = ("method=toy-ae,toy-still,toy-nan", "seeds=2")
    assert main(board(tmp_path / "a", *words)) == 2
    first = {path.name: path.read_bytes() for path in (tmp_path / "a").glob("*.csv")}
    for path in (tmp_path / "a").glob("*.csv"):
        path.unlink()
    assert main(board(tmp_path / "a", *words)) == 2  # nothing is run, the boards come back
    assert {path.name: path.read_bytes() for path in (tmp_path / "a").glob("*.csv")} == first
    cells = [make(tmp_path, name, seed) for name in ("toy-nan", "toy-still", "toy-ae") for seed in (1, 0)]
    for cell in cells:
        run(tmp_path / "b", cell)
    assert settled(tmp_path / "a", tmp_path / "c") == settled(tmp_path / "b", tmp_path / "d")


@pytest.mark.slow
def test_a_hundred_cells_in_one_process_leave_no_memory_files_or_threads_behind(tmp_path: Path) -> None:
    def held() -> tuple[float, int, int]:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return (
            pages * resource.getpagesize() / 2**20,
            len(list(Path("/proc/self/fd").iterdir())),
            threading.active_count(),
        )

    for seed in range(100):
        run(tmp_path, make(tmp_path, "toy-ae", seed))
        shutil.rmtree(tmp_path / "records")
        if seed == 19:
            before = held()
    after = held()
    assert after[0] - before[0] < 24, f"grew from {before[0]:.0f} to {after[0]:.0f} MiB"
    assert after[1:] == before[1:]
