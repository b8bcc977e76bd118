"""Page: records and predictions → the one HTML file, the same bytes for the same records.

Everything that comes from a record is text to the template engine (autoescape) or to the XML writer; nothing of it becomes
markup, a script or an address. The page forbids every request by its own content security policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from benchmark import folds, metrics, record
from benchmark.atomic import write_bytes
from benchmark.board import Board, Record, Stale, boards, published
from benchmark.budget import about
from benchmark.leaderboard import part_sizes
from benchmark.lines import FLOOR, Line, Measure
from benchmark.overall import Standing, compared, overall
from benchmark.report import claims, facts, figures, indexes, pictures, series
from benchmark.report.ids import anchor
from benchmark.report.svg import FAMILIES, SIGNS, Drawing
from benchmark.report.tables import Cell, Column, Row, View, number, plain, standings, task
from benchmark.terminal import leads

PAGE = "index.html"
MOST = 5_000_000  # bytes; a page beyond this is slow on a phone
TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Standings:
    """The overview of one preset, as published or tuned."""

    id: str
    title: str
    table: View
    forest: Drawing | None


@dataclass(frozen=True)
class ModalityView:
    """The boards of a modality, their index and the standings within it (None: nothing has the normalised scale)."""

    id: str
    name: str
    index: View
    forest: Drawing | None
    boards: tuple[BoardView, ...]


@dataclass(frozen=True)
class BoardView:
    """A board as the page shows it; an empty part was not in the records. taus: diagnostics against the headline score;
    planes: features in two dimensions, made by the command ``embed``."""

    id: str
    title: str
    link: str
    score: str
    note: str
    says: str
    tables: tuple[View, ...]
    figures: tuple[Drawing, ...]
    curves: tuple[Drawing, ...]
    arms: tuple[Drawing, ...]
    scatters: tuple[Drawing, ...]
    taus: View | None
    planes: tuple[Drawing, ...]
    embed: str


def write(results: Path, *, stale: Stale | None = None) -> Path:
    """Write ``results/index.html`` and return its path. ``stale`` as for ``leaderboard.rebuild``."""
    path = results / PAGE
    write_bytes(path, render(results, stale=stale))
    return path


def render(results: Path, *, stale: Stale | None = None) -> bytes:
    """The page of all published records below ``results``. ``stale``: whether a record was made by older code (default:
    asks the sources)."""
    if stale is None:
        from benchmark.stale import Stages

        stale = Stages().old
    found = [one for one in record.load_all(results) if published(one)]
    old = {one["key"]: bool(stale(one)) for one in found}
    here = [board for board in boards(found, results, lambda one: old[one["key"]]) if compared(board)]
    names = sorted({one["method"] for one in found})
    places = {(one["modality"], folds.board(one["modality"], one["dataset"])) for one in found}
    sets = sorted("/".join(place) for place in places if indexes.section_of(*place))
    standings = overall([board for board in here if not board.budget])
    said, claims_index = claims.claims(results)
    views = {
        "standings": _overview(here, standings),
        "modalities": [
            _modality(results, name, list(own)) for name, own in groupby(here, lambda board: board.modality)
        ],
        "claims": said,
    }
    engine = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )  # fmt: skip
    engine.filters["prose"] = prose
    content = engine.get_template("page.html").render(
        **views,
        claims_index=claims_index,
        boards=indexes.of_boards("boards-index", "all boards but those of a claim alone", here),
        methods=[facts.method(name, [one for one in found if one["method"] == name], old, here) for name in names],
        masks={name: pictures.masks(results, name) for name in names},
        methods_index=indexes.of_methods("methods-index", found, here, standings),
        datasets=[_data_set(name, found, here) for name in sets],
        datasets_index=indexes.of_data_sets("data-index", found),
        families=[(name, SIGNS[marker]) for name, (_, marker) in FAMILIES.items()],
        rules=Markup("\n".join(f".{name}{{{style}}}" for name, style in sorted(_rules(views).items()))),
        records=len(found),
        old=sum(old.values()),
        failed=sum(one["status"] in record.FAILED for one in found),
    )
    return content.encode("utf-8", "replace")


def prose(words: str) -> Markup:
    """Words of a docstring with what stands between double backquotes as code."""
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else escape(part)
        for place, part in enumerate(words.split("``"))
    )


def _rules(views: object) -> dict[str, str]:
    """The style classes of all drawings within ``views``."""
    if isinstance(views, Drawing):
        return dict(views.rules)
    if is_dataclass(views):
        views = [getattr(views, field.name) for field in fields(views)]
    elif isinstance(views, Mapping):
        views = list(views.values())
    inner = views if isinstance(views, list | tuple) else ()
    return {name: style for view in inner for name, style in _rules(view).items()}


def _data_set(name: str, found: Sequence[Record], here: Sequence[Board]) -> facts.DataSet:
    modality, _, short = name.partition("/")
    own = [one for one in found if (one["modality"], folds.board(modality, one["dataset"])) == (modality, short)]
    return facts.data_set(name, own, [board for board in here if (board.modality, board.dataset) == (modality, short)])


# --- overview --------------------------------------------------------------------------------------------------------


def _overview(here: Sequence[Board], found: Sequence[Standing]) -> list[Standings]:
    """One overview per preset, as published and tuned."""
    plain_boards = [board for board in here if not board.budget]
    names = sorted({board.modality for board in plain_boards})
    within = {name: _groups(overall([b for b in plain_boards if b.modality == name])) for name in names}
    made = []
    for (preset, tuned), rows in _groups(found).items():
        own = {
            name: {one.method: one for one in groups[preset, tuned]}
            for name, groups in within.items()
            if (preset, tuned) in groups
        }
        title = f"{preset}, {'tuned' if tuned else 'as published'}"
        id = anchor("overview", preset, "tuned" if tuned else "published")
        drawing = _forest(f"{id}-forest", rows, "all data sets")
        marks = _collapsed(plain_boards, preset)
        made.append(
            Standings(id, title, standings(f"{id}-table", f"all modalities, {title}", rows, own, marks), drawing)
        )
    return made


def _forest(name: str, rows: Sequence[Standing], what: str) -> Drawing | None:
    """Normalised scores of standings with intervals."""
    bars = [
        figures.Bar(one.method, one.family, one.normalised, one.normalised_lo, one.normalised_hi)
        for one in rows
        if one.normalised is not None and one.method != "chance"  # far below the others, which it would press together
    ]
    caption = f"Normalised score over {what} that have that scale, 95 % interval."
    unit = "normalised score (0 untrained, 1 supervised)"
    return figures.forest(name, bars, caption, unit, 0.0) if bars else None


def _groups(rows: Sequence[Standing]) -> dict[tuple[str, bool], list[Standing]]:
    """Standings by preset and whether they are of tuned rows; references go with the entrants above them."""
    found: dict[tuple[str, bool], list[Standing]] = {}
    tuned = False
    for one in rows:
        tuned = tuned if one.reference else one.hpo_trials > 0
        found.setdefault((one.preset, tuned), []).append(one)
    return found


def _collapsed(here: Sequence[Board], preset: str) -> dict[tuple[str, str], str]:
    """(method, modality) → the data sets on which some seed collapsed."""
    found: dict[tuple[str, str], set[str]] = {}
    for board in here:
        for line in board.lines:
            if board.preset == preset and line.collapsed_frac and not line.variant:
                found.setdefault((line.method, board.modality), set()).add(f"{board.modality}/{board.dataset}")
    return {key: ", ".join(sorted(places)) for key, places in found.items()}


# --- boards ----------------------------------------------------------------------------------------------------------


def _modality(results: Path, name: str, own: Sequence[Board]) -> ModalityView:
    id = anchor("modality", name)
    groups = _groups(overall([board for board in own if not board.budget]))
    several = len({board.dataset for board in own}) > 1  # of one data set its board says all
    drawing = None
    if several and groups:
        (preset, tuned), rows = next(iter(groups.items()))
        words = f"the data sets of {name} ({preset}, {'tuned' if tuned else 'as published'})"
        drawing = _forest(f"{id}-forest", rows, words)
    index = indexes.of_boards(f"{id}-index", f"boards of {name}", own)
    return ModalityView(id, name, index, drawing, tuple(_board(results, board) for board in own))


def _board(results: Path, board: Board) -> BoardView:
    id = indexes.id_of(board)
    tasks: dict[str, list[Measure]] = {}
    for measure in board.measures:
        tasks.setdefault(measure.task, []).append(measure)
    tables = [
        task(board, measures, f"{id}-{anchor('task', name)}", costs=place == 0)
        for place, (name, measures) in enumerate(tasks.items())
    ]
    main = indexes.main_measure(board)
    drawn: list[Drawing | None] = []
    arms: list[Drawing | None] = []
    curves: list[Drawing] = []
    scatters: list[Drawing] = []
    taus = None
    if main is not None:
        drawn = [
            figures.seeds(f"{id}-seeds", board, main),
            figures.pareto(f"{id}-flops", board, main, seconds=False),
            figures.pareto(f"{id}-seconds", board, main, seconds=True),
        ]
        found = series.arms(board, main)
        arms = [figures.arms(f"{id}-{unit}", board, main, found, unit) for unit in ("shot", "pct")]
        curves = _curves(id, board, main)
        related = series.associations(board, main, metrics.get(main.base).higher_is_better)
        chosen = [one for one in related if not one.name.endswith("_norm")][: figures.SCATTERS]
        scatters = [figures.scatter(f"{id}-{anchor('tau', one.name)}", board, main, one) for one in chosen]
        taus = _taus(f"{id}-taus", related) if related else None
    return BoardView(
        id, indexes.place_of(board), indexes.section_of(board.modality, board.dataset),
        indexes.score_of(main) if main else "",
        note(board), says(board, main), tuple(tables) or (_failed(id, board),), tuple(one for one in drawn if one),
        tuple(curves), tuple(one for one in arms if one), tuple(scatters), taus,
        tuple(pictures.of_embeddings(results, board, id)),
        f"python -m benchmark embed {board.modality} dataset={pictures.dataset_of(board)} preset={board.preset}",
    )  # fmt: skip


def note(board: Board) -> str:
    """Seeds, data and sizes of a board in one line."""
    seeds = sorted({record["seed"] for record in board.records})
    sizes = [f"{part} {rows} rows ({units} units)" for part, rows, units in part_sizes(board, ",")]
    if board.folds > 1:
        sizes.append(f"scores are means over {board.folds} folds, costs of one fold")
    equal = about(board.budget).replace("`", "")
    return " · ".join(
        [f"seeds {', '.join(map(str, seeds))}", f"data {board.data}", *sizes, *([equal] if equal else [])]
    )


def says(board: Board, main: Measure | None) -> str:
    """The headline of a board in a sentence: who leads, or who shares the first place."""
    if main is None:
        return "Every cell failed."
    lines = board.of(main)
    first = next((line for line in lines if line.rank == 1), None)
    if first is None:
        return "No row is ranked: every score here was made by older code, or belongs to a reference."
    name = _named(first)
    if leads(first, lines):
        return f"{name} is better than every other ranked row on {main.task} ({main.metric}, {main.probe} probe)."
    tied = [_named(x) for x in lines if x is not first and x.rank and set(x.tie_group) & set(first.tie_group)]
    with_whom = f"; not told apart from {', '.join(tied)}" if tied else ""
    return f"{name} has the highest rank on {main.task} ({main.metric}, {main.probe} probe){with_whom}."


def _named(line: Line) -> str:
    return f"{line.method} {line.variant}".strip()


def _curves(id: str, board: Board, main: Measure) -> list[Drawing]:
    """One panel a row. Rows with other settings are left out beside their plain row: hundreds of arms of claims would make
    the page too large for a phone."""
    lines = board.of(main)
    every, known = series.curves(board), series.diagnosed(board.records)
    ranks = [value for own in every.values() if "rankme" in own for value in own["rankme"][1]]
    floor = next((line.rankme for line in lines if (line.method, line.variant) == (FLOOR, "")), None)
    span = (0.0, max(*ranks, floor or 0.0) * 1.08) if ranks else None
    made = []
    for line in lines:
        row = (line.method, line.variant)
        if row in every and not (line.variant and (line.method, "") in every):
            losses = series.losses(every[row], known)
            name = f"{id}-{anchor('curve', *row)}"
            made.append(figures.curves(name, row, line.family, every[row], losses, span, floor))
    return made


def _taus(id: str, related: Sequence[series.Association]) -> View:
    columns = (
        Column("Kendall τ", "above 0: rows with more of it score better"),
        Column("p", "two-sided"),
        Column("rows"),
    )
    rows = [
        Row(one.name, "", "", (number(one.tau, "+.2f"), number(one.p, ".3f"), number(len(one.points), "d")))
        for one in related
    ]
    return plain(id, "label-free diagnostics against the score", "diagnostic", columns, rows)


def _failed(id: str, board: Board) -> View:
    """What became of the cells of a board without any score."""
    rows = [
        Row(
            f"{one['method']} {one['variant']}".strip(), anchor("method", one["method"]), one["family"],
            (number(one["seed"], "d"), Cell(one["status"], one["status"]), Cell(str(one["reason"] or ""), "")),
        )
        for one in board.records
    ]  # fmt: skip
    columns = (Column("seed"), Column("status", number=False), Column("reason", number=False))
    return plain(f"{id}-failed", "cells without a score", "method", columns, rows)


def too_large(size: int) -> str:
    """A warning for a page of ``size`` bytes that is too large to be quick, else ""."""
    if size <= MOST:
        return ""
    return (
        f"the page has {size / 1e6:.1f} MB, more than {MOST / 1e6:.0f}; keep fewer presets, variants or rows of claims in "
        "results/records"
    )
