"""Record: the truth about one cell, a checksummed JSON file with its predictions beside it."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import shutil
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.atomic import atomic, is_left_over, write_bytes
from jepakit.types import UsageError

SCHEMA = 1
NAME = re.compile(r"(?!\.)[^/\x00]{1,200}", re.DOTALL)  # no folder above and none below; what is shown is escaped
STATUSES = ("ok", "collapsed", "nan", "oom", "timeout", "error")
# A second try gives the same again; the other failures may come from the surroundings and are tried anew.
FINAL = ("ok", "collapsed", "nan")
FAILED = ("nan", "oom", "timeout", "error")

Record = dict[str, Any]
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "schema": int, "key": str, "identity": dict, "modality": str, "dataset": str, "method": str, "family": str,
    "paper": str, "augmentation": str, "preset": str, "seed": int, "overrides": dict, "variant": str, "status": str,
    "reason": (str, type(None)), "scores": list, "diagnostics": dict, "history": list, "cost": dict, "data": dict,
    "training": dict, "versions": dict, "created": str,
}  # fmt: skip
_SCORE: dict[str, type | tuple[type, ...]] = {
    "task": str, "kind": str, "probe": str, "metric": str, "value": (int, float), "val": (int, float, type(None)),
    "chosen": dict, "headline": bool, "nuisance": bool,
}  # fmt: skip

MERGED = "merged"  # a record that came in a package says in which
FIELDS = frozenset({*_FIELDS, "keys", "sha256", MERGED})


class CorruptRecord(Exception):
    """A record file that is damaged or incomplete; the message names the file and what is wrong."""


def canonical(payload: Mapping[str, Any]) -> bytes:
    """The bytes a checksum is taken over: JSON with sorted keys, no spaces, no NaN, without the field ``sha256``."""
    body = {key: value for key, value in payload.items() if key != "sha256"}
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def clean(value: Any) -> Any:
    """A JSON-able copy: numpy scalars become numbers, tuples lists, and NaN or infinity null (never a made-up 0.0)."""
    if isinstance(value, Mapping):
        return {str(key): clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [clean(item) for item in value]
    if isinstance(value, np.generic):
        return clean(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def validate(record: Mapping[str, Any], where: str) -> None:
    """Raise CorruptRecord unless fields, types, checksum and scores are right."""
    _typed(record, _FIELDS, where)
    if record["schema"] != SCHEMA:
        raise CorruptRecord(
            f"{where} has record schema {record['schema']}, this version reads {SCHEMA}; run the cell again"
        )
    if record.get("sha256") != hashlib.sha256(canonical(record)).hexdigest():
        raise CorruptRecord(f"{where} does not match its checksum; delete it and run the cell again")
    for name in ("modality", "dataset", "method", "key"):  # folders and files are named after them
        if not NAME.fullmatch(record[name]):
            raise CorruptRecord(f"{where} has an impossible {name}; delete it and run the cell again")
    if record["status"] not in STATUSES:
        raise CorruptRecord(f"{where} has an unknown status '{record['status']}'")
    if record["status"] == "ok" and not record["scores"]:
        raise CorruptRecord(f"{where} says ok but holds no score")
    for score in record["scores"]:
        _typed(score, _SCORE, where)
        if not math.isfinite(score["value"]):
            raise CorruptRecord(f"{where} holds a score that is not finite")


def _typed(values: Any, wanted: Mapping[str, type | tuple[type, ...]], where: str) -> None:
    if not isinstance(values, Mapping):
        raise CorruptRecord(f"{where} is not a record")
    for name, kind in wanted.items():
        if not isinstance(values.get(name, ...), kind):
            raise CorruptRecord(f"{where} has no valid field '{name}'")


def folder(results: Path, record: Mapping[str, Any]) -> Path:
    """Where the records of one method on one data set lie."""
    return results.joinpath("records", record["modality"], record["dataset"], record["method"])


def save(results: Path, record: Mapping[str, Any], predictions: Mapping[str, np.ndarray] | None = None) -> Record:
    """Write predictions, then the record, each atomically, and return the record with its checksum.

    The predictions come first, so a record always has them. Raises OSError when the disk refuses.
    """
    final: Record = clean(record)
    final["sha256"] = hashlib.sha256(canonical(final)).hexdigest()
    validate(final, f"the record of {record['method']}")
    place = folder(results, record)
    if predictions:
        with atomic(place / f"{final['key']}.npz") as file:
            np.savez_compressed(file, **predictions)  # type: ignore[arg-type]
    text = json.dumps(final, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(place / f"{final['key']}.json", text.encode())
    return final


def load(path: Path) -> Record:
    """Read and validate one record. Raises CorruptRecord, or FileNotFoundError."""
    try:
        record = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CorruptRecord(
            f"{path.name} is not JSON ({type(error).__name__}); delete it and run the cell again"
        ) from None
    validate(record, path.name)
    if path.stem != record["key"]:
        raise CorruptRecord(f"{path.name} holds the record of another key; delete it and run the cell again")
    return dict(record)


def load_all(results: Path, modality: str | None = None) -> list[Record]:
    """All valid records, sorted by path; a damaged file is skipped with a warning."""
    found = []
    for path in sorted((results / "records" / (modality or "")).glob("**/*.json")):
        try:
            found.append(load(path))
        except (CorruptRecord, OSError) as error:
            warnings.warn(f"record skipped: {error}", stacklevel=2)
    return found


def find(results: Path, cell: Any) -> Record | None:
    """The finished record of a cell, or None when it has to be run; a damaged file is set aside as ``*.corrupt``."""
    path = results / "records" / cell.modality / cell.dataset / cell.method / f"{cell.key}.json"
    try:
        record = load(path)
    except FileNotFoundError:
        return None
    except CorruptRecord as error:
        warnings.warn(f"{error}; it was set aside", stacklevel=2)
        with suppress(FileNotFoundError):  # another process set it aside
            os.replace(path, path.with_name(path.name + ".corrupt"))
        return None
    return record if record["status"] in FINAL else None


def retire(results: Path, record: Mapping[str, Any]) -> None:
    """Move the records that this one replaces (same request, older code or data) to ``.cache/superseded``."""
    same = ("modality", "dataset", "method", "preset", "seed", "variant")
    attic = results / ".cache" / "superseded"
    for path in folder(results, record).glob("*.json"):
        try:
            old = load(path)
        except (CorruptRecord, OSError):
            continue
        if old["key"] != record["key"] and all(old[name] == record[name] for name in same):
            attic.mkdir(parents=True, exist_ok=True)
            for file in (path, path.with_suffix(".npz")):
                with suppress(FileNotFoundError):  # without predictions, or retired by another process just now
                    os.replace(file, attic / file.name)


def preflight(results: Path, needed: int = 64 << 20) -> None:
    """Prove before any training that the results folder can be written and has ``needed`` bytes left.

    Raises UsageError with the remedy. Unfinished drafts of a killed run are removed.
    """
    try:
        results.mkdir(parents=True, exist_ok=True)
        probe = results / f".writable.{os.getpid()}"
        probe.write_bytes(b"x")
        probe.unlink()
        (results / "records").mkdir(exist_ok=True)
        free = shutil.disk_usage(results).free
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UsageError(
            f"the results folder {results} cannot be written ({reason}); make it writable or name another with --results"
        ) from None
    if free < needed:
        raise UsageError(f"only {free >> 20} MiB are free in {results}; free some space or name another with --results")
    for draft in (results / "records").glob("**/.*.tmp"):
        if is_left_over(draft):
            draft.unlink(missing_ok=True)
