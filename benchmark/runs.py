"""Runs: what was run so far, one line per record, chosen and sorted by words."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmark import leaderboard, record, selection
from benchmark.estimate import clock
from benchmark.listing import table
from benchmark.overall import PROBE
from jepakit.registry import did_you_mean
from jepakit.types import UsageError

Record = Mapping[str, Any]
COLUMNS = (
    "created", "modality", "dataset", "method", "variant", "preset", "seed", "status", "reason", "task", "probe", "metric",
    "value", "wall_s", "device", "merged", "key",
)  # fmt: skip
# By what lines are sorted, and whether the largest comes first.
SORTS = {"created": True, "value": True, "wall_s": True, "modality": False, "dataset": False, "method": False,
         "preset": False, "seed": False, "status": False}  # fmt: skip


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    """The options of ``runs``, among those of the other ``commands`` (what ``add_subparsers`` gives)."""
    runs = commands.add_parser("runs", parents=[shared], help="list past runs, the newest first")
    keys = " ".join(f"{key}=" for key in (*selection.FIELDS, "since", "sort"))
    runs.add_argument("words", nargs="*", metavar="modality key=value", help=f"only these: {keys}")
    runs.add_argument("--csv", action="store_true", help="as CSV on standard output")


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Show the runs that the words name. Raises UsageError."""
    found = lines(record.load_all(chosen.results), chosen.words)
    if chosen.csv:
        sys.stdout.write(leaderboard.as_csv(COLUMNS, [list(one.values()) for one in found]).decode())
    else:
        console.print(draw(found))
    return 0


def lines(records: Iterable[Record], words: Sequence[str]) -> list[dict[str, Any]]:
    """One line per record that ``words`` name, with COLUMNS; value: the test score of the headline task by the probe
    ``linear`` (else the first there is). Raises UsageError for words that name nothing."""
    asked = selection.parse(words, (*selection.FIELDS, "since", "sort"))
    since = _since(asked.one("since", ""))
    found = [one for one in selection.among(records, asked) if _moment(one["created"]) >= since]
    key = asked.one("sort", "created")
    if key not in SORTS:
        raise did_you_mean("sort", key, list(SORTS))
    made = sorted(map(_line, found), key=lambda one: (one["created"], one["key"]), reverse=True)
    filled = [one for one in made if one[key] is not None]
    return sorted(filled, key=lambda one: one[key], reverse=SORTS[key]) + [one for one in made if one[key] is None]


def _since(text: str) -> datetime:
    """The moment that ``since=`` names, at midnight UTC where it names a day; without one, before every run."""
    try:
        moment = datetime.fromisoformat(text) if text else datetime.min
    except ValueError:
        raise UsageError(f"since takes a date such as 2026-11-01 or a date and time, not '{text}'") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _moment(text: str) -> datetime:
    """When a record was made; one that does not say is older than all others."""
    try:
        return _since(text)
    except UsageError:
        return _since("")


def _line(one: Record) -> dict[str, Any]:
    scores = sorted(one["scores"], key=lambda score: (not score["headline"], score["probe"] != PROBE))
    facts = {**(one.get("cost") or {}), **one, **(scores[0] if scores else {})}
    origin = one.get(record.MERGED) or {}
    return {**{name: facts.get(name) for name in COLUMNS}, "merged": origin.get("package"), "key": one["key"]}


def draw(found: Sequence[Mapping[str, Any]]) -> Table:
    """For the terminal."""
    made = table(
        f"{len(found)} runs", "made", "data set", "row", "preset", "seed", "status", "score", "time", "from", "key"
    )
    for one in found:
        score = "" if one["value"] is None else f"{one['value']:.3f} {one['task']} {one['metric']} ({one['probe']})"
        name = f"{one['method']} {one['variant']}".strip()
        status = one["status"] + (f": {one['reason']}" if one["reason"] else "")
        origin = f"package {one['merged'][:8]}" if one["merged"] else "here"
        place = (one["created"][:16].replace("T", " "), f"{one['modality']}/{one['dataset']}", name, one["preset"])
        cells = (*place, str(one["seed"]), status, score, clock(one["wall_s"]), origin, one["key"][:8])
        made.add_row(*map(escape, cells))
    return made
