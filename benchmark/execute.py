"""Execute: cells of requests and of searches run as one grid, with what is said before, during and after it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from benchmark import (
    announce,
    budget,
    estimate,
    failures,
    grid,
    leaderboard,
    listing,
    loggers,
    outcome,
    plan,
    record,
    request,
    signals,
    slurm,
)
from benchmark.board import Stale, row_budget
from benchmark.cache import Cache
from benchmark.cell import Cell
from benchmark.engines import command as engines
from benchmark.engines import drive
from benchmark.grid import Interrupted, Options
from benchmark.progress import Display, Line, score_line
from jepakit.pretrain import hardware
from jepakit.registry import datasets
from jepakit.types import UsageError

OK, FAILED = 0, 2


def run(
    chosen: argparse.Namespace, requests: Sequence[request.Request], root: Path, console: Console, *, show: bool = True
) -> int:
    """Run the cells of all requests as one grid, and return the exit code; ``show``: print their boards at the end."""
    results: Path = chosen.results
    options, asked_jobs = command_options(chosen, requests[0].jobs, root)
    chosen.dry_run |= chosen.calibrate
    if not chosen.dry_run:
        record.preflight(results)
    planned = plan.together(
        requests, root, results, remember=not chosen.dry_run, device=chosen.device, threads=chosen.threads
    )
    cached = {i: None if chosen.force else record.find(results, cell) for i, cell in enumerate(planned.cells)}
    todo = [(i, cell) for i, cell in enumerate(planned.cells) if cached[i] is None]
    jobs = grid.choose_jobs(asked_jobs, len(todo), chosen.device, chosen.devices)
    announce.header(requests, planned, len(todo), jobs, root, console)
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
            # What lies beside these on the same data, such as the arms of a claim, was not asked for.
            budgets = {row_budget(one) for one in records}
            for asked in requests:
                show_board(results, asked.modality, console, only=asked.boards, preset=asked.preset, budgets=budgets)
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


def command_options(chosen: argparse.Namespace, jobs: int | None, root: Path) -> tuple[Options, int | None]:
    """How cells are run, and the number of processes that was asked for, where not ``jobs``. Raises UsageError."""
    jobs = request.count("--jobs", chosen.jobs) if chosen.jobs != "auto" else jobs
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


def search(chosen: argparse.Namespace, root: Path, console: Console) -> int:
    """Search settings for the rows that were asked for (``hpo``), and return the exit code."""
    from benchmark import hpo  # optuna, which no other command needs

    asked, trials = hpo.request(chosen.words)
    options, asked_jobs = command_options(chosen, asked.jobs, root)
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

    def trials_of(cells: Sequence[Cell]) -> list[record.Record]:
        planned = plan.Plan(cells=list(cells))
        cached = {i: record.find(options.results, cell) for i, cell in enumerate(cells)}
        todo = [(i, cell) for i, cell in enumerate(cells) if cached[i] is None]
        jobs = grid.choose_jobs(asked_jobs, len(todo), chosen.device, chosen.devices)
        records, code = _grid(planned, cached, todo, options, jobs, console, hpo.line)
        if code != OK:
            raise _Stopped(code)
        return records

    try:
        chosen_settings = hpo.tune(found, trials, chosen.results, trials_of)
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

        todo = grid.ordered(todo, weights, by_data=engine is None)
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
    budgets: Collection[str] | None = None,
    old: Stale | None = None,
) -> None:
    """Write the derived files again from the records and print the boards: ``only`` those of these names, of ``budgets``
    (default: of all that compare methods). ``old``: whether a record was made by older code (default: asks the sources)."""
    cards = {name: datasets[name].make.card for name in datasets}
    leaderboard.rebuild(results, modality, cards=cards, stale=old)
    found = [one for one in record.load_all(results, modality) if budgets is None or row_budget(one) in budgets]
    for dataset in only or (None,):
        arms = budgets is not None
        console.print(leaderboard.table(found, results, dataset=dataset, preset=preset, stale=old, arms=arms))
