"""Commands: ``python -m benchmark report`` and ``python -m benchmark compare a b``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from benchmark import folds, record, selection, versus
from benchmark.board import Record, boards, published
from benchmark.stale import Stages
from jepakit.types import UsageError

NAMES = ("report", "compare")
KEYS = ("dataset", "preset", "probe")  # words of ``compare``


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    """The options of both, among those of the other ``commands`` (what ``add_subparsers`` gives)."""
    commands.add_parser("report", parents=[shared], help="write all results as one page, results/index.html")
    compare = commands.add_parser("compare", parents=[shared], help="two rows against each other, task by task")
    compare.add_argument("a", help="a row: a method, or '<method> <variant>' as a board shows it")
    compare.add_argument("b", help="the row to compare it with")
    compare.add_argument("words", nargs="*", metavar="modality key=value", help="only there: dataset= preset= probe=")
    form = compare.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="for a pull request")
    form.add_argument("--latex", action="store_true", help="for a paper (booktabs)")


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Carry out one of NAMES and return its exit code. Raises UsageError."""
    if chosen.command == "report":
        return report(chosen, console)
    found = compare(chosen)
    if chosen.markdown or chosen.latex:
        sys.stdout.write((versus.markdown if chosen.markdown else versus.latex)(found))
    else:
        console.print(versus.draw(found))
    return 0


def report(chosen: argparse.Namespace, console: Console) -> int:
    """Write the page and say where it is."""
    from benchmark.report import page  # matplotlib and jinja2, which no other command needs

    record.preflight(chosen.results)
    path = page.write(chosen.results)
    size = path.stat().st_size
    console.print(
        f"{path} ({size / 1e6:.1f} MB): open it in a browser; it needs no network", soft_wrap=True, highlight=False
    )
    if page.too_large(size):
        print(f"warning: {page.too_large(size)}", file=sys.stderr)
    return 0


def compare(chosen: argparse.Namespace) -> versus.Versus:
    """Both rows on all boards that the words leave."""
    every = record.load_all(chosen.results)
    found: list[Record] = [one for one in every if published(one)]
    _quotable([chosen.a, chosen.b], every, found)
    if not found:
        raise UsageError(
            f"no published record in {chosen.results}; run a board first, or name the folder with --results"
        )
    asked = selection.parse(chosen.words, KEYS)
    if len(asked.modalities) > 1:
        raise UsageError(f"'{asked.modalities[1]}' is one word too many: name two rows and at most one modality")
    found = selection.among(found, asked)
    probe = asked.one("probe", "linear")
    apart = not asked.one("dataset", folds.ALL).endswith(folds.ALL)  # one fold that is named
    here = boards(
        found, chosen.results, Stages().old, lambda measure: not measure.extra and measure.probe == probe, apart=apart
    )
    return versus.versus(here, chosen.a, chosen.b, probe)


def _quotable(rows: Sequence[str], every: Sequence[Record], found: Sequence[Record]) -> None:
    """Raises UsageError for a row whose runs are all of a preset that is never quoted: it is there, and is no row."""
    known, there = ({f"{one['method']} {one['variant']}".strip(): one for one in group} for group in (found, every))
    for name in rows:
        one = there.get(name)
        if one is not None and name not in known:
            raise UsageError(
                f"'{name}' was run at preset {one['preset']} alone, whose scores are never quoted; run it at another first: "
                f"run {one['modality']} dataset={one['dataset']} method={one['method']} preset=quick"
            )
