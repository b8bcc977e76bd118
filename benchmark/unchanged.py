"""Unchanged: an edit that was shown to change no bit keeps the rows that stand.

``python -m benchmark.unchanged REVISION --why "…"`` runs small cells with the code of REVISION and with this checkout's:
each method, data set, set of probes and recipe of the records whose code differs. The encoder's weights, predictions, scores
and diagnostics are compared bit by bit; data sets whose reader changed are also read whole, and their fingerprints compared
with those of the records. Only if all agree, the new code counts as the old (``benchmark/unchanged.json``, read by
``benchmark.source``). The next edit of the same code ends that, as every edit does.

What is shown holds for the cells that were run, at the preset ``smoke`` and on this machine; the file says which they were.
"""

from __future__ import annotations

import argparse
import functools
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import CHECKOUT, folds, plugin, record, source
from benchmark.atomic import write_bytes
from benchmark.board import SILENT
from benchmark.cell import PRETRAINING, SCORING
from jepakit.registry import datasets, methods, probes
from jepakit.types import UsageError

FILE = CHECKOUT / source.UNCHANGED
OK = 0
FEATURES = "benchmark/features.py"
Record = record.Record
# A cell that is told apart without its code: modality, data set, method, probes, words of its recipe.
Name = tuple[str, str, str, str, tuple[tuple[str, str], ...]]


def sources(one: Mapping[str, Any]) -> dict[str, list[Path]]:
    """The files that each part of a record's code identity starts from (``benchmark.cell``), in this checkout."""
    at = [CHECKOUT / name for name in SCORING] + [probes[name].source for name in one["identity"]["probes"]]
    return {
        "method": [methods[one["method"]].source],
        "data": [datasets[f"{one['modality']}/{one['dataset']}"].source],
        "pretraining": [CHECKOUT / name for name in PRETRAINING],
        "scoring": at,
        "features": [CHECKOUT / FEATURES],
    }


@functools.lru_cache(maxsize=4096)
def digest(files: tuple[Path, ...], checkout: Path = CHECKOUT) -> str:
    """``source.digest``, computed once in a process: nothing is edited while it runs."""
    return source.digest(files, checkout)


def changed(records: Iterable[Record], old: Path) -> dict[str, dict[str, str]]:
    """New digest → {as: old digest, of: kind} of every part of the records' code that differs between ``old`` and here.

    Only of records that ``old`` knows as fresh in that part: what was stale there stays so.
    """
    found: dict[str, dict[str, str]] = {}
    for one in records:
        for kind, files in sources(one).items():
            new = digest(tuple(files))
            then = digest(tuple(old / path.relative_to(CHECKOUT) for path in files), old)
            known = one["identity"]["code"].get(kind, then)
            if new != then == known:
                found[new] = {"as": then, "of": kind}
    return found


def cover(records: Sequence[Record], parts: Mapping[str, Mapping[str, str]]) -> list[Record]:
    """The fewest cheap records that run every changed part: each method, data set and recipe of it, and where the
    loop or the scoring changed, every method and every set of probes of each modality."""
    seen: set[tuple[Any, ...]] = set()
    chosen = []
    for one in sorted(records, key=lambda r: (r["cost"].get("wall_s") or 0.0, r["key"])):
        found = {kind: digest(tuple(files)) for kind, files in sources(one).items()}
        recipe = tuple(sorted((k, v) for k, v in one["overrides"].items() if k.startswith("recipe.")))
        tasks = (one["modality"], tuple(one["identity"]["probes"]), tuple(sorted({s["task"] for s in one["scores"]})))
        wanted = {
            "method": ("method", found["method"], recipe),
            "data": ("data", one["modality"], folds.origin(one["modality"], one["dataset"])),  # folds share a reader
            "pretraining": ("pretraining", found["method"], recipe),
            "scoring": ("scoring", *tasks),
            "features": ("features", one["modality"], one["method"]),
        }
        new = {wanted[kind] for kind, code in found.items() if code in parts} - seen
        if new:
            seen |= new
            chosen.append(one)
    return chosen


def requests(chosen: Iterable[Record]) -> list[list[str]]:
    """Words of ``run`` for the cells: one command per data set, recipe and probes, with all its methods."""
    groups: dict[tuple[str, ...], set[str]] = {}
    for one in chosen:
        words = {k: v for k, v in one["overrides"].items() if k.startswith(("recipe.", "probe")) and k not in SILENT}
        if "probe" not in words and one["identity"]["probes"]:
            words["probe"] = ",".join(one["identity"]["probes"])
        key = (one["modality"], f"dataset={one['dataset']}", *(f"{k}={v}" for k, v in sorted(words.items())))
        groups.setdefault(key, set()).add(one["method"])
    return [[*key, f"method={','.join(sorted(names))}", "preset=smoke", "seeds=1"] for key, names in groups.items()]


def run(checkout: Path, words: Sequence[str], results: Path, data: str | None) -> None:
    """One command in a checkout. Raises UsageError with its last words where a cell has no result."""
    command = [sys.executable, "-m", "benchmark", "run", *words, "jobs=1", "--results", str(results)]
    done = subprocess.run([*command, *(["--data", data] if data else [])], cwd=checkout, capture_output=True, text=True)
    if done.returncode != OK:
        last = (done.stdout + done.stderr).strip().splitlines()[-8:]
        raise UsageError(f"a cell has no result in {checkout.name} (run {' '.join(words)}): " + " / ".join(last))


def _name(one: Record) -> Name:
    recipe = tuple(sorted((k, v) for k, v in one["overrides"].items() if k.startswith("recipe.")))
    return one["modality"], one["dataset"], one["method"], ",".join(one["identity"]["probes"]), recipe


def compare(old: Path, new: Path) -> list[Name]:
    """The cells of two results folders. Raises UsageError, naming the first cell and what of it differs."""
    left, right = ({_name(one): one for one in record.load_all(folder)} for folder in (old, new))
    if left.keys() != right.keys() or not left:
        raise UsageError(f"not the same cells in both: {sorted(left.keys() ^ right.keys())}; was a name changed?")
    for name in sorted(left):
        one, other = left[name], right[name]
        for what in ("status", "reason", "scores", "diagnostics", "history"):
            if _plain(one[what]) != _plain(other[what]):
                raise UsageError(f"{' '.join(name[:3])}: other {what}; rows of this code have to be run again")
        weights = [
            (folder / ".cache" / "encoders" / f"{r['keys']['encoder']}.safetensors").read_bytes()
            for folder, r in ((old, one), (new, other))
        ]
        if weights[0] != weights[1]:
            raise UsageError(f"{' '.join(name[:3])}: other weights; rows of this code have to be run again")
        first, second = (_predictions(folder, r) for folder, r in ((old, one), (new, other)))
        if first.keys() != second.keys() or any(not np.array_equal(first[k], second[k], equal_nan=True) for k in first):
            raise UsageError(f"{' '.join(name[:3])}: other predictions; rows of this code have to be run again")
    return sorted(left)


def _predictions(results: Path, one: Record) -> dict[str, np.ndarray]:
    path = record.folder(results, one) / f"{one['key']}.npz"
    if not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def read_whole(records: Iterable[Record], parts: Mapping[str, Mapping[str, str]], data: Path | None) -> list[str]:
    """Every data set whose code changed, read whole here: its name, once the fingerprints are those of its records.

    Raises UsageError for the first that differs, DataError where it cannot be read.
    """
    then: dict[str, Mapping[str, str]] = {}
    for one in records:
        name = f"{one['modality']}/{one['dataset']}"
        if digest((datasets[name].source,)) in parts:
            then[name] = one["identity"]["data"]
    for name, wanted in sorted(then.items()):
        modality = datasets[name].make(data)
        found = {part: modality.data(part).fingerprint() for part in wanted}
        if found != dict(wanted):
            raise UsageError(f"{name} reads other data than its records; rows on it have to be run again")
    return sorted(then)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmark.unchanged", description=__doc__)
    parser.add_argument(
        "revision", help="the commit that the rows were made with (or one that is known to be as it was)"
    )
    parser.add_argument("--why", required=True, help="one sentence: what was changed")
    parser.add_argument("--data", help="folder of the real data (default: JEPAKIT_DATA)")
    parser.add_argument("--dry-run", action="store_true", help="say what would be run")
    asked = parser.parse_args(words)
    plugin.everything()
    records = [one for one in record.load_all(CHECKOUT / "results") if one["status"] in record.FINAL]
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / "then"
        git = ["git", "-C", str(CHECKOUT), "worktree"]
        subprocess.run([*git, "add", "--detach", "--quiet", str(old), asked.revision], check=True)
        try:
            parts = changed(records, old)
            chosen = cover(records, parts)
            todo = requests(chosen)
            print(f"{len(parts)} parts of the code differ; to compare: {len(chosen)} cells in {len(todo)} commands")
            if asked.dry_run or not parts:
                return OK
            for number, line in enumerate(todo, 1):
                print(f"{number}/{len(todo)} {' '.join(line)}", flush=True)
                with ThreadPoolExecutor(2) as both:
                    places = ((old, Path(folder) / "old"), (CHECKOUT, Path(folder) / "new"))
                    for one in [both.submit(run, checkout, line, place, asked.data) for checkout, place in places]:
                        one.result()
            seen = compare(Path(folder) / "old", Path(folder) / "new")
            read = read_whole(records, parts, Path(asked.data) if asked.data else None)
        finally:
            subprocess.run([*git, "remove", "--force", str(old)], check=True)
    keep(parts, asked.revision, asked.why, seen, read)
    print(f"{len(seen)} cells have the same bits; {len(read)} data sets read whole; {FILE.name} written")
    return OK


def keep(
    parts: Mapping[str, Mapping[str, str]], revision: str, why: str, seen: Sequence[Name], read: Sequence[str]
) -> None:
    """Add to the file what was shown, and drop of it what no code of today has."""
    known = json.loads(FILE.read_text()) if FILE.is_file() else []
    shown = [" ".join([f"{m}/{d}", method, *(f"{k}={v}" for k, v in recipe)]) for m, d, method, _, recipe in seen]
    entry = {"why": why, "against": revision, "code": dict(sorted(parts.items())), "cells": shown, "read": list(read)}
    write_bytes(FILE, (json.dumps([*known, entry], indent=1, ensure_ascii=False) + "\n").encode())
    source.unchanged.cache_clear()


if __name__ == "__main__":
    raise SystemExit(main())
