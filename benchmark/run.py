"""Run one cell: pretrain, freeze, probe, diagnose, and write its record; a failure is a record too."""

from __future__ import annotations

import random
import shutil
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmark import checkpoint, cost, diagnostics, features, flops, metrics, probes, ranks, record, signals, slurm
from benchmark.cache import Cache
from benchmark.cell import Cell
from benchmark.diagnostics import Look, Looker
from benchmark.features import Features
from benchmark.lock import locked
from benchmark.loggers import RunLog
from benchmark.outcome import FULL, CellTimeout, Outcome, classify, describe, describe_data, disk_refused
from benchmark.subset import limited
from benchmark.watch import WatchLog
from jepakit import pretrain, registry
from jepakit.modality import Modality
from jepakit.objective import Objective
from jepakit.types import PARTS, Data, Part, Task, UsageError

# say(stage, fraction of the cell that is done, detail)
Say = Callable[[str, float, str], None]
VIEWED_ROWS = 512  # of the final look: all of its rows, so that lda_rank has many more samples than dimensions
PRETRAIN_SHARE = 0.8  # of a cell's time, for the progress bar only


def quiet(stage: str, fraction: float, detail: str) -> None:
    """Says nothing."""


def run_cell(
    cell: Cell,
    modality: Modality,
    results: Path,
    *,
    say: Say = quiet,
    device: str = "auto",
    threads: int | None = None,
    timeout: float | None = None,
    force: bool = False,
    only_cache: bool = False,
    devices: int = 1,
    loggers: Sequence[str] = (),
) -> record.Record:
    """The record of ``cell``, from disk when it is finished, else by running it (resumed where it was interrupted).

    ``threads``: of torch on a CPU, 1 by default because another number gives other bits. ``timeout``: seconds of
    pre-training. ``devices``: that pre-train the cell together (``benchmark.ranks``). ``force``: ignore record, checkpoint
    and caches. ``only_cache``: UsageError where it would have to train. ``loggers``: names of ``benchmark.loggers`` that are
    told of the training.
    Raises UsageError (bad input; the grid stops) and KeyboardInterrupt (checkpoint written); every other failure becomes
    the record's status and reason. A record that the disk refuses is returned all the same, with ``unsaved``: True.
    """
    with locked(lock_of(results, cell), remove=True):
        finished = None if force else record.find(results, cell)
        if finished is not None:
            return finished
        if force:
            shutil.rmtree(folder_of(results, cell), ignore_errors=True)
        before = torch.get_num_threads()
        device = pretrain.hardware()[0] if device == "auto" else device
        torch.set_num_threads(threads or (1 if device == "cpu" else before))
        try:
            log = RunLog(loggers, results, cell)
            here = limited(modality, cell.limit)
            attempt = Attempt(
                cell, here, results, log, say, device, devices, timeout, force=force, only_cache=only_cache
            )
            outcome = attempt.run()
            saved = keep(results, cell, outcome)
        finally:
            torch.set_num_threads(before)
        if saved["status"] in record.FINAL:
            record.retire(results, saved)
        # With more time, space or luck it goes on from its checkpoint.
        if not (saved["status"] == "timeout" or outcome.disk or outcome.outside):
            shutil.rmtree(attempt.folder, ignore_errors=True)
    return saved


def keep(results: Path, cell: Cell, outcome: Outcome) -> record.Record:
    """Write the record of what came out. Where the disk refuses, the failure is known in memory alone (``unsaved``), so
    that the rest of the grid goes on and the end of the run can tell it."""
    try:
        return record.save(results, describe(cell, outcome), outcome.predictions)
    except OSError as error:
        outcome.status, outcome.reason, outcome.disk = "error", disk_refused(error), True
        outcome.scores, outcome.predictions = [], {}
        unsaved: record.Record = record.clean({**describe(cell, outcome), "unsaved": True})
        return unsaved


def folder_of(results: Path, cell: Cell) -> Path:
    """Where checkpoints lie until the cell has ended."""
    return results / ".runs" / cell.key


def lock_of(results: Path, cell: Cell) -> Path:
    """Whoever runs a cell or writes its record holds this lock."""
    return folder_of(results, cell).with_name(f"{cell.key}.lock")


@dataclass
class Attempt:
    """One try at a cell: how it runs, and the outcome that it fills as far as it comes. ``modality``: with as many labels as
    the cell may see; the rest as in ``run_cell``."""

    cell: Cell
    modality: Modality
    results: Path
    log: RunLog
    say: Say = quiet
    device: str = "cpu"
    devices: int = 1
    timeout: float | None = None
    force: bool = False
    only_cache: bool = False
    outcome: Outcome = field(default_factory=Outcome)

    @property
    def folder(self) -> Path:
        """``folder_of`` the cell."""
        return folder_of(self.results, self.cell)

    def run(self) -> Outcome:
        """What came out, failures included. Raises UsageError and KeyboardInterrupt alone."""
        began, outcome = time.perf_counter(), self.outcome
        cost.reset_peak_rss()
        seed_everything(self.cell.seed)
        ended = "interrupted"
        try:
            self.stages()
            ended = outcome.status
        except UsageError:
            raise
        except Exception as error:
            outcome.status, outcome.reason = classify(error)
            outcome.disk, outcome.outside = outcome.reason.startswith(FULL), isinstance(error, ranks.RankDied)
            outcome.scores, outcome.predictions = [], {}
            ended = outcome.status
        finally:
            self.log.end(ended, outcome.scores)
        outcome.cost |= {
            "wall_s": time.perf_counter() - began,
            "peak_rss_mib": cost.peak_rss_mib(),
            "threads": torch.get_num_threads(),
            "workers": pretrain.hardware()[2],
        }
        outcome.cost.setdefault("device", self.device)
        outcome.cost.setdefault("hardware", cost.hardware(outcome.cost["device"]))
        return outcome

    def stages(self) -> None:
        """Pretrain, freeze, probe and diagnose, each from the caches where it was done before."""
        cell, modality, outcome, cache = self.cell, self.modality, self.outcome, Cache(self.results)
        self.say("data", 0.0, "")
        rows: dict[Part, Data] = {part: modality.windows(modality.data(part)) for part in PARTS}
        outcome.data = describe_data(rows)
        dense = any(task.kind == "dense" for task in modality.tasks)
        tokens = dense or "tokens" in {probes.sees(name) for name in cell.probes}
        facts = None if self.force else cache.facts(cell.encoder_key)
        found = cache.load_features(cell.feature_key, rows, tokens) if facts else None
        objective = pretrain.build(cell.method, modality, cell.size, cell.seed, dict(cell.settings))
        if facts is None or not cache.load_encoder(cell.encoder_key, objective.encoder()):
            if self.only_cache:
                raise UsageError(
                    f"the encoder of {cell.method} seed {cell.seed} on {cell.name} is not in the cache of {self.results}; "
                    "run without --only-cache"
                )
            facts = self._pretrain(objective, rows["val"])
            cache.save_encoder(cell.encoder_key, objective.encoder(), facts)
            found = None
        origin = probes.Source(objective.encoder(), modality, self.device)
        if found is None:
            self.say("features", PRETRAIN_SHARE, "")
            start = time.perf_counter()
            found = {
                part: features.extract(
                    origin.encoder, modality, rows[part], device=self.device, tokens=tokens, dense=dense
                )
                for part in PARTS
            }
            facts["cost"]["features_s"] = time.perf_counter() - start
            cache.save_encoder(cell.encoder_key, origin.encoder, facts)
            cache.save_features(cell.feature_key, found)
        outcome.facts = facts
        outcome.cost |= facts["cost"]
        looker = Looker(modality, rows["val"], self.device, viewed=VIEWED_ROWS)
        self._diagnose(looker(objective.encoder(), found["val"].pooled), facts)
        start = time.perf_counter()
        self._score(modality.tasks, tuple(n for n in cell.probes if not on_pairs(n)), found, rows, origin)
        for name in filter(on_pairs, cell.probes):
            relative = registry.probes[name].make
            if asked := relative.tasks(modality):
                self.say("probe", 1.0, f"pairs of views for {name}")
                views, labelled = relative.extract(origin.encoder, modality, rows, seed=cell.seed, device=self.device)
                self._score(asked, (name,), views, labelled, None)
        outcome.cost["probe_s"] = time.perf_counter() - start
        outcome.cost |= _flops(cell, modality, self.results)
        self.say("done", 1.0, "")

    def _pretrain(self, objective: Objective, val: Data) -> dict[str, Any]:
        """Train and return the facts kept beside the encoder: cost, history, when it collapsed."""
        cell, folder, outcome = self.cell, self.folder, self.outcome
        steps, devices = cell.training.steps, self.devices if objective.trains else 1
        checkpoint.examine(folder, objective)
        watch = WatchLog(folder, self.modality, val, self.device)
        outcome.facts = {"history": watch.history, "trains": objective.trains}
        outcome.cost |= {
            "params_m": cost.parameters_m(objective.encoder()),
            "params_trained_m": cost.parameters_m(objective, trained=True) if objective.trains else 0.0,
        }
        began = time.perf_counter()

        def watched(step: int, losses: dict[str, float], watched: Objective) -> None:
            watch(step, losses, watched)
            self.log.watched(watch.history[-1], losses)

        def progress(step: int) -> None:
            signals.hold()
            self.say("pretrain", PRETRAIN_SHARE * step / steps, f"step {step}/{steps}")
            if self.timeout is not None and time.perf_counter() - began > self.timeout:
                raise CellTimeout(f"pre-training took longer than {self.timeout:g} s (step {step} of {steps})")

        self.say("pretrain", 0.0, f"step 0/{steps}" if objective.trains else "nothing to train")
        if objective.trains:
            folder.mkdir(parents=True, exist_ok=True)
        try:
            resumed = (folder / "last.ckpt").exists()
            told = self.log.during(objective, resumed=resumed) if objective.trains else nullcontext()
            with slurm.unseen(), told, ranks.together(cell, self.modality, folder, self.device, devices) as team:
                fit = pretrain.fit(
                    objective,
                    self.modality,
                    cell.training,
                    seed=cell.seed,
                    folder=folder if objective.trains else None,
                    device=self.device,
                    checkpoint_every=ranks.often(steps, ranks.CHECKPOINTS),
                    watch=watched,
                    watch_every=ranks.often(steps, ranks.WATCHES),
                    progress=progress,
                    team=team,
                )
        except (
            SystemExit
        ) as stop:  # how Lightning leaves when a second signal comes: exit code 1, or 0 for a killed run
            raise KeyboardInterrupt(signals.reason(KeyboardInterrupt())) from stop
        outcome.cost |= {
            "pretrain_s": fit.seconds,
            "samples_per_s": fit.samples_per_s,
            "step_ms_p50": fit.step_ms[0],
            "step_ms_p95": fit.step_ms[1],
            "data_wait": fit.data_wait,
            "peak_device_mib": fit.peak_device_mib,
            "device": fit.device,
            "precision": fit.precision,
            **({"devices": devices} if devices > 1 else {}),
        }
        plain: dict[str, Any] = record.clean({**outcome.facts, "cost": outcome.cost, **watch.facts()})
        return plain

    def _diagnose(self, look: Look, facts: Mapping[str, Any]) -> None:
        """The numbers of the trained encoder and the verdict; a collapse that only the last look found has the last step."""
        reason = (diagnostics.verdict(look) or facts.get("projected")) if facts["trains"] else None
        steps = [row["step"] for row in facts["history"]]
        self.outcome.diagnostics = record.clean(
            {
                **diagnostics.measure(look),
                "positives": look.positives,
                "collapsed": reason is not None,
                "collapse_step": (facts["collapse_step"] or max(steps, default=None)) if reason else None,
            }
        )
        if reason:
            self.outcome.status, self.outcome.reason = "collapsed", reason

    def _score(
        self,
        tasks: tuple[Task, ...],
        names: tuple[str, ...],
        found: Mapping[Part, Features],
        rows: Mapping[Part, Data],
        origin: probes.Source | None,
    ) -> None:
        pairs = [(task, probe) for task in tasks for probe in names if task.kind in kinds(probe)]
        for i, (task, probe) in enumerate(pairs):
            share = PRETRAIN_SHARE + (1 - PRETRAIN_SHARE) * (i + 1) / (len(pairs) + 1)
            self.say("probe", share, f"{probe} on {task.name}")
            score = probes.evaluate(probe, found, rows, task, self.cell.seed, origin)
            self.outcome.scores.append(
                {
                    "task": task.name,
                    "kind": task.kind,
                    "probe": probe,
                    "metric": score.metric,
                    "value": float(score.value),
                    "val": None if score.val is None else float(score.val),
                    "chosen": record.clean(score.chosen),
                    "extras": record.clean(score.extras),
                    "headline": task is tasks[0] and not task.nuisance,
                    "nuisance": task.nuisance,
                }
            )
            self.outcome.predictions |= pack(score)


def _flops(cell: Cell, modality: Modality, results: Path) -> dict[str, float]:
    """Counted last, when nothing can be disturbed any more; a method that cannot be counted keeps its scores."""
    try:
        found = flops.of(cell, modality, results)
    except Exception as error:
        warnings.warn(f"no FLOPs of {cell.method} on {cell.name}: {type(error).__name__}: {error}", stacklevel=2)
        return {}
    return {"gflop_encode": found.gflop_encode, "gflop_step": found.gflop_step, "pflop": found.total(cell)}


def on_pairs(probe: str) -> bool:
    """Whether a probe asks about pairs of views, in tasks of its own, and not about rows."""
    return registry.probes[probe].info.get("sees") == "pairs"


def kinds(probe: str) -> tuple[str, ...]:
    """The kinds of task a probe can do."""
    return tuple(registry.probes[probe].info.get("kinds", ("class", "multilabel", "regression", "dense")))


def pack(score: probes.Score) -> dict[str, np.ndarray]:
    """Test predictions in the smallest type from which the metric can be computed again, labels and unit codes."""
    label = np.asarray(score.labels)
    pred = metrics.compact(metrics.get(score.metric), label, np.asarray(score.predictions))
    label = label.astype({"regression": np.float32, "multilabel": np.uint8}.get(score.kind, np.int16))
    unit = np.unique(score.units, return_inverse=True)[1].astype(np.int32)
    return {f"{score.task}.{score.probe}.pred": pred, f"{score.task}.label": label, f"{score.task}.unit": unit}


def seed_everything(seed: int) -> None:
    """Every global generator; what runs inside training is seeded per step by ``jepakit.pretrain``."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - third-party code may draw from it
    torch.manual_seed(seed)
