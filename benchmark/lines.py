"""Line: one line of a leaderboard, and how the lines of one measure come about from rows and their predictions."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from benchmark import metrics, stats, tuned
from benchmark.compare import Difference, compare, difference
from benchmark.normalised import normalised
from benchmark.predictions import Store, tolerance
from benchmark.stats import Resampled, Run

Record = Mapping[str, Any]
Stale = Callable[[Record], bool]
Number = float | int | None
Name = tuple[str, str]  # method, variant: a row of a board
Place = tuple[str, str, str, str]  # data set, preset, data, budget: a board of a modality

REFERENCES = ("supervised", "reference")
BASELINES = ("mae", "contrastive")
FLOOR, CEILING = "random_init", "supervised"


@dataclass(frozen=True)
class Line:
    """One line of a leaderboard file, its fields in column order; None is an empty cell, never 0.

    Units: pflops 10¹⁵ operations of pre-training, gflop_encode and gflop_step 10⁹ per sample, device_s seconds
    (pre-training + features), wall_s seconds of a cell, step_ms_* milliseconds, data_wait a fraction, peak_mem_mib MiB (of
    the device, else of the process), params_m and params_trained_m millions; means over seeds.
    d_random, d_best_baseline: paired difference to the untrained encoder and to the best row of the families mae and
    contrastive, in the metric's own direction. collapse_step: mean over the seeds that collapsed. p_holm, tie_group:
    ``benchmark.compare``; normalised: ``benchmark.normalised``. pareto: no other ranked row is at least as good in score
    and pflops and better in one. hpo_trials: of the search whose settings the row uses. verified: the stored predictions,
    read for the interval, give the scores of the records; None where some are not stored. test_seen: rows of test that
    were, or others of whose unit were, in what the row was pre-trained on, the most of any cell.

    On a board of folds a score is the mean over folds, n_seeds counts the seeds that have every fold, and what a cell
    costs or diagnoses is the mean over cells, one per seed and fold. status_counts then says what is missing:
    ``folds:4/6`` where no seed is whole (the row has no score), else ``seed2:5/6`` for a seed that is left out.
    """

    rank: int | None
    method: str
    variant: str
    family: str
    dataset: str
    preset: str
    data: str
    budget: str
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
    d_best_baseline: Number
    d_best_baseline_lo: Number
    d_best_baseline_hi: Number
    p_holm: Number
    tie_group: str
    normalised: Number
    normalised_lo: Number
    normalised_hi: Number
    rankme: Number
    lda_rank: Number
    std_min: Number
    collapsed_frac: Number
    collapse_step: Number
    pflops: Number
    gflop_encode: Number
    gflop_step: Number
    device_s: Number
    wall_s: Number
    samples_per_s: Number
    step_ms_p50: Number
    step_ms_p95: Number
    data_wait: Number
    peak_mem_mib: Number
    params_m: Number
    params_trained_m: Number
    device: str
    precision: str
    pareto: bool | None
    augmentation: str
    hpo_trials: int
    status_counts: str
    stale: bool
    reference: bool
    nuisance: bool
    verified: bool | None
    test_seen: Number


@dataclass(frozen=True, order=True)
class Measure:
    """What one column of a board measures. Ordered: headline task, other tasks, nuisance tasks; then by name."""

    nuisance: bool
    minor: bool  # not the headline task
    task: str
    extra: bool  # a second way to pool windows or an arm of a probe, for which no predictions are stored
    probe_order: int
    probe: str
    metric: str
    base: str  # the name in benchmark.metrics


@dataclass(frozen=True)
class Row:
    """The records of one method and variant, one per seed and fold in this order; their scores name the key of their own
    predictions. folds: how many a seed should have."""

    method: str
    variant: str
    records: tuple[Record, ...]
    stale: bool
    folds: int = 1

    @property
    def first(self) -> Record:
        return self.records[0]

    @property
    def reference(self) -> bool:
        return self.first["family"] in REFERENCES

    @property
    def name(self) -> Name:
        return self.method, self.variant


@dataclass(frozen=True)
class Seed:
    """What one seed of a row scored: value, the mean over folds, and for each fold the score and the key of the record that
    has its predictions."""

    value: float
    scores: tuple[float, ...]
    keys: tuple[str, ...]


def value_of(record: Record, measure: Measure) -> tuple[float, str] | None:
    """(value, key of the record whose predictions belong to it) of a record of a board; None without a score."""
    for score in record["scores"]:
        if (score["task"], score["probe"], score["metric"]) == (measure.task, measure.probe, measure.base):
            value = (score.get("extras") or {}).get(measure.metric) if measure.extra else score["value"]
            return None if value is None else (float(value), score["key"])
    return None


def seeds_of(records: Sequence[Record], measure: Measure, folds: int = 1) -> tuple[dict[int, Seed], dict[int, int]]:
    """(the seeds with a score in each of ``folds`` folds, how many folds each of the others has) of a row's records.

    A mean over some of the folds is another number than the mean over all of them: there is none for such a seed.
    """
    found: dict[int, list[tuple[float, str]]] = {}
    for record in records:
        found.setdefault(record["seed"], []).extend(filter(None, [value_of(record, measure)]))
    whole = {
        seed: Seed(float(np.mean([value for value, _ in pairs])), *map(tuple, zip(*pairs, strict=True)))
        for seed, pairs in found.items()
        if len(pairs) == folds
    }
    return whole, {seed: len(pairs) for seed, pairs in found.items() if seed not in whole}


def runs_of(seeds: Mapping[int, Seed], measure: Measure, store: Store) -> list[list[Run | None]]:
    """The stored predictions by fold, then by seed; None where there are none."""
    return [
        [store.run(key, measure.task, measure.probe) for key in keys]
        for keys in zip(*(seed.keys for seed in seeds.values()), strict=True)
    ]


def lines_of(
    measure: Measure, rows: Sequence[Row], store: Store, place: Place
) -> tuple[list[Line], dict[Name, Resampled]]:
    """The lines of one measure, best first, references last, and the bootstrap of every row that has its predictions."""
    metric = metrics.get(measure.base)
    sampled: dict[Name, Resampled] = {}
    lines: list[Line] = []
    labels: list[np.ndarray] = []
    for row in rows:
        seeds, short = seeds_of(row.records, measure, row.folds)
        folds = runs_of(seeds, measure, store)
        ready = [[run for run in runs if run is not None] for runs in folds]
        if not labels and ready and all(ready):
            labels = [runs[0][0] for runs in ready]
        around = None
        if ready and [len(runs) for runs in ready] == [len(seeds)] * row.folds and not measure.extra:
            try:
                sampled[row.name] = stats.resample_folds(ready, metric, seeds=list(seeds))
                around = sampled[row.name].interval()
            except ValueError as error:
                warnings.warn(f"no interval for {row.method} on {place[0]}/{measure.task}: {error}", stacklevel=2)
        line = _line(measure, row, [seed.value for seed in seeds.values()], around, place)
        if not measure.extra:
            line = replace(line, verified=_verified(seeds, folds, sampled.get(row.name), metric))
        lines.append(replace(line, status_counts=_said(line.status_counts, len(seeds), short, row.folds)))
    sign = -1 if metric.higher_is_better else 1
    lines.sort(key=lambda x: (x.reference, x.stale, x.mean is None, sign * (x.mean or 0.0), x.method, x.variant))
    if labels:
        lines.append(_chance(measure, float(np.mean([metric.chance(one) for one in labels])), place))
    return _placed(_related(lines, sampled, metric), sampled, metric), sampled


def _verified(
    seeds: Mapping[int, Seed], folds: Sequence[Sequence[Run | None]], row: Resampled | None, metric: metrics.Metric
) -> bool | None:
    """Whether the predictions give every score; ``folds`` as ``runs_of``, ``row`` their bootstrap where it was possible."""
    runs = [[run for run in fold if run is not None] for fold in folds]
    if not runs or any(len(found) != len(seeds) for found in runs):
        return None
    try:
        values = (
            row.by_fold()
            if row is not None
            else np.array([[metric(labels, predictions) for labels, predictions, _ in fold] for fold in runs]).T
        )
    except (ValueError, IndexError):  # arrays that do not fit each other
        return False
    written = np.array([seed.scores for seed in seeds.values()])
    allowed = np.array([[tolerance(metric, run) for run in fold] for fold in runs]).T
    return bool((np.abs(values - written) <= allowed).all())


def _said(statuses: str, whole: int, short: Mapping[int, int], folds: int) -> str:
    """How the cells of a row ended, and which folds it lacks."""
    if folds == 1 or not short or not (whole or any(short.values())):
        return statuses
    if not whole:
        return f"folds:{max(short.values())}/{folds} {statuses}".rstrip()
    return " ".join([statuses, *(f"seed{seed}:{count}/{folds}" for seed, count in sorted(short.items()))])


def coverage(line: Line) -> str:
    """``4/6 folds`` for a row that has no score because no seed has all folds; empty for every other."""
    found = line.status_counts.partition(" ")[0]
    return f"{found.removeprefix('folds:')} folds" if line.mean is None and found.startswith("folds:") else ""


def _related(lines: Sequence[Line], sampled: Mapping[Name, Resampled], metric: metrics.Metric) -> list[Line]:
    """Every line beside the untrained encoder (d_random) and between it and the supervised one (normalised)."""
    marks = {(line.method, line.variant): line for line in lines if line.method in (FLOOR, CEILING)}
    floor = marks.get((FLOOR, ""))
    out = []
    for line in lines:
        top = CEILING, tuned.WORD if line.hpo_trials else ""  # tuned rows are measured by a tuned ceiling
        ceiling = marks.get(top)
        row = sampled.get((line.method, line.variant))
        base = sampled.get((FLOOR, "")) if floor is not None and line.stale == floor.stale else None
        if row is not None and base is not None and line is not floor:
            line = _with(line, "d_random", _paired(row, base))
        if not (line.nuisance or floor is None or ceiling is None or line.stale or floor.stale or ceiling.stale):
            means = [x.mean for x in (line, floor, ceiling)]
            samples = [row, sampled.get((FLOOR, "")), sampled.get(top)]
            found = normalised(means, samples, metric)
            if found is not None:
                line = _with(line, "normalised", found)
        out.append(line)
    return out


def _paired(row: Resampled, base: Resampled) -> stats.Interval | None:
    """Row minus base over the seeds that both have."""
    try:
        one, two = row.shared(base)
        return one.minus(two) if len(one.values) else None
    except ValueError as error:
        warnings.warn(f"no paired difference: {error}", stacklevel=2)
        return None


def _with(line: Line, name: str, found: stats.Interval | Difference | None) -> Line:
    if found is None:
        return line
    changes: dict[str, Any] = {name: found.mean, f"{name}_lo": found.lo, f"{name}_hi": found.hi}
    return replace(line, **{key: _number(value) for key, value in changes.items()})  # type: ignore[arg-type]


def _placed(lines: Sequence[Line], sampled: Mapping[Name, Resampled], metric: metrics.Metric) -> list[Line]:
    """Ranks, ties, tests against the best baseline and the Pareto front, among entrants with a fresh score.

    Equal means share a rank. Nuisance tasks are not ranked.
    """
    ranked = [x for x in lines if not (x.reference or x.stale or x.mean is None or x.nuisance)]
    rows = [sampled.get((x.method, x.variant)) for x in ranked]
    made = compare(rows)
    best = next((i for i, x in enumerate(ranked) if x.family in BASELINES), None)
    corrected = {} if best is None else made.against(best, range(len(ranked)))
    means = [x.mean for x in ranked]
    done: dict[int, Line] = {}
    for i, line in enumerate(ranked):
        new = replace(line, rank=means.index(line.mean) + 1, tie_group=made.letters[i], p_holm=corrected.get(i))
        if best is not None and i != best:
            new = _with(new, "d_best_baseline", made.between(i, best))
        done[id(line)] = replace(new, pareto=_pareto(line, ranked, metric))
    for line in lines:
        own = sampled.get((line.method, line.variant))
        base = None if best is None else rows[best]
        if line.reference and not line.stale and own is not None and base is not None:
            done[id(line)] = _with(line, "d_best_baseline", difference(own, base))
    return [done.get(id(line), line) for line in lines]


def _pareto(line: Line, ranked: Sequence[Line], metric: metrics.Metric) -> bool | None:
    if line.pflops is None or line.mean is None:
        return None
    for other in ranked:
        if other.mean is None or other.pflops is None or metric.better(line.mean, other.mean):
            continue
        if other.pflops <= line.pflops and (other.mean != line.mean or other.pflops < line.pflops):
            return False
    return True


def _line(measure: Measure, row: Row, values: Sequence[float], around: stats.Interval | None, place: Place) -> Line:
    states = Counter(record["status"] for record in row.records)
    known = [record["diagnostics"] for record in row.records if record.get("diagnostics")]
    cost = [record.get("cost") or {} for record in row.records]
    line = _blank(measure, row.method, row.first["family"], place)
    if around is not None:
        line = replace(line, ci95_lo=_number(around.lo), ci95_hi=_number(around.hi))
    return replace(
        line,
        variant=row.variant,
        n_seeds=len(values),
        mean=_mean(values),
        median=float(np.median(values)) if len(values) else None,
        rankme=_mean(facts.get("rankme") for facts in known),
        lda_rank=_mean(facts.get("lda_rank") for facts in known),
        std_min=_mean(facts.get("std_min") for facts in known),
        collapsed_frac=_mean(float(facts.get("collapsed", False)) for facts in known),
        collapse_step=_mean(facts.get("collapse_step") for facts in known),
        device_s=_mean((c.get("pretrain_s") or 0.0) + c["features_s"] for c in cost if _number(c.get("features_s"))),
        samples_per_s=_mean(c.get("samples_per_s") or None for c in cost),  # 0 is a row that takes no step
        step_ms_p50=_mean(c.get("step_ms_p50") or None for c in cost),
        step_ms_p95=_mean(c.get("step_ms_p95") or None for c in cost),
        peak_mem_mib=_mean(c.get("peak_device_mib") or c.get("peak_rss_mib") for c in cost),
        pflops=_mean(c.get("pflop") for c in cost),
        gflop_encode=_mean(c.get("gflop_encode") for c in cost),
        gflop_step=_mean(c.get("gflop_step") for c in cost),
        wall_s=_mean(c.get("wall_s") for c in cost),
        data_wait=_mean(c.get("data_wait") for c in cost),
        params_m=_mean(c.get("params_m") for c in cost),
        params_trained_m=_mean(c.get("params_trained_m") for c in cost),
        device=_words(c.get("device") for c in cost),
        precision=_words(c.get("precision") for c in cost),
        augmentation=row.first.get("augmentation", ""),
        hpo_trials=min(tuned.trials(record.get("overrides") or {}) for record in row.records),
        status_counts=" ".join(f"{name}:{states[name]}" for name in sorted(states)),
        test_seen=max(filter(None, (_number(record["data"].get("test_seen")) for record in row.records)), default=None),
        stale=row.stale,
        reference=row.reference,
    )


def _chance(measure: Measure, value: float, place: Place) -> Line:
    """What the best label-blind guesser gets on the stored test labels (mean over folds)."""
    return replace(_blank(measure, "chance", "reference", place), mean=_number(value), reference=True)


def _blank(measure: Measure, method: str, family: str, place: Place) -> Line:
    """A line that says nothing yet: empty cells for every number."""
    numbers: dict[str, Any] = {field.name: None for field in fields(Line) if field.type == "Number"}
    dataset, preset, data, budget = place
    return Line(
        rank=None, method=method, variant="", family=family, dataset=dataset, preset=preset, data=data, budget=budget,
        task=measure.task, probe=measure.probe, metric=measure.metric, n_seeds=0, tie_group="", device="", precision="",
        pareto=None, augmentation="", hpo_trials=0, status_counts="", stale=False, reference=False,
        nuisance=measure.nuisance, verified=None, **numbers,
    )  # fmt: skip


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and np.isfinite(value) else None


def _words(values: Iterable[Any]) -> str:
    """What the seeds ran with: one word, or all of them."""
    return " ".join(sorted({str(value) for value in values if value}))


def _mean(values: Iterable[Any]) -> float | None:
    numbers = [number for number in map(_number, values) if number is not None]
    return float(np.mean(numbers)) if numbers else None
