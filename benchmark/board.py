"""Board: the comparable rows of one data set and budget, computed from records and their stored predictions.

Rows share a board only if data set, preset, data fingerprint and everything a person may override about the budget
(BUDGET) are the same. Other overrides make further rows of a method, told apart by ``variant``. Where a method has
fresh records its stale ones are left out; where it has only stale ones they are shown, unranked and marked.

The folds of a data set (``benchmark.folds``) share one board. Each of them has data of its own; of two versions of a fold's
data the one with more fresh records is today's, and the other is left out.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmark import folds, metrics, tuned
from benchmark.budget import PRESETS, STEPS
from benchmark.lines import Line, Measure, Name, Record, Row, Stale, lines_of
from benchmark.predictions import Store
from benchmark.stats import Resampled

__all__ = [
    "Board", "Line", "Measure", "Name", "Record", "Stale", "boards", "data_id", "published", "row_budget", "row_variant",
]  # fmt: skip

# Overrides that change what a row was given; rows that differ in them are not comparable.
BUDGET = ("limit", "size.", "train.steps", "train.batch_size", "train.accumulate", "budget")
# Extras that are measures of their own: the other pooling of windows, and the arms of the few-shot probe. The others
# (classes left out, variants of the protocol band) stay in records and runs.csv.
EXTRA = re.compile(r"max|mean|[0-9]+(shot|pct)")
# Overrides that change which numbers exist, never a number; or that follow from others.
SILENT = ("probe", STEPS)


@dataclass(frozen=True)
class Board:
    """All lines of one board, sorted by measure, then rank; ``budget``: the overrides shared by every row.

    sampled: by measure and (method, variant), the bootstrap of every row whose predictions are stored. folds: how many
    the data set has; records of a row are sorted by seed, then fold.
    """

    modality: str
    dataset: str
    preset: str
    data: str
    budget: str
    measures: tuple[Measure, ...]
    lines: tuple[Line, ...]
    records: tuple[Record, ...]
    sampled: Mapping[Measure, Mapping[Name, Resampled]] = field(default_factory=dict, compare=False, repr=False)
    folds: int = 1

    def of(self, measure: Measure) -> list[Line]:
        """The lines of one measure, best first, references last."""
        wanted = (measure.task, measure.probe, measure.metric)
        return [line for line in self.lines if (line.task, line.probe, line.metric) == wanted]


def boards(
    records: Iterable[Record],
    results: Path | None,
    stale: Stale | None = None,
    keep: Callable[[Measure], bool] | None = None,
    *,
    apart: bool = False,
) -> list[Board]:
    """The boards of these records, sorted by modality, data set, preset, data and budget.

    ``results`` is the folder of the predictions (None: no intervals). ``stale`` decides whether a record was made by
    older code (default: none is); ``keep`` leaves out measures; ``apart`` gives every fold a board of its own. An unusable
    record is skipped with a warning.
    """
    groups: dict[tuple[str, str, str, str, str], list[Record]] = {}
    for record in records:
        try:
            name = record["dataset"] if apart else folds.board(record["modality"], record["dataset"])
            data = data_id(record) if name == record["dataset"] else ""
            key = (record["modality"], name, record["preset"], data, row_budget(record))
            _ = (record["method"], record["family"], record["seed"], record["status"], record["scores"], record["key"])
        except (KeyError, TypeError, AttributeError) as error:
            name = record.get("key", "?") if isinstance(record, Mapping) else "?"
            warnings.warn(f"record '{name}' skipped: it lacks {error}", stacklevel=2)
            continue
        groups.setdefault(key, []).append(record)
    return [_board(key, groups[key], results, stale, keep) for key in sorted(groups)]


def published(record: Record) -> bool:
    """Whether a record may enter a file: not if its preset is never quoted (smoke)."""
    preset = PRESETS.get(record["preset"])
    return preset is None or preset.published


def data_id(record: Record) -> str:
    """Eight hex digits that stand for the fingerprints of all parts."""
    return _digits(record["data"]["fingerprint"])


def _digits(fingerprint: Any) -> str:
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()[:8]


def row_variant(record: Record) -> str:
    """The overrides that tell rows of one method apart on a board."""
    return _overrides(record, False)


def row_budget(record: Record) -> str:
    """The overrides that give a record a board beside the ordinary one, whose budget is empty."""
    return _overrides(record, True)


def _overrides(record: Record, budget: bool) -> str:
    given = record.get("overrides") or {}
    chosen = {k: v for k, v in given.items() if k.startswith(BUDGET) == budget and k not in SILENT}
    return tuned.shown(chosen)


def _rows(records: Sequence[Record], stale: Stale, count: int) -> list[Row]:
    """The rows of a board with ``count`` folds."""
    groups: dict[tuple[str, str], dict[str, list[tuple[bool, Record]]]] = {}
    for record in records:
        found = groups.setdefault((record["method"], row_variant(record)), {})
        found.setdefault(record["dataset"], []).append((bool(stale(record)), record))
    rows = []
    for (method, variant), parts in sorted(groups.items()):
        used = [pair for part in parts.values() for pair in _newest(part)]
        all_old = all(old for old, _ in used)
        # A seed that was run twice (other probes, another machine) counts once: the newest record with scores.
        latest: dict[tuple[int, int], Record] = {}
        for old, record in sorted(used, key=lambda pair: _age(pair[1])):
            if old == all_old:
                fold = folds.fold(record["modality"], record["dataset"]) if count > 1 else None
                place = record["seed"], fold.number if fold else 1
                latest[place] = _joined(latest.get(place), record)
        rows.append(Row(method, variant, tuple(latest[place] for place in sorted(latest)), all_old, count))
    return rows


def _newest(found: Sequence[tuple[bool, Record]]) -> list[tuple[bool, Record]]:
    """Whether a record of a row is old, and the record. Seeds of an earlier search, or planned anew with another number of
    steps (another reference, another machine), are never mixed with the newest ones."""
    newest = max(found, key=lambda pair: (not pair[0], _age(pair[1])))[1]
    return [
        (old or _steps(record) != _steps(newest), record) for old, record in found if _search(record) == _search(newest)
    ]


def _todays(records: Sequence[Record], stale: Stale) -> tuple[list[Record], str]:
    """The records of every fold on today's version of its data, and the digits of all these data."""
    versions: dict[str, dict[str, list[Record]]] = {}
    for record in records:
        versions.setdefault(record["dataset"], {}).setdefault(data_id(record), []).append(record)
    kept: list[Record] = []
    data = {}
    for name, found in sorted(versions.items()):

        def order(version: str, found: Mapping[str, list[Record]] = found) -> tuple[int, tuple[bool, str, str]]:
            return sum(not stale(one) for one in found[version]), max(map(_age, found[version]))

        data[name] = max(found, key=order)
        if len(found) > 1:
            lost = sum(map(len, found.values())) - len(found[data[name]])
            warnings.warn(f"{lost} records of other data of {name} are left out of its board", stacklevel=2)
        kept += found[data[name]]
    return kept, _digits(data)


def _steps(record: Record) -> str | None:
    return (record.get("overrides") or {}).get(STEPS)


def _search(record: Record) -> str | None:
    return (record.get("overrides") or {}).get(tuned.WORD)


def _age(record: Record) -> tuple[bool, str, str]:
    return bool(record["scores"]), str(record.get("created", "")), str(record["key"])


def _joined(old: Record | None, new: Record) -> Record:
    """The newer record with those scores of the older one that it lacks (it was run with fewer probes)."""
    own = [{**score, "key": score.get("key", new["key"])} for score in new["scores"]]
    have = {(score["task"], score["probe"], score["metric"]) for score in own}
    before = old["scores"] if old is not None else []
    return {**new, "scores": own + [s for s in before if (s["task"], s["probe"], s["metric"]) not in have]}


def _board(
    key: tuple[str, str, str, str, str], records: Sequence[Record], results: Path | None, stale: Stale | None,
    keep: Callable[[Measure], bool] | None,
) -> Board:  # fmt: skip
    modality, dataset, preset, data, budget = key
    old = stale or (lambda record: False)
    fold = None if data else folds.fold(modality, records[0]["dataset"])
    count = 1 if fold is None else fold.count
    if fold is not None:
        records, data = _todays(records, old)
    rows = _rows(records, old, count)
    store = Store(results, {record["key"]: record for record in records})
    measures = [measure for measure in _measures(rows) if keep is None or keep(measure)]
    lines: list[Line] = []
    sampled = {}
    for measure in measures:
        here, sampled[measure] = lines_of(measure, rows, store, (dataset, preset, data, budget))
        lines += here
    used = tuple(record for row in rows for record in row.records)
    return Board(modality, dataset, preset, data, budget, tuple(measures), tuple(lines), used, sampled, count)


def _measures(rows: Sequence[Row]) -> list[Measure]:
    found = set()
    for score in (score for row in rows for record in row.records for score in record["scores"]):
        if score["metric"] not in metrics.METRICS:
            warnings.warn(f"scores of the unknown metric '{score['metric']}' are left out of the board", stacklevel=2)
            continue
        place = (bool(score["nuisance"]), not score["headline"], score["task"])
        probe = (int(score["probe"] != "linear"), score["probe"])
        found.add(Measure(*place, False, *probe, score["metric"], score["metric"]))
        for extra in score.get("extras") or {}:
            if extra.startswith(f"{score['metric']}_") and EXTRA.fullmatch(extra.removeprefix(f"{score['metric']}_")):
                found.add(Measure(*place, True, *probe, extra, score["metric"]))
    return sorted(found)
