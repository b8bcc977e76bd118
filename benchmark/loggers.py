"""Loggers: the curves of pre-training in people's own tools: TensorBoard's files by default, wandb or MLflow on request.

Lightning's loggers write them; here is only when, what and where: ``.logs/<modality>/<dataset>/<method>-s<seed>-<key>``
of the results, which stays when the run folder goes. Nothing of a run depends on it: losses are read as the loop computes
them, generators are left as they were, and a logger that fails is left out with a warning.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger
from torch import Tensor

from benchmark.cell import Cell
from jepakit.objective import Objective
from jepakit.pretrain import Training
from jepakit.registry import did_you_mean
from jepakit.schedules import cosine, stage_of, warmup_cosine
from jepakit.types import Losses, UsageError

# Any of a logger's modules will do.
MODULES = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",), "mlflow": ("mlflow",)}
INSTALL = {"tensorboard": "tensorboardX", "wandb": "wandb", "mlflow": "mlflow-skinny"}
DEFAULT, NONE = "tensorboard", "none"
POINTS = 100  # of a curve of losses; diagnostics have those of the watch
PAUSE = 1.0  # seconds between two visits to the loggers: each flushes files, which takes as long as a small step
ENDED = {"ok": "FINISHED", "collapsed": "FINISHED", "interrupted": "KILLED", "timeout": "KILLED"}  # in MLflow's words


def add(command: argparse.ArgumentParser) -> None:
    """The option that ``choose`` reads."""
    command.add_argument(
        "--logger", action="append", metavar="tensorboard|wandb|mlflow|none",
        help="what is told of the training, once or as a list with commas (default: tensorboard, in <results>/.logs)",
    )  # fmt: skip


def choose(words: Sequence[str] | None) -> tuple[str, ...]:
    """Names of loggers from the words of ``--logger`` (lists with commas; ``none`` by itself), TensorBoard where there are
    none and its package is there.

    Raises UsageError for an unknown name, for what is not installed, and for wandb without a key.
    """
    names = tuple(dict.fromkeys(name for word in words or [DEFAULT] for name in word.split(",")))
    for name in names:
        if name not in (*MODULES, NONE):
            raise did_you_mean("logger", name, [*MODULES, NONE])
    if NONE in names:
        if len(names) > 1:
            raise UsageError("--logger none stands by itself; leave it out or leave the other loggers out")
        return ()
    lacking = [name for name in names if not any(find_spec(module) for module in MODULES[name])]
    if lacking and not words:
        return ()
    if lacking:
        package = INSTALL[lacking[0]]
        raise UsageError(f"--logger {lacking[0]} needs {package}: .venv/bin/pip install -c constraints.txt {package}")
    if "wandb" in names:
        _wandb_may_log()
    return names


def _wandb_may_log() -> None:
    """In a run without a terminal there is nobody to ask for the key."""
    import wandb

    if os.environ.get("WANDB_MODE") not in ("offline", "disabled", "dryrun") and not wandb.login(prompt=False):
        raise UsageError("wandb has no key; run `wandb login` once, or set WANDB_MODE=offline and sync the runs later")


def prepare(names: Sequence[str], results: Path) -> None:
    """Make what the loggers of several processes share. Raises UsageError where it cannot be made."""
    if "mlflow" not in names:
        return
    from mlflow.tracking import MlflowClient

    try:
        logs(results).mkdir(parents=True, exist_ok=True)
        MlflowClient(tracking(results)).search_experiments(max_results=1)  # makes the tables of a new data base
    except Exception as error:
        raise UsageError(
            f"MLflow does not answer at {tracking(results)} ({type(error).__name__}); check MLFLOW_TRACKING_URI or leave "
            "--logger mlflow out"
        ) from None


def logs(results: Path) -> Path:
    """The folder of all logs: what ``tensorboard --logdir`` takes."""
    return results / ".logs"


def folder(results: Path, cell: Cell) -> Path:
    """The folder of the logs of one cell."""
    return logs(results) / cell.modality / cell.dataset / f"{cell.method}-s{cell.seed}-{cell.key}"


def tracking(results: Path) -> str:
    """Where MLflow keeps its runs: $MLFLOW_TRACKING_URI, else a data base among the logs."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{logs(results).resolve()}/mlflow.db"


def rates(training: Training, stages: Sequence[float], step: int) -> dict[str, float]:
    """Learning rate with which the ``step``-th step was taken (from 1 on), and weight decay where it changes."""
    _, begin, share = stage_of((step - 1) / training.steps, stages)
    after = min(1.0, (step / training.steps - begin) / share)
    low, high = training.lr * training.lr_start, training.lr * training.lr_end
    rate = warmup_cosine(low, training.lr, high, training.warmup)(after)
    start, end = training.weight_decay
    return {"optimizer/lr": rate} | ({} if start == end else {"optimizer/weight_decay": cosine(start, end)(after)})


class RunLog:
    """What the training of one cell tells its loggers; silent until ``during``, and where there is none.

    Losses are means over the steps since the last point. A step is told once: ``state.json`` beside the files keeps the last
    one and the names that services gave the run, so a resumed cell goes on in the same curves, and steps that it takes a
    second time (with the same numbers) are passed over.
    """

    def __init__(self, names: Sequence[str], results: Path, cell: Cell) -> None:
        self.names, self.results, self.cell = tuple(names), results, cell
        self.folder = folder(results, cell)
        self.every = max(1, cell.training.steps // POINTS)
        self.loggers: dict[str, Logger] = {}
        self.ids: dict[str, str] = {}
        self.told = 0
        self.kept: list[tuple[int, dict[str, float]]] = []  # points that the loggers have not heard yet
        self.visited = 0.0
        self.sums: dict[str, Tensor] = {}
        self.count = 0
        self.seen = -1
        self.stages: Sequence[float] = (1.0,)

    @contextmanager
    def during(self, objective: Objective, *, resumed: bool) -> Iterator[None]:
        """Listens to ``objective`` inside. ``resumed``: it goes on from a checkpoint; else the log begins anew."""
        if not self.names:
            yield
            return
        self.stages = objective.stages
        if resumed:
            self._remember()
        else:
            shutil.rmtree(self.folder, ignore_errors=True)
        for name in self.names:
            with self._guard(name), undisturbed():
                self.loggers[name] = self._open(name)
        handle = objective.register_forward_hook(self._heard)
        try:
            yield
        finally:
            handle.remove()

    def watched(self, row: Mapping[str, Any], losses: Mapping[str, float]) -> None:
        """A row of the watch: losses since the last point, and the diagnostics beside them."""
        if not self.loggers:
            return
        found = {f"features/{name}": value for name, value in row.items() if name not in ("step", *losses)}
        verdict = found.pop("features/collapsed", None)
        self._keep(int(row["step"]), {**self._drain(), **found, "features/collapsed": float(verdict is not None)})
        self._tell()  # before the checkpoint of this step: what it holds has been told

    def end(self, status: str, scores: Sequence[Mapping[str, Any]] = ()) -> None:
        """Close the loggers of a cell that ended with ``status`` (of a record, or ``interrupted``), its scores first."""
        self._tell()
        values = {f"probe/{one['task']}/{one['probe']}": float(one["value"]) for one in scores}
        if values:
            self._each(lambda name, logger: self._scored(name, logger, values))
        self._each(lambda name, logger: _close(name, logger, status))
        self.loggers.clear()

    def _heard(self, objective: Any, inputs: tuple[Any, ...], losses: Losses) -> None:
        """After every forward pass of the loop: inputs are (batch, progress)."""
        before = round(float(inputs[1]) * self.cell.training.steps)
        if before != self.seen and before % self.every == 0 and self.count:
            self._keep(before, self._drain())
            if time.monotonic() - self.visited > PAUSE:
                self._tell()
        self.seen, self.count = before, self.count + 1
        for name, value in {"loss": losses.total, **losses.parts}.items():
            self.sums[name] = self.sums.get(name, 0) + value.detach()

    def _drain(self) -> dict[str, float]:
        """Mean losses since the last point; waits for the device."""
        means = {f"train/{name}": float(value) / self.count for name, value in self.sums.items()}
        self.sums, self.count = {}, 0
        return means

    def _keep(self, step: int, values: Mapping[str, Any]) -> None:
        if step <= self.told or not self.loggers:
            return
        values = {**values, **rates(self.cell.training, self.stages, step)}
        numbers = {name: float(value) for name, value in values.items() if value is not None and isfinite(value)}
        self.kept.append((step, numbers))

    def _tell(self) -> None:
        """Visit the loggers with what was kept for them."""
        if not self.kept:
            return
        points, self.kept = self.kept, []
        self._each(lambda name, logger: _log(logger, points))
        self.told = points[-1][0]
        self._note()
        self.visited = time.monotonic()

    def _scored(self, name: str, logger: Logger, values: dict[str, float]) -> None:
        steps = self.cell.training.steps
        if isinstance(logger, TensorBoardLogger):  # its page of settings shows only those that stand beside scores
            logger.log_hyperparams(self._settings(), values, steps)
        else:
            logger.log_metrics(values, steps)

    def _each(self, act: Callable[[str, Logger], object]) -> None:
        for name, logger in list(self.loggers.items()):
            with self._guard(name), undisturbed():
                act(name, logger)

    @contextmanager
    def _guard(self, name: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # a full disk, a lost connection, a service that refuses
            self.loggers.pop(name, None)
            why = " ".join(str(error).split())[:200]
            warnings.warn(
                f"the {name} log of {self.cell.name} {self.cell.method} seed {self.cell.seed} ends here "
                f"({type(error).__name__}: {why}); the run goes on without it",
                stacklevel=2,
            )

    # --- loggers -----------------------------------------------------------------------------------------------------

    def _open(self, name: str) -> Logger:
        cell, top = self.cell, logs(self.results)
        self.folder.mkdir(parents=True, exist_ok=True)
        title = f"{cell.method} seed {cell.seed}"
        if name == "tensorboard":
            # Events past this step that a killed process left behind are hidden by TensorBoard itself.
            more: Any = {"purge_step": self.told + 1} if self.told else {}
            # A file is named after the second in which it is opened: a run that goes on at once would write over the first.
            more["filename_suffix"] = f".{self.told:09d}-{uuid.uuid4().hex[:8]}"
            logger: Any = TensorBoardLogger(
                top, name=cell.name, version=self.folder.name, default_hp_metric=False, **more
            )
            logger.experiment  # noqa: B018 - opens the file
            return logger
        if name == "wandb":
            logger = WandbLogger(
                name=title, save_dir=top, project=os.environ.get("WANDB_PROJECT", "jepakit"), group=cell.name,
                job_type=cell.preset, id=self.ids.get(name),
            )  # fmt: skip
            self.ids[name] = str(logger.experiment.id)
        else:
            logger = MLFlowLogger(
                experiment_name=cell.name, run_name=title, tracking_uri=tracking(self.results),
                run_id=self.ids.get(name), artifact_location=(top.resolve() / "mlartifacts").as_uri(),
            )  # fmt: skip
            self.ids[name] = str(logger.run_id)
        if not self.told:
            logger.log_hyperparams(self._settings())
        self._note()
        return logger

    def _settings(self) -> dict[str, Any]:
        """What a person would filter runs by."""
        cell = self.cell
        parts = {"size": asdict(cell.size), "train": asdict(cell.training), "recipe": dict(cell.settings)}
        given = {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}
        about = {name: getattr(cell, name) for name in ("modality", "dataset", "method", "preset", "seed", "key")}
        return about | {name: str(value) if isinstance(value, tuple) else value for name, value in given.items()}

    # --- state -------------------------------------------------------------------------------------------------------

    def _remember(self) -> None:
        try:
            found = json.loads((self.folder / "state.json").read_bytes())
            self.told, self.ids = int(found["step"]), {str(name): str(id) for name, id in found["ids"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self.told, self.ids = 0, {}

    def _note(self) -> None:
        """Renamed into place, but not flushed to the disk: that would cost more than the log."""
        draft = self.folder / "state.json.tmp"
        try:
            draft.write_text(json.dumps({"step": self.told, "ids": self.ids}), encoding="utf-8")
            os.replace(draft, self.folder / "state.json")
        except OSError:  # the loggers say so themselves
            return


def _log(logger: Logger, points: Sequence[tuple[int, Mapping[str, float]]]) -> None:
    for step, numbers in points:
        logger.log_metrics(dict(numbers), step)
    if isinstance(logger, TensorBoardLogger):
        logger.experiment.flush()  # a killed process loses nothing that was told


def _close(name: str, logger: Any, status: str) -> None:
    logger.finalize(ENDED.get(status, "FAILED"))
    if name == "wandb":
        logger.experiment.finish(exit_code=0 if ENDED.get(status) == "FINISHED" else 1)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Whatever is drawn inside, the global generators are afterwards where they were."""
    python, numpy, state = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(state)
