"""Arguments: every command of ``python -m benchmark`` and its options."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import jepakit
from benchmark import loggers, runs
from benchmark.claims import command as claims
from benchmark.contracts import command as contracts
from benchmark.engines import command as engines
from benchmark.publish import command as publish
from benchmark.report import commands as reports
from jepakit.types import UsageError

ABOUT = "Pre-train, probe and compare: JEPAs, masked autoencoders, contrastive and reference rows under one protocol."
EPILOG = """exit codes: 0 every cell has a result · 2 some cells failed (their rows say why) · 3 invalid request
130 interrupted (Ctrl-C), 143 ended by SIGTERM, SIGUSR1 or SIGUSR2 (run the same command to resume)"""
WORDS = """examples:
  run ecg
  run ecg dataset=mitbih method=ecgjepa,mae seed=0,1,2 preset=quick
  run ecg method=ecgjepa seeds=5 train.lr=1e-3 train.weight_decay=0.01,0.1 size.dim=96 recipe.keep=0.3 probe=linear
  run ecg budget=flops            every row gets the training FLOPs of mae (budget=seconds: its time), on a board of its own
  run ecg method=ecgjepa,mae tuned=yes      with what `hpo` chose for each
  run eeg dataset=eegmat-folds    every fold of a data set that has folds (see `ls`), on one board
keys: dataset method seed seeds preset probe limit jobs budget tuned train.* size.* recipe.* (a method's own keyword
arguments)

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
    top = Parser("benchmark", description=ABOUT, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--version", action="version", version=f"jepakit {jepakit.__version__}")
    commands = top.add_subparsers(dest="command", required=True, parser_class=Parser)
    cells = Parser(add_help=False, parents=[shared])
    cells.add_argument("words", nargs="*", metavar="modality key=value", help="what to run")
    cells.add_argument("--jobs", default="auto", help="processes, or auto: one per core on a CPU, one on a GPU")
    cells.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda", "mps"))
    cells.add_argument(
        "--threads", type=int, help="of a cell on a CPU (default 1; another number gives other last bits)"
    )
    cells.add_argument(
        "--devices",
        type=int,
        default=1,
        help="GPUs, or processes on a CPU, that pre-train one cell together (default 1)",
    )
    cells.add_argument("--timeout", type=float, help="most minutes of pre-training per cell")
    cells.add_argument(
        "--heartbeat",
        type=float,
        help="minutes after which a cell that says nothing is ended (default 120 with several jobs)",
    )
    cells.add_argument("--dry-run", action="store_true", help="show what would run, and what of it is cached")
    run = commands.add_parser(
        "run",
        parents=[cells],
        help="run what is missing and show the board",
        epilog=WORDS + EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    for command in (run, claims.add(commands, shared, cells)):
        again = command.add_mutually_exclusive_group()
        again.add_argument("--force", action="store_true", help="run finished cells again")
        again.add_argument(
            "--only-cache", action="store_true", help="train nothing: finished cells, and probes of stored encoders"
        )
        command.add_argument(
            "--calibrate", action="store_true", help="a dry run that takes a few steps of each row that never ran"
        )
        loggers.add(command)
        engines.add(command)
    planned = commands.add_parser(
        "plan",
        parents=[cells],
        help="write the missing cells as files that any scheduler can run: python -m benchmark.worker FILE",
        epilog=WORDS + EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    planned.add_argument("--claim", help="the cells of this claim, in place of words")
    planned.add_argument("--out", type=Path, default=Path("cells"), help="folder of the files")
    tuning = commands.add_parser(
        "hpo",
        parents=[cells],
        help="tune every method with the same number of trials, on validation",
        epilog="example:\n  hpo ecg dataset=mitbih method=ecgjepa,mae trials=8 preset=quick\n\n" + EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    loggers.add(tuning)
    ls = commands.add_parser("ls", parents=[shared], help="methods, data sets, probes, presets")
    ls.add_argument(
        "what", nargs="?", choices=("methods",), help="methods: with stages and what they cost, from the records"
    )
    board = commands.add_parser("board", parents=[shared], help="write the boards again from the records")
    board.add_argument("modality", nargs="?", help="only this one")
    view = board.add_mutually_exclusive_group()
    view.add_argument("--stale", action="store_true", help="only list rows made by older code, and write nothing")
    view.add_argument(
        "--bradley-terry", action="store_true", help="only show strengths across data sets, write nothing"
    )
    free = commands.add_parser("labelfree", parents=[shared], help="do label-free diagnostics foretell probe scores?")
    free.add_argument("modality", help="whose records")
    free.add_argument("dataset", nargs="?", help="show only these: dataset=a,b")
    check = commands.add_parser("verify", parents=[shared], help="compute rows again from their stored predictions")
    check.add_argument("rows", nargs="+", metavar="key|method/dataset[/preset]", help="which records and rows")
    band = commands.add_parser("band", parents=[shared], help="does the ranking survive another probing protocol?")
    band.add_argument("words", nargs="*", metavar="modality key=value", help="modality, dataset=… and preset=…")
    parts = commands.add_parser("folds", parents=[shared], help="scores of single folds and single test units")
    parts.add_argument(
        "words", nargs="*", metavar="modality key=value", help="modality, dataset=…, method=…, preset=…, probe=…"
    )
    parts.add_argument("--units", type=int, default=40, help="most units per table, the hardest first; 0 for none")
    robust = commands.add_parser(
        "robustness", parents=[shared], help="what is left of a score where noise and other nuisances are strong"
    )
    robust.add_argument(
        "words", nargs="*", metavar="modality key=value", help="modality, dataset=…, method=…, preset=…, probe=…"
    )
    bev = commands.add_parser("bev", parents=[shared], help="what frozen tokens say about the cells under them")
    bev.add_argument("words", nargs="*", metavar="modality key=value", help="modality, dataset=…, method=…, preset=…")
    bev.add_argument(
        "--figure", type=int, default=0, metavar="SCENES", help="draw answers beside the truth, this many scenes"
    )
    suite = commands.add_parser(
        "suite", parents=[shared], help="rows across the data sets of a modality: Elo, win rates"
    )
    suite.add_argument(
        "words", nargs="*", metavar="modality key=value", help="modality, dataset=…, method=…, preset=…, probe=…"
    )
    columns = commands.add_parser(
        "columns", parents=[shared], help="which columns of a table frozen features depend on"
    )
    columns.add_argument(
        "words", nargs="*", metavar="modality key=value", help="modality, dataset=…, method=…, preset=…"
    )
    embed = commands.add_parser("embed", parents=[shared], help="features of finished rows in the plane, for the page")
    embed.add_argument(
        "words", nargs="*", metavar="modality key=value", help="modality, dataset=…, method=…, seed=… (0), preset=…"
    )
    effect = commands.add_parser(
        "effect", parents=[shared], help="one setting of a method, value by value, over data sets"
    )
    effect.add_argument("words", nargs="*", metavar="modality key=value", help="modality, method=…, preset=…, probe=…")
    effect.add_argument("--setting", required=True, metavar="recipe.NAME", help="which setting")
    reports.add(commands, shared)
    publish.add(commands, shared)
    runs.add(commands, shared)
    contracts.add(commands, shared)
    masks = commands.add_parser("show-masks", parents=[shared], help="draw what a method sees and asks for")
    masks.add_argument("method", help="which method")
    masks.add_argument("words", nargs="*", metavar="modality key=value", help="on what, in the words of run")
    masks.add_argument(
        "--out", type=Path, help="the PNG (default: <results>/figures/masks_<method>_<modality>_<dataset>.png)"
    )
    masks.add_argument("--rows", type=int, default=3, help="how many samples")
    masks.add_argument("--progress", type=float, default=0.0, help="share of the run that is over, 0 to 1")
    return top


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line; words of ``run`` may stand before, between and after options."""
    top = parser()
    chosen, rest = top.parse_known_args(arguments)
    options = [word for word in rest if word.startswith("-")]
    if options or (
        rest
        and chosen.command
        not in (
            "run",
            "claim",
            "hpo",
            "band",
            "folds",
            "robustness",
            "show-masks",
            "compare",
            "bev",
            "suite",
            "effect",
            "columns",
            "submit",
            "runs",
            "embed",
        )
    ):
        top.error(f"unrecognized arguments: {' '.join(options or rest)}")
    if rest:
        chosen.words = [*chosen.words, *rest]
    return chosen
