"""Robustness: how much of a score is left where a nuisance is strong: ``python -m benchmark robustness ecg``.

Computed from stored predictions. The test rows are divided into thirds of every nuisance that is a number (noise,
reverberation …) and, for the first two, into the nine cells of their grid. A row's relative drop is 1 − score in the
hardest part / score in the easiest one. Hard is where the nuisance is strong, not where rows score lower: which end that is
must not depend on the rows that a board happens to have.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from rich.markup import escape
from rich.table import Table

from benchmark import breakdown, metrics
from benchmark.atomic import write_bytes
from benchmark.board import Board, Record, row_variant
from benchmark.lines import Measure, Name, value_of
from benchmark.listing import table
from benchmark.predictions import Store
from benchmark.request import Request
from jepakit.registry import datasets
from jepakit.types import Task, UsageError

THIRDS = 3
# Nuisances whose large values are the mild ones, by (modality, task): sound has the ratio of sound to noise in dB. A fact of
# the data set, kept here because a change of its file would make all of its rows stale.
MILDER = {("audio", "noise")}
COLUMNS = (
    "modality", "dataset", "data", "preset", "budget", "task", "metric", "probe", "method", "variant", "seeds", "factor",
    "all", "easy", "hard", "drop",
)  # fmt: skip


@dataclass(frozen=True)
class Drop:
    """What happened to one row along one nuisance, or along the diagonal of the grid of two ("a × b").

    easy, hard: mean over seeds of the score where the nuisance is weakest and strongest; drop: 1 − hard / easy, NaN where
    the easy score is not above 0.
    """

    factor: str
    easy: float
    hard: float

    @property
    def drop(self) -> float:
        return 1 - self.hard / self.easy if self.easy > 0 else float("nan")


def thirds(values: np.ndarray) -> np.ndarray:
    """Number of the third (0 lowest … 2 highest) that each value lies in; −1 where it is not known."""
    known = np.isfinite(values)
    edges = np.quantile(values[known], np.arange(1, THIRDS) / THIRDS) if known.any() else np.zeros(THIRDS - 1)
    return np.where(known, np.searchsorted(edges, values, side="right"), -1)


def cells(
    metric: metrics.Metric, labels: np.ndarray, predictions: np.ndarray, groups: Sequence[np.ndarray]
) -> np.ndarray:
    """The score in every cell of the grid that ``groups`` span: one axis of thirds each; NaN in a cell without rows."""
    found = np.full((THIRDS,) * len(groups), np.nan)
    for cell in itertools.product(range(THIRDS), repeat=len(groups)):
        mine = np.logical_and.reduce([group == third for group, third in zip(groups, cell, strict=True)])
        if mine.any():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a cell may lack a class
                found[cell] = metric(labels[mine], predictions[mine])
    return found


def along(scores: np.ndarray, hard_is_high: Sequence[bool]) -> tuple[float, float]:
    """(easy, hard) corner of a grid of scores."""
    hard = tuple(THIRDS - 1 if high else 0 for high in hard_is_high)
    easy = tuple(0 if high else THIRDS - 1 for high in hard_is_high)
    return float(scores[easy]), float(scores[hard])


def study(board: Board, measure: Measure, results: Path) -> dict[Name, list[Drop]]:
    """The drops of every row of a board, on one measure; rows without stored predictions are left out.

    Raises UsageError for a data set without a nuisance that is a number.
    """
    name = f"{board.modality}/{board.dataset}"
    factors = [task.name for task in _tasks(board) if task.nuisance and task.kind == "regression"]
    if not factors:
        raise UsageError(f"{name} has no nuisance that is a number, so nothing grows along which a score could drop")
    metric = metrics.get(measure.base)
    store = Store(results, {score["key"]: one for one in board.records for score in one["scores"]})
    wanted = [*([one] for one in factors), *([factors[:2]] if len(factors) > 1 else [])]
    grids: dict[Name, dict[int, list[np.ndarray]]] = {}
    for one in board.records:
        pair = value_of(one, measure)
        run = None if pair is None else store.run(pair[1], measure.task, measure.probe)
        if pair is None or run is None:
            continue
        levels = {factor: store.run(pair[1], factor, measure.probe) for factor in factors}
        groups = {factor: thirds(found[0].astype(np.float64).ravel()) for factor, found in levels.items() if found}
        if len(groups) < len(factors) or any(len(group) != len(run[0]) for group in groups.values()):
            continue  # rows of another task: not the same samples
        mine = grids.setdefault((one["method"], row_variant(one)), {})
        for k, names in enumerate(wanted):
            mine.setdefault(k, []).append(cells(metric, run[0], run[1], [groups[factor] for factor in names]))
    means = {row: {k: np.mean(found, 0) for k, found in own.items()} for row, own in grids.items()}
    high = {factor: (board.modality, factor) not in MILDER for factor in factors}
    return {
        row: [
            Drop(" × ".join(names), *along(own[k], [high[factor] for factor in names]))
            for k, names in enumerate(wanted)
        ]
        for row, own in means.items()
    }


def _tasks(board: Board) -> Sequence[Task]:
    found: Sequence[Task] = datasets[f"{board.modality}/{board.records[0]['dataset']}"].make.tasks
    return found


def tables(records: Sequence[Record], results: Path, asked: Request) -> Iterator[Table]:
    """One table for the headline task of every board that is asked for, rows by their drop along the grid, and
    ``robustness_<modality>_<dataset>_<preset>_<probe>.csv`` in the results folder, which has every row whichever are shown.

    Raises UsageError where no record has a score of this kind, and for a data set without numbers for nuisances.
    """
    for name in asked.boards:
        lines: list[dict[str, object]] = []
        shown = [pair for pair in breakdown.measured(records, asked, name) if not pair[1].minor]
        for board, measure in shown:
            found = study(board, measure, results)
            yield _table(
                board,
                measure,
                {row: own for row, own in found.items() if asked.methods is None or row[0] in asked.methods},
            )
            lines += _lines(board, measure, found)
        for _, measure in shown[:1]:
            path = results / f"robustness_{asked.modality}_{name}_{asked.preset}_{measure.probe}.csv"
            text = pd.DataFrame(lines, columns=list(COLUMNS)).to_csv(index=False, float_format="%.5g")
            write_bytes(path, text.encode())


def _ordered(found: dict[Name, list[Drop]]) -> list[tuple[Name, list[Drop]]]:
    """The most robust first; rows whose drop is not defined last."""
    return sorted(found.items(), key=lambda row: (not np.isfinite(row[1][-1].drop), row[1][-1].drop, row[0]))


def _lines(board: Board, measure: Measure, found: dict[Name, list[Drop]]) -> list[dict[str, object]]:
    whole = {(line.method, line.variant): line for line in board.of(measure)}
    return [
        {
            "modality": board.modality, "dataset": board.dataset, "data": board.data, "preset": board.preset,
            "budget": board.budget, "task": measure.task, "metric": measure.metric, "probe": measure.probe,
            "method": name[0], "variant": name[1], "seeds": whole[name].n_seeds, "factor": one.factor,
            "all": whole[name].mean, "easy": one.easy, "hard": one.hard, "drop": one.drop,
        }
        for name, drops in _ordered(found)
        for one in drops
    ]  # fmt: skip


def _table(board: Board, measure: Measure, found: dict[Name, list[Drop]]) -> Table:
    factors = [one.factor for one in next(iter(found.values()), [])]
    made = table(breakdown.title(board, measure), "method", "all", *map(escape, factors))
    for column in made.columns[1:]:
        column.justify = "right"
    whole = {(line.method, line.variant): line for line in board.of(measure)}
    for name, drops in _ordered(found):
        shown = [f"{one.easy:.3f} → {one.hard:.3f} ({-100 * one.drop:+.0f} %)" for one in drops]
        mean = whole[name].mean
        made.add_row(breakdown.row_name(whole[name]), "" if mean is None else f"{mean:.3f}", *shown)
    made.caption = "score in the easiest third → in the hardest (relative change), mean over seeds; a × b: both at once"
    return made
