"""Stress: a small grid killed at random moments, and many writers at once. Is a record lost, doubled or changed?

``python -m benchmark.stress ecg preset=smoke method=mae,ijepa --kills 200`` runs the grid undisturbed, then again and
again with SIGKILLs at random moments, each time to its end, and compares records, encoders and boards byte for byte.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benchmark import grid, leaderboard, plan, plugin, record, request
from benchmark.cell import Cell
from benchmark.grid import Options
from jepakit.types import UsageError

MODULES = ["benchmark.grid", "benchmark.plan", "benchmark.leaderboard", "baselines", "jepakit.methods", "modalities"]
Say = Callable[[str], None]


@dataclass
class Tally:
    """What happened: ``kills`` of a process that was at work, ``rounds`` of the whole grid that ended in between,
    ``written`` of ``expected`` records, and every deviation from the undisturbed run."""

    kills: int = 0
    rounds: int = 0
    written: int = 0
    expected: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


def settled(results: Path, into: Path) -> dict[str, bytes]:
    """The boards of ``results`` by file name, made again without times: what must not depend on interruptions, on the
    order or on the day. ``into``: an empty folder for the copies of the records that this takes."""
    for one in record.load_all(results):
        source = record.folder(results, one) / f"{one['key']}.npz"
        record.save(into, {**one, "cost": {}, "created": "2000-01-01T00:00:00+00:00"})
        if source.is_file():
            shutil.copy(source, record.folder(into, one) / source.name)
    leaderboard.rebuild(into, stale=lambda one: False)
    return {path.name: path.read_bytes() for path in sorted(into.glob("*.csv"))}


def encoders(results: Path) -> dict[str, bytes]:
    """The stored weights, by file name."""
    return {path.name: path.read_bytes() for path in sorted((results / ".cache" / "encoders").glob("*.safetensors"))}


def run_all(cells: Sequence[Cell], options: Options) -> None:
    """A child: what of the grid is missing, in this process."""
    plugin.everything(options.plugins)
    warnings.simplefilter("ignore")
    record.preflight(options.results)
    grid.run_grid(list(enumerate(cells)), options, 1, lambda *said: None, lambda number, one: None)


def start(target: Callable[..., None], *words: Any) -> Any:
    """A process that has everything loaded already, so that a kill hits work and not an import."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(MODULES)
    process = context.Process(target=target, args=words)
    process.start()
    return process


def kill(cells: Sequence[Cell], options: Options, work: Path, count: int, seed: int, say: Say) -> Tally:
    """Kill the grid ``count`` times in all at random moments, in as many rounds as that takes."""
    start(time.sleep, 0).join()  # now everything is loaded
    tally, began = Tally(), time.monotonic()
    reference = replace(options, results=work / "undisturbed")
    child = start(run_all, cells, reference)
    child.join()
    alone = time.monotonic() - began
    boards, weights = settled(reference.results, work / "boards"), encoders(reference.results)
    rng = random.Random(seed)
    while tally.kills < count:
        here = replace(options, results=work / f"round{tally.rounds}")
        # A shorter life than a checkpoint takes makes no headway: up to half of the time of the whole grid.
        while not _lives(cells, here, rng.uniform(0.02, max(0.5, alone / 2)), tally):
            if tally.kills == count:
                child = start(run_all, cells, here)
                child.join()
        tally.rounds += 1
        _compare(cells, here.results, boards, weights, tally)
        shutil.rmtree(here.results)
        say(
            f"round {tally.rounds}: {tally.kills} kills, {tally.written} of {tally.expected} records, wrong: {tally.wrong}"
        )
    tally.seconds = time.monotonic() - began
    return tally


def _lives(cells: Sequence[Cell], options: Options, seconds: float, tally: Tally) -> bool:
    """Let the grid run for so long, then kill it; True when it had come to its end."""
    child = start(run_all, cells, options)
    child.join(seconds)
    if not child.is_alive():
        if child.exitcode:
            tally.wrong.append(f"a process ended with {child.exitcode}")
        return True
    child.kill()
    child.join()
    tally.kills += 1
    return False


def _compare(
    cells: Sequence[Cell], results: Path, boards: dict[str, bytes], weights: dict[str, bytes], tally: Tally
) -> None:
    found = record.load_all(results)
    tally.written += len(found)
    tally.expected += len(cells)
    where = f"round {tally.rounds}"
    if sorted(one["key"] for one in found) != sorted(cell.key for cell in cells):
        tally.wrong.append(f"{where}: other records than were asked for")
    with tempfile.TemporaryDirectory() as folder:
        again = settled(results, Path(folder))
    tally.wrong += [f"{where}: {name} differs" for name in boards if again.get(name) != boards[name]]
    tally.wrong += [f"{where}: other boards"] * (again.keys() != boards.keys())
    tally.wrong += [f"{where}: other encoders"] * (encoders(results) != weights)
    record.preflight(results)
    tally.wrong += [f"{where}: {path.name} was left" for path in results.glob("records/**/.*.tmp")]
    tally.wrong += [f"{where}: {path.name} was damaged" for path in results.rglob("*.corrupt")]


def write(results: Path, writers: int, each: int, example: record.Record) -> Tally:
    """``writers`` processes at once, each saving ``each`` records of its own and writing the boards at the end."""
    tally, began = Tally(expected=writers * each), time.monotonic()
    children = [start(_writer, results, number, each, example) for number in range(writers)]
    for child in children:
        child.join()
        if child.exitcode:
            tally.wrong.append(f"a writer ended with {child.exitcode}")
    found = record.load_all(results)
    tally.written = len({(one["method"], one["seed"]) for one in found})
    if len(found) != tally.written:
        tally.wrong.append(f"{len(found)} records of {tally.written} requests")
    rows = (results / "runs.csv").read_text(encoding="utf-8").splitlines()
    scores = len(example["scores"])
    if len(rows) - 1 != tally.expected * scores:
        tally.wrong.append(f"runs.csv has {len(rows) - 1} lines, not {tally.expected * scores}")
    tally.seconds = time.monotonic() - began
    return tally


def _writer(results: Path, number: int, each: int, example: record.Record) -> None:
    warnings.simplefilter("ignore")  # these records have no predictions
    for seed in range(each):
        name = f"writer-{number}"
        record.save(results, {**example, "method": name, "seed": seed, "key": f"{number:08x}{seed:08x}"})
    leaderboard.rebuild(results, stale=lambda one: False)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmark.stress", description=__doc__.partition("\n")[0])
    parser.add_argument("words", nargs="+", help="the grid, in the words of run")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--each", type=int, default=50, help="records of a writer")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--plugin", type=Path, action="append", default=[])
    parser.add_argument("--data", type=Path)
    chosen = parser.parse_args(arguments)
    root = chosen.data or Path(os.environ.get("JEPAKIT_DATA") or "data")
    with tempfile.TemporaryDirectory(prefix="jepakit-stress-") as folder:
        work = Path(folder)
        try:
            plugin.everything(chosen.plugin)
            cells = plan.plan(request.parse(chosen.words), root, work, device="cpu").cells
        except UsageError as error:
            print(f"error: {error}", file=sys.stderr)
            return 3
        options = Options(results=work, root=root, plugins=tuple(chosen.plugin), device="cpu")
        tally = kill(cells, options, work, chosen.kills, chosen.seed, lambda text: print(text, flush=True))
        example = record.load_all(work / "undisturbed")[0]
        writing = write(work / "written", chosen.writers, chosen.each, example)
    print(
        f"{len(cells)} cells: {tally.kills} kills in {tally.rounds} rounds, {tally.written} of {tally.expected} records, "
        f"{tally.seconds:.0f} s; {chosen.writers} writers: {writing.written} of {writing.expected} records, "
        f"{writing.seconds:.0f} s"
    )
    for text in [*tally.wrong, *writing.wrong]:
        print(f"wrong: {text}")
    return 2 if tally.wrong or writing.wrong or writing.written != writing.expected else 0


if __name__ == "__main__":
    sys.exit(main())
