"""Outcome: what a cell found out, how a failure is classed, and the record that both become."""

from __future__ import annotations

import errno
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import torch

from benchmark import cost, leaks, record
from benchmark.cell import Cell
from jepakit.pretrain import Diverged
from jepakit.registry import methods
from jepakit.types import Data, Part

FOLDERS = re.compile(r"(?<![\w.])~?/(?:[^/\s'\"]+/)*")  # of absolute paths: a record names no machine's folders


FULL_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
FULL = "the results could not be written"
# How torch's writer of checkpoints speaks of a disk that refuses: no OSError, and no number of one.
WRITER = ("PytorchStreamWriter failed", "inline_container.cc", "unexpected pos")


class CellTimeout(Exception):
    """The cell ran longer than the person allowed."""


@dataclass
class Outcome:
    """What a cell has found out so far; a failure keeps everything that came before it."""

    status: str = "ok"
    reason: str | None = None
    scores: list[dict[str, Any]] = field(default_factory=list)
    predictions: dict[str, np.ndarray] = field(default_factory=dict)
    diagnostics: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    cost: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    disk: bool = False  # it failed because results could not be written: its checkpoint is kept
    outside: bool = False  # it failed because another process died: its checkpoint is kept


def disk_refused(error: BaseException) -> str:
    """One sentence about results that could not be written, with the remedy."""
    why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
    return f"{FULL} ({why}); free some space or name another folder with --results, then run the same command"


def classify(error: Exception) -> tuple[str, str]:
    """(status, one short line without paths) of a failure."""
    text = " ".join(str(error).split())
    if isinstance(error, CellTimeout):
        return "timeout", text
    if isinstance(error, OSError) and error.errno in FULL_DISK:
        return "error", disk_refused(error)
    if isinstance(error, RuntimeError) and any(word in text for word in WRITER):
        return "error", disk_refused(error)
    if isinstance(error, Diverged) or (isinstance(error, ValueError) and "non-finite" in text):
        return "nan", text
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and ("can't allocate memory" in text or "out of memory" in text)
    ):
        return "oom", "out of memory; take a smaller size or train.batch_size"
    return "error", f"{type(error).__name__}: {FOLDERS.sub('', text)}"[:300].rstrip(": ")


def describe_data(rows: Mapping[Part, Data]) -> dict[str, Any]:
    """Rows, units and repairs of each part, as they enter the record; ``test_seen``: rows of test that pre-training has
    seen, itself or others of their unit, where there are any."""
    facts: dict[str, Any] = {"repairs": {part: dict(data.repairs) for part, data in rows.items() if data.repairs}}
    for part, data in rows.items():
        facts |= {f"n_{part}": len(data), f"units_{part}": len(np.unique(data.unit))}
    if seen := leaks.rows_seen(rows["train"], rows["test"]):
        facts["test_seen"] = seen
    return facts


def describe(cell: Cell, outcome: Outcome) -> record.Record:
    """The record of what was asked for and what came out."""
    info = methods[cell.method].info
    identity = cell.identity()
    history: list[dict[str, Any]] = outcome.facts.get("history", [])
    return {
        "schema": record.SCHEMA,
        "key": cell.key,
        "identity": identity,
        "keys": {"encoder": cell.encoder_key, "features": cell.feature_key},
        "modality": cell.modality,
        "dataset": cell.dataset,
        "method": cell.method,
        "family": str(info.get("family", "jepa")),
        "paper": str(info.get("paper", "")),
        "augmentation": str(info.get("augmentation", "none")),
        "preset": cell.preset,
        "seed": cell.seed,
        "overrides": dict(cell.overrides),
        "variant": cell.variant,
        "status": outcome.status,
        "reason": outcome.reason,
        "scores": outcome.scores,
        "diagnostics": outcome.diagnostics,
        "history": [{k: v for k, v in row.items() if k != "collapsed"} for row in history],
        "cost": outcome.cost,
        "data": {"fingerprint": dict(cell.data), **outcome.data},
        "training": asdict(cell.training),
        "versions": cost.versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
