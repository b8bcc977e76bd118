"""Series: what the figures show, read off boards and records: seeds, fronts, curves, label arms, Kendall's τ."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import kendalltau

from benchmark.board import Board, row_variant
from benchmark.lines import Measure, Name, Record, seeds_of

Curve = tuple[np.ndarray, np.ndarray]  # steps, values: means over the seeds that have the step

# Not losses: the clock and the verdict. Every name of the final diagnostics is not one either.
CLOCK = ("step", "collapsed")
ARM = re.compile(r"(\d+)(shot|pct)")
# τ of fewer rows says nothing: of three, any order has p = 1/3 or more.
MIN_ROWS = 4


@dataclass(frozen=True)
class Association:
    """Kendall's τ-b of a diagnostic and the score over rows; positive: rows with more of it score better. p: two-sided."""

    name: str
    points: Mapping[Name, tuple[float, float]]
    tau: float
    p: float


def seeds(board: Board, measure: Measure) -> dict[Name, dict[int, float]]:
    """Score of every seed by row (of seeds that have all folds)."""
    rows: dict[Name, list[Record]] = {}
    for record in board.records:
        rows.setdefault(_row(record), []).append(record)
    scored = {row: seeds_of(records, measure, board.folds)[0] for row, records in rows.items()}
    return {row: {seed: one.value for seed, one in own.items()} for row, own in scored.items() if own}


def front(points: Mapping[Name, tuple[float, float]], higher: bool) -> list[Name]:
    """Rows (cost, score) that no other row beats: none is at least as good in both and better in one. By cost."""
    sign = 1 if higher else -1
    kept = [
        name
        for name, (cost, score) in points.items()
        if not any(
            c <= cost and sign * s >= sign * score and (c < cost or sign * s > sign * score) for c, s in points.values()
        )
    ]
    return sorted(kept, key=lambda name: (*points[name], name))


def curves(board: Board) -> dict[Name, dict[str, Curve]]:
    """Every number of the histories by row, in order of first appearance, ``loss`` first."""
    found: dict[Name, dict[str, dict[int, list[float]]]] = {}
    for record in board.records:
        for at in record.get("history") or []:
            for name, value in at.items():
                if name not in CLOCK and _number(value):
                    own = found.setdefault(_row(record), {}).setdefault(name, {})
                    own.setdefault(int(at["step"]), []).append(float(value))
    return {
        row: {
            name: (np.array(sorted(own)), np.array([np.mean(own[step]) for step in sorted(own)]))
            for name, own in sorted(named.items(), key=lambda pair: (pair[0] != "loss", pair[0]))
        }
        for row, named in found.items()
    }


def losses(row: Mapping[str, Curve], diagnostics: Iterable[str]) -> dict[str, Curve]:
    """Those curves of a row that are losses: not diagnostics, and each only once (a loss of one part is that part)."""
    known, kept = set(diagnostics), dict[str, Curve]()
    for name, curve in row.items():
        if name not in known and not any(np.array_equal(curve[1], other[1]) for other in kept.values()):
            kept[name] = curve
    return kept


def diagnosed(records: Iterable[Record]) -> set[str]:
    """Names of all diagnostics."""
    return {name for record in records for name in record.get("diagnostics") or {}}


def arms(board: Board, measure: Measure) -> dict[Name, dict[str, float]]:
    """Score with few labels by row and arm (``1shot`` … ``10pct`` …), mean over seeds; empty where no record has any.

    Arms are extras "<metric>_<arm>" of a score of the measure's task and metric, whatever the probe that has them. Seeds
    that lack a fold are left out.
    """
    found: dict[Name, dict[str, dict[tuple[int, str], list[float]]]] = {}
    for record in board.records:
        for score in record["scores"]:
            if (score["task"], score["metric"]) != (measure.task, measure.base):
                continue
            for extra, value in (score.get("extras") or {}).items():
                arm = extra.removeprefix(f"{measure.base}_")
                if ARM.fullmatch(arm) and _number(value):
                    seeds = found.setdefault(_row(record), {}).setdefault(arm, {})
                    seeds.setdefault((record["seed"], score["probe"]), []).append(float(value))
    means = {
        row: {
            arm: float(np.mean(np.concatenate(whole)))
            for arm in sorted(own, key=_arm)
            if (whole := [values for values in own[arm].values() if len(values) == board.folds])
        }
        for row, own in found.items()
    }
    return {row: own for row, own in means.items() if own}


def associations(board: Board, measure: Measure, higher: bool) -> list[Association]:
    """Every diagnostic against the score over the rows with both, by falling |τ|; features that are not an encoder's
    (``raw_features``) and constant ones are left out, and whatever fewer than MIN_ROWS rows have."""
    scores = {(line.method, line.variant): line.mean for line in board.of(measure)}
    values: dict[str, dict[Name, list[float]]] = {}
    for record in board.records:
        if record["method"] == "raw_features":
            continue
        for name, value in (record.get("diagnostics") or {}).items():
            if _number(value):
                values.setdefault(name, {}).setdefault(_row(record), []).append(float(value))
    found = []
    for name, rows in values.items():
        points = {
            row: (float(np.mean(own)), score) for row, own in rows.items() if (score := scores.get(row)) is not None
        }
        if name == "collapse_step" or len(points) < MIN_ROWS:
            continue
        x, y = np.array(list(points.values()), dtype=float).T
        made = kendalltau(x, y if higher else -y)
        if np.isfinite(made.statistic):
            found.append(Association(name, dict(sorted(points.items())), float(made.statistic), float(made.pvalue)))
    return sorted(found, key=lambda one: (-abs(one.tau), one.name))


def _arm(arm: str) -> tuple[bool, int]:
    found = ARM.fullmatch(arm)
    assert found is not None
    return found[2] == "pct", int(found[1])


def _row(record: Record) -> Name:
    return record["method"], row_variant(record)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
