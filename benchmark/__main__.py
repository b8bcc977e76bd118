"""The command line: ``python -m benchmark run | ls | board | verify | show-masks``; bad input: one sentence, exit code 3."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.markup import escape

import jepakit
from benchmark import estimate, grid, leaderboard, listing, plan, plugin, record, request, verify
from benchmark.grid import Interrupted, Options
from benchmark.progress import Display, score_line
from jepakit.registry import datasets, did_you_mean
from jepakit.types import UsageError

OK, FAILED, USAGE, INTERRUPTED, TERMINATED = 0, 2, 3, 130, 143
EPILOG = """exit codes: 0 every cell has a result · 2 some cells failed (their rows say why) · 3 invalid request
130 interrupted, 143 terminated (run the same command to resume)"""
WORDS = """examples:
  run ecg
  run ecg dataset=mitbih method=ecgjepa,mae seed=0,1,2 preset=quick
  run ecg method=ecgjepa seeds=5 train.lr=1e-3 train.weight_decay=0.01,0.1 size.dim=96 recipe.keep=0.3 probe=linear
keys: dataset method seed seeds preset probe limit jobs train.* size.* recipe.* (a method's own keyword arguments)

"""


class Parser(argparse.ArgumentParser):
    """argparse whose errors leave like every other wrong input."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see `python -m benchmark --help`")


def parser() -> Parser:
    """All commands and options."""
    shared = Parser(add_help=False)
    shared.add_argument("--data", type=Path, help="data root (default: $JEPAKIT_DATA, else ./data)")
    shared.add_argument("--results", type=Path, default=Path("results"), help="where records and boards go")
    shared.add_argument("--plugin", type=Path, action="append", default=[], help="python file that registers more")
    top = Parser("benchmark", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--version", action="version", version=f"jepakit {jepakit.__version__}")
    commands = top.add_subparsers(dest="command", required=True, parser_class=Parser)
    run = commands.add_parser(
        "run",
        parents=[shared],
        help="run what is missing and show the board",
        epilog=WORDS + EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.add_argument("words", nargs="*", metavar="modality key=value", help="what to run")
    run.add_argument("--jobs", default="auto", help="processes, or auto: one per core on a CPU, one on a GPU")
    run.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    run.add_argument("--threads", type=int, help="of a cell on a CPU (default 1; another number gives other last bits)")
    run.add_argument("--timeout", type=float, help="most minutes of pre-training per cell")
    run.add_argument("--dry-run", action="store_true", help="show cells, which are cached, and the estimated time")
    run.add_argument("--force", action="store_true", help="run finished cells again")
    commands.add_parser("ls", parents=[shared], help="methods, data sets, probes, presets")
    board = commands.add_parser("board", parents=[shared], help="write the boards again from the records")
    board.add_argument("modality", nargs="?", help="only this one")
    check = commands.add_parser("verify", parents=[shared], help="compute rows again from their stored predictions")
    check.add_argument("rows", nargs="+", metavar="key|method/dataset[/preset]", help="which records and rows")
    masks = commands.add_parser("show-masks", parents=[shared], help="draw what a method sees and asks for")
    masks.add_argument("method", help="which method")
    masks.add_argument("words", nargs="*", metavar="modality key=value", help="on what, in the words of run")
    masks.add_argument("--out", type=Path, help="the PNG (default: in <results>/figures, named after all three)")
    masks.add_argument("--rows", type=int, default=3, help="how many samples")
    masks.add_argument("--progress", type=float, default=0.0, help="share of the run that is over, 0 to 1")
    return top


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; words of ``run`` may stand before, between and after options."""
    top = parser()
    chosen, rest = top.parse_known_args(arguments)
    options = [word for word in rest if word.startswith("-")]
    if options or (rest and chosen.command not in ("run", "show-masks")):
        top.error(f"unrecognized arguments: {' '.join(options or rest)}")
    if rest:
        chosen.words = [*chosen.words, *rest]
    return chosen


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    console = Console(width=None if sys.stdout.isatty() else 132)
    try:
        chosen = parse(arguments)
        root = chosen.data or Path(os.environ.get("JEPAKIT_DATA") or "data")
        plugin.everything(chosen.plugin)
        if chosen.command == "ls":
            for table in listing.tables(root):
                console.print(table)
            return OK
        if chosen.command == "board":
            return _board(chosen, console)
        if chosen.command == "verify":
            return _verify(chosen, console)
        if chosen.command == "show-masks":
            return _show_masks(chosen, root, console)
        return _run(chosen, root, console)
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE


def known_modality(name: str) -> str:
    """``name``, or a UsageError with the nearest modality."""
    known = sorted({one.partition("/")[0] for one in datasets})
    if name not in known:
        raise did_you_mean("modality", name, known)
    return name


def _board(chosen: argparse.Namespace, console: Console) -> int:
    modality = None if chosen.modality is None else known_modality(chosen.modality)
    record.preflight(chosen.results)
    show_board(chosen.results, modality, console)
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


def _run(chosen: argparse.Namespace, root: Path, console: Console) -> int:
    asked = request.parse(chosen.words)
    jobs = request.count("--jobs", chosen.jobs) if chosen.jobs != "auto" else asked.jobs
    for name in ("threads", "timeout"):
        if getattr(chosen, name) is not None and getattr(chosen, name) <= 0:
            raise UsageError(f"--{name} takes a number above 0, not '{getattr(chosen, name)}'")
    results: Path = chosen.results
    if not chosen.dry_run:
        record.preflight(results)
    planned = plan.plan(asked, root, results, remember=not chosen.dry_run)
    cached = {i: None if chosen.force else record.find(results, cell) for i, cell in enumerate(planned.cells)}
    todo = [(i, cell) for i, cell in enumerate(planned.cells) if cached[i] is None]
    options = Options(
        results=results,
        root=root,
        plugins=tuple(path.resolve() for path in chosen.plugin),
        device=chosen.device,
        threads=chosen.threads,
        timeout=None if chosen.timeout is None else chosen.timeout * 60,
        force=chosen.force,
    )
    jobs = grid.choose_jobs(jobs, len(todo), chosen.device)
    _header(asked, planned, len(todo), jobs, root, console)
    if chosen.dry_run:
        _dry_run(planned, cached, results, jobs, console)
        return OK
    if not planned.cells:
        raise UsageError("no method can run on this data set; see the reasons above or name one with method=…")
    planned.modalities.clear()  # workers load their own
    with _terminable():
        records, code = _grid(planned, cached, todo, options, jobs, console)
    if records:
        show_board(results, asked.modality, console, only=asked.datasets, preset=asked.preset)
    if code == OK and any(one["status"] in record.FAILED for one in records):
        return FAILED
    return code


def _grid(
    planned: plan.Plan, cached: dict[int, Any], todo: list[Any], options: Options, jobs: int, console: Console
) -> tuple[list[record.Record], int]:
    known = record.load_all(options.results)
    guesses = [estimate.seconds(cell, known) for cell in planned.cells]
    weights = [guess[0] for guess in guesses if guess]
    if len(weights) < len(guesses):
        weights = [estimate.weight(cell) for cell in planned.cells]
    finished: dict[int, record.Record] = {i: one for i, one in cached.items() if one is not None}
    code = OK
    with Display(planned.cells, weights, console) as display:
        for i, one in sorted(finished.items()):
            display.finish(i, one, cached=True)

        def done(number: int, one: record.Record) -> None:
            finished[number] = one
            display.finish(number, one)

        try:
            grid.run_grid(todo, options, jobs, display.say, done)
        except Interrupted as stop:
            code = TERMINATED if stop.name == "SIGTERM" else INTERRUPTED
    if code != OK:
        print(
            f"interrupted: {len(finished)} of {len(planned.cells)} cells done; run the same command to resume",
            file=sys.stderr,
        )
    return [finished[i] for i in sorted(finished)], code


def show_board(
    results: Path,
    modality: str | None,
    console: Console,
    *,
    only: tuple[str, ...] | None = None,
    preset: str | None = None,
) -> None:
    """Write the derived files again from the records and print the boards (``only`` of these data sets)."""
    cards = {name: datasets[name].make.card for name in datasets}
    leaderboard.rebuild(results, modality, cards=cards)
    found = record.load_all(results, modality)
    for dataset in only or (None,):
        console.print(leaderboard.table(found, results, dataset=dataset, preset=preset))


def _header(asked: request.Request, planned: plan.Plan, missing: int, jobs: int, root: Path, console: Console) -> None:
    """Which data ran, under which licence, from where: always said, never a silent fallback."""
    say = partial(console.print, soft_wrap=True, highlight=False)
    for name, modality in planned.modalities.items():
        card = modality.card
        place = "embedded, no files" if request.is_embedded(name) else str(root / name)
        say(f"data    {name}: {escape(card.title)} · licence {escape(card.licence)} · {escape(place)}")
    variant = planned.cells[0].variant if planned.cells else ""
    console.print(
        f"preset  {asked.preset}{' · ' + escape(variant) if variant else ''} · seeds {', '.join(map(str, asked.seeds))}"
    )
    console.print(
        f"cells   {len(planned.cells)}, {len(planned.cells) - missing} finished before, {missing} to run, jobs {jobs}"
    )
    for what, why in planned.skipped.items():
        say(f"skipped {what}: {escape(why)}")


def _dry_run(planned: plan.Plan, cached: dict[int, Any], results: Path, jobs: int, console: Console) -> None:
    known = record.load_all(results)
    made = listing.table("cells", "data set", "method", "seed", "key", "state", "time")
    total, unknown = 0.0, 0
    for i, cell in enumerate(planned.cells):
        one = cached[i]
        guess = estimate.seconds(cell, known)
        if one is not None:
            state, time = f"cached: {score_line(one)}", ""
        else:
            started = (results / ".runs" / cell.key / "last.ckpt").exists()
            state, time = "resumes" if started else "to run", "unknown"
            if guess:
                total += guess[0]
                time = estimate.clock(guess[0]) + (" (scaled)" if guess[1] == "scaled" else "")
            else:
                unknown += 1
        made.add_row(cell.name, cell.method, str(cell.seed), cell.key, escape(state), time)
    console.print(made)
    more = f" and {unknown} cells of unknown length" if unknown else ""
    console.print(
        f"estimated time: {estimate.clock(total / jobs) if total or not unknown else 'unknown'}{more} with {jobs} jobs"
    )


class _terminable:
    """SIGTERM becomes an interruption: running cells are saved and the exit code says 143 (Lightning would say 0)."""

    def __enter__(self) -> None:
        def stop(number: int, frame: Any) -> NoReturn:
            raise KeyboardInterrupt("SIGTERM")

        try:
            self.previous: Any = signal.signal(signal.SIGTERM, stop)
        except ValueError:  # not in the main thread
            self.previous = None

    def __exit__(self, *exception: object) -> None:
        if self.previous is not None:
            signal.signal(signal.SIGTERM, self.previous)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted before the first cell; nothing was lost", file=sys.stderr)
        sys.exit(INTERRUPTED)
