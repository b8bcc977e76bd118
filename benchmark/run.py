"""Run one cell: pretrain, freeze, probe, diagnose, and write its record; a failure is a record too."""

from __future__ import annotations

import random
import shutil
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
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
    run_folder = results / ".runs" / cell.key
    with locked(lock_of(results, cell), remove=True):
        finished = None if force else record.find(results, cell)
        if finished is not None:
            return finished
        if force:
            shutil.rmtree(run_folder, ignore_errors=True)
        before = torch.get_num_threads()
        device = pretrain.hardware()[0] if device == "auto" else device
        torch.set_num_threads(threads or (1 if device == "cpu" else before))
        try:
            here = limited(modality, cell.limit)
            log = RunLog(loggers, results, cell)
            outcome = _attempt(cell, here, results, run_folder, say, device, devices, timeout, force, only_cache, log)
            saved = keep(results, cell, outcome)
        finally:
            torch.set_num_threads(before)
        if saved["status"] in record.FINAL:
            record.retire(results, saved)
        # With more time, space or luck it goes on from its checkpoint.
        if not (saved["status"] == "timeout" or outcome.disk or outcome.outside):
            shutil.rmtree(run_folder, ignore_errors=True)
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


def lock_of(results: Path, cell: Cell) -> Path:
    """Whoever runs a cell or writes its record holds this lock."""
    return results / ".runs" / f"{cell.key}.lock"


def _attempt(
    cell: Cell,
    modality: Modality,
    results: Path,
    folder: Path,
    say: Say,
    device: str,
    devices: int,
    timeout: float | None,
    force: bool,
    only_cache: bool,
    log: RunLog,
) -> Outcome:
    began = time.perf_counter()
    outcome = Outcome()
    cost.reset_peak_rss()
    seed_everything(cell.seed)
    ended = "interrupted"
    try:
        _stages(cell, modality, Cache(results), folder, say, device, devices, timeout, force, only_cache, outcome, log)
        ended = outcome.status
    except UsageError:
        raise
    except Exception as error:
        outcome.status, outcome.reason = classify(error)
        outcome.disk, outcome.outside = outcome.reason.startswith(FULL), isinstance(error, ranks.RankDied)
        outcome.scores, outcome.predictions = [], {}
        ended = outcome.status
    finally:
        log.end(ended, outcome.scores)
    outcome.cost |= {
        "wall_s": time.perf_counter() - began,
        "peak_rss_mib": cost.peak_rss_mib(),
        "threads": torch.get_num_threads(),
        "workers": pretrain.hardware()[2],
    }
    outcome.cost.setdefault("device", device)
    outcome.cost.setdefault("hardware", cost.hardware(outcome.cost["device"]))
    return outcome


def _stages(
    cell: Cell, modality: Modality, cache: Cache, folder: Path, say: Say, device: str, devices: int,
    timeout: float | None, force: bool, only_cache: bool, outcome: Outcome, log: RunLog,
) -> None:  # fmt: skip
    say("data", 0.0, "")
    rows: dict[Part, Data] = {part: modality.windows(modality.data(part)) for part in PARTS}
    outcome.data = describe_data(rows)
    dense = any(task.kind == "dense" for task in modality.tasks)
    seen = {probes.sees(name) for name in cell.probes}
    tokens = dense or "tokens" in seen
    facts = None if force else cache.facts(cell.encoder_key)
    found = cache.load_features(cell.feature_key, rows, tokens) if facts else None
    objective = pretrain.build(cell.method, modality, cell.size, cell.seed, dict(cell.settings))
    if facts is None or not cache.load_encoder(cell.encoder_key, objective.encoder()):
        if only_cache:
            raise UsageError(
                f"the encoder of {cell.method} seed {cell.seed} on {cell.name} is not in the cache of {cache.results}; run "
                "without --only-cache"
            )
        facts = _pretrain(cell, objective, modality, rows["val"], folder, say, device, devices, timeout, outcome, log)
        cache.save_encoder(cell.encoder_key, objective.encoder(), facts)
        found = None
    origin = probes.Source(objective.encoder(), modality, device)
    if found is None:
        say("features", PRETRAIN_SHARE, "")
        start = time.perf_counter()
        found = {
            part: features.extract(origin.encoder, modality, rows[part], device=device, tokens=tokens, dense=dense)
            for part in PARTS
        }
        facts["cost"]["features_s"] = time.perf_counter() - start
        cache.save_encoder(cell.encoder_key, origin.encoder, facts)
        cache.save_features(cell.feature_key, found)
    outcome.facts = facts
    outcome.cost |= facts["cost"]
    looker = Looker(modality, rows["val"], device, viewed=VIEWED_ROWS)
    _diagnose(looker(objective.encoder(), found["val"].pooled), facts, outcome)
    start = time.perf_counter()
    _score(cell, modality.tasks, tuple(n for n in cell.probes if not on_pairs(n)), found, rows, origin, say, outcome)
    for name in filter(on_pairs, cell.probes):
        relative = registry.probes[name].make
        if asked := relative.tasks(modality):
            say("probe", 1.0, f"pairs of views for {name}")
            views, labelled = relative.extract(origin.encoder, modality, rows, seed=cell.seed, device=device)
            _score(cell, asked, (name,), views, labelled, None, say, outcome)
    outcome.cost["probe_s"] = time.perf_counter() - start
    outcome.cost |= _flops(cell, modality, cache.results)
    say("done", 1.0, "")


def _flops(cell: Cell, modality: Modality, results: Path) -> dict[str, float]:
    """Counted last, when nothing can be disturbed any more; a method that cannot be counted keeps its scores."""
    try:
        found = flops.of(cell, modality, results)
    except Exception as error:
        warnings.warn(f"no FLOPs of {cell.method} on {cell.name}: {type(error).__name__}: {error}", stacklevel=2)
        return {}
    return {"gflop_encode": found.gflop_encode, "gflop_step": found.gflop_step, "pflop": found.total(cell)}


def _pretrain(
    cell: Cell, objective: Objective, modality: Modality, val: Data, folder: Path, say: Say, device: str, devices: int,
    timeout: float | None, outcome: Outcome, log: RunLog,
) -> dict[str, Any]:  # fmt: skip
    """Train and return the facts kept beside the encoder: cost, history, when it collapsed."""
    steps, devices = cell.training.steps, devices if objective.trains else 1
    checkpoint.examine(folder, objective)
    watch = WatchLog(folder, modality, val, device)
    outcome.facts = {"history": watch.history, "trains": objective.trains}
    outcome.cost |= {
        "params_m": cost.parameters_m(objective.encoder()),
        "params_trained_m": cost.parameters_m(objective, trained=True) if objective.trains else 0.0,
    }
    began = time.perf_counter()

    def watched(step: int, losses: dict[str, float], watched: Objective) -> None:
        watch(step, losses, watched)
        log.watched(watch.history[-1], losses)

    def progress(step: int) -> None:
        signals.hold()
        say("pretrain", PRETRAIN_SHARE * step / steps, f"step {step}/{steps}")
        if timeout is not None and time.perf_counter() - began > timeout:
            raise CellTimeout(f"pre-training took longer than {timeout:g} s (step {step} of {steps})")

    say("pretrain", 0.0, f"step 0/{steps}" if objective.trains else "nothing to train")
    if objective.trains:
        folder.mkdir(parents=True, exist_ok=True)
    try:
        resumed = (folder / "last.ckpt").exists()
        told = log.during(objective, resumed=resumed) if objective.trains else nullcontext()
        with slurm.unseen(), told, ranks.together(cell, modality, folder, device, devices) as team:
            fit = pretrain.fit(
                objective,
                modality,
                cell.training,
                seed=cell.seed,
                folder=folder if objective.trains else None,
                device=device,
                checkpoint_every=ranks.often(steps, ranks.CHECKPOINTS),
                watch=watched,
                watch_every=ranks.often(steps, ranks.WATCHES),
                progress=progress,
                team=team,
            )
    except SystemExit as stop:  # how Lightning leaves when a second signal comes: exit code 1, or 0 for a killed run
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


def _diagnose(look: Look, facts: Mapping[str, Any], outcome: Outcome) -> None:
    """The numbers of the trained encoder and the verdict; a collapse that only the last look found has the last step."""
    reason = (diagnostics.verdict(look) or facts.get("projected")) if facts["trains"] else None
    steps = [row["step"] for row in facts["history"]]
    outcome.diagnostics = record.clean(
        {
            **diagnostics.measure(look),
            "positives": look.positives,
            "collapsed": reason is not None,
            "collapse_step": (facts["collapse_step"] or max(steps, default=None)) if reason else None,
        }
    )
    if reason:
        outcome.status, outcome.reason = "collapsed", reason


def _score(
    cell: Cell,
    tasks: tuple[Task, ...],
    names: tuple[str, ...],
    found: Mapping[Part, Features],
    rows: Mapping[Part, Data],
    origin: probes.Source | None,
    say: Say,
    outcome: Outcome,
) -> None:
    pairs = [(task, probe) for task in tasks for probe in names if task.kind in kinds(probe)]
    for i, (task, probe) in enumerate(pairs):
        say("probe", PRETRAIN_SHARE + (1 - PRETRAIN_SHARE) * (i + 1) / (len(pairs) + 1), f"{probe} on {task.name}")
        score = probes.evaluate(probe, found, rows, task, cell.seed, origin)
        outcome.scores.append(
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
        outcome.predictions |= pack(score)


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
