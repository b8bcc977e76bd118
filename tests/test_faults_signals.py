"""Signals: whichever comes, whenever it comes, a run ends soon, keeps what it has, and goes on to the same end."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from test_cli import board
from test_run import make, result, run
from toybox import TINY, TOY, toys

from benchmark import leaderboard, probes, record, signals, slurm
from benchmark import run as run_module
from benchmark.__main__ import main
from benchmark.cache import Cache
from benchmark.claims.claim import Finding, Study, claims
from benchmark.watch import WatchLog
from jepakit import pretrain


@pytest.fixture(autouse=True)
def box() -> Iterator[None]:
    with toys():
        yield


@pytest.fixture
def press(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes toy-interrupt send itself a signal, once, in step 6 of 10."""

    def make(name: str) -> None:
        (tmp_path / "marker").write_text("")
        monkeypatch.setenv("TOY_INTERRUPT", str(tmp_path / "marker"))
        monkeypatch.setenv("TOY_SIGNAL", name)

    return make


def checkpoint_of(results: Path) -> dict[str, Any]:
    (path,) = results.glob(".runs/*/last.ckpt")
    return torch.load(path, weights_only=True)


def only(results: Path) -> Any:
    (one,) = record.load_all(results)
    return result(one)


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGUSR1", 143), ("SIGUSR2", 143)])
def test_a_signal_saves_within_one_step_and_says_so_in_the_exit_code(
    tmp_path: Path, press: Callable[[str], None], capsys: pytest.CaptureFixture[str], name: str, code: int
) -> None:
    words = board(tmp_path / "r", "method=toy-interrupt", "seeds=1")
    press(name)
    before = [signal.getsignal(number) for number in (signal.SIGINT, *signals.HANDLED)]
    assert main(words) == code
    assert "0 of 1 cells done; run the same command to resume" in capsys.readouterr().err
    assert checkpoint_of(tmp_path / "r")["step"] == 6
    assert record.load_all(tmp_path / "r") == []
    assert [signal.getsignal(number) for number in (signal.SIGINT, *signals.HANDLED)] == before
    assert main(words) == 0
    assert only(tmp_path / "r") == result(run(tmp_path / "undisturbed", make(tmp_path, "toy-interrupt")))


def test_whoever_stops_a_claim_does_not_wait_for_boards_and_it_goes_on(
    tmp_path: Path, press: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ("toy", "dataset=toy", "method=toy-interrupt,toy-ae", "seeds=1", *TINY)
    study = Study("none", "none", 1, lambda _: Finding("", None, "seen"), (rows,))
    monkeypatch.setattr(claims, "_entries", {})
    claims.register("toy", paper="none", says="so", fixed="all", budget="none")(lambda: study)
    words = ["claim", "toy", "--results", str(tmp_path / "r"), "--plugin", str(TOY), "--jobs", "1"]
    press("SIGTERM")
    assert main(words) == 143
    said = capsys.readouterr()
    assert "of 2 cells done; run the same command to resume" in said.err and "seen" not in said.out
    assert not list((tmp_path / "r").glob("*.csv")) and len(record.load_all(tmp_path / "r")) < 2
    assert main(words) == 0
    assert "seen" in capsys.readouterr().out and (tmp_path / "r" / "leaderboard_toy.csv").exists()
    assert len(record.load_all(tmp_path / "r")) == 2


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_a_signal_between_two_steps_is_saved_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """The framework's own handler would end the loop there and save nothing, with exit code 0."""
    end = pretrain.Watcher.on_train_batch_end

    def late(self: pretrain.Watcher, trainer: Any, module: Any, *more: Any) -> None:
        end(self, trainer, module, *more)
        if module.step == 4:
            os.kill(os.getpid(), getattr(signal, name))

    with monkeypatch.context() as patch:
        patch.setattr(pretrain.Watcher, "on_train_batch_end", late)
        assert main(board(tmp_path / "r", "method=toy-ae", "seeds=1")) == 143
    assert checkpoint_of(tmp_path / "r")["step"] == 5


@pytest.mark.parametrize(("first", "second", "code"), [("SIGINT", "SIGINT", 130), ("SIGUSR1", "SIGTERM", 143)])
def test_a_second_signal_in_the_middle_of_a_save_damages_nothing(
    tmp_path: Path, press: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, first: str, second: str, code: int
) -> None:
    words, save, calls = board(tmp_path / "r", "method=toy-interrupt", "seeds=1"), torch.save, []

    def torn(checkpoint: Any, file: Any) -> None:
        calls.append(checkpoint["step"])
        if len(calls) == 7:  # after those of steps 1 to 6: the one that the first signal asked for
            file.write(b"half of it")
            os.kill(os.getpid(), getattr(signal, second))
        save(checkpoint, file)

    press(first)
    with monkeypatch.context() as patch:
        patch.setattr(pretrain.torch, "save", torn)
        assert main(words) == code
    assert calls == [1, 2, 3, 4, 5, 6, 6]
    assert checkpoint_of(tmp_path / "r")["step"] == 6, "the checkpoint before it is whole"
    assert not list((tmp_path / "r").rglob("*.tmp"))
    assert main(words) == 0
    assert only(tmp_path / "r") == result(run(tmp_path / "undisturbed", make(tmp_path, "toy-interrupt")))


PHASES: dict[str, tuple[Any, str]] = {
    "data": (run_module, "describe_data"),
    "before step 1": (pretrain.Pretrain, "on_fit_start"),
    "watch": (WatchLog, "__call__"),
    "features": (Cache, "save_features"),
    "probe": (probes, "evaluate"),
    "board": (leaderboard, "rebuild"),
}


@pytest.mark.parametrize("phase", PHASES)
def test_a_signal_in_any_phase_ends_the_run_and_the_next_one_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    owner, name = PHASES[phase]
    original, sent = getattr(owner, name), []

    def signalled(*words: Any, **more: Any) -> Any:
        if not sent:
            sent.append(1)
            os.kill(os.getpid(), signal.SIGTERM)
        return original(*words, **more)

    words = board(tmp_path, "method=toy-ae", "seeds=1")
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, signalled)
        assert main(words) == 143
    assert sent
    assert len(record.load_all(tmp_path)) == (phase == "board")
    if phase in ("features", "probe"):
        # Features are extracted again, or not even that; nothing is trained again.
        stored = len(list(tmp_path.glob(".cache/encoders/*.safetensors")))
        assert stored == 1
        monkeypatch.setattr(pretrain, "fit", lambda *a, **k: pytest.fail("trained again"))
    assert main(words) == 0
    assert only(tmp_path)["status"] == "ok"


def scontrol(folder: Path, monkeypatch: pytest.MonkeyPatch, code: int = 0) -> Path:
    """A SLURM job of four tasks with a ``scontrol`` that writes down what it is asked."""
    folder.mkdir()
    said = folder / "said"
    answer = f'[ {code} = 0 ] || echo "no such job" >&2'
    (folder / "scontrol").write_text(f'#!/bin/sh\necho "$@" >> "{said}"\n{answer}\nexit {code}\n')
    (folder / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    for name, value in {"JOB_ID": "777", "NTASKS": "4", "JOB_NAME": "board", "PROCID": "0", "LOCALID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    return said


@pytest.mark.parametrize(("name", "asked"), [("SIGUSR1", "requeue 777\n"), ("SIGTERM", None)])
def test_slurm_is_asked_once_to_queue_the_job_again(
    tmp_path: Path, press: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    name: str, asked: str | None,
) -> None:  # fmt: skip
    said = scontrol(tmp_path / "bin", monkeypatch)
    words = board(tmp_path / "r", "method=toy-interrupt", "seeds=1")
    press(name)
    assert main(words) == 143
    assert (said.read_text() if said.exists() else None) == asked
    assert ("job 777 is queued again" in capsys.readouterr().err) == (asked is not None)
    assert checkpoint_of(tmp_path / "r")["step"] == 6
    assert os.environ["SLURM_JOB_NAME"] == "board"
    assert main(words) == 0, "the job that was queued again goes on, whatever the number of tasks"


def test_a_queue_that_refuses_is_told_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert slurm.requeue({}) is None
    assert slurm.requeue({"SLURM_JOB_ID": "7; rm -r x"}) is None
    said = scontrol(tmp_path / "bin", monkeypatch, code=1)
    assert slurm.requeue() == "job 777 could not be queued again (no such job); submit the same command"
    slurm.requeue({"SLURM_JOB_ID": "9", "SLURM_ARRAY_JOB_ID": "8", "SLURM_ARRAY_TASK_ID": "3"})
    assert said.read_text() == "requeue 777\nrequeue 8_3\n"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert slurm.requeue({"SLURM_JOB_ID": "9"}) == (
        "job 9 could not be queued again (FileNotFoundError); submit the same command"
    )
