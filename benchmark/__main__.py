"""The command line: ``python -m benchmark <command>``, see ``--help``; bad input: one sentence, exit code 3."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmark import (
    arguments as command_line,
)
from benchmark import (
    breakdown,
    budget,
    effect,
    embeddings,
    execute,
    labelfree,
    listing,
    plugin,
    record,
    request,
    robustness,
    runs,
    sensitivity,
    signals,
    stability,
    stale,
    suite,
    verify,
)
from benchmark.bev import command as bev
from benchmark.board import boards
from benchmark.cell import is_stale
from benchmark.claims import command as claims
from benchmark.contracts import command as contracts
from benchmark.engines import command as engines
from benchmark.execute import FAILED, OK
from benchmark.overall import headline, overall
from benchmark.publish import command as publish
from benchmark.report import commands as reports
from jepakit.registry import datasets, did_you_mean
from jepakit.types import UsageError

USAGE = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    console = Console(width=None if sys.stdout.isatty() else 132)
    with signals.stopping():
        try:
            return _command(command_line.parse(arguments), console)
        except UsageError as error:
            print(f"error: {error}", file=sys.stderr)
            return USAGE
        except KeyboardInterrupt as stop:  # not while cells run: ``execute`` tells what came of those
            print("interrupted; every finished cell has its record, run the same command again", file=sys.stderr)
            return signals.exit_code(signals.reason(stop))


def _command(chosen: argparse.Namespace, console: Console) -> int:
    root = chosen.data or Path(os.environ.get("JEPAKIT_DATA") or "data")
    plugin.everything(chosen.plugin)
    if chosen.command == "ls":
        tables = [listing.costs(record.load_all(chosen.results))] if chosen.what else listing.tables(root)
        for table in tables:
            console.print(table)
        return OK
    if chosen.command == "board":
        return _board(chosen, console)
    if chosen.command == "labelfree":
        return _labelfree(chosen, console)
    if chosen.command == "folds":
        return _folds(chosen, root, console)
    if chosen.command == "robustness":
        return _robustness(chosen, console)
    if chosen.command == "bev":
        bev.run(chosen, root, console)
        return OK
    if chosen.command == "plan":
        engines.write_plan(chosen, root, console)
        return OK
    if chosen.command in claims.NAMES:
        return claims.run(chosen, root, console, lambda asked: execute.run(chosen, asked, root, console, show=False))
    if chosen.command in contracts.NAMES:
        return contracts.run(chosen, root, console)
    if chosen.command == "suite":
        suite.run(chosen, console)
        return OK
    if chosen.command == "columns":
        sensitivity.run(chosen, root, console)
        return OK
    if chosen.command == "embed":
        embeddings.run(chosen, root, console)
        return OK
    if chosen.command == "effect":
        effect.run(chosen, console)
        return OK
    if chosen.command == "verify":
        return _verify(chosen, console)
    if chosen.command in reports.NAMES:
        return reports.run(chosen, console)
    if chosen.command in publish.NAMES:
        return publish.run(chosen, console)
    if chosen.command == "runs":
        return runs.run(chosen, console)
    if chosen.command == "hpo":
        return execute.search(chosen, root, console)
    if chosen.command == "band":
        return _band(chosen, console)
    if chosen.command == "show-masks":
        return _show_masks(chosen, root, console)
    return execute.run(chosen, [request.parse(chosen.words)], root, console)


def _band(chosen: argparse.Namespace, console: Console) -> int:
    asked = request.parse(chosen.words)
    for dataset in asked.boards:
        fresh = [one for one in record.load_all(chosen.results, asked.modality) if not is_stale(one)]
        found = stability.rank_stability(fresh, dataset, asked.preset)
        if not found:
            raise UsageError(
                f"{asked.modality}/{dataset} has no two ranked methods with fresh scores of the probe 'band' at preset "
                f"{asked.preset}; run them first: run {asked.modality} dataset={dataset} preset={asked.preset} probe=band"
            )
        for one in found:
            console.print(stability.table(one))
    return OK


def known_modality(name: str) -> str:
    """``name``, or a UsageError with the nearest modality."""
    known = sorted({one.partition("/")[0] for one in datasets})
    if name not in known:
        raise did_you_mean("modality", name, known)
    return name


def _board(chosen: argparse.Namespace, console: Console) -> int:
    modality = None if chosen.modality is None else known_modality(chosen.modality)
    if not (chosen.stale or chosen.bradley_terry):
        record.preflight(chosen.results)
    found = record.load_all(chosen.results, modality)
    stage = stale.Stages()
    if chosen.bradley_terry:
        quotable = [one for one in found if one["preset"] in budget.PRESETS and budget.PRESETS[one["preset"]].published]
        here = boards(quotable, chosen.results, stage.old, headline)
        console.print(listing.strengths(overall(here)))
        return OK
    if not chosen.stale:
        execute.show_board(chosen.results, modality, console, old=stage.old)
    rows = stale.rows(found, chosen.results, stage)
    if rows or chosen.stale:
        console.print(stale.listed(rows), soft_wrap=True, highlight=False)
    return OK


def _labelfree(chosen: argparse.Namespace, console: Console) -> int:
    modality = known_modality(chosen.modality)
    key, _, names = (chosen.dataset or "dataset=").partition("=")
    if key != "dataset":
        raise UsageError(f"labelfree takes dataset=name,name after the modality, not '{chosen.dataset}'")
    record.preflight(chosen.results)
    only = [name for name in names.split(",") if name]
    found = record.load_all(chosen.results, modality)
    for table in labelfree.study(found, chosen.results, modality, only, is_stale):
        console.print(table)
    console.print(f"written: {chosen.results / f'labelfree_{modality}.csv'}", soft_wrap=True, highlight=False)
    return OK


def _folds(chosen: argparse.Namespace, root: Path, console: Console) -> int:
    asked = request.parse(chosen.words)
    known = [one for one in record.load_all(chosen.results, asked.modality) if not is_stale(one)]
    for table in breakdown.tables(known, chosen.results, asked, root, chosen.units):
        console.print(table)
    return OK


def _robustness(chosen: argparse.Namespace, console: Console) -> int:
    asked = request.parse(chosen.words)
    record.preflight(chosen.results)
    known = [one for one in record.load_all(chosen.results, asked.modality) if not is_stale(one)]
    for table in robustness.tables(known, chosen.results, asked):
        console.print(table)
    return OK


def _verify(chosen: argparse.Namespace, console: Console) -> int:
    checks = verify.verify(chosen.results, chosen.rows)
    for check in checks:
        console.print(str(check), soft_wrap=True, highlight=False, markup=False)
    wrong = sum(not check.match for check in checks)
    console.print(f"{len(checks) - wrong} of {len(checks)} numbers match" + (f", {wrong} do not" if wrong else ""))
    return FAILED if wrong else OK


def _show_masks(chosen: argparse.Namespace, root: Path, console: Console) -> int:
    from benchmark import show_masks  # matplotlib takes a second to load, which no other command needs

    path = show_masks.show(
        chosen.method, chosen.words, root, chosen.results, out=chosen.out, rows=chosen.rows, progress=chosen.progress
    )
    console.print(f"figure written to {path}", soft_wrap=True, highlight=False, markup=False)
    return OK


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(signals.INTERRUPTED)
