"""Curves for people's own tools: what is told and when, that it changes nothing, and what happens when a logger fails."""

from __future__ import annotations

import random
import struct
import time
import types
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_run import make, result, run
from torch.optim.optimizer import register_optimizer_step_pre_hook
from toybox import toys

from benchmark import loggers
from benchmark.cell import Cell
from jepakit.pretrain import Training

Points = dict[str, list[tuple[int, float]]]


@pytest.fixture(autouse=True)
def box() -> Iterator[None]:
    with toys():
        yield


def events(folder: Path) -> Points:
    """Scalars by tag in the order of the files: event files are records of (length, its check, event, its check)."""
    proto = pytest.importorskip("tensorboardX.proto.event_pb2")
    found: Points = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            event = proto.Event.FromString(content[at + 12 : at + 12 + length])
            at += 16 + length
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    found.setdefault(value.tag, []).append((event.step, value.simple_value))
    return found


class Memory(loggers.Logger):
    """A logger that keeps what it is told, and draws random numbers while it does."""

    told: list[tuple[int, dict[str, float]]]
    ended: list[str]
    runs: Counter[str]

    def __init__(self, **words: Any) -> None:
        super().__init__()
        self.words = words
        self.id = words.get("id") or words.get("run_id") or f"run{len(Memory.runs)}"
        Memory.runs[self.id] += 1
        self.experiment = types.SimpleNamespace(
            id=self.id, finish=lambda exit_code: Memory.ended.append(str(exit_code))
        )
        self.run_id = self.id
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)

    @property
    def name(self) -> str:
        return "memory"

    @property
    def version(self) -> str:
        return self.id

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        random.random()
        torch.rand(3)
        Memory.told.append((step or 0, dict(metrics)))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        Memory.told.append((0, {"settings": len(params)}))

    def finalize(self, status: str) -> None:
        Memory.ended.append(status)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> type[Memory]:
    Memory.told, Memory.ended, Memory.runs = [], [], Counter()
    monkeypatch.setattr(loggers, "WandbLogger", Memory)
    monkeypatch.setattr(loggers, "MLFlowLogger", Memory)
    return Memory


def long(results: Path, method: str = "toy-ae", **more: str) -> Cell:
    return make(results, method, **{"train.steps": "250", **more})


def bits(results: Path, cell: Cell) -> bytes:
    return (results / ".cache" / "encoders" / f"{cell.encoder_key}.safetensors").read_bytes()


# --- what is told ----------------------------------------------------------------------------------------------------


def test_a_run_leaves_its_curves_for_tensorboard(tmp_path: Path) -> None:
    cell = long(tmp_path)
    one = run(tmp_path, cell, loggers=("tensorboard",))
    assert one["status"] == "ok" and not (tmp_path / ".runs" / cell.key).exists()
    folder = tmp_path / ".logs" / "toy" / "toy" / f"toy-ae-s0-{cell.key}"
    found = events(folder)
    steps = [step for step, _ in found["train/loss"]]
    assert steps == sorted({*range(2, 251, 2), *range(25, 251, 25)}), (
        "every second step, and where features are looked at"
    )
    assert [step for step, _ in found["features/rankme"]] == list(range(25, 251, 25))
    assert [value for _, value in found["features/rankme"]] == pytest.approx([row["rankme"] for row in one["history"]])
    assert {value for _, value in found["features/collapsed"]} == {0.0}
    scores = {f"probe/{s['task']}/{s['probe']}": s["value"] for s in one["scores"]}
    assert {tag: points[-1] for tag, points in found.items() if tag.startswith("probe/")} == {
        tag: (250, pytest.approx(value)) for tag, value in scores.items()
    }
    # The mean loss of the watch is over 25 steps: over the same steps the curve has the same mean.
    weights = np.diff([0, *steps])
    inside = [(w, value) for w, (step, value) in zip(weights, found["train/loss"], strict=True) if step <= 25]
    assert sum(w * v for w, v in inside) / 25 == pytest.approx(one["history"][0]["loss"], rel=1e-5)


@pytest.mark.parametrize("stages", [(1.0,), (0.3, 0.7)])
def test_the_rates_are_those_of_the_optimiser(stages: tuple[float, ...], tmp_path: Path) -> None:
    """Against the training loop itself, which sets them before every step."""
    from jepakit import pretrain
    from jepakit.registry import datasets

    modality = datasets["toy/toy"].make(None)
    cell = make(tmp_path, **{"train.steps": "20", "train.weight_decay": "0.01,0.2"})
    objective = pretrain.build("toy-ae", modality, cell.size, 0)
    objective.stages = stages
    seen: list[tuple[float, float]] = []

    def look(optimizer: Any, *args: Any) -> None:
        group = optimizer.param_groups[0]
        seen.append((group["lr"], group["weight_decay"]))

    handle = register_optimizer_step_pre_hook(look)
    try:
        pretrain.fit(objective, modality, cell.training, seed=0, device="cpu")
    finally:
        handle.remove()
    told = [tuple(loggers.rates(cell.training, stages, step).values()) for step in range(1, 21)]
    assert told == seen and len({rate for rate, _ in seen}) > 10


def test_rates_by_hand() -> None:
    training = Training(steps=10, lr=1.0, warmup=0.5, lr_start=0.0, lr_end=0.0, weight_decay=(0.1, 0.1))
    assert loggers.rates(training, (1.0,), 1) == {"optimizer/lr": pytest.approx(0.2)}
    assert loggers.rates(training, (1.0,), 5)["optimizer/lr"] == pytest.approx(1.0)
    assert loggers.rates(training, (1.0,), 10)["optimizer/lr"] == pytest.approx(0.0)


def test_accumulated_batches_count_as_one_step(tmp_path: Path, memory: type[Memory]) -> None:
    cell = make(tmp_path, **{"train.steps": "5", "train.accumulate": "3"})
    one = run(tmp_path, cell, loggers=("wandb",))
    told = [(step, values["train/loss"]) for step, values in memory.told if "train/loss" in values]
    assert [step for step, _ in told] == [1, 2, 3, 4, 5]
    assert [loss for _, loss in told] == pytest.approx([row["loss"] for row in one["history"]], rel=1e-5)


def test_a_row_that_learns_nothing_leaves_no_log(tmp_path: Path, memory: type[Memory]) -> None:
    run(tmp_path, make(tmp_path, "toy-still"), loggers=("wandb",))
    assert (memory.told, memory.ended) == ([], [])


def test_services_hear_settings_first_and_the_end_last(tmp_path: Path, memory: type[Memory]) -> None:
    run(tmp_path, make(tmp_path), loggers=("wandb", "mlflow"))
    assert memory.told[0][1].keys() == {"settings"} and "probe/kind/linear" in memory.told[-1][1]
    assert memory.ended == ["FINISHED", "0", "FINISHED"]
    memory.ended.clear()
    run(tmp_path, make(tmp_path, "toy-crash"), loggers=("wandb", "mlflow"))
    assert memory.ended == ["FAILED", "1", "FAILED"]


# --- that it changes nothing -----------------------------------------------------------------------------------------


def test_logging_changes_no_bit(tmp_path: Path, memory: type[Memory]) -> None:
    cell = long(tmp_path)
    names = ("wandb", "mlflow", *loggers.choose(None))
    silent, told = run(tmp_path / "a", cell), run(tmp_path / "b", cell, loggers=names)
    assert result(silent) == result(told)
    assert bits(tmp_path / "a", cell) == bits(tmp_path / "b", cell)
    predictions = [next((tmp_path / name).rglob("records/**/*.npz")).read_bytes() for name in "ab"]
    assert predictions[0] == predictions[1]


def test_generators_stay_where_they_were() -> None:
    random.seed(3)
    np.random.seed(3)
    torch.manual_seed(3)
    with loggers.undisturbed():
        random.random(), np.random.rand(), torch.rand(1)
    drawn = random.random(), np.random.rand(), float(torch.rand(1))
    random.seed(3)
    np.random.seed(3)
    torch.manual_seed(3)
    assert drawn == (random.random(), np.random.rand(), float(torch.rand(1)))


def test_the_hook_is_gone_after_training(tmp_path: Path, memory: type[Memory], monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    from jepakit import pretrain

    build = pretrain.build
    monkeypatch.setattr(pretrain, "build", lambda *a, **k: built.append(build(*a, **k)) or built[-1])
    run(tmp_path, make(tmp_path), loggers=("wandb",))
    assert built and not any(one._forward_hooks for one in built)


# --- interruptions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupted_run_goes_on_in_the_same_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: type[Memory], name: str
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1.8e9)  # TensorBoard's files are named after the second
    cell = long(tmp_path, "toy-interrupt")
    names = ("wandb", *loggers.choose(None))
    (tmp_path / "marker").write_text("")
    monkeypatch.setenv("TOY_INTERRUPT", str(tmp_path / "marker"))
    monkeypatch.setenv("TOY_SIGNAL", name)
    with pytest.raises(KeyboardInterrupt, match=name):
        run(tmp_path, cell, loggers=names)
    assert memory.ended == ["KILLED", "1"]
    run(tmp_path, cell, loggers=names)
    assert memory.ended[2:] == ["FINISHED", "0"]
    steps = [step for step, values in memory.told if "train/loss" in values]
    assert steps == sorted(set(steps)) and steps[-1] == 250, "no step twice, none out of order"
    assert set(memory.runs.values()) == {2}, "one run of the service, opened twice"
    assert sum("settings" in values for _, values in memory.told) == 1
    if "tensorboard" in names:
        curve = events(loggers.folder(tmp_path, cell))["train/loss"]
        assert [step for step, _ in curve] == steps


def test_steps_that_are_taken_again_are_not_told_again(tmp_path: Path, memory: type[Memory]) -> None:
    """A run that ends between two checkpoints, as a killed one does, goes on from the earlier of them."""
    cell = long(tmp_path)
    undisturbed = run(tmp_path / "a", cell, loggers=("wandb",))
    whole = [one for one in memory.told if "train/loss" in one[1]]
    memory.told.clear()

    def stop(stage: str, fraction: float, detail: str) -> None:
        if detail.startswith("step ") and int(detail.split()[1].split("/")[0]) >= 40:
            raise RuntimeError("gone")

    from benchmark.run import Attempt
    from jepakit.registry import datasets

    log = loggers.RunLog(("wandb",), tmp_path / "b", cell)
    modality = datasets[cell.name].make(None)
    attempt = Attempt(cell, modality, tmp_path / "b", log, stop)
    with pytest.raises(RuntimeError, match="gone"):
        attempt.stages()
    assert (attempt.folder / "last.ckpt").exists()
    log.end("interrupted")
    last = memory.told[-1][0]
    again = run(tmp_path / "b", cell, loggers=("wandb",))
    assert result(again) == result(undisturbed)
    told = [one for one in memory.told if "train/loss" in one[1]]
    steps = [step for step, _ in told]
    assert last > 25 and steps == sorted(set(steps))  # the checkpoint is of step 25
    assert {step: v for step, v in told if step % 25 == 0} == {step: v for step, v in whole if step % 25 == 0}


def test_a_forced_run_begins_its_log_anew(tmp_path: Path, memory: type[Memory]) -> None:
    cell = make(tmp_path)
    names = ("wandb", *loggers.choose(None))
    run(tmp_path, cell, loggers=names)
    first = len(memory.told)
    run(tmp_path, cell, loggers=names, force=True)
    assert len(memory.told) == 2 * first and len(memory.runs) == 2
    if "tensorboard" in names:
        steps = [step for step, _ in events(loggers.folder(tmp_path, cell))["train/loss"]]
        assert steps == sorted(set(steps))


@pytest.mark.parametrize("content", ["", "{", "[]", '{"step": "x", "ids": {}}', '{"step": 3, "ids": 4}'])
def test_a_damaged_state_is_none(content: str, tmp_path: Path) -> None:
    cell = make(tmp_path)
    log = loggers.RunLog(("wandb",), tmp_path, cell)
    log.folder.mkdir(parents=True)
    (log.folder / "state.json").write_text(content)
    log._remember()
    assert (log.told, log.ids) == (0, {})


# --- loggers that fail -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["__init__", "log_metrics", "log_hyperparams", "finalize"])
def test_a_logger_that_fails_is_left_out_and_the_run_goes_on(
    where: str, tmp_path: Path, memory: type[Memory], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("no route\nto host")

    cell = make(tmp_path)
    silent = run(tmp_path / "a", cell)
    broken = type("Broken", (Memory,), {where: fail})
    monkeypatch.setattr(loggers, "WandbLogger", broken)
    with pytest.warns(
        UserWarning, match=r"the wandb log of toy/toy toy-ae seed 0 ends here \(ConnectionError: no route to"
    ):
        told = run(tmp_path / "b", cell, loggers=("wandb", "mlflow"))
    assert result(told) == result(silent)
    assert memory.ended[-1] == "FINISHED", "the other logger heard it all"
