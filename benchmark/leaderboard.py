"""Leaderboard files: runs.csv, leaderboard_<modality>.csv/.md and leaderboard.csv (across modalities), a pure function of
records and predictions.

Sorted, with fixed number formats and without time stamps, so that the same records give the same bytes. Rows of presets
that are not published (smoke) never enter a file.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from benchmark import folds
from benchmark.atomic import write_bytes
from benchmark.board import Board, Line, Measure, Record, Stale, boards, data_id, published, row_variant
from benchmark.budget import about
from benchmark.lines import coverage
from benchmark.lock import locked
from benchmark.overall import Standing, headline, overall
from benchmark.terminal import fewer_trials, leads, table, tflop
from jepakit.types import Card

__all__ = ["rebuild", "table"]

_FORMATS = {
    "rank": "d", "n_seeds": "d", "seed": "d", "rankme": ".2f", "lda_rank": ".2f", "std_min": ".3e",
    "collapsed_frac": ".2f", "collapse_step": ".0f",
    "n_datasets": "d", "n_scaled": "d", "n_modalities": "d", "coverage": ".2f", "mean_rank": ".2f", "mean_rank_lo": ".2f",
    "mean_rank_hi": ".2f", "device_s": ".1f", "pretrain_s": ".1f", "samples_per_s": ".0f",
    "peak_mem_mib": ".0f", "peak_rss_mib": ".0f", "peak_device_mib": ".0f", "params_m": ".4f", "pflops": ".4e",
    "gflop_encode": ".4e", "gflop_step": ".4e", "features_s": ".1f", "wall_s": ".1f", "step_ms_p50": ".2f",
    "step_ms_p95": ".2f", "data_wait": ".3f", "hpo_trials": "d", "test_seen": ".0f",
}  # fmt: skip
# Facts of a record's cost that runs.csv has under the same name.
COST = (
    "gflop_encode", "gflop_step", "pretrain_s", "features_s", "wall_s", "samples_per_s", "step_ms_p50", "step_ms_p95",
    "data_wait", "peak_rss_mib", "peak_device_mib", "params_m", "params_trained_m", "device", "precision", "hardware",
)  # fmt: skip
RUNS = (
    "modality", "dataset", "preset", "data", "method", "variant", "family", "seed", "status", "reason", "stale", "task",
    "kind", "probe", "metric", "value", "val", "chosen", "headline", "nuisance", "rankme", "std_min", "collapsed",
    "pflops", *COST, "key",
)  # fmt: skip


def rebuild(
    results: Path,
    modality: str | None = None,
    *,
    stale: Stale | None = None,
    cards: Mapping[str, Card] | None = None,
) -> None:
    """Write ``runs.csv`` and ``leaderboard.csv`` (all records) and the leaderboards of ``modality`` (default: of each).

    ``stale`` tells whether a record was made by older code (default: ``benchmark.cell.is_stale``); ``cards`` by
    "<modality>/<dataset>" add title and licence to the Markdown. A damaged record is skipped with a warning. Processes
    take turns, and each reads the records after its turn has come: the last to write knows every record of the others.
    """
    with locked(results / ".cache" / "boards.lock", remove=True):
        _rebuild(results, modality, stale, cards or {})


def _rebuild(results: Path, modality: str | None, stale: Stale | None, cards: Mapping[str, Card]) -> None:
    from benchmark import record
    from benchmark.cell import is_stale

    found = [one for one in record.load_all(results) if published(one)]
    verdicts: dict[int, bool] = {}

    def asked(one: Record) -> bool:  # hashing the sources once per record is enough
        if id(one) not in verdicts:
            verdicts[id(one)] = bool((stale or is_stale)(one))
        return verdicts[id(one)]

    write_bytes(results / "runs.csv", as_csv(RUNS, _runs(found, asked)))
    known = {one["modality"] for one in found}
    known |= {path.stem.removeprefix("leaderboard_") for path in results.glob("leaderboard_*.csv")}
    every: list[Board] = []
    for name in sorted(known | ({modality} if modality else set())):
        whole = modality in (None, name)
        own = [one for one in found if one["modality"] == name]
        here = boards(own, results, asked, None if whole else headline)
        every += here
        if whole:
            write_bytes(results / f"leaderboard_{name}.csv", _lines(Line, [x for board in here for x in board.lines]))
            write_bytes(results / f"leaderboard_{name}.md", markdown(name, here, cards).encode())
    write_bytes(results / "leaderboard.csv", _lines(Standing, overall(every)))


def _lines(kind: type[Line] | type[Standing], rows: Iterable[Line | Standing]) -> bytes:
    columns = [field.name for field in fields(kind)]
    return as_csv(columns, [[getattr(row, column) for column in columns] for row in rows])


def _runs(records: Iterable[Record], stale: Stale) -> list[list[Any]]:
    """One row per cell × task × probe × metric; a failed cell has one row with its reason and no score."""
    rows = []
    for one in records:
        cost, facts = one.get("cost") or {}, one.get("diagnostics") or {}
        common = {
            **{name: one.get(name) for name in ("modality", "dataset", "preset", "method", "family", "seed", "status")},
            **{name: cost.get(name) for name in COST},
            "pflops": cost.get("pflop"),
            **{name: facts.get(name) for name in ("rankme", "std_min", "collapsed")},
            "data": data_id(one), "variant": one.get("variant", row_variant(one)), "reason": one.get("reason"),
            "stale": stale(one), "key": one["key"],
        }  # fmt: skip
        scores: list[Mapping[str, Any]] = []
        for score in one["scores"]:
            scores.append(score)
            scores += [{**score, "metric": k, "value": v, "val": None} for k, v in (score.get("extras") or {}).items()]
        for score in scores or [{}]:
            chosen = json.dumps(score["chosen"], sort_keys=True) if score.get("chosen") else None
            row = {**common, **score, "key": common["key"], "chosen": chosen}
            rows.append([row.get(name) for name in RUNS])
    order = [
        RUNS.index(x) for x in ("modality", "dataset", "preset", "data", "method", "variant", "seed", "task", "probe")
    ]
    keys = [*order, RUNS.index("metric"), RUNS.index("key")]
    return sorted(rows, key=lambda row: tuple("" if row[i] is None else f"{row[i]:0>9}" for i in keys))


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A CSV file whose cells are made by ``cell``."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([cell(name, value) for name, value in zip(columns, row, strict=True)])
    return out.getvalue().encode()


def cell(column: str, value: Any) -> str:
    """A CSV cell: numbers in the column's fixed format, yes/no, and text that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        form = _FORMATS.get(column, ".4f")
        text = format(int(value) if form == "d" else float(value), form)
        return text.lstrip("-") if float(text) == 0 else text  # no "-0.0000"
    text = " ".join(str(value).split())
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def escape(text: str) -> str:
    """Text that cannot break out of a Markdown table cell."""
    text = " ".join(str(text).split())
    for sign in "\\`*_|<>[]":
        text = text.replace(sign, f"\\{sign}" if sign not in "<>" else {"<": "&lt;", ">": "&gt;"}[sign])
    return text


def markdown(modality: str, found: Sequence[Board], cards: Mapping[str, Card]) -> str:
    """The boards of a modality as GitHub tables: one per data set, preset and task, with a note on what ran."""
    parts = [
        f"# Leaderboard: {escape(modality)}",
        "Generated from `results/records`; do not edit. Score: mean over seeds [95 % interval of a hierarchical bootstrap "
        "over seeds and test units]. Columns to the right of the scores are of the first score. Ties: rows that share a "
        "letter do not differ at 5 % (paired, Holm); only a first rank that shares its letter with none is bold. Δ random, "
        "Δ baseline: paired difference to the same encoder untrained and to the best row of mae and contrastive; p: of "
        "the latter after Holm. Normalised: 0 = untrained, 1 = trained on the labels. References are unranked. TFLOP: "
        "of the whole pre-training; ◆: nothing is better for as few. s: seconds of pre-training and feature extraction.",
    ]
    if not found:
        parts.append("No published record yet.")
    for board in found:
        budget = f", {escape(board.budget)}" if board.budget else ""
        parts.append(f"## {escape(board.dataset)} · {escape(board.preset)}{budget}")
        parts.append(_note(board, cards.get(f"{board.modality}/{folds.origin(board.modality, board.dataset)}")))
        tasks: dict[str, list[Measure]] = {}
        for measure in board.measures:
            tasks.setdefault(measure.task, []).append(measure)
        for task, measures in tasks.items():
            kind = " (nuisance: good features may ignore it)" if measures[0].nuisance else ""
            parts.append(f"### {escape(task)}{kind}")
            parts.append(_task_table(board, measures))
        if not tasks:
            parts.append("Every cell failed; the reasons are in `runs.csv`.")
    return "\n\n".join(parts) + "\n"


def _note(board: Board, card: Card | None) -> str:
    seeds = sorted({record["seed"] for record in board.records})
    sizes = [f"{part} {rows} ({units} units)" for part, rows, units in part_sizes(board)]
    words = [f"Seeds {', '.join(map(str, seeds))}", f"data `{board.data}`", *sizes]
    note = " · ".join(words) + "."
    if board.folds > 1:
        note += f" Scores are means over {board.folds} folds, costs of one fold."
    equal = about(board.budget)
    if equal:
        note += f" {equal[0].upper()}{equal[1:]}."
    if card is not None:
        note += f" {escape(card.title)}; licence: {escape(card.licence)}; source: {escape(card.source)}."
    return note


def part_sizes(board: Board, form: str = "d") -> list[tuple[str, str, str]]:
    """(part, rows, units) of every part whose size is known; ``24–30`` where the folds of a data set differ."""
    found = []
    for part in ("train", "val", "test"):
        names = f"n_{part}", f"units_{part}"
        spans = [[one["data"][name] for one in board.records if name in one["data"]] for name in names]
        if all(spans):
            rows, units = ("–".join(format(x, form) for x in sorted({min(span), max(span)})) for span in spans)
            found.append((part, rows, units))
    return found


def _task_table(board: Board, measures: Sequence[Measure]) -> str:
    main = board.of(measures[0])
    by_row = {m: {(line.method, line.variant): line for line in board.of(m)} for m in measures}
    heads = ["#", "ties", "method", *(f"{m.probe} {m.metric}" for m in measures), "normalised", "Δ random", "Δ baseline",
             "p", "seeds", "RankMe", "collapsed", "TFLOP", "samples/s", "s", "status"]  # fmt: skip
    out = ["| " + " | ".join(map(escape, heads)) + " |", "|" + "---|" * len(heads)]
    for line in main:
        key = (line.method, line.variant)
        name = escape(line.method) + (f" ({escape(line.variant)})" if line.variant else "")
        name = f"*{name}*" if line.reference else f"**{name}**" if leads(line, main) else name
        if line.stale:
            name += " (stale)"
        if fewer_trials(line, main):
            name += " ‡"
        if line.verified is False:
            name += " (≠ its predictions)"
        if line.test_seen:
            name += f" (saw {line.test_seen:.0f} rows of test)"
        cells = [
            _text(line.rank, "d"), line.tie_group, name, *(_score(by_row[m].get(key)) for m in measures),
            around(line.normalised, line.normalised_lo, line.normalised_hi, ".2f"),
            around(line.d_random, line.d_random_lo, line.d_random_hi, "+.3f"),
            around(line.d_best_baseline, line.d_best_baseline_lo, line.d_best_baseline_hi, "+.3f"),
            _text(line.p_holm, ".3f"),
            str(line.n_seeds or ""), _text(line.rankme, ".1f"), _share(line.collapsed_frac),
            _text(tflop(line), ".3g") + (" ◆" if line.pareto else ""),
            _text(line.samples_per_s, ".0f"), _text(line.device_s, ".1f"),
            escape(line.status_counts),
        ]  # fmt: skip
        out.append("| " + " | ".join(cells) + " |")
    if any(fewer_trials(line, main) for line in main):
        out.append(f"\n‡ fewer than the {max(line.hpo_trials for line in main)} trials of tuning that another row had.")
    return "\n".join(out)


def _text(value: float | None, form: str, show: Callable[[str], str] = str) -> str:
    return "" if value is None else show(format(value, form))


def _score(line: Line | None) -> str:
    return "" if line is None else around(line.mean, line.ci95_lo, line.ci95_hi, ".3f") or coverage(line)


def around(mean: float | None, low: float | None, high: float | None, form: str) -> str:
    """``0.843 [0.654, 1.000]``; only the number where bounds are missing, empty without a number."""
    if mean is None:
        return ""
    inside = f" [{format(low, form)}, {format(high, form)}]" if low is not None and high is not None else ""
    return format(mean, form) + inside


def _share(value: float | None) -> str:
    return "" if not value else f"{value:.0%}"
