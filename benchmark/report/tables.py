"""Tables: what the page shows of boards and standings as rows of cells, with the value that each cell is sorted by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from benchmark.board import Board, Line
from benchmark.leaderboard import around
from benchmark.lines import Measure, Name, coverage
from benchmark.overall import Standing
from benchmark.report.ids import anchor
from benchmark.terminal import fewer_trials, leads, tflop


@dataclass(frozen=True)
class Cell:
    """Text of a cell and its place in an order (None: an empty cell, last whichever way); note: what is said more quietly
    behind it; bar: how much of the cell is tinted, 0 … 1; link: the anchor that the text leads to."""

    text: str = ""
    key: float | str | None = None
    note: str = ""
    bar: float | None = None
    link: str = ""


@dataclass(frozen=True)
class Column:
    """Head of a column, what it means, and whether it holds numbers, or words of more than one line."""

    head: str
    about: str = ""
    number: bool = True
    wrap: bool = False


@dataclass(frozen=True)
class Row:
    """One row: its name (with the anchor of the method it is about), marks behind the name, cells."""

    name: str
    link: str
    family: str
    cells: tuple[Cell, ...]
    marks: tuple[tuple[str, str], ...] = ()  # sign, what it means
    classes: str = ""


@dataclass(frozen=True)
class View:
    """A table: groups of rows that stay together when it is sorted, each with a label ("" for the first)."""

    id: str
    caption: str
    first: str
    columns: tuple[Column, ...]
    groups: tuple[tuple[str, tuple[Row, ...]], ...]
    filter: bool = False

    @property
    def families(self) -> list[str]:
        return sorted({row.family for _, rows in self.groups for row in rows if row.family})


def number(value: float | int | None, form: str, unit: str = "") -> Cell:
    """A cell of one number."""
    return Cell() if value is None else Cell(format(value, form) + unit, float(value))


def interval(mean: float | None, low: float | None, high: float | None, form: str) -> Cell:
    """A cell of a mean with its interval, sorted by the mean."""
    if mean is None:
        return Cell()
    shown, bracket, rest = around(mean, low, high, form).partition(" [")
    return Cell(shown, float(mean), bracket + rest)


def scaled(mean: float | None, low: float | None, high: float | None) -> Cell:
    """A cell of a normalised score, tinted as far as it is from 0 to 1."""
    cell = interval(mean, low, high, ".2f")
    return cell if mean is None else replace(cell, bar=round(min(max(float(mean), 0.0), 1.0), 3))


def text(value: object, link: str = "") -> Cell:
    """A cell of words."""
    return Cell(str(value), str(value), link=link) if value not in (None, "") else Cell()


Get = Callable[[Line], Cell]
# (column, cell) of a row's line of the first score; the cost columns are the same for every task.
_JUDGED: tuple[tuple[Column, Get], ...] = (
    (Column("normalised", "0: untrained encoder, 1: trained on the labels, same board"),
     lambda x: scaled(x.normalised, x.normalised_lo, x.normalised_hi)),
    (Column("Δ random", "paired difference to the untrained encoder"),
     lambda x: interval(x.d_random, x.d_random_lo, x.d_random_hi, "+.3f")),
    (Column("Δ baseline", "paired difference to the best row of mae and contrastive"),
     lambda x: interval(x.d_best_baseline, x.d_best_baseline_lo, x.d_best_baseline_hi, "+.3f")),
    (Column("p", "of the difference to the best baseline, after Holm"), lambda x: number(x.p_holm, ".3f")),
)  # fmt: skip
_COST: tuple[tuple[Column, Get], ...] = (
    (Column("seeds"), lambda x: number(x.n_seeds or None, "d")),
    (Column("RankMe", "effective dimensions of the features"), lambda x: number(x.rankme, ".1f")),
    (Column("collapsed", "share of seeds"), lambda x: number(x.collapsed_frac or None, ".0%")),
    (Column("TFLOP", "10¹² operations of the whole pre-training"), lambda x: number(tflop(x), ".3g")),
    (Column("GFLOP step", "per sample and training step"), lambda x: number(x.gflop_step, ".3g")),
    (Column("GFLOP encode", "per sample, frozen encoder"), lambda x: number(x.gflop_encode, ".3g")),
    (Column("seconds", "pre-training and features, on the machine that ran it"), lambda x: number(x.device_s, ".1f")),
    (Column("samples/s", "of pre-training"), lambda x: number(x.samples_per_s, ".0f")),
    (Column("step ms", "median"), lambda x: number(x.step_ms_p50, ".1f")),
    (Column("MiB", "peak memory of the device, else of the process"), lambda x: number(x.peak_mem_mib, ".0f")),
    (Column("params M", "of the encoder"), lambda x: number(x.params_m, ".3f")),
    (Column("trained M", "parameters that training changes"), lambda x: number(x.params_trained_m, ".3f")),
    (Column("trials", "of tuning"), lambda x: number(x.hpo_trials, "d")),
    (Column("augmentation", number=False), lambda x: text(x.augmentation)),
    (Column("device", number=False), lambda x: text(f"{x.device} {x.precision}".strip())),
    (Column("status", "seeds by how they ended", number=False), lambda x: text(x.status_counts)),
)  # fmt: skip


def task(board: Board, measures: Sequence[Measure], id: str, *, costs: bool) -> View:
    """The table of one task: every probe's score, what the first is worth, and (``costs``, the board's first) what the rows
    cost. Rows with other settings, arms of claims by the hundred, stand in the first table alone where their method has a
    plain row, or the page would be too large for a phone."""
    main = board.of(measures[0])
    plain_rows = {line.method for line in main if not line.variant}
    shown = [line for line in main if costs or not line.variant or line.method not in plain_rows]
    others: dict[Measure, Mapping[Name, Line]] = {
        measure: {(line.method, line.variant): line for line in board.of(measure)} for measure in measures
    }
    more = (*_JUDGED, *(_COST if costs else ()))
    columns = (
        Column("rank"), Column("ties", "rows that share a letter do not differ at 5 %", number=False),
        Column("family", number=False),
        *(Column(f"{m.probe} {m.metric}", "mean over seeds, 95 % interval") for m in measures),
        *(column for column, _ in more),
    )  # fmt: skip
    rows: dict[bool, list[Row]] = {False: [], True: []}
    for line in shown:
        scores = [_score(others[measure].get((line.method, line.variant))) for measure in measures]
        cells = (
            number(line.rank, "d"),
            text(line.tie_group),
            text(line.family),
            *scores,
            *(get(line) for _, get in more),
        )
        rows[line.reference].append(
            Row(
                called(line), _link(line.method), line.family, cells,
                tuple(marks(line, main)), " ".join(_classes(line, main)),
            )
        )  # fmt: skip
    kind = ", nuisance: good features may ignore it" if measures[0].nuisance else ""
    if left := len(main) - len(shown):
        kind += f"; {left} more with other settings in the CSV"
    groups = [("", rows[False]), ("references, unranked", rows[True])]
    return View(
        id, f"{board.modality}/{board.dataset}, {measures[0].task}{kind}", "method", columns,
        tuple((label, tuple(own)) for label, own in groups if own), filter=costs,
    )  # fmt: skip


def _score(line: Line | None) -> Cell:
    if line is None or line.mean is None:
        return Cell(coverage(line)) if line is not None else Cell()
    return interval(line.mean, line.ci95_lo, line.ci95_hi, ".3f")


def called(line: Line) -> str:
    """The name of a row: its method and what differs from it as published."""
    return f"{line.method} {line.variant}".strip()


def _link(method: str) -> str:
    """Anchor of a method's section; chance has no record and no section."""
    return "" if method == "chance" else anchor("method", method)


def marks(line: Line, lines: Sequence[Line]) -> Iterable[tuple[str, str]]:
    """Signs behind the name of a row among the ``lines`` of its score, each with what it means."""
    if line.collapsed_frac:
        yield "✗", "collapsed in some seed"
    if line.stale:
        yield "†", "made by older code"
    if line.pareto:
        yield "◆", "nothing is better for as few FLOPs"
    if fewer_trials(line, lines):
        yield "‡", "fewer trials of tuning than another row"
    if line.verified is False:
        yield "≠", "its predictions give another score"
    if line.test_seen:
        yield "§", "pre-training saw rows of test, or of their units"


def _classes(line: Line, lines: Sequence[Line]) -> Iterable[str]:
    if line.reference:
        yield "reference"
    if line.stale:
        yield "stale"
    if leads(line, lines):
        yield "leads"


def standings(
    id: str,
    caption: str,
    overall: Sequence[Standing],
    by_modality: Mapping[str, Mapping[str, Standing]],
    collapsed: Mapping[tuple[str, str], str],
) -> View:
    """Methods over modalities. by_modality: a method's standing within each; collapsed: (method, modality) → where."""
    columns = (
        Column("rank"), Column("family", number=False),
        Column("normalised", "0: untrained, 1: trained on the labels; modalities weigh the same, a missing cell counts 0"),
        Column("coverage", "share of the data sets with a score"), Column("mean rank"),
        Column("IQM", "mean of the middle half of all runs' normalised scores"),
        Column("worst", "lowest normalised score of a data set"), Column("worst on", number=False),
        Column("win rate", "share of other methods' means beaten"), Column("trials", "of tuning"),
        *(Column(name, "normalised score within this modality, else the mean rank") for name in by_modality),
    )  # fmt: skip
    rows: dict[bool, list[Row]] = {False: [], True: []}
    for one in overall:
        cells = [
            number(one.rank, "d"), text(one.family), scaled(one.normalised, one.normalised_lo, one.normalised_hi),
            number(one.coverage, ".0%"), interval(one.mean_rank, one.mean_rank_lo, one.mean_rank_hi, ".2f"),
            number(one.iqm, ".2f"), number(one.worst, ".2f"), text(one.worst_dataset), number(one.win_rate, ".0%"),
            number(one.hpo_trials, "d"),
            *(_within(own.get(one.method), collapsed.get((one.method, name))) for name, own in by_modality.items()),
        ]  # fmt: skip
        where = ", ".join(place for (method, _), place in sorted(collapsed.items()) if method == one.method)
        marks = (("✗", f"collapsed in some seed on {where}"),) if where else ()
        row = Row(one.method, _link(one.method), one.family, tuple(cells), marks, "reference" if one.reference else "")
        rows[one.reference].append(row)
    groups = [("", rows[False]), ("references, unranked", rows[True])]
    return View(id, caption, "method", columns, tuple((label, tuple(own)) for label, own in groups if own), filter=True)


def _within(one: Standing | None, collapsed: str | None) -> Cell:
    """A method within a modality: normalised, else its rank, and a mark where it collapsed."""
    mark = " ✗" if collapsed else ""
    if one is None:
        return Cell("✗ collapsed" if collapsed else "", note="" if collapsed else "no score")
    if one.normalised is None:
        return Cell("" if one.mean_rank is None else f"rank {one.mean_rank:.2f}{mark}", one.mean_rank)
    found = scaled(one.normalised, one.normalised_lo, one.normalised_hi)
    return replace(found, note=f"{found.note}{mark}")


def plain(id: str, caption: str, first: str, columns: Sequence[Column], rows: Iterable[Row]) -> View:
    """A table of one group."""
    return View(id, caption, first, tuple(columns), (("", tuple(rows)),))
