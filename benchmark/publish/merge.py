"""Merge: packages of others into the records of a results folder, all of them or nothing.

Everything is checked before the first byte is written: the packages (``package``), every record with its predictions
(``foreign``), the labels and units that rows on the same data were tested on, and whether a row is known here with another
score. Records are then written one by one, each whole; where the disk refuses, those already written are taken away.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import record
from benchmark.board import Stale
from benchmark.cell import hash_of
from benchmark.lock import locked
from benchmark.predictions import EXACT, Store
from benchmark.publish.foreign import Arrays, examine, same
from benchmark.publish.package import Package, Refused, opened, refusing

Record = Mapping[str, Any]
Score = tuple[str, str, str]  # task, probe, metric


@dataclass(frozen=True)
class Merged:
    """What came of it: the records that are new here, and how many were known already."""

    added: tuple[Record, ...]
    known: int


@dataclass(frozen=True)
class _Candidate:
    """A record of a package that passed by itself; tested: per task, a digest of the labels and units of its test rows."""

    package: Package
    member: str
    one: Record
    tested: Mapping[str, str]

    @property
    def name(self) -> str:
        return f"{self.member} of {self.package.name}"


def merge(paths: Sequence[Path], results: Path, old: Stale) -> Merged:
    """Take the packages at ``paths`` into ``results``; ``old``: whether a record was made by other code than is here.

    A record says in ``merged`` which package it came from. A package that was merged before changes nothing. Raises Refused,
    with nothing written, for a package that breaks a rule and for a row that is known with another score.
    """
    with ExitStack() as stack:
        packages = [stack.enter_context(opened(path)) for path in paths]
        found = [_candidate(package, member) for package in packages for member in package.records]
        _new(found, results, old)  # a refusal makes not even the folder of the lock
        with locked(results / ".cache" / "merge.lock", remove=True):
            todo = _new(found, results, old)
            _write(todo, results)
    return Merged(tuple(one.one for one in todo), len(found) - len(todo))


def _candidate(package: Package, member: str) -> _Candidate:
    with refusing(package.name):
        one, arrays = _read(package, member)
    tasks = {name.rpartition(".")[0] for name in arrays if name.endswith(".label")}
    tested = {task: _digest(arrays[f"{task}.label"], arrays.get(f"{task}.unit")) for task in sorted(tasks)}
    return _Candidate(package, member, one, tested)


def _read(package: Package, member: str) -> tuple[record.Record, Arrays]:
    beside = member.removesuffix("json") + "npz"
    return examine(member, package.read(member), package.read(beside) if beside in package.files else None)


def _digest(label: np.ndarray, unit: np.ndarray | None) -> str:
    parts = [label.astype(np.float64), np.zeros(0) if unit is None else unit.astype(np.float64)]
    return hashlib.sha256(b"|".join(str(part.shape).encode() + part.tobytes() for part in parts)).hexdigest()


def _new(found: Sequence[_Candidate], results: Path, old: Stale) -> list[_Candidate]:
    """The candidates that are not known yet. Raises Refused for a contradiction with what is known."""
    here: list[Record] = []
    for modality in sorted({one.one["modality"] for one in found}):
        here += record.load_all(results, modality)
    _tested_alike(found, here, results)
    where = {one["key"]: (f"the record {one['key']} in {results}", one) for one in here}
    questions: dict[str, dict[Score, tuple[str, float]]] = {}
    for one in here:
        if not old(one):
            for score, value in _scores(one).items():
                questions.setdefault(_question(one), {})[score] = f"the record {one['key']} in {results}", value
    new = []
    for candidate in found:
        one = candidate.one
        known = where.get(one["key"])
        if known is not None and known[1]["status"] in record.FINAL:
            if one["status"] in record.FINAL and not same(known[1], one):
                _agree(candidate.name, one, *known)
            continue
        if known is not None and one["status"] not in record.FINAL:
            continue
        if not old(one):
            answers = questions.setdefault(_question(one), {})
            for score, value in _scores(one).items():
                _equal(score, candidate.name, value, *answers.setdefault(score, (candidate.name, value)))
        where[one["key"]] = candidate.name, one
        new.append(candidate)
    return new


def _tested_alike(found: Sequence[_Candidate], here: Sequence[Record], results: Path) -> None:
    """Raise Refused where rows on the same data do not have the same labels and units: somebody made theirs up."""
    wanted = {(_data(one.one), task) for one in found for task in one.tested}
    store = Store(results, {one["key"]: one for one in here})
    truth: dict[tuple[str, str], tuple[str, str]] = {}
    for one in here:
        for score in one["scores"]:
            place = _data(one), score["task"]
            if place in wanted and place not in truth:
                run = store.run(one["key"], score["task"], score["probe"])
                if run is not None:
                    truth[place] = f"the record {one['key']} in {results}", _digest(run[0], run[2])
        store.files.clear()  # one file at a time is enough
    for candidate in found:
        for task, digest in candidate.tested.items():
            name, known = truth.setdefault((_data(candidate.one), task), (candidate.name, digest))
            if known != digest:
                raise Refused(
                    f"nothing was merged: {candidate.name} was tested on other labels or units of '{task}' than {name}, "
                    "although both say they used the same data; one of the two is wrong"
                )


def _data(one: Record) -> str:
    return hash_of({name: one["identity"].get(name) for name in ("modality", "dataset", "data")})


def _question(one: Record) -> str:
    """What was asked of a row, whichever probes were asked beside each other: a row that was probed again has another key,
    but no other scores."""
    code = {part: digest for part, digest in one["identity"].get("code", {}).items() if part != "scoring"}
    return hash_of({**one["identity"], "code": code, "probes": None})


def _agree(name: str, one: Record, other: str, known: Record) -> None:
    """Raise Refused unless two records of one cell, run twice, came to the same end."""
    a, b = _scores(one), _scores(known)
    if (one["status"], set(a)) != (known["status"], set(b)):
        raise Refused(
            f"nothing was merged: {name} ended {one['status']} with {len(a)} scores and {other} {known['status']} with "
            f"{len(b)}, and both have the same identity; {_REMEDY}"
        )
    for score, value in a.items():
        _equal(score, name, value, other, b[score])


_REMEDY = (
    "on another processor training ends a little elsewhere (see hardware in both records): keep one of the two; on the same "
    "kind, run the row again to see which is right"
)


def _equal(score: Score, name: str, value: float, other: str, known: float) -> None:
    if not math.isclose(value, known, rel_tol=0.0, abs_tol=EXACT):
        raise Refused(
            f"nothing was merged: {' '.join(score)} is {value:.6g} in {name} and {known:.6g} in {other}, "
            f"and both have the same identity; {_REMEDY}"
        )


def _scores(one: Record) -> dict[Score, float]:
    return {(score["task"], score["probe"], score["metric"]): float(score["value"]) for score in one["scores"]}


def _write(todo: Sequence[_Candidate], results: Path) -> None:
    """Each record with its predictions; none of them where one cannot be written."""
    made: list[Path] = []
    try:
        for candidate in todo:
            package = candidate.package
            one, arrays = _read(package, candidate.member)
            origin = {"package": package.sha256, "commit": package.facts["commit"], "record": one["sha256"]}
            place = record.folder(results, one) / f"{one['key']}.json"
            if not place.exists():
                made += [place, place.with_suffix(".npz")]
            record.save(results, {**one, record.MERGED: origin}, arrays)
    except BaseException:
        for path in made:
            path.unlink(missing_ok=True)
        raise
