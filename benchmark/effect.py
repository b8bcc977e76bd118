"""Effect: one setting of one method, value by value, over data sets: ``python -m benchmark effect tabular method=tjepa
--setting recipe.tokens``.

Rows are those of the boards whose only override is the setting, and the method as published. Every value is tested
against the published one on each data set, paired over seeds and test units (``benchmark.compare``), and corrected over
all tests of a probe (Holm). Collapse is counted over runs (docs/protocol.md, "Collapse").
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmark import metrics, record, request
from benchmark.atomic import write_bytes
from benchmark.board import Board, Record, Stale, boards
from benchmark.cell import is_stale
from benchmark.compare import ALPHA, Difference, difference, holm
from benchmark.lines import Line, Measure
from benchmark.listing import table
from jepakit.registry import methods
from jepakit.types import UsageError

COLUMNS = (
    "modality", "dataset", "preset", "method", "setting", "value", "published", "task", "probe", "metric", "seeds", "mean",
    "lo", "hi", "difference", "difference_lo", "difference_hi", "p_holm", "verdict", "rankme", "std_min", "collapsed",
)  # fmt: skip


def published(method: str, setting: str) -> str:
    """The value that the method has where nobody says another. Raises UsageError for a setting it does not have."""
    group, _, name = setting.partition(".")
    taken = inspect.signature(methods[method].make).parameters
    if group != "recipe" or name not in taken:
        having = ", ".join(f"recipe.{one.name}" for one in taken.values() if one.kind is one.KEYWORD_ONLY) or "none"
        raise UsageError(f"{method} has no setting '{setting}'; it has: {having}")
    default = taken[name].default
    return str(default)


def study(records: Iterable[Record], results: Path, asked: request.Request, setting: str, stale: Stale) -> pd.DataFrame:
    """One line per data set, probe and value with the columns COLUMNS.

    Raises UsageError unless one method is named, and where it has fewer than two values on any data set.
    """
    if asked.methods is None or len(asked.methods) != 1:
        raise UsageError("name one method, for example method=tjepa --setting recipe.tokens")
    (method,) = asked.methods
    usual = published(method, setting)
    own = [
        one
        for one in records
        if one["method"] == method and one["preset"] == asked.preset and one["modality"] == asked.modality
    ]
    rows: list[dict[str, object]] = []
    for board in boards(own, results, stale, _headline):
        if not board.budget:
            for measure in board.measures:
                rows += _values(board, measure, setting, usual)
    if not rows:
        raise UsageError(
            f"no data set of {asked.modality} has {method} with two values of {setting} at preset {asked.preset}; run them "
            f"first: run {asked.modality} method={method} {setting}=… preset={asked.preset}"
        )
    made = pd.DataFrame(rows)
    for _, part in made.groupby("probe"):
        tested = part.index[part["test"].notna()]
        for row, p in zip(tested, holm([made.at[i, "test"].p for i in tested]), strict=True):  # type: ignore[union-attr]
            made.at[row, "p_holm"] = p
            made.at[row, "verdict"] = _verdict(made.at[row, "test"], p, str(made.at[row, "metric"]))  # type: ignore[arg-type]
    return made[list(COLUMNS)]


def _headline(measure: Measure) -> bool:
    return not (measure.nuisance or measure.minor or measure.extra)


def _values(board: Board, measure: Measure, setting: str, usual: str) -> list[dict[str, object]]:
    found: dict[str, Line] = {}
    for line in board.of(measure):
        value = usual if not line.variant else line.variant.removeprefix(f"{setting}=")
        only = not line.variant or (line.variant.startswith(f"{setting}=") and " " not in line.variant)
        if only and line.mean is not None and not line.stale and line.method != "chance":
            found.setdefault(value, line)  # the row as published wins over one that says the same
    if len(found) < 2 or usual not in found:
        return []
    sampled = board.sampled[measure]
    base = sampled.get((found[usual].method, found[usual].variant))
    rows = []
    for value, line in sorted(found.items(), key=lambda one: _order(one[0])):
        row = sampled.get((line.method, line.variant))
        test = None
        if value != usual and row is not None and base is not None and row.tested_as(base):
            test = difference(row, base)
        rows.append({
            "modality": board.modality, "dataset": board.dataset, "preset": board.preset, "method": line.method,
            "setting": setting, "value": value, "published": value == usual, "task": measure.task, "probe": measure.probe,
            "metric": measure.metric, "seeds": line.n_seeds, "mean": line.mean, "lo": line.ci95_lo, "hi": line.ci95_hi,
            "difference": test.mean if test else None, "difference_lo": test.lo if test else None,
            "difference_hi": test.hi if test else None, "p_holm": None, "verdict": "" if value == usual else "no test",
            "rankme": line.rankme, "std_min": line.std_min, "collapsed": line.collapsed_frac, "test": test,
        })  # fmt: skip
    return rows


def _order(value: str) -> tuple[int, float, str]:
    try:
        return 0, float(value), value
    except ValueError:
        return 1, 0.0, value


def _verdict(found: Difference, p: float, metric: str) -> str:
    if p >= ALPHA:
        return "not told apart"
    return "better" if metrics.get(metric).better(found.mean, 0.0) else "worse"


def summary(found: pd.DataFrame) -> list[str]:
    """One sentence per probe and value: verdicts over data sets, and in how many runs features collapsed."""
    out = []
    for (probe, value), part in found.groupby(["probe", "value"], sort=False):
        runs = int(part["seeds"].sum())
        fallen = float((part["collapsed"].fillna(0.0) * part["seeds"]).sum())
        told = part["verdict"].value_counts()
        words = [f"{name} on {told[name]}" for name in ("better", "worse", "not told apart", "no test") if name in told]
        verdict = "as published" if bool(part["published"].iloc[0]) else f"{', '.join(words)} of {len(part)} data sets"
        out.append(f"{part['setting'].iloc[0]}={value}, {probe}: {verdict}; collapsed in {fallen:.0f} of {runs} runs.")
    return out


def draw(found: pd.DataFrame, probe: str) -> Table:
    """Data sets by values: score with its interval, verdict, rank of the features."""
    own = found[found["probe"] == probe]
    values = list(dict.fromkeys(sorted(own["value"], key=_order)))
    one = own.iloc[0]
    usual = str(own[own["published"]]["value"].iloc[0])
    heads = [f"{value}{' (published)' if value == usual else ''}" for value in values]
    made = table(
        f"{one['modality']} · {one['preset']} · {one['method']} by {one['setting']} · {probe}", "data set", *heads
    )
    signs = {"better": " ↑", "worse": " ↓"}
    for name, part in own.groupby("dataset"):
        cells = []
        for value in values:
            here = part[part["value"] == value]
            if here.empty:
                cells.append("")
                continue
            line = here.iloc[0]
            rank = "" if line["rankme"] is None or np.isnan(line["rankme"]) else f", rank {line['rankme']:.0f}"
            around = f"[{line['lo']:.3f}, {line['hi']:.3f}]{rank}"
            cells.append(escape(f"{line['mean']:.3f}{signs.get(line['verdict'], '')} {around}"))
        made.add_row(escape(f"{name} ({part['metric'].iloc[0]})"), *cells)
    made.caption = (
        "↑ ↓: better, worse than as published at 5 % after Holm over data sets and values; rank: RankMe of the features"
    )
    return made


def run(chosen: argparse.Namespace, console: Console) -> None:
    """Print the tables and write ``effect_<modality>_<method>_<setting>_<preset>.csv``."""
    asked = request.parse(chosen.words)
    record.preflight(chosen.results)
    known = record.load_all(chosen.results, asked.modality)
    found = study(known, chosen.results, asked, chosen.setting, is_stale)
    probes: Sequence[str] = asked.overrides.get("probe", "linear").split(",")
    for probe in probes:
        if probe not in set(found["probe"]):
            raise UsageError(
                f"no fresh score of the probe '{probe}'; there are: {', '.join(sorted(set(found['probe'])))}"
            )
        console.print(draw(found, probe))
    for sentence in summary(found[found["probe"].isin(probes)]):
        console.print(sentence, soft_wrap=True, highlight=False)
    name = f"effect_{asked.modality}_{found['method'].iloc[0]}_{chosen.setting.replace('.', '_')}_{asked.preset}.csv"
    write_bytes(chosen.results / name, found.to_csv(index=False, float_format="%.5g").encode())
    console.print(f"written: {chosen.results / name}", soft_wrap=True, highlight=False)
