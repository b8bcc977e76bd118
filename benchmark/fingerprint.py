"""Fingerprint: which data a board ran on, remembered so that finished cells are recognised without loading anything."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy
import torch

from benchmark import folds
from benchmark.atomic import write_bytes
from benchmark.cell import code_of, hash_of
from jepakit.modality import Modality
from jepakit.registry import datasets
from jepakit.types import PARTS


def fingerprints(results: Path, name: str, modality: Modality, *, remember: bool = True) -> dict[str, str]:
    """The fingerprint of each part of the data set "<modality>/<dataset>".

    Remembered in ``results/.cache/fingerprints.json`` under the adapter's code and the listing (name, size, time) of the
    data folder; loads the data where that is new. Raises DataError when the data cannot be read.
    """
    path = results / ".cache" / "fingerprints" / f"{request(name, modality.root)}.json"
    try:
        known: dict[str, str] = json.loads(path.read_bytes())
        if sorted(known) == sorted(PARTS):
            return known
    except (OSError, ValueError):
        pass
    found = {str(part): modality.data(part).fingerprint() for part in PARTS}
    if remember:
        write_bytes(path, json.dumps(found, sort_keys=True).encode())
    return found


def request(name: str, root: Path | None) -> str:
    """Key of the memory: adapter code, library versions (simulators) and the listing of the data folder."""
    versions = {"torch": torch.__version__, "numpy": numpy.__version__}
    modality, _, dataset = name.partition("/")
    files = f"{modality}/{folds.origin(modality, dataset)}"  # the folds of a data set read the same files
    return hash_of({"name": name, "code": code_of(datasets[name]), "listing": _listing(files, root), **versions})


def _listing(name: str, root: Path | None) -> str:
    total = hashlib.sha256()
    folder = None if root is None else root / name
    if folder is not None and folder.is_dir():
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                stat: Any = path.stat()
                total.update(f"{path.relative_to(folder)}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return total.hexdigest()
