"""Drive: cells through an engine. Specs go in, records come out of the shared results folder; at least once, idempotent.

A cell is done when its record is valid, never because a job says so. A job that ends without one is tried again by the
class of its end (RETRIES); after that the cell becomes a failed record and the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmark import record, spec
from benchmark.cell import Cell
from benchmark.grid import Done, Interrupted, Options, Say
from benchmark.lock import locked
from benchmark.outcome import Outcome, describe
from benchmark.run import lock_of
from jepakit.types import UsageError

RETRIES = {"killed": 3, "timeout": 1, "oom": 0, "error": 0}
STATUS = {"killed": "error", "timeout": "timeout", "oom": "oom", "error": "error"}
POLL = 0.2  # seconds between two looks at the jobs


@dataclass(frozen=True)
class Ended:
    """How a job ended. kind: done (it wrote a record), usage (bad input: nothing will run), or a key of RETRIES."""

    kind: str
    detail: str = ""


class Engine(Protocol):
    """Starts jobs and says how they are. Jobs are numbers that the engine gives out."""

    slots: int | None  # most jobs at a time, None where the engine queues by itself

    def submit(self, said: str, name: str) -> int:
        """Start (or queue) the job of a spec. Raises UsageError where it can never run."""
        ...

    def ended(self, job: int) -> Ended | None:
        """How a job ended, None while it waits or runs."""
        ...

    def stop(self, job: int) -> None:
        """Have a job save and end."""
        ...

    def close(self) -> None:
        """Give back what was started."""
        ...


@dataclass
class _Job:
    number: int
    cell: Cell
    job: int
    tries: int


def run_cells(cells: Sequence[tuple[int, Cell]], options: Options, engine: Engine, say: Say, done: Done) -> None:
    """As ``benchmark.grid.run_grid``, on an engine; cells start in their order. Raises UsageError and Interrupted."""
    todo = [_Job(number, cell, -1, 0) for number, cell in cells]
    running: list[_Job] = []
    try:
        while todo or running:
            while todo and (engine.slots is None or len(running) < engine.slots):
                one = todo.pop(0)
                one.job, one.tries = engine.submit(spec.text(one.cell), one.cell.key), one.tries + 1
                running.append(one)
                say(one.number, "queued", 0.0, "" if one.tries == 1 else f"try {one.tries}")
            time.sleep(POLL)
            for one in list(running):
                end = engine.ended(one.job)
                if end is None:
                    continue
                running.remove(one)
                found = _written(one.cell, end, options)
                kind = end.kind if found is None else found["status"]
                if end.kind == "usage":
                    raise UsageError(end.detail)
                if kind in RETRIES and one.tries <= RETRIES[kind]:
                    todo.insert(0, one)
                else:
                    done(one.number, found or _failed(one.cell, end, options))
    except KeyboardInterrupt as stop:
        for one in running:
            engine.stop(one.job)
        raise Interrupted(str(stop) or "SIGINT") from None
    finally:
        engine.close()


def _written(cell: Cell, end: Ended, options: Options) -> record.Record | None:
    """The record that a job left: any, where it says that it wrote one; else a finished one, written before it died."""
    if end.kind != "done":
        return None if options.force else record.find(options.results, cell)
    path = options.results / "records" / cell.modality / cell.dataset / cell.method / f"{cell.key}.json"
    try:
        return record.load(path)
    except (FileNotFoundError, record.CorruptRecord):
        return None


def _failed(cell: Cell, end: Ended, options: Options) -> record.Record:
    """The record of a cell whose jobs all ended without one."""
    reason = {"killed": "the process was killed on every try, probably out of memory"}.get(end.kind, end.detail)
    outcome = Outcome(
        status=STATUS.get(end.kind, "error"), reason=reason or f"the job ended without a record ({end.kind})"
    )
    with locked(lock_of(options.results, cell), remove=True):
        finished = None if options.force else record.find(options.results, cell)
        return finished or record.save(options.results, describe(cell, outcome))
