"""The command line: ``python -m benchmark <command>``, see ``--help``; bad input: one sentence, exit code 3."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from benchmark import (
    announce,
    breakdown,
    budget,
    effect,
    embeddings,
    estimate,
    failures,
    grid,
    labelfree,
    leaderboard,
    listing,
    loggers,
    outcome,
    plan,
    plugin,
    record,
    request,
    robustness,
    runs,
    sensitivity,
    signals,
    slurm,
    stability,
    stale,
    suite,
    verify,
)
from benchmark import (
    arguments as command_line,
)
from benchmark.bev import command as bev
from benchmark.board import Stale, boards
from benchmark.cache import Cache
from benchmark.cell import Cell, is_stale
from benchmark.claims import command as claims
from benchmark.contracts import command as contracts
from benchmark.engines import command as engines
from benchmark.engines import drive
from benchmark.grid import Interrupted, Options
from benchmark.overall import headline, overall
from benchmark.progress import Display, Line, score_line
from benchmark.publish import command as publish
from benchmark.report import commands as reports
from jepakit.pretrain import hardware
from jepakit.registry import datasets, did_you_mean
from jepakit.types import UsageError

OK, FAILED, USAGE = 0, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    console = Console(width=None if sys.stdout.isatty() else 132)
    with signals.stopping():
        try:
            return _command(command_line.parse(arguments), console)
        except UsageError as error:
            print(f"error: {error}", file=sys.stderr)
            return USAGE
        except KeyboardInterrupt as stop:  # not while cells run: _grid tells what came of those
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
        return claims.run(chosen, root, console, lambda: _run(chosen, root, console, show=False))
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
        return _hpo(chosen, root, console)
    if chosen.command == "band":
        return _band(chosen, console)
    if chosen.command == "show-masks":
        return _show_masks(chosen, root, console)
    return _run(chosen, root, console)


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
        show_board(chosen.results, modality, console, old=stage.old)
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


def _run(chosen: argparse.Namespace, root: Path, console: Console, *, show: bool = True) -> int:
    asked = request.parse(chosen.words)
    results: Path = chosen.results
    options, asked_jobs = _options(chosen, asked, root)
    chosen.dry_run |= chosen.calibrate
    if not chosen.dry_run:
        record.preflight(results)
    planned = plan.plan(asked, root, results, remember=not chosen.dry_run, device=chosen.device, threads=chosen.threads)
    cached = {i: None if chosen.force else record.find(results, cell) for i, cell in enumerate(planned.cells)}
    todo = [(i, cell) for i, cell in enumerate(planned.cells) if cached[i] is None]
    jobs = grid.choose_jobs(asked_jobs, len(todo), chosen.device, chosen.devices)
    announce.header(asked, planned, len(todo), jobs, root, console)
    announce.logs(options.loggers, chosen.logger, results, console)
    if chosen.dry_run:
        device = hardware()[0] if chosen.device == "auto" else chosen.device
        announce.dry_run(planned, cached, results, jobs, console, device, calibrate=chosen.calibrate)
        return OK
    if chosen.engine == "local":
        grid.present(chosen.device, chosen.devices)
    if not planned.cells:
        raise UsageError("no method can run on this data set; see the reasons above or name one with method=…")
    planned.modalities.clear()  # workers load their own
    missing: list[Cell] = []
    if options.only_cache:
        cache = Cache(results)
        missing = [cell for _, cell in todo if cache.facts(cell.encoder_key) is None]
        todo = [(i, cell) for i, cell in todo if cell not in missing]
    if todo:
        loggers.prepare(options.loggers, results)
    engine = engines.engine(chosen, options, asked_jobs)
    records, code = _grid(planned, cached, todo, options, jobs, console, engine=engine)
    try:
        if records and show:
            show_board(results, asked.modality, console, only=asked.boards, preset=asked.preset)
            if len(asked.boards) > 1 and asked.modality in budget.SUITES:
                console.print(f"across data sets: python -m benchmark suite {asked.modality}", highlight=False)
    except OSError as error:
        print(f"error: {outcome.disk_refused(error)}", file=sys.stderr)
        code = code or FAILED
    for text in failures.listed(records, missing, _repeated(chosen)):
        console.print(text, soft_wrap=True, highlight=False, markup=False)
    return code or (FAILED if missing or any(one["status"] in record.FAILED for one in records) else OK)


def _repeated(chosen: argparse.Namespace) -> list[str]:
    """The options without which a shown command would not do the same."""
    words = [] if chosen.results == Path("results") else ["--results", str(chosen.results)]
    words += [] if chosen.data is None else ["--data", str(chosen.data)]
    return words + [word for path in chosen.plugin for word in ("--plugin", str(path))]


def _options(chosen: argparse.Namespace, asked: request.Request, root: Path) -> tuple[Options, int | None]:
    """How cells are run, and the number of processes that was asked for. Raises UsageError."""
    jobs = request.count("--jobs", chosen.jobs) if chosen.jobs != "auto" else asked.jobs
    for name in ("threads", "devices", "timeout", "heartbeat"):
        if getattr(chosen, name) is not None and getattr(chosen, name) <= 0:
            raise UsageError(f"--{name} takes a number above 0, not '{getattr(chosen, name)}'")
    options = Options(
        results=chosen.results,
        root=root,
        plugins=tuple(path.resolve() for path in chosen.plugin),
        device=chosen.device,
        threads=chosen.threads,
        devices=chosen.devices,
        timeout=None if chosen.timeout is None else chosen.timeout * 60,
        force=getattr(chosen, "force", False),
        only_cache=getattr(chosen, "only_cache", False),
        heartbeat=None if chosen.heartbeat is None else chosen.heartbeat * 60,
        loggers=loggers.choose(chosen.logger) if hasattr(chosen, "logger") else (),
    )
    return options, jobs


class _Stopped(Exception):
    """A search was interrupted; holds the exit code."""


def _hpo(chosen: argparse.Namespace, root: Path, console: Console) -> int:
    from benchmark import hpo  # optuna, which no other command needs

    asked, trials = hpo.request(chosen.words)
    options, asked_jobs = _options(chosen, asked, root)
    if not chosen.dry_run:
        record.preflight(chosen.results)
    options = replace(options, results=hpo.folder(chosen.results))
    found, skipped = hpo.searches(asked, root, chosen.results, remember=not chosen.dry_run)
    for what, why in skipped.items():
        console.print(f"skipped {what}: {escape(why)}", soft_wrap=True, highlight=False)
    if not found:
        raise UsageError("no method can be tuned on this data set; see the reasons above or name one with method=…")
    console.print(f"preset  {asked.preset} · {len(found)} searches of {trials} trials each, seed {asked.seeds[0]}")
    if chosen.dry_run:
        console.print(listing.spaces(one.base for one in found))
        return OK
    announce.logs(options.loggers, chosen.logger, options.results, console)
    loggers.prepare(options.loggers, options.results)

    def run(cells: Sequence[Cell]) -> list[record.Record]:
        planned = plan.Plan(cells=list(cells))
        cached = {i: record.find(options.results, cell) for i, cell in enumerate(cells)}
        todo = [(i, cell) for i, cell in enumerate(cells) if cached[i] is None]
        jobs = grid.choose_jobs(asked_jobs, len(todo), chosen.device, chosen.devices)
        records, code = _grid(planned, cached, todo, options, jobs, console, hpo.line)
        if code != OK:
            raise _Stopped(code)
        return records

    try:
        chosen_settings = hpo.tune(found, trials, chosen.results, run)
    except _Stopped as stop:
        return int(stop.args[0])
    console.print(listing.tunings(chosen_settings))
    return OK if all(any(one.status == "ok" for one in x.trials) for x in chosen_settings) else FAILED


def _grid(
    planned: plan.Plan, cached: dict[int, Any], todo: list[Any], options: Options, jobs: int, console: Console,
    line: Line = score_line, engine: Callable[[], drive.Engine] | None = None,
) -> tuple[list[record.Record], int]:  # fmt: skip
    known = record.load_all(options.results)
    guesses = [estimate.seconds(cell, known) for cell in planned.cells]
    weights = [guess[0] for guess in guesses if guess]
    if len(weights) < len(guesses):
        weights = [estimate.weight(cell) for cell in planned.cells]
    finished: dict[int, record.Record] = {i: one for i, one in cached.items() if one is not None}
    code = OK
    with Display(planned.cells, weights, console, line) as display:
        for i, one in sorted(finished.items()):
            display.finish(i, one, cached=True)

        def done(number: int, one: record.Record) -> None:
            finished[number] = one
            display.finish(number, one)

        # The longest first, so that no long cell is left over at the end.
        todo = sorted(todo, key=lambda one: (engine is None and (one[1].name, one[1].seed), -weights[one[0]]))
        try:
            if engine is None:
                grid.run_grid(todo, options, jobs, display.say, done, grid.pack(todo, options, known))
            elif todo:
                drive.run_cells(todo, options, engine(), display.say, done)
        except Interrupted as stop:
            code = signals.exit_code(stop.name)
            done_so_far = f"{len(finished)} of {len(planned.cells)} cells done"
            print(f"interrupted: {done_so_far}; run the same command to resume", file=sys.stderr)
            if stop.name in signals.ANNOUNCED and (queued := slurm.requeue()):
                print(queued, file=sys.stderr)
    return [finished[i] for i in sorted(finished)], code


def show_board(
    results: Path,
    modality: str | None,
    console: Console,
    *,
    only: tuple[str, ...] | None = None,
    preset: str | None = None,
    old: Stale | None = None,
) -> None:
    """Write the derived files again from the records and print the boards (``only`` those of these names);
    ``old``: whether a record was made by older code (default: asks the sources)."""
    cards = {name: datasets[name].make.card for name in datasets}
    leaderboard.rebuild(results, modality, cards=cards, stale=old)
    found = record.load_all(results, modality)
    for dataset in only or (None,):
        console.print(leaderboard.table(found, results, dataset=dataset, preset=preset, stale=old))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(signals.INTERRUPTED)
