"""Board: the comparable rows of one data set and budget, computed from records and their stored predictions.

Rows share a board only if data set, preset, data fingerprint and everything a person may override about the budget
(BUDGET) are the same. Other overrides make further rows of a method, told apart by ``variant``. Where a method has
fresh records its stale ones are left out; where it has only stale ones they are shown, unranked and marked.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import metrics, stats

Record = Mapping[str, Any]
Stale = Callable[[Record], bool]
Number = float | int | None

REFERENCES = ("supervised", "reference")
BASELINE = "random_init"
# Overrides that change what a row was given; rows that differ in them are not comparable.
BUDGET = ("limit", "size.", "train.steps", "train.batch_size", "train.accumulate")
# Overrides that change which numbers exist, never a number.
SILENT = ("probe",)


@dataclass(frozen=True)
class Line:
    """One line of a leaderboard file, its fields in column order; None is an empty cell, never 0.

    Units: device_s seconds (pre-training + features), peak_mem_mib MiB, params_m millions; means over seeds.
    d_random: paired difference to the untrained encoder, in the metric's own direction.
    """

    rank: int | None
    method: str
    variant: str
    family: str
    dataset: str
    preset: str
    data: str
    task: str
    probe: str
    metric: str
    n_seeds: int
    mean: Number
    ci95_lo: Number
    ci95_hi: Number
    median: Number
    d_random: Number
    d_random_lo: Number
    d_random_hi: Number
    rankme: Number
    std_min: Number
    collapsed_frac: Number
    device_s: Number
    samples_per_s: Number
    peak_mem_mib: Number
    params_m: Number
    augmentation: str
    status_counts: str
    stale: bool
    reference: bool
    nuisance: bool


@dataclass(frozen=True, order=True)
class Measure:
    """What one column of a board measures. Ordered: headline task, other tasks, nuisance tasks; then by name."""

    nuisance: bool
    minor: bool  # not the headline task
    task: str
    extra: bool  # a second way to pool windows, for which no predictions are stored
    probe_order: int
    probe: str
    metric: str
    base: str  # the name in benchmark.metrics


@dataclass(frozen=True)
class Board:
    """All lines of one board, sorted by measure, then rank; ``budget``: the overrides shared by every row."""

    modality: str
    dataset: str
    preset: str
    data: str
    budget: str
    measures: tuple[Measure, ...]
    lines: tuple[Line, ...]
    records: tuple[Record, ...]

    def of(self, measure: Measure) -> list[Line]:
        """The lines of one measure, best first, references last."""
        wanted = (measure.task, measure.probe, measure.metric)
        return [line for line in self.lines if (line.task, line.probe, line.metric) == wanted]


def boards(records: Iterable[Record], results: Path | None, stale: Stale | None = None) -> list[Board]:
    """The boards of these records, sorted by modality, data set, preset, data and budget.

    ``results`` is the folder of the predictions (None: no intervals). ``stale`` decides whether a record was made by
    older code (default: none is). An unusable record is skipped with a warning.
    """
    groups: dict[tuple[str, str, str, str, str], list[Record]] = {}
    for record in records:
        try:
            key = (record["modality"], record["dataset"], record["preset"], data_id(record), _overrides(record, True))
            _ = (record["method"], record["family"], record["seed"], record["status"], record["scores"], record["key"])
        except (KeyError, TypeError, AttributeError) as error:
            name = record.get("key", "?") if isinstance(record, Mapping) else "?"
            warnings.warn(f"record '{name}' skipped: it lacks {error}", stacklevel=2)
            continue
        groups.setdefault(key, []).append(record)
    return [_board(key, groups[key], results, stale) for key in sorted(groups)]


def data_id(record: Record) -> str:
    """Eight hex digits that stand for the fingerprints of all parts."""
    fingerprint = json.dumps(record["data"]["fingerprint"], sort_keys=True)
    return hashlib.sha256(fingerprint.encode()).hexdigest()[:8]


def row_variant(record: Record) -> str:
    """The overrides that tell rows of one method apart on a board."""
    return _overrides(record, False)


def _overrides(record: Record, budget: bool) -> str:
    given = record.get("overrides") or {}
    chosen = {k: v for k, v in given.items() if k.startswith(BUDGET) == budget and k not in SILENT}
    return " ".join(f"{key}={text}" for key, text in sorted(chosen.items()))


@dataclass(frozen=True)
class _Row:
    """The records of one method and variant, one per seed."""

    method: str
    variant: str
    records: tuple[Record, ...]
    stale: bool

    @property
    def first(self) -> Record:
        return self.records[0]

    @property
    def reference(self) -> bool:
        return self.first["family"] in REFERENCES


def _rows(records: Sequence[Record], stale: Stale | None) -> list[_Row]:
    groups: dict[tuple[str, str], list[tuple[bool, Record]]] = {}
    for record in records:
        old = bool(stale(record)) if stale else False
        groups.setdefault((record["method"], row_variant(record)), []).append((old, record))
    rows = []
    for (method, variant), found in sorted(groups.items()):
        all_old = all(old for old, _ in found)
        # A seed that was run twice (other probes, another machine) counts once: the newest record with scores.
        latest: dict[int, Record] = {}
        for old, record in sorted(found, key=lambda pair: _age(pair[1])):
            if old == all_old:
                latest[record["seed"]] = _joined(latest.get(record["seed"]), record)
        rows.append(_Row(method, variant, tuple(latest[seed] for seed in sorted(latest)), all_old))
    return rows


def _age(record: Record) -> tuple[bool, str, str]:
    return bool(record["scores"]), str(record.get("created", "")), str(record["key"])


def _joined(old: Record | None, new: Record) -> Record:
    """The newer record with those scores of the older one that it lacks (it was run with fewer probes)."""
    own = [{**score, "key": score.get("key", new["key"])} for score in new["scores"]]
    have = {(score["task"], score["probe"], score["metric"]) for score in own}
    before = old["scores"] if old is not None else []
    return {**new, "scores": own + [s for s in before if (s["task"], s["probe"], s["metric"]) not in have]}


def _board(
    key: tuple[str, str, str, str, str], records: Sequence[Record], results: Path | None, stale: Stale | None
) -> Board:
    modality, dataset, preset, data, budget = key
    rows = _rows(records, stale)
    store = _Store(results, {record["key"]: record for record in records})
    measures = _measures(rows)
    lines = [line for measure in measures for line in _lines(measure, rows, store, (dataset, preset, data))]
    used = tuple(record for row in rows for record in row.records)
    return Board(modality, dataset, preset, data, budget, tuple(measures), tuple(lines), used)


def _measures(rows: Sequence[_Row]) -> list[Measure]:
    found = set()
    for score in (score for row in rows for record in row.records for score in record["scores"]):
        if score["metric"] not in metrics.METRICS:
            warnings.warn(f"scores of the unknown metric '{score['metric']}' are left out of the board", stacklevel=2)
            continue
        place = (bool(score["nuisance"]), not score["headline"], score["task"])
        probe = (int(score["probe"] != "linear"), score["probe"])
        found.add(Measure(*place, False, *probe, score["metric"], score["metric"]))
        for extra in score.get("extras") or {}:
            if extra in (f"{score['metric']}_max", f"{score['metric']}_mean"):
                found.add(Measure(*place, True, *probe, extra, score["metric"]))
    return sorted(found)


def _value(record: Record, measure: Measure) -> tuple[float, str] | None:
    """(value, key of the record whose predictions belong to it)."""
    for score in record["scores"]:
        if (score["task"], score["probe"], score["metric"]) == (measure.task, measure.probe, measure.base):
            value = (score.get("extras") or {}).get(measure.metric) if measure.extra else score["value"]
            return None if value is None else (float(value), score["key"])
    return None


class _Store:
    """Predictions of records, read once; an unreadable file is a warning and an empty answer."""

    def __init__(self, results: Path | None, records: Mapping[str, Record]) -> None:
        self.results, self.records = results, records
        self.files: dict[str, dict[str, np.ndarray]] = {}

    def run(self, key: str, measure: Measure) -> stats.Run | None:
        arrays = self._read(key)
        try:
            label, unit = arrays[f"{measure.task}.label"], arrays[f"{measure.task}.unit"]
            pred = arrays[f"{measure.task}.{measure.probe}.pred"]
        except KeyError:
            return None
        return (label, pred, unit) if len(label) == len(pred) == len(unit) else None

    def _read(self, key: str) -> dict[str, np.ndarray]:
        if self.results is None:
            return {}
        if key not in self.files:
            record = self.records[key]
            folder = self.results / "records" / record["modality"] / record["dataset"] / record["method"]
            try:
                with np.load(folder / f"{key}.npz", allow_pickle=False) as file:
                    self.files[key] = {name: file[name] for name in file.files}
            except Exception as error:  # a damaged zip raises many things, and none may stop a board
                reason = f"{type(error).__name__}, run the cell again for its interval"
                warnings.warn(f"predictions {record['method']}/{key}.npz are not readable ({reason})", stacklevel=2)
                self.files[key] = {}
        return self.files[key]


def _lines(measure: Measure, rows: Sequence[_Row], store: _Store, place: tuple[str, str, str]) -> list[Line]:
    metric = metrics.get(measure.base)
    sampled: dict[int, tuple[list[int], stats.Resampled]] = {}
    values: list[dict[int, float]] = []
    labels: np.ndarray | None = None
    for i, row in enumerate(rows):
        found = {record["seed"]: _value(record, measure) for record in row.records}
        values.append({seed: pair[0] for seed, pair in found.items() if pair is not None})
        runs = {seed: store.run(pair[1], measure) for seed, pair in found.items() if pair is not None}
        ready = [run for run in runs.values() if run is not None]
        if ready and labels is None:
            labels = ready[0][0]
        if ready and len(ready) == len(runs) and not measure.extra:
            try:
                sampled[i] = (list(runs), stats.resample(ready, metric))
            except ValueError as error:
                warnings.warn(f"no interval for {row.method} on {place[0]}/{measure.task}: {error}", stacklevel=2)
    base = next((i for i, row in enumerate(rows) if row.method == BASELINE and not row.variant), None)
    lines = []
    for i, row in enumerate(rows):
        versus = None
        if base is not None and i != base and i in sampled and base in sampled and row.stale == rows[base].stale:
            versus = _difference(sampled[i], sampled[base])
        around = sampled[i][1].interval() if i in sampled else None
        lines.append(_line(measure, row, list(values[i].values()), around, versus, place))
    sign = -1 if metric.higher_is_better else 1
    lines.sort(key=lambda x: (x.reference, x.stale, x.mean is None, sign * (x.mean or 0.0), x.method, x.variant))
    if labels is not None:
        lines.append(_chance(measure, metric.chance(labels), place))
    return _ranked(lines, measure)


def _difference(
    a: tuple[list[int], stats.Resampled], b: tuple[list[int], stats.Resampled]
) -> stats.Interval | None:  # over the seeds that both have
    common = [seed for seed in a[0] if seed in b[0]]
    if not common:
        return None
    try:
        one = a[1].only([a[0].index(seed) for seed in common])
        return one.minus(b[1].only([b[0].index(seed) for seed in common]))
    except ValueError as error:
        warnings.warn(f"no paired difference: {error}", stacklevel=2)
        return None


def _ranked(lines: Sequence[Line], measure: Measure) -> list[Line]:
    """Ranks among entrants with a fresh score; equal means share a rank. Nuisance tasks are not ranked."""
    entrants = [x for x in lines if not (x.reference or x.stale or x.mean is None or measure.nuisance)]
    means = [x.mean for x in entrants]
    rank = {id(x): means.index(x.mean) + 1 for x in entrants}
    return [replace(x, rank=rank.get(id(x))) for x in lines]


def _line(
    measure: Measure, row: _Row, values: Sequence[float], around: stats.Interval | None,
    versus: stats.Interval | None, place: tuple[str, str, str],
) -> Line:  # fmt: skip
    states = Counter(record["status"] for record in row.records)
    known = [record["diagnostics"] for record in row.records if record.get("diagnostics")]
    cost = [record.get("cost") or {} for record in row.records]
    line = _blank(measure, row.method, row.first["family"], place)
    if around is not None:
        line = replace(line, ci95_lo=_number(around.lo), ci95_hi=_number(around.hi))
    if versus is not None:
        change = {"d_random": versus.mean, "d_random_lo": versus.lo, "d_random_hi": versus.hi}
        line = replace(line, **{name: _number(value) for name, value in change.items()})  # type: ignore[arg-type]
    return replace(
        line,
        variant=row.variant,
        n_seeds=len(values),
        mean=_mean(values),
        median=float(np.median(values)) if len(values) else None,
        rankme=_mean(facts.get("rankme") for facts in known),
        std_min=_mean(facts.get("std_min") for facts in known),
        collapsed_frac=_mean(float(facts.get("collapsed", False)) for facts in known),
        device_s=_mean((c.get("pretrain_s") or 0.0) + c["features_s"] for c in cost if _number(c.get("features_s"))),
        samples_per_s=_mean(c.get("samples_per_s") or None for c in cost),
        peak_mem_mib=_mean(c.get("peak_device_mib") or c.get("peak_rss_mib") for c in cost),
        params_m=_mean(c.get("params_m") for c in cost),
        augmentation=row.first.get("augmentation", ""),
        status_counts=" ".join(f"{name}:{states[name]}" for name in sorted(states)),
        stale=row.stale,
        reference=row.reference,
    )


def _chance(measure: Measure, value: float, place: tuple[str, str, str]) -> Line:
    """What the best label-blind guesser gets on the stored test labels."""
    return replace(_blank(measure, "chance", "reference", place), mean=_number(value), reference=True)


def _blank(measure: Measure, method: str, family: str, place: tuple[str, str, str]) -> Line:
    """A line that says nothing yet: empty cells for every number."""
    numbers: dict[str, Any] = {field.name: None for field in fields(Line) if field.type == "Number"}
    dataset, preset, data = place
    return Line(
        rank=None, method=method, variant="", family=family, dataset=dataset, preset=preset, data=data,
        task=measure.task, probe=measure.probe, metric=measure.metric, n_seeds=0, augmentation="", status_counts="",
        stale=False, reference=False, nuisance=measure.nuisance, **numbers,
    )  # fmt: skip


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None


def _mean(values: Iterable[Any]) -> float | None:
    numbers = [number for number in map(_number, values) if number is not None]
    return float(np.mean(numbers)) if numbers else None
