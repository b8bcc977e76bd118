"""Command: ``python -m benchmark check FILE …`` and ``python -m benchmark new KIND NAME``."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from benchmark.contracts import asking, start
from benchmark.contracts.verdict import State, Verdict
from jepakit.types import UsageError

NAMES = ("check", "new")
OK, FAILED = 0, 2
LOOK: dict[State, str] = {
    "pass": "[green]pass[/]",
    "warn": "[yellow]warn[/]",
    "fail": "[bold red]FAIL[/]",
    "skip": "[dim] –  [/]",
}


def add(commands: Any, shared: argparse.ArgumentParser) -> None:
    """The two commands and their options."""
    check = commands.add_parser("check", parents=[shared], help="does a file of one's own keep the contracts?")
    check.add_argument("files", nargs="+", type=Path, metavar="FILE.py", help="registers methods, data sets or probes")
    new = commands.add_parser("new", parents=[shared], help="write a starting file that keeps the contracts")
    new.add_argument("kind", choices=start.KINDS, help="what it registers")
    new.add_argument("name", help="under which name: small letters, digits, - and _")
    new.add_argument("--out", type=Path, help="the file (default: NAME.py here)")


def run(chosen: argparse.Namespace, root: Path, console: Console) -> int:
    """Run the chosen one of the two; the exit code."""
    return _new(chosen, console) if chosen.command == "new" else _check(chosen.files, root, console)


def _check(files: list[Path], root: Path, console: Console) -> int:
    if len({path.resolve() for path in files}) < len(files):
        raise UsageError("a file is named twice; name each once")
    found = [asking.registered(path) for path in files]  # a file that does not import ends all before the first check
    failed = False
    for one in found:
        counts = Counter[State]()
        for verdict in asking.verdicts(one, root):
            counts[verdict.state] += 1
            console.print(line(verdict), soft_wrap=True, highlight=False)
        failed |= counts["fail"] > 0
        said = [f"{counts['pass']} checks pass"]
        said += [f"{counts['warn']} warn"] if counts["warn"] else []
        said += [f"{counts['fail']} to mend"] if counts["fail"] else []
        console.print(f"{escape(one.file.name)}: {', '.join(said)}", soft_wrap=True, highlight=False)
    return FAILED if failed else OK


def line(verdict: Verdict) -> str:
    """One verdict as one line of rich markup."""
    what = f"{LOOK[verdict.state]}  {escape(verdict.subject)} · {escape(verdict.check)}"
    if not verdict.said:
        return what
    said = escape(verdict.said)
    return f"{what}: {said}" if verdict.state in ("fail", "warn") else f"{what} [dim]({said})[/]"


def _new(chosen: argparse.Namespace, console: Console) -> int:
    path = start.write(chosen.kind, chosen.name, chosen.out)
    console.print(f"written: {path}", soft_wrap=True, highlight=False, markup=False)
    console.print(f"next:    python -m benchmark check {path}", soft_wrap=True, highlight=False, markup=False)
    words = start.words(chosen.kind, chosen.name)
    console.print(
        f"then:    python -m benchmark {words} --plugin {path}", soft_wrap=True, highlight=False, markup=False
    )
    return OK
