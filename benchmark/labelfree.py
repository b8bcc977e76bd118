"""Do label-free diagnostics foretell probe scores? Spearman's ρ of each with the headline score, over checkpoints.

A checkpoint is one record: its final diagnostics and its score on the headline task with the probe ``linear``. Per board,
over all methods, and within methods (both sides ranked inside each method, then pooled, so that a difference between methods
adds nothing). p: two-sided permutation test, drawn inside methods for the second. Where fewer than four checkpoints have
the number, or it does not vary, the cell is empty.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table
from scipy.stats import rankdata

from benchmark import metrics
from benchmark.atomic import write_bytes
from benchmark.board import SILENT, Stale, data_id
from benchmark.diagnostics import NAMES
from benchmark.overall import aside
from jepakit.registry import datasets, did_you_mean
from jepakit.types import UsageError

Record = Mapping[str, Any]
PROBE = "linear"
FEWEST = 4  # checkpoints below which no correlation is told
DRAWS = 2_000
SCOPES = ("all", "within")


@dataclass(frozen=True)
class Checkpoint:
    """One record: its board (data set, preset, data), its method, its score (higher is better) and its diagnostics."""

    board: tuple[str, str, str]
    method: str
    family: str
    score: float
    task: str
    metric: str
    numbers: Mapping[str, float | None]


@dataclass(frozen=True)
class Row:
    """One line of ``results/labelfree_<modality>.csv``, in column order; None is an empty cell.

    scope: ``all`` checkpoints of the board, or ``within`` methods. n: checkpoints that count; methods: methods that have
    the number. rho, p: Spearman's ρ with the score (signed so that a better score counts up) and its permutation p.
    """

    dataset: str
    preset: str
    data: str
    task: str
    probe: str
    metric: str
    diagnostic: str
    scope: str
    n: int
    methods: int
    rho: float | None
    p: float | None


def checkpoints(records: Iterable[Record], stale: Stale | None = None) -> list[Checkpoint]:
    """The records with a headline score and diagnostics, collapsed ones and references among them, the newest of each
    method and seed. Left out: stale records, and those with overridden settings, which belong to other boards or rows."""
    newest: dict[tuple[Any, ...], Checkpoint] = {}
    for one in sorted(records, key=lambda one: (str(one["created"]), str(one["key"]))):
        facts = one.get("diagnostics") or {}
        if not facts or set(one["overrides"]) - set(SILENT) or (stale is not None and stale(one)):
            continue
        board = (one["dataset"], one["preset"], data_id(one))
        numbers = {name: facts.get(name) for name in NAMES}
        for score in one["scores"]:
            if score["headline"] and score["probe"] == PROBE and score["metric"] in metrics.METRICS:
                value = score["value"] if metrics.get(score["metric"]).higher_is_better else -score["value"]
                newest[board, one["method"], one["seed"]] = Checkpoint(
                    board, one["method"], one["family"], value, score["task"], score["metric"], numbers
                )
    return [newest[key] for key in sorted(newest)]


def correlate(
    x: Sequence[float], y: Sequence[float], group: Sequence[int] | None = None
) -> tuple[int, float | None, float | None]:
    """(n, ρ, p): Spearman's ρ of x and y and its two-sided p from DRAWS permutations of y with a fixed seed.

    group: ρ of the ranks inside each group about the group's mean rank, permuted inside groups; a member alone in its group
    says nothing and is not counted. (n, None, None) for fewer than FEWEST, or where x or y does not vary.
    """
    given = np.zeros(len(x), int) if group is None else np.asarray(group, int)
    kept = np.flatnonzero(np.bincount(given)[given] > 1) if len(given) else np.zeros(0, int)
    kept = kept[np.argsort(given[kept], kind="stable")]
    g = given[kept]
    a, b = (_ranks(np.asarray(values, float)[kept], g) for values in (x, y))
    scale = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
    if len(g) < FEWEST or scale == 0:
        return len(g), None, None
    rho = float(a @ b / scale)
    # Members stand group by group, so that sorting (group + a uniform draw) permutes inside groups.
    order = np.argsort(g + np.random.default_rng(0).random((DRAWS, len(g))), axis=1)
    as_far = np.abs(b[order] @ a) >= abs(rho) * scale * (1 - 1e-9)
    return len(g), rho, float((1 + as_far.sum()) / (1 + DRAWS))


def _ranks(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Average ranks inside each group, minus their mean."""
    out = np.zeros(len(values))
    for one in np.unique(group):
        ranks = rankdata(values[group == one])
        out[group == one] = ranks - ranks.mean()
    return out


def correlations(found: Sequence[Checkpoint]) -> list[Row]:
    """The rows of every board, diagnostic and scope, in this order."""
    rows = []
    for board in sorted({one.board for one in found}):
        here = [one for one in found if one.board == board]
        for name in NAMES:
            known = [one for one in here if _finite(one.numbers[name])]
            x, y = [one.numbers[name] for one in known], [one.score for one in known]
            group = np.unique([one.method for one in known], return_inverse=True)[1] if known else None
            for scope in SCOPES:
                n, rho, p = correlate(x, y, group if scope == "within" else None)  # type: ignore[arg-type]
                methods = len({one.method for one in known})
                rows.append(Row(*board, here[0].task, PROBE, here[0].metric, name, scope, n, methods, rho, p))
    return rows


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and bool(np.isfinite(value))


def write(rows: Sequence[Row], path: Path) -> None:
    """The rows as CSV: three decimals, four for p, byte for byte the same for the same records."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    for row in rows:
        cells = list(astuple(row))
        cells[-2:] = [_text(row.rho, ".3f"), _text(row.p, ".4f")]
        writer.writerow(cells)
    write_bytes(path, out.getvalue().encode())


def _text(value: float | None, form: str) -> str:
    return "" if value is None else format(value if abs(value) >= 5e-4 else abs(value), form)


def tables(rows: Sequence[Row], found: Sequence[Checkpoint]) -> list[Table]:
    """One table per board: ρ, p and n of each diagnostic, over all checkpoints and within methods."""
    out = []
    for board in sorted({one.board for one in found}):
        here = [one for one in found if one.board == board]
        untrained = sorted({one.method for one in here if one.family == "reference"})
        caption = f"{len(here)} checkpoints of {len({one.method for one in here})} methods; references among them: "
        caption += (", ".join(untrained) or "none") + f" · score: {PROBE} {here[0].metric} on {here[0].task}"
        caption += f" · p from {DRAWS} permutations, not corrected for {len(NAMES)} diagnostics · blank: undefined"
        table = Table(title=escape(f"{board[0]} · {board[1]} · {board[2]}"), caption=escape(caption))
        table.add_column("diagnostic", no_wrap=True)
        for head in ("ρ all", "p", "n", "ρ within", "p", "n"):
            table.add_column(head, justify="right", no_wrap=True)
        by = {(row.diagnostic, row.scope): row for row in rows if (row.dataset, row.preset, row.data) == board}
        for name in NAMES:
            cells = []
            for scope in SCOPES:
                row = by[name, scope]
                cells += [_text(row.rho, "+.2f"), _text(row.p, ".3f"), str(row.n)]
            table.add_row(name, *cells)
        out.append(table)
    return out


def study(
    records: Iterable[Record], results: Path, modality: str, only: Sequence[str] = (), stale: Stale | None = None
) -> list[Table]:
    """Write ``labelfree_<modality>.csv`` (all data sets but those made for a claim) and return its tables, or those of the
    data sets ``only``, if named.

    Raises UsageError when no record has both a score and diagnostics, and for a data set that has no such record.
    """
    found = checkpoints(records, stale)
    known = {one.board[0] for one in found}
    made = {name for name in known if aside(modality, name)}
    lacking = [name for name in only if name not in known]
    if lacking and known and f"{modality}/{lacking[0]}" not in datasets:
        raise did_you_mean(f"{modality} data set with a finished run", lacking[0], sorted(known))
    shown = [one for one in found if (one.board[0] in only if only else one.board[0] not in made)]
    if lacking or not shown:
        where = f"{modality}/{','.join(lacking)}" if lacking else modality
        raise UsageError(
            f"no finished run of {where} with the probe '{PROBE}' that current code made (older records are stale); "
            f"start with: run {modality}" + (f" dataset={','.join(lacking)}" if lacking else "")
        )
    rows = correlations(found)
    write([row for row in rows if row.dataset not in made], results / f"labelfree_{modality}.csv")
    return tables(rows, shown)
