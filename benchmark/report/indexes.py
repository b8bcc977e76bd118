"""Indexes: the tables that lead to the parts of the page: all boards, methods and data sets, and where a method stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmark import folds, metrics, record
from benchmark.board import Board, Record
from benchmark.lines import CEILING, FLOOR, Line, Measure
from benchmark.overall import Standing, aside, headline
from benchmark.report.ids import anchor
from benchmark.report.tables import Cell, Column, Row, View, called, interval, marks, number, plain, scaled, text
from benchmark.terminal import tflop
from jepakit.registry import datasets


def main_measure(board: Board) -> Measure | None:
    """What a board is ranked by: its headline score, else its first; None where every cell failed."""
    return next((measure for measure in board.measures if headline(measure)), next(iter(board.measures), None))


def id_of(board: Board) -> str:
    """The anchor of a board."""
    return anchor("board", board.modality, board.dataset, board.preset, board.data, board.budget)


def place_of(board: Board) -> str:
    """A board in words: data set, preset and what it shares beyond that."""
    return f"{board.modality}/{board.dataset} · {board.preset}" + (f" · {board.budget}" if board.budget else "")


def section_of(modality: str, dataset: str) -> str:
    """The anchor of the section about a data set, of which folds share one; "" for data made for a claim, which have none:
    dozens of them differ in a word, and what they were made for stands with the claim."""
    board = folds.board(modality, dataset)
    return "" if aside(modality, board) else anchor("data", f"{modality}/{board}")


def score_of(measure: Measure) -> str:
    """The head of a score in words, with a sign for those where less is better."""
    return f"{measure.task} {measure.metric}" + ("" if metrics.get(measure.base).higher_is_better else " ↓")


_BOARDS = (
    Column("score", "headline task and metric; ↓: lower is better", number=False),
    Column("first", "row of the best mean", number=False), Column("its score", "mean over seeds, 95 % interval"),
    Column("normalised", "0: untrained encoder, 1: trained on the labels"), Column("untrained", FLOOR),
    Column("labels", CEILING), Column("hand-made", "raw_features"), Column("rows"), Column("seeds", "of the first row"),
    Column("collapsed", "rows of which some seed collapsed"), Column("failed", "cells"),
    Column("old", "rows made by older code, unranked"),
)  # fmt: skip


def of_boards(id: str, caption: str, here: Iterable[Board]) -> View:
    """One row per board: who is first by how much, and what is missing."""
    rows = []
    for board in here:
        measure = main_measure(board)
        lines = board.of(measure) if measure else []
        by_name = {line.method: line for line in lines if not line.variant}
        first = next((line for line in lines if line.rank == 1), None)
        failed = sum(one["status"] in record.FAILED for one in board.records)
        cells = (
            text(score_of(measure) if measure else "every cell failed"),
            text(called(first), anchor("method", first.method)) if first else Cell(note="none ranked"),
            _mean(first), _normalised(first), *(_mean(by_name.get(name)) for name in (FLOOR, CEILING, "raw_features")),
            number(len(lines), "d"), number(first.n_seeds if first else None, "d"),
            number(sum(bool(line.collapsed_frac) for line in lines) or None, "d"),
            number(failed or None, "d"), number(sum(line.stale for line in lines) or None, "d"),
        )  # fmt: skip
        rows.append(Row(place_of(board), id_of(board), "", cells))
    return plain(id, caption, "board", _BOARDS, rows)


_METHODS = (
    Column("family", number=False), Column("paper", number=False, wrap=True),
    Column("boards", "with a score of today's code"),
    Column("normalised", "over all data sets; a missing cell counts 0"), Column("coverage", "share of the data sets"),
    Column("records"), Column("collapsed", "records"), Column("failed", "records"),
)  # fmt: skip


def of_methods(id: str, records: Sequence[Record], here: Sequence[Board], standings: Iterable[Standing]) -> View:
    """One row per method with a record; of its ``standings`` the first, which is that as published."""
    overall: dict[str, Standing] = {}
    for one in standings:
        overall.setdefault(one.method, one)
    scored = [
        {line.method for line in board.of(measure) if line.mean is not None and not line.stale}
        for board in here
        if (measure := main_measure(board))
    ]
    rows = []
    for name in sorted({one["method"] for one in records}):
        own = [one for one in records if one["method"] == name]
        standing = overall.get(name)
        cells = (
            text(own[0]["family"]), text(own[0]["paper"]), number(sum(name in methods for methods in scored), "d"),
            scaled(standing.normalised, standing.normalised_lo, standing.normalised_hi) if standing else Cell(),
            number(standing.coverage if standing else None, ".0%"), number(len(own), "d"),
            number(sum(one["status"] == "collapsed" for one in own) or None, "d"),
            number(sum(one["status"] in record.FAILED for one in own) or None, "d"),
        )  # fmt: skip
        rows.append(Row(name, anchor("method", name), own[0]["family"], cells))
    return View(id, "methods with a record", "method", _METHODS, (("", tuple(rows)),), filter=True)


_SETS = (
    Column("title", number=False, wrap=True), Column("split unit", number=False), Column("licence", number=False, wrap=True),
    Column("train", "rows"), Column("test", "rows"), Column("units", "of the split, in the test part"),
)  # fmt: skip


def of_data_sets(id: str, records: Iterable[Record]) -> View:
    """One row per data set with a record (folds are one): what it is, may be used for, and how large its newest record says
    that it is."""
    newest: dict[str, Record] = {}
    for one in sorted(records, key=lambda x: (str(x.get("created", "")), x["key"])):
        newest[f"{one['modality']}/{folds.board(one['modality'], one['dataset'])}"] = one
    rows = []
    for name, one in sorted(newest.items()):
        origin = f"{one['modality']}/{folds.origin(one['modality'], one['dataset'])}"
        card = datasets[origin].make.card if origin in datasets else None
        sizes: Mapping[str, int] = one["data"]
        cells = (
            text(card.title if card else ""), text(card.unit if card else ""), text(card.licence if card else ""),
            number(sizes.get("n_train"), "d"), number(sizes.get("n_test"), "d"), number(sizes.get("units_test"), "d"),
        )  # fmt: skip
        rows.append(Row(name, section_of(one["modality"], one["dataset"]), "", cells))
    return plain(id, "data sets with a record", "data set", _SETS, rows)


_STANDS = (
    Column("row", "what differs from the method as published", number=False), Column("score", number=False),
    Column("rank"), Column("ties", "shares a letter with rows that it does not differ from", number=False),
    Column("mean", "95 % interval"), Column("normalised", "0: untrained encoder, 1: trained on the labels"),
    Column("Δ baseline", "paired difference to the best row of mae and contrastive"), Column("seeds"), Column("TFLOP"),
    Column("status", number=False),
)  # fmt: skip


def where(name: str, here: Iterable[Board]) -> View:
    """Where a method stands on the headline score of every board, one row per variant of it."""
    rows = []
    for board in here:
        measure = main_measure(board)
        if measure is None:
            continue
        for line in board.of(measure):
            if line.method != name:
                continue
            cells = (
                text(line.variant), text(score_of(measure)), number(line.rank, "d"), text(line.tie_group),
                _mean(line), _normalised(line),
                interval(line.d_best_baseline, line.d_best_baseline_lo, line.d_best_baseline_hi, "+.3f"),
                number(line.n_seeds or None, "d"), number(tflop(line), ".3g"),
                text(line.status_counts),
            )  # fmt: skip
            signs = tuple(marks(line, board.of(measure)))
            rows.append(Row(place_of(board), id_of(board), "", cells, signs, "stale" if line.stale else ""))
    return plain(anchor("where", name), f"{name} on every board", "board", _STANDS, rows)


def _mean(line: Line | None) -> Cell:
    return interval(line.mean, line.ci95_lo, line.ci95_hi, ".3f") if line else Cell()


def _normalised(line: Line | None) -> Cell:
    return scaled(line.normalised, line.normalised_lo, line.normalised_hi) if line else Cell()
