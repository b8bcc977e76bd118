"""Progress: the whole grid with an ETA, live in a terminal, one line per finished cell elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from benchmark.cell import Cell
from benchmark.estimate import clock

Line = Callable[[Mapping[str, Any]], str]
COLOURS = {"ok": "green", "collapsed": "yellow"}


@dataclass
class Running:
    """What a cell is doing."""

    stage: str = "waiting"
    fraction: float = 0.0
    detail: str = ""


def score_line(record: Mapping[str, Any]) -> str:
    """The headline score of a record, or why there is none: ``macro_f1 0.412 (linear) · 0.398 (knn)``."""
    if record["status"] not in ("ok", "collapsed"):
        return f"{record['status']}: {record['reason']}"
    shown = [s for s in record["scores"] if s["headline"]]
    line = " · ".join(f"{s['value']:.3f} ({s['probe']})" for s in shown)
    prefix = f"{shown[0]['metric']} " if shown else ""
    return f"{prefix}{line}" + (f"  collapsed: {record['reason']}" if record["status"] == "collapsed" else "")


class Display:
    """Tells a person how a grid goes. ``weights``: expected work of each cell, in any common unit; ``line``: what is said
    of a finished cell."""

    def __init__(
        self, cells: Sequence[Cell], weights: Sequence[float], console: Console, line: Line = score_line
    ) -> None:
        self.cells, self.weights, self.console, self.line = cells, weights, console, line
        self.running: dict[int, Running] = {}
        self.finished: set[int] = set()
        self.ran = 0.0
        self.began = time.monotonic()
        self.bar = Progress(
            TextColumn("{task.completed:.0f}/{task.total} cells"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[eta]}"),
            console=console,
        )
        self.task = self.bar.add_task("grid", total=len(cells), eta="")
        self.live = Live(get_renderable=self._render, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Display:
        self.began = time.monotonic()
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.live.stop()

    def say(self, index: int, stage: str, fraction: float, detail: str) -> None:
        """A cell reports what it is doing."""
        self.running[index] = Running(stage, fraction, detail)

    def finish(self, index: int, record: Mapping[str, Any], *, cached: bool = False) -> None:
        """A cell has its record."""
        self.running.pop(index, None)
        self.finished.add(index)
        if not cached:
            self.ran += self.weights[index]
        took = "cached" if cached else f"{clock(record['cost'].get('wall_s'))}; {self.eta_text()}"
        colour = COLOURS.get(record["status"], "red")
        self.console.print(
            f"[{colour}]{len(self.finished):>3}/{len(self.cells)}[/] {self.label(index)}  "
            f"{escape(self.line(record))}  [dim]{took}[/]",
            highlight=False,
            soft_wrap=True,
        )

    def label(self, index: int) -> str:
        """``ecg/mitbih mae seed 0``."""
        cell = self.cells[index]
        return escape(f"{cell.name} {cell.method} seed {cell.seed}")

    def eta(self) -> float | None:
        """Seconds left for the whole grid, None before anything is known."""
        left = sum(w for i, w in enumerate(self.weights) if i not in self.finished)
        under_way = sum(self.weights[i] * one.fraction for i, one in self.running.items())
        done = self.ran + under_way
        if left - under_way <= 0:
            return 0.0
        return (time.monotonic() - self.began) * (left - under_way) / done if done > 0 else None

    def eta_text(self) -> str:
        """``3 min 20 s left``."""
        left = self.eta()
        return "done" if left == 0.0 else f"{clock(left)} left"

    def _render(self) -> Group:
        self.bar.update(self.task, completed=len(self.finished), eta=self.eta_text())
        lines = [
            Text.from_markup(f"  {self.label(i)}  [cyan]{one.stage}[/] [dim]{escape(one.detail)}[/]")
            for i, one in sorted(self.running.items())
        ]
        return Group(*lines, self.bar)
