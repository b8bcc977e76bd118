"""Loggers by name: what the command line takes, what workers and processes are told, and the services themselves."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_loggers import bits, events
from test_run import make, result, run
from toybox import TINY, TOY, toys

from benchmark import grid, loggers, worker
from benchmark.__main__ import main
from jepakit.types import UsageError


@pytest.fixture(autouse=True)
def box() -> Iterator[None]:
    with toys():
        yield


def test_loggers_are_chosen_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    assert loggers.choose(None) == () and loggers.choose(["none"]) == ()
    for words, says in (
        (["tensorbord"], "no logger named 'tensorbord'; did you mean 'tensorboard'"),
        (["none,mlflow"], "none stands by itself"),
        (["tensorboard"], r"needs tensorboardX: \.venv/bin/pip install -c constraints\.txt tensorboardX"),
        (["tensorboard", "wandb"], "needs tensorboardX"),
        (["mlflow"], r"pip install -c constraints\.txt mlflow-skinny"),
    ):
        with pytest.raises(UsageError, match=says):
            loggers.choose(words)
    monkeypatch.setattr(loggers, "find_spec", lambda name: object())
    assert loggers.choose(None) == ("tensorboard",)
    assert loggers.choose(["mlflow,tensorboard", "mlflow"]) == ("mlflow", "tensorboard")


def test_wandb_without_a_key_is_told_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda name: object())
    known: list[str] = []
    fake = types.SimpleNamespace(login=lambda prompt: bool(known) and not prompt)
    monkeypatch.setitem(sys.modules, "wandb", fake)  # type: ignore[arg-type]
    monkeypatch.delenv("WANDB_MODE", raising=False)
    with pytest.raises(UsageError, match="wandb login"):
        loggers.choose(["wandb"])
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert loggers.choose(["wandb"]) == ("wandb",)
    monkeypatch.delenv("WANDB_MODE")
    known.append("key")
    assert loggers.choose(["wandb"]) == ("wandb",)


def test_run_tells_where_the_curves_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", "toy", "dataset=toy", "method=toy-ae", "seed=0", "preset=smoke", "jobs=1", *TINY]
    place = ["--results", str(tmp_path), "--plugin", str(TOY)]
    assert main([*words, *place, "--logger", "none"]) == 0
    assert "curves" not in capsys.readouterr().out and not (tmp_path / ".logs").exists()
    assert main([*words, *place, "--logger", "nothing"]) == 3
    assert main([*words, *place, "--force"]) == 0
    said = capsys.readouterr().out
    if loggers.choose(None):
        assert f"tensorboard --logdir {tmp_path}/.logs" in said and list((tmp_path / ".logs").rglob("events.*"))
    else:
        assert "tensorboardX is not installed" in said and not (tmp_path / ".logs").exists()


def test_a_worker_is_told_the_same_loggers(tmp_path: Path) -> None:
    options = grid.Options(tmp_path, None, (TOY,), "cpu", loggers=("tensorboard", "mlflow"))
    words = worker.command(tmp_path / "spec.json", options)
    assert worker.parser().parse_args(words[3:]).logger == ["tensorboard,mlflow"]
    silent = worker.command(tmp_path / "spec.json", grid.Options(tmp_path))
    assert loggers.choose(worker.parser().parse_args(silent[3:]).logger) == ()
    from benchmark.engines.on_ray import _plain

    assert json.loads(_plain(options))["loggers"] == ["tensorboard", "mlflow"]


@pytest.mark.slow
def test_several_processes_keep_their_curves_apart(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    cells = [make(tmp_path, seed=seed, **{"train.steps": "40"}) for seed in (0, 1, 2)]
    options = grid.Options(results=tmp_path, plugins=(TOY,), device="cpu", loggers=("tensorboard",))
    done: dict[int, Any] = {}
    grid.run_grid(list(enumerate(cells)), options, 2, lambda *a: None, lambda n, one: done.update({n: one}))
    for number, cell in enumerate(cells):
        curve = events(loggers.folder(tmp_path, cell))["train/loss"]
        assert [step for step, _ in curve] == list(range(1, 41))
        last = [row["loss"] for row in done[number]["history"]][-1]
        assert curve[-1][1] < curve[0][1] and np.mean([v for _, v in curve[-4:]]) == pytest.approx(last, rel=1e-5)


# --- the services' own packages, where they are installed --------------------------------------------------------------


def test_wandb_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    cell = make(tmp_path)
    silent = run(tmp_path / "a", cell)
    told = run(tmp_path / "b", cell, loggers=loggers.choose(["wandb"]))
    assert result(told) == result(silent) and bits(tmp_path / "a", cell) == bits(tmp_path / "b", cell)
    assert list((tmp_path / "b" / ".logs" / "wandb").glob("offline-run-*/run-*.wandb"))


def test_mlflow_in_a_data_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    cell = make(tmp_path)
    names = loggers.choose(["mlflow"])
    loggers.prepare(names, tmp_path)
    one = run(tmp_path, cell, loggers=names)
    assert one["status"] == "ok"
    client = MlflowClient(loggers.tracking(tmp_path))
    (experiment,) = [e for e in client.search_experiments() if e.name == "toy/toy"]
    (kept,) = client.search_runs([experiment.experiment_id])
    assert kept.info.status == "FINISHED" and kept.data.params["key"] == cell.key
    curve = client.get_metric_history(kept.info.run_id, "train/loss")
    assert sorted(point.step for point in curve) == list(range(1, 11))
