"""Checkpoint: examined before an interrupted cell goes on from it; what is damaged or of another version is set aside."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from benchmark.atomic import is_left_over
from jepakit.objective import Objective

FILES = ("last.ckpt", "last.ckpt.sha256", "watch.json")


def examine(folder: Path, objective: Objective) -> None:
    """Leave ``folder``/last.ckpt only when ``objective`` can go on from it to the same end, else set it aside as
    ``*.corrupt`` with a warning, so that the cell begins anew. Drafts of dead processes are removed."""
    for draft in folder.glob(".*.tmp"):
        # Whoever calls holds the lock of the cell, so nobody is writing the drafts of the training loop.
        if is_left_over(draft) or draft.name.startswith(".last.ckpt."):
            draft.unlink(missing_ok=True)
    checkpoint = folder / "last.ckpt"
    if not checkpoint.exists():
        return
    wrong = damage(checkpoint, objective)
    if wrong is None:
        return
    warnings.warn(f"the checkpoint of {folder.name} {wrong}; it was set aside and the cell begins anew", stacklevel=2)
    for name in FILES:
        with suppress(FileNotFoundError):
            os.replace(folder / name, folder / f"{name}.corrupt")


def damage(checkpoint: Path, objective: Objective) -> str | None:
    """What is wrong with a checkpoint, as the end of a sentence; None when nothing is."""
    try:
        with checkpoint.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found not in checkpoint.with_name(f"{checkpoint.name}.sha256").read_text(encoding="ascii").split():
            return "does not match its checksum"
        stored: Any = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make every reader fail in its own way
        return f"cannot be read ({type(error).__name__})"
    try:
        weights, step = stored["state_dict"], int(stored["step"])
        (watcher,) = stored["callbacks"].values()
        history = {int(row["step"]) for row in watcher["history"]}
        stored["sums"], stored["optimizer_states"], watcher["last_drain"]
    except (KeyError, TypeError, ValueError, AttributeError):
        return "is not one of this version"
    own = {f"objective.{name}": getattr(value, "shape", None) for name, value in objective.state_dict().items()}
    if own != {name: getattr(value, "shape", None) for name, value in weights.items()}:
        return "holds other weights than this method has"
    if not history <= _watched(checkpoint.with_name("watch.json")):
        return f"of step {step} has lost the history of its losses"
    return None


def _watched(path: Path) -> set[int]:
    try:
        return {int(row["step"]) for row in json.loads(path.read_bytes())}
    except (OSError, ValueError, TypeError, KeyError):
        return set()
