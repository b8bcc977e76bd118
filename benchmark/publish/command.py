"""Commands: ``python -m benchmark submit`` and ``python -m benchmark merge``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmark import leaderboard, outcome, record
from benchmark.publish.merge import merge
from benchmark.publish.submit import KEYS, submit
from benchmark.stale import Stages
from jepakit.registry import datasets
from jepakit.types import UsageError

NAMES = ("submit", "merge")


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    """The options of both, among those of the other ``commands`` (what ``add_subparsers`` gives)."""
    pack = commands.add_parser("submit", parents=[shared], help="pack rows with their predictions for somebody's board")
    keys = " ".join(f"{key}=" for key in KEYS)
    pack.add_argument("words", nargs="*", metavar="modality key=value", help=f"which rows (default: all): {keys}")
    pack.add_argument("--out", type=Path, default=Path("submission.zip"), help="the package (default: submission.zip)")
    take = commands.add_parser("merge", parents=[shared], help="examine packages of others and take their rows in")
    take.add_argument("packages", nargs="+", type=Path, metavar="FILE.zip", help="what submit wrote")
    take.add_argument("--into", type=Path, dest="results", default=argparse.SUPPRESS, help="the same as --results")


def run(chosen: argparse.Namespace, console: Console) -> int:
    """Carry out one of NAMES and return its exit code. Raises UsageError."""
    try:
        return _submit(chosen, console) if chosen.command == "submit" else _merge(chosen, console)
    except OSError as error:
        raise UsageError(outcome.disk_refused(error)) from None


def _submit(chosen: argparse.Namespace, console: Console) -> int:
    packed = submit(chosen.results, chosen.words, chosen.out, Stages())
    size = chosen.out.stat().st_size / 1e6
    say = f"{chosen.out} ({packed.records} records, {size:.1f} MB), from commit {packed.facts['commit'][:12]}"
    console.print(say, soft_wrap=True, highlight=False, markup=False)
    console.print("whoever gets it: python -m benchmark merge FILE", soft_wrap=True, highlight=False, markup=False)
    return 0


def _merge(chosen: argparse.Namespace, console: Console) -> int:
    stages = Stages()
    found = merge(chosen.packages, chosen.results, stages.old)
    if found.added:
        record.preflight(chosen.results)
        cards = {name: datasets[name].make.card for name in datasets}
        for modality in sorted({one["modality"] for one in found.added}):
            leaderboard.rebuild(chosen.results, modality, cards=cards, stale=stages.old)
    console.print(f"{len(found.added)} records added, {found.known} known already; their predictions give their scores")
    if old := sum(map(stages.old, found.added)):
        console.print(f"{old} of them were made by other code than this checkout's: boards show them unranked")
    return 0
