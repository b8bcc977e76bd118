"""``python -m benchmark claims`` (all with their state) and ``claim NAME`` (run what is missing, print the verdict)."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmark import leaderboard, record, request, signals
from benchmark.atomic import write_bytes
from benchmark.board import Record
from benchmark.claims import claim
from benchmark.claims.claim import Status, claims
from benchmark.claims.judge import INCONCLUSIVE, Estimate
from benchmark.listing import table
from benchmark.request import Request
from benchmark.stale import Stages
from jepakit.registry import datasets
from jepakit.types import UsageError

NAMES = ("claims", "claim")
FILE, LINES = "claims.csv", "claims_lines.csv"
COLUMNS = (
    "claim", "state", "outcome", "effect", "lo", "hi", "detectable", "replicates", "seeds", "runs", "runs_needed", "cost_s",
    "pflop", "rule", "says", "found", "paper",
)  # fmt: skip
LINE_COLUMNS = ("claim", "what", "effect", "lo", "hi")
Run = Callable[[Sequence[Request]], int]  # runs requests as one grid, and returns the exit code


def add(commands: Any, shared: argparse.ArgumentParser, cells: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The options of both; returns the parser of ``claim``, which takes what ``run`` takes."""
    commands.add_parser("claims", parents=[shared], help="claims of papers as experiments, with their state")
    one: argparse.ArgumentParser = commands.add_parser(
        "claim", parents=[cells], help="run what a claim lacks and print its verdict: claim NAME"
    )
    return one


def fresh(results: Path) -> list[Record]:
    """The records that today's code made."""
    old = Stages().old
    return [one for one in record.load_all(results) if not old(one)]


def rebuild(results: Path, records: Sequence[Record] | None = None) -> list[Status]:
    """Write ``claims.csv`` and ``claims_lines.csv`` from records and the claims' own numbers, and return where every claim
    stands."""
    known = fresh(results) if records is None else records
    found = [claim.status(name, known, results) for name in sorted(claims)]
    parts = [row for one in found if one.complete for row in effects(one)]
    for name, columns, rows in ((FILE, COLUMNS, [line(one) for one in found]), (LINES, LINE_COLUMNS, parts)):
        text = pd.DataFrame(rows, columns=list(columns)).to_csv(index=False, float_format="%.5g")
        write_bytes(results / name, text.encode())
    return found


def effects(one: Status) -> list[dict[str, object]]:
    """What the outcome of a claim is made of, where its table has an effect per line: named by the table's first column."""
    rows = [row for row in one.finding.table if isinstance(row.get("effect"), float)]
    return [
        {"claim": one.name, "what": next(iter(row.values())), **{key: row.get(key) for key in LINE_COLUMNS[2:]}}
        for row in rows
    ]


def line(one: Status) -> dict[str, object]:
    """A claim as a line of the file; what is not known is empty."""
    found = one.finding
    effect = found.effect
    interval = effect is not None and np.isfinite(effect.lo)
    return {
        "claim": one.name, "state": one.state, "outcome": one.study.outcome, "effect": effect and effect.mean,
        "lo": effect.lo if effect and interval else None, "hi": effect.hi if effect and interval else None,
        "detectable": effect.detectable if effect and interval else None, "replicates": effect and effect.replicates,
        "seeds": found.seeds, "runs": one.done, "runs_needed": one.needed, "cost_s": one.seconds, "pflop": one.pflop,
        "rule": one.study.rule, "says": one.info["says"], "found": found.says, "paper": one.info["paper"],
    }  # fmt: skip


def run(chosen: argparse.Namespace, root: Path, console: Console, cells: Run) -> int:
    """Carry out one of NAMES and return its exit code. Raises UsageError."""
    if chosen.command == "claim":
        chosen.dry_run |= chosen.calibrate
    if chosen.command == "claims" or not chosen.dry_run:
        record.preflight(chosen.results)
    if chosen.command == "claims":
        console.print(listed(rebuild(chosen.results)))
        console.print(f"written: {chosen.results / FILE}", soft_wrap=True, highlight=False)
        return 0
    if not chosen.words:
        raise UsageError(f"name a claim, for example `claim {next(iter(claims))}`; `claims` lists them")
    name, *words = chosen.words
    if fixed := [word for word in words if not word.startswith("jobs=")]:
        raise UsageError(f"a claim fixes its rows and budgets itself, so '{fixed[0]}' cannot be given; jobs=2 can")
    before = claim.status(name, fresh(chosen.results), chosen.results)
    told(before, console)
    code = _run(chosen, before, words, console, cells) if chosen.force or chosen.dry_run or not before.complete else 0
    if not chosen.dry_run and code < signals.INTERRUPTED:
        verdict(next(one for one in rebuild(chosen.results) if one.name == name), console)
    return code


def _run(chosen: argparse.Namespace, before: Status, words: Sequence[str], console: Console, cells: Run) -> int:
    requests = [request.parse([*asked, *words]) for asked in before.study.requests]
    code = cells(requests) if requests else 0  # one grid: no process waits for the last cell of an arm
    if code >= signals.INTERRUPTED:  # whoever stops a claim does not wait for boards
        return code
    if not chosen.dry_run:
        cards = {name: datasets[name].make.card for name in datasets}
        for modality in sorted({asked[0] for asked in before.study.requests}):
            leaderboard.rebuild(chosen.results, modality, cards=cards)
    measure = before.study.measure
    if measure is not None and (chosen.force or claim.stored(before.name, chosen.results) is None):
        console.print(f"{'would compute' if chosen.dry_run else 'computing'} {before.name}: {before.info['budget']}")
        if not chosen.dry_run:
            began = time.perf_counter()
            claim.keep(before.name, chosen.results, measure(), time.perf_counter() - began)
    return code


def told(one: Status, console: Console) -> None:
    """What a claim says and how it will be judged, before it is."""
    for head, text in (
        ("claim", f"{one.name} ({one.info['paper']})"), ("says", one.info["says"]), ("fixed", one.info["fixed"]),
        ("outcome", one.study.outcome), ("rule", one.study.rule), ("budget", one.info["budget"]),
    ):  # fmt: skip
        console.print(f"{head:8}{text}", soft_wrap=True, highlight=False, markup=False)


def verdict(one: Status, console: Console) -> None:
    """The lines behind a claim, and what they come to."""
    if one.finding.table:
        console.print(lines(one))
    console.print(f"{one.name}: {one.state}", style="bold", highlight=False)
    sentences = [one.finding.says, *([shown(one.finding.effect)] if one.finding.effect else []), cost(one)]
    console.print("; ".join(sentences) + ".", soft_wrap=True, highlight=False, markup=False)


def shown(effect: Estimate) -> str:
    """``outcome 0.021 [0.010, 0.032]``, with the smallest effect that could have been found."""
    if not np.isfinite(effect.lo):
        return f"outcome {effect.mean:.3g}, no interval from one replicate"
    return f"outcome {effect.mean:.3g} [{effect.lo:.3g}, {effect.hi:.3g}], detectable {effect.detectable:.2g}"


def cost(one: Status) -> str:
    """Runs and seconds."""
    return f"{one.done} of {one.needed} runs, {one.seconds:,.0f} s of one process"


def lines(one: Status) -> Table:
    """The table behind a finding."""
    rows = one.finding.table
    made = table(one.name, *map(escape, rows[0]))
    for row in rows:
        made.add_row(*(escape(_text(value)) for value in row.values()))
    for column, value in zip(made.columns, rows[0].values(), strict=True):
        column.justify = "left" if isinstance(value, str) else "right"
    made.caption = one.study.outcome
    return made


def _text(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def listed(found: Sequence[Status]) -> Table:
    """All claims with their state."""
    made = table(
        "claims (make claim CLAIM=…)", "claim", "says", "state", "outcome [95 %]", "detectable", "seeds", "runs"
    )
    for one in found:
        effect = one.finding.effect
        made.add_row(
            one.name, escape(one.info["says"]), one.state, escape(interval(effect)),
            f"{effect.detectable:.2g}" if effect and one.state == INCONCLUSIVE else "",
            str(one.finding.seeds or ""), f"{one.done}/{one.needed}",
        )  # fmt: skip
    made.caption = "detectable: the smallest true effect that would be found with 80 % power"
    return made


def interval(effect: Estimate | None) -> str:
    """``0.021 [0.010, 0.032]``; empty for nothing."""
    if effect is None:
        return ""
    around = f" [{effect.lo:.3g}, {effect.hi:.3g}]" if np.isfinite(effect.lo) else ""
    return f"{effect.mean:.3g}{around}"
