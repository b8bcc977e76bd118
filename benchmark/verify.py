"""Verify: the numbers of a row, computed again from the stored test predictions alone.

Scores are compared with the record; mean, interval and rank with the line of ``leaderboard_<modality>.csv``. The way there
is short on purpose: metric by metric from the arrays, without the paths that made the board. What cannot be found this
way is a change of predictions, record and file that agree with each other.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import folds, metrics, record, stats
from benchmark.board import Board, Line, Measure, Record, Stale, boards, published, row_variant
from benchmark.predictions import EXACT, Store, tolerance
from jepakit.types import UsageError


@dataclass(frozen=True)
class Check:
    """One number: what is written, and what the predictions give (None: there is none)."""

    what: str
    written: float | None
    computed: float | None
    tolerance: float = EXACT

    @property
    def match(self) -> bool:
        if self.written is None or self.computed is None:
            return self.written is None and self.computed is None
        return math.isclose(self.written, self.computed, rel_tol=0.0, abs_tol=self.tolerance)

    def __str__(self) -> str:
        written, computed = (_show(x) for x in (self.written, self.computed))
        return f"{'match' if self.match else 'MISMATCH':8} {self.what}: written {written}, from predictions {computed}"


def verify(results: Path, words: Sequence[str], stale: Stale | None = None) -> list[Check]:
    """All checks of the rows that ``words`` name: keys of records (or their first six or more digits), or
    method/dataset, optionally /preset. The folds of a data set are one row, whichever of them is named;
    method/<name>-folds names the records of all.

    ``stale`` as for ``leaderboard.rebuild``. Raises UsageError where a word names nothing.
    """
    if stale is None:
        from benchmark.cell import is_stale

        stale = is_stale
    paths = sorted((results / "records").glob("*/*/*/*.json"))
    chosen: dict[Path, None] = {}
    for word in words:
        found = [path for path in paths if _named(path, word)]
        if not found:
            raise UsageError(
                f"no record in {results} is called '{word}'; give a key, method/dataset or method/dataset/preset"
            )
        chosen |= dict.fromkeys(found)
    checks: list[Check] = []
    keys: dict[str, set[str]] = {}
    for path in chosen:
        name = "/".join(path.parts[-4:-1])
        try:
            one = record.load(path)
        except (record.CorruptRecord, OSError) as error:
            checks.append(Check(f"{name} {path.stem}, checksum of the record ({error})", 0.0, 1.0))
            continue
        checks += list(scores(Store(results, {one["key"]: one}), one))
        keys.setdefault(one["modality"], set()).add(one["key"])
    for modality in sorted(keys):
        known = [one for one in record.load_all(results, modality) if published(one)]
        here = boards(known, None, stale)
        written = _written(results / f"leaderboard_{modality}.csv")
        store = Store(results, {one["key"]: one for one in known})
        for board in here:
            checks += list(_board(board, keys[modality], store, written))
    return checks


def _named(path: Path, word: str) -> bool:
    parts = word.split("/")
    if len(parts) == 1:
        return len(word) >= 6 and path.stem.startswith(word)
    modality, dataset, method = path.parts[-4:-1]
    if len(parts) > 3 or method != parts[0] or parts[1] not in (dataset, folds.board(modality, dataset)):
        return False
    return len(parts) == 2 or _preset(path) == parts[2]


def _preset(path: Path) -> str:
    try:
        return str(record.load(path)["preset"])
    except (record.CorruptRecord, OSError):
        return ""


def scores(store: Store, one: Record) -> Iterator[Check]:
    """Every score of a record against its predictions in ``store``."""
    for score in one["scores"]:
        what = f"{one['method']}/{one['dataset']} {one['key']} seed {one['seed']} {score['task']} {score['probe']} "
        value, tolerance = _recomputed(store, one["key"], score["task"], score["probe"], score["metric"])
        yield Check(what + score["metric"], float(score["value"]), value, tolerance)


def _recomputed(store: Store, key: str, task: str, probe: str, metric: str) -> tuple[float | None, float]:
    run = store.run(key, task, probe)
    if run is None or metric not in metrics.METRICS:
        return None, EXACT
    labels, predictions, _ = run
    try:
        value = metrics.get(metric)(labels, predictions)
        allowed = tolerance(metrics.get(metric), run)
    except (ValueError, IndexError):  # arrays that do not fit each other
        return None, EXACT
    return (value, allowed) if math.isfinite(value) else (None, EXACT)


def _written(path: Path) -> dict[tuple[str, ...], list[dict[str, str]]]:
    """Lines of the file by what they are about."""
    columns = ("dataset", "preset", "data", "budget", "method", "variant", "task", "probe", "metric")
    found: dict[tuple[str, ...], list[dict[str, str]]] = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                found.setdefault(tuple(row[column] for column in columns), []).append(row)
    except (OSError, KeyError):
        return {}
    return found


def _board(
    board: Board, keys: set[str], store: Store, written: Mapping[tuple[str, ...], list[dict[str, str]]]
) -> Iterator[Check]:
    """Mean, interval and rank of each row that holds one of these records, by every measure with stored predictions."""
    from benchmark.leaderboard import cell

    rows: dict[tuple[str, str], list[Record]] = {}
    for one in board.records:
        rows.setdefault((one["method"], row_variant(one)), []).append(one)
    for measure in board.measures:
        lines = board.of(measure)
        found: dict[tuple[str, str], list[list[stats.Run]]] = {}
        for line in lines:
            name = (line.method, line.variant)
            place = (
                board.dataset,
                board.preset,
                board.data,
                board.budget,
                *name,
                measure.task,
                measure.probe,
                measure.metric,
            )
            left = written.get(tuple(cell("", text) for text in place), [])
            row = left.pop(0) if left else None
            own = {score["key"] for one in rows[name] for score in one["scores"]}
            if measure.extra or line.mean is None or not own & keys:
                continue
            found = found or {name: _runs(kept, measure, store, board.folds) for name, kept in rows.items()}
            what = f"board {board.dataset} {board.preset} {line.method} {line.variant}".rstrip()
            what += f" {measure.task} {measure.probe} {measure.metric}: "
            if row is None:
                yield Check(what + "line of the leaderboard", None, 1.0)
                continue
            runs = found[name]
            around = stats.resample_folds(runs, metrics.get(measure.base)).interval() if runs else None
            wide = max((tolerance(metrics.get(measure.base), run) for fold in runs for run in fold), default=EXACT)
            for column, value in zip(("mean", "ci95_lo", "ci95_hi"), around or (None, None, None), strict=True):
                finite = value if value is not None and math.isfinite(value) else None
                yield Check(what + column, _number(row[column]), finite, wide + 0.5e-4)
            yield Check(what + "rank", _number(row["rank"]), _rank(line, lines, found, measure))


def _runs(kept: Sequence[Record], measure: Measure, store: Store, count: int) -> list[list[stats.Run]]:
    """The runs of a row by fold, each in the order of seeds; of the seeds that have all ``count`` folds, and none when one
    of their scores has no predictions."""
    found: dict[int, list[stats.Run | None]] = {}
    for one in kept:
        for score in one["scores"]:
            if (score["task"], score["probe"], score["metric"]) == (measure.task, measure.probe, measure.base):
                found.setdefault(one["seed"], []).append(store.run(score["key"], measure.task, measure.probe))
    whole = [runs for runs in found.values() if len(runs) == count]
    ready = [[run for run in runs if run is not None] for runs in zip(*whole, strict=True)]
    return ready if all(len(runs) == len(whole) for runs in ready) else []


def _rank(
    line: Line, lines: Sequence[Line], found: Mapping[tuple[str, str], list[list[stats.Run]]], measure: Measure
) -> float | None:
    """One more than the ranked rows whose mean, from their predictions, is better; as recorded where they have none."""
    metric = metrics.get(measure.base)
    if line.reference or line.stale or measure.nuisance:
        return None

    def mean(other: Line) -> float:
        runs = found.get((other.method, other.variant)) or []
        fresh = [metric(labels, predictions) for fold in runs for labels, predictions, _ in fold]
        return float(np.mean(fresh)) if fresh else float(other.mean or 0.0)

    own = mean(line)
    others = [mean(x) for x in lines if x is not line and not (x.reference or x.stale or x.mean is None)]
    return 1.0 + sum(metric.better(x, own) and not math.isclose(x, own, abs_tol=1e-9) for x in others)


def _number(text: str) -> float | None:
    try:
        return float(text) if text else None
    except ValueError:
        return math.nan


def _show(value: Any) -> str:
    return "nothing" if value is None else f"{value:.6g}"
