"""Suite: rows across the data sets of one modality, where a claim about one data set says little: tables, above all.

An entry is a row of the boards with one probe, so that trees on the columns, trees on an embedding and a linear head on it
stand in one list. Elo, win rates, mean ranks and improvability are bencheval's (the engine of TabArena), over the headline
task of every data set, mean over seeds: Elo of 1000 for the anchor, intervals by redrawing data sets. Where an entry has no
score the anchor's stands in, as TabArena does; an entry that lacks more than half of the data sets is left out. How often
an entry is better or worse than the anchor is tested per data set as everywhere (``benchmark.compare``), corrected over
the data sets (Holm).
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from bencheval.evaluator import BenchmarkEvaluator
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from scipy import stats as scipy_stats

from benchmark import budget, folds, metrics, record, request
from benchmark.atomic import write_bytes
from benchmark.board import Board, Record, Stale, boards
from benchmark.cell import is_stale
from benchmark.compare import ALPHA, difference, holm
from benchmark.lines import Line, Measure
from benchmark.listing import table
from benchmark.overall import aside
from benchmark.stats import Resampled
from jepakit.types import UsageError

ANCHOR = ("raw_features", "", "linear")
ANCHOR_ELO = 1000
RESAMPLES = 1000
MOST_MISSING = 0.5  # share of the data sets
COLUMNS = (
    "modality", "preset", "datasets", "method", "variant", "probe", "family", "reference", "elo", "elo_lo", "elo_hi",
    "win_rate", "win_rate_lo", "win_rate_hi", "mean_rank", "improvability", "better", "worse", "untold", "untested",
    "coverage", "device_s",
)  # fmt: skip
Entry = tuple[str, str, str]  # method, variant, probe


@dataclass(frozen=True)
class Found:
    """What one data set says of an entry. error: the score turned so that less is better and nothing is below 0."""

    line: Line
    measure: Measure
    error: float
    row: Resampled | None


@dataclass(frozen=True)
class Suite:
    """Entries on data sets: by data set, what was found of every entry."""

    modality: str
    preset: str
    found: Mapping[str, Mapping[Entry, Found]] = field(repr=False)

    @property
    def entries(self) -> list[Entry]:
        """Those with a score on at least half of the data sets, sorted by name."""
        every = {entry for one in self.found.values() for entry in one}
        return sorted(entry for entry in every if self.coverage(entry) >= MOST_MISSING)

    def coverage(self, entry: Entry) -> float:
        """Share of the data sets on which an entry has a score."""
        return sum(entry in one for one in self.found.values()) / len(self.found)


def collect(
    records: Iterable[Record], results: object, modality: str, preset: str, names: Sequence[str] | None, stale: Stale
) -> Suite:
    """The suite over the boards of ``names`` (if None: of every data set but those made for a claim) at the preset's own
    budget.

    Raises UsageError with fewer than two data sets, and where one of them lacks the anchor.
    """
    own = [one for one in records if one["preset"] == preset and one["modality"] == modality]
    if names is None:
        own = [one for one in own if not aside(modality, one["dataset"])]
    here = boards(own, results, stale, _headline)  # type: ignore[arg-type]
    found: dict[str, dict[Entry, Found]] = {}
    for board in sorted((one for one in here if not one.budget), key=lambda one: (len(one.lines), one.folds)):
        name = folds.origin(modality, board.dataset)
        if names is None or name in names or board.dataset in names:
            found[name] = _entries(board) or found.get(name, {})  # the last, with the most lines, is today's board
    found = {name: one for name, one in sorted(found.items()) if one}
    if len(found) < 2:
        raise UsageError(
            f"{modality} has fresh rows of {len(found)} data set(s) at preset {preset}; a suite needs two: "
            f"run {modality} dataset={budget.SUITE_WORD if modality in budget.SUITES else 'all'} preset={preset}"
        )
    for name, one in found.items():
        if ANCHOR not in one:
            raise UsageError(
                f"{modality}/{name} lacks the row that every other is set against; run it first: "
                f"run {modality} dataset={name} method={ANCHOR[0]} preset={preset}"
            )
    return Suite(modality, preset, found)


def _headline(measure: Measure) -> bool:
    return not (measure.nuisance or measure.minor or measure.extra)


def _entries(board: Board) -> dict[Entry, Found]:
    found = {}
    for measure in board.measures:
        higher = metrics.get(measure.base).higher_is_better
        for line in board.of(measure):
            if line.mean is None or line.stale or line.method == "chance":
                continue
            error = 1 - float(line.mean) if higher else float(line.mean)
            row = board.sampled[measure].get((line.method, line.variant))
            found[line.method, line.variant, measure.probe] = Found(line, measure, error, row)
    return found


def standings(suite: Suite) -> pd.DataFrame:
    """One line per entry with the columns COLUMNS, highest Elo first."""
    entries = suite.entries
    errors = pd.DataFrame(
        {name: [one.get(entry, one[ANCHOR]).error for entry in entries] for name, one in suite.found.items()}
    )
    long = pd.DataFrame(
        [
            (str(i), name, max(errors[name][i], 0.0), 1.0, 1.0)
            for i in range(len(entries))
            for name in suite.found
        ],
        columns=["method", "task", "metric_error", "time_train_s", "time_infer_s"],
    )  # fmt: skip
    board = BenchmarkEvaluator().leaderboard(
        long,
        elo_kwargs={
            "calibration_framework": str(entries.index(ANCHOR)),
            "calibration_elo": ANCHOR_ELO,
            "BOOTSTRAP_ROUNDS": RESAMPLES,
        },
    )
    ranks = errors.rank(axis=0, method="average").to_numpy()
    wins = (len(entries) - ranks) / max(len(entries) - 1, 1)  # (entries, data sets)
    lows, highs = _around(wins)
    verdicts = against(suite, entries)
    rows = []
    for i, entry in enumerate(entries):
        seen = [one[entry] for one in suite.found.values() if entry in one]
        elo = board.loc[str(i)]
        seconds = [one.line.device_s for one in seen if one.line.device_s is not None]
        rows.append(
            (
                suite.modality, suite.preset, " ".join(suite.found), *entry, seen[0].line.family, seen[0].line.reference,
                elo["elo"], elo["elo"] - elo["elo-"], elo["elo"] + elo["elo+"], elo["winrate"], lows[i], highs[i],
                elo["rank"], elo["improvability"], *verdicts[entry], suite.coverage(entry),
                float(np.mean(seconds)) if seconds else None,
            )
        )  # fmt: skip
    made = pd.DataFrame(rows, columns=list(COLUMNS))
    return made.sort_values(
        ["elo", "method", "variant", "probe"], ascending=[False, True, True, True], ignore_index=True
    )


def _around(wins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % bounds of mean win rates (entries, data sets) under redrawn data sets."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an entry that wins everywhere has no spread: its interval is a point
        found = scipy_stats.bootstrap(
            (wins,), np.mean, axis=1, n_resamples=RESAMPLES, method="percentile", rng=np.random.default_rng(0)
        ).confidence_interval
    return np.asarray(found.low), np.asarray(found.high)


def against(suite: Suite, entries: Sequence[Entry]) -> dict[Entry, tuple[int, int, int, int]]:
    """On how many data sets an entry is (better, worse, not told apart, not tested) against the anchor."""
    out = {}
    for entry in entries:
        tested = []
        for one in suite.found.values():
            row, anchor = (one[key].row if key in one else None for key in (entry, ANCHOR))
            found = None
            if row is not None and anchor is not None and row.tested_as(anchor):
                found = difference(row, anchor)
            if found is not None:
                tested.append((found, metrics.get(one[ANCHOR].measure.base)))
        p = holm([found.p for found, _ in tested])
        told = [metric.better(found.mean, 0.0) for (found, metric), q in zip(tested, p, strict=True) if q < ALPHA]
        better = sum(told)
        out[entry] = (better, len(told) - better, len(tested) - len(told), len(suite.found) - len(tested))
    return out


def claim(found: pd.DataFrame) -> str:
    """One sentence: is the best JEPA row with a linear head above the columns with a linear head on most data sets?"""
    rows = found[(found["family"] == "jepa") & (found["probe"] == ANCHOR[2]) & (found["variant"] == "")]
    if rows.empty:
        return "No JEPA row with a linear head in this suite."
    best = rows.iloc[0]
    count = len(str(best["datasets"]).split())
    verdict = "on a majority" if best["better"] > count / 2 else "not on a majority"
    return (
        f"{best['method']} with a linear head is better than the columns with a linear head on {best['better']} of "
        f"{count} data sets, worse on {best['worse']}, not told apart on {best['untold']}"
        + (f", not tested on {best['untested']}" if best["untested"] else "")
        + f": above them {verdict}."
    )


def draw(found: pd.DataFrame, shown: Sequence[str] | None, probes: Sequence[str] | None) -> Table:
    """The table for the terminal; ``shown``, ``probes``: only these."""
    names = str(found["datasets"].iloc[0]).split()
    heads = ("method", "on", "Elo [95 %]", "wins [95 %]", "mean rank", "better", "worse", "covered", "s")
    title = f"{found['modality'].iloc[0]} · {found['preset'].iloc[0]} · over {len(names)} data sets"
    made = table(title, *heads)
    for column in made.columns[2:]:
        column.justify = "right"
    for line in found.to_dict("records"):
        if (shown is not None and line["method"] not in shown) or (probes is not None and line["probe"] not in probes):
            continue
        name = f"{line['method']} {line['variant']}".strip()
        made.add_row(
            escape(name), line["probe"],
            escape(f"{line['elo']:.0f} [{line['elo_lo']:.0f}, {line['elo_hi']:.0f}]"),
            escape(f"{line['win_rate']:.0%} [{line['win_rate_lo']:.0%}, {line['win_rate_hi']:.0%}]"),
            f"{line['mean_rank']:.1f}", str(line["better"]), str(line["worse"]), f"{line['coverage']:.0%}",
            "" if line["device_s"] is None or np.isnan(line["device_s"]) else f"{line['device_s']:.1f}",
            style="dim" if line["reference"] else "",
        )  # fmt: skip
    made.caption = (
        f"Elo: {ANCHOR[0]} with {ANCHOR[2]} is {ANCHOR_ELO}, intervals over data sets · better, worse: data sets where the "
        f"paired test tells from it · {', '.join(names)}"
    )
    return made


def run(chosen: argparse.Namespace, console: Console) -> None:
    """Print the table and, unless data sets are named, write ``suite_<modality>_<preset>.csv``."""
    asked = request.parse(chosen.words)
    named = any(word.startswith("dataset=") for word in chosen.words)
    record.preflight(chosen.results)
    known = record.load_all(chosen.results, asked.modality)
    names = asked.boards if named else None
    found = standings(collect(known, chosen.results, asked.modality, asked.preset, names, is_stale))
    probes = asked.overrides.get("probe")
    console.print(draw(found, asked.methods, probes.split(",") if probes else None))
    console.print(claim(found), soft_wrap=True, highlight=False)
    if not named:
        path = chosen.results / f"suite_{asked.modality}_{asked.preset}.csv"
        write_bytes(path, found.to_csv(index=False, float_format="%.5g").encode())
        console.print(f"written: {path}", soft_wrap=True, highlight=False)
