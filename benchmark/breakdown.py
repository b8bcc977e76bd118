"""Breakdown: where the scores of a board come from: each fold, and each test unit (subject, speaker …) by itself.

Folds are read from the records, units computed from the stored predictions: the board's metric on the rows of one unit, mean
over seeds. On few rows, or on one class, a metric says less than its name: read units against each other, not as scores.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.markup import escape
from rich.table import Table

from benchmark import folds, metrics
from benchmark.board import Board, Record, boards, row_variant
from benchmark.fingerprint import fingerprints
from benchmark.lines import Line, Measure, Name, value_of
from benchmark.listing import table
from benchmark.predictions import Store
from benchmark.request import Request
from jepakit.registry import datasets
from jepakit.types import UsageError

COLUMNS = 6  # rows of a board that are shown side by side unless a person names some
Unit = tuple[int, int]  # fold, code of the unit in its test part


def tables(
    records: Sequence[Record], results: Path, asked: Request, root: Path | None, most: int = 40
) -> Iterator[Table]:
    """Two tables for every task of the boards that are asked for: rows by folds (where there are several) and units by
    rows, ``most`` units, the hardest first. Units have their names where the data are here, else numbers.

    Raises UsageError where no record has a score of this kind.
    """
    own = [one for one in records if asked.methods is None or one["method"] in asked.methods]
    for name in asked.boards:
        for board, measure in measured(own, asked, name):
            if board.folds > 1:
                yield by_fold(board, measure)
            if most:
                yield by_unit(board, measure, results, root, most, asked.methods is not None)


def measured(records: Sequence[Record], asked: Request, name: str) -> list[tuple[Board, Measure]]:
    """Every board of the data set ``name`` at the preset that is asked for, with each of its measures by the probe that is
    asked for; nuisances left out. Raises UsageError where there is none."""
    probe = asked.overrides.get("probe", "linear").partition(",")[0]
    own = [
        one
        for one in records
        if one["preset"] == asked.preset and name in (one["dataset"], folds.board(one["modality"], one["dataset"]))
    ]
    apart = not name.endswith(folds.ALL)
    here = boards(own, None, keep=lambda measure: measure.probe == probe and not measure.extra, apart=apart)
    shown = [(board, measure) for board in here for measure in board.measures if not measure.nuisance]
    if not shown:
        raise UsageError(
            f"{asked.modality}/{name} has no fresh score of the probe '{probe}' at preset {asked.preset}; run it first: "
            f"run {asked.modality} dataset={name} preset={asked.preset} probe={probe}"
        )
    return shown


def title(board: Board, measure: Measure) -> str:
    budget = f" · {board.budget}" if board.budget else ""
    place = f"{board.modality}/{board.dataset} · {board.preset}{budget}"
    return escape(f"{place} · {measure.task}, {measure.probe} {measure.metric}")


def _rows(board: Board) -> dict[Name, list[Record]]:
    found: dict[Name, list[Record]] = {}
    for one in board.records:
        found.setdefault((one["method"], row_variant(one)), []).append(one)
    return found


def _fold(record: Record) -> int:
    found = folds.fold(record["modality"], record["dataset"])
    return 0 if found is None else found.number


def fold_scores(records: Iterable[Record], measure: Measure) -> dict[int, float]:
    """Mean over seeds of every fold that has a score, of the records of one row."""
    found: dict[int, list[float]] = {}
    for one in records:
        pair = value_of(one, measure)
        if pair is not None:
            found.setdefault(_fold(one), []).append(pair[0])
    return {fold: float(np.mean(values)) for fold, values in sorted(found.items())}


def by_fold(board: Board, measure: Measure) -> Table:
    """Rows by folds; the mean and the deviation over folds only where no seed lacks one."""
    numbers = range(1, board.folds + 1)
    made = table(title(board, measure), "method", *(f"fold {k}" for k in numbers), "mean", "sd of folds", "seeds")
    for column in made.columns[1:]:
        column.justify = "right"
    rows = _rows(board)
    for line in _lines(board, measure):
        scores = fold_scores(rows[line.method, line.variant], measure)
        cells = [f"{scores[k]:.3f}" if k in scores else "" for k in numbers]
        mean = spread = ""
        if line.mean is not None:
            mean, spread = f"{line.mean:.3f}", f"{np.std(list(scores.values()), ddof=1):.3f}"
        made.add_row(row_name(line), *cells, mean or f"{len(scores)}/{board.folds} folds", spread, str(line.n_seeds))
    made.caption = "folds: mean over their seeds; mean: over the seeds that have every fold, as on the board"
    return made


def unit_scores(records: Iterable[Record], measure: Measure, store: Store) -> dict[Unit, tuple[int, float]]:
    """(rows, mean over seeds of the metric on them) of every test unit of one row's records; NaN where it is undefined."""
    metric = metrics.get(measure.base)
    values: dict[Unit, list[float]] = {}
    sizes: dict[Unit, int] = {}
    for one in records:
        pair = value_of(one, measure)
        run = None if pair is None else store.run(pair[1], measure.task, measure.probe)
        if run is None:
            continue
        labels, predictions, units = run
        for code in np.unique(units):
            mine, unit = units == code, (_fold(one), int(code))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a unit may have one class or one row
                value = metric(labels[mine], predictions[mine])
            sizes[unit] = int(mine.sum())
            values.setdefault(unit, []).append(float(value))
    return {unit: (sizes[unit], float(np.mean(found))) for unit, found in sorted(values.items())}


def by_unit(board: Board, measure: Measure, results: Path, root: Path | None, most: int, every: bool) -> Table:
    """Units by rows: ``every`` row of the board, or the first ones."""
    rows, lines = _rows(board), _lines(board, measure)
    shown = lines if every else lines[:COLUMNS]
    store = Store(results, {score["key"]: one for one in board.records for score in one["scores"]})
    scores = [unit_scores(rows[line.method, line.variant], measure, store) for line in shown]
    units = {unit: size for found in scores for unit, (size, _) in found.items()}
    sign = 1 if metrics.get(measure.base).higher_is_better else -1

    def ease(unit: Unit) -> tuple[float, Unit]:
        mean = sign * float(np.mean([found[unit][1] for found in scores if unit in found]))
        return (mean if np.isfinite(mean) else np.inf), unit

    order = sorted(units, key=ease)
    names = unit_names(board, results, root, units)
    word = datasets[f"{board.modality}/{board.records[0]['dataset']}"].make.card.unit
    parted = board.folds > 1
    heads = [*([word, "fold"] if parted else [word]), "rows", *map(row_name, shown)]
    made = table(title(board, measure) + f" · by {escape(word)}", *heads)
    for column in made.columns[1:]:
        column.justify = "right"
    for unit in order[:most]:
        cells = [f"{found[unit][1]:.3f}" if unit in found and np.isfinite(found[unit][1]) else "" for found in scores]
        made.add_row(escape(names[unit]), *([str(unit[0])] if parted else []), str(units[unit]), *cells)
    said = ["the hardest first; mean over seeds"]
    if len(order) > most:
        said.append(f"{len(order) - most} easier ones not shown (--units {len(order)})")
    if len(shown) < len(lines):
        said.append(f"{len(lines) - len(shown)} more rows: name them with method=…")
    made.caption = "; ".join(said)
    return made


def unit_names(board: Board, results: Path, root: Path | None, units: Mapping[Unit, int]) -> dict[Unit, str]:
    """Names of units as the data have them, where these are here and the same; else their numbers. Predictions hold numbers
    only: results may be public where the names of patients are not."""
    names = {unit: f"{unit[1]}" for unit in units}
    for one in {record["dataset"]: record for record in board.records}.values():
        found = _names_of(one, results, root)
        codes = [unit[1] for unit in units if unit[0] == _fold(one)]
        if len(found) == len(codes):
            names |= {(_fold(one), code): str(found[code]) for code in codes}
    return names


def _names_of(one: Record, results: Path, root: Path | None) -> np.ndarray:
    """Sorted names of the test units of a record's data; empty where the data are not here or are others."""
    name = f"{one['modality']}/{one['dataset']}"
    try:
        modality = datasets[name].make(root)
        if fingerprints(results, name, modality, remember=False) != one["data"]["fingerprint"]:
            return np.empty(0)
        return np.unique(modality.data("test").unit)
    except UsageError:  # a DataError is one
        return np.empty(0)


def _lines(board: Board, measure: Measure) -> list[Line]:
    return [line for line in board.of(measure) if line.method != "chance"]


def row_name(line: Line) -> str:
    return escape(f"{line.method} {line.variant}".strip())
