"""Engines: what starting many short cells costs on each engine, beside the cells themselves.

Overhead: the time from the start of the first cell to the end of the last, times the workers, over the sum of the cells'
own times, less one. Starting the engine (a pool, a cluster) is told apart: ``startup_s``.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmark import plan, record, request
from benchmark.cell import Cell
from benchmark.engines import command, drive
from benchmark.grid import Options, run_grid

FILE = "perf_engines.csv"
WORDS = ("ecg", "method=ijepa", "preset=smoke")


def cells(count: int) -> list[Cell]:
    """``count`` short cells of one row that differ by their seed."""
    with tempfile.TemporaryDirectory() as empty:
        return plan.plan(request.parse([*WORDS, f"seeds={count}"]), None, Path(empty)).cells


def overhead(ends: Sequence[float], own: Sequence[float], workers: int) -> float:
    """``ends``: when cells ended, ``own``: how long each took (seconds): idle and lost time of the workers as a share."""
    first = min(end - took for end, took in zip(ends, own, strict=True))
    return (max(ends) - first) * workers / sum(own) - 1


def measure(engine: str, chosen: Sequence[Cell], workers: int) -> dict[str, Any]:
    """One line for ``engine``: every cell is run anew in an empty results folder. Raises UsageError without its package."""
    with tempfile.TemporaryDirectory() as folder:
        options = Options(results=Path(folder), threads=1)
        record.preflight(options.results)
        ends: list[float] = []
        own: list[float] = []
        failed: list[str] = []

        def done(number: int, one: record.Record) -> None:
            ends.append(time.perf_counter())
            own.append(float(one["cost"]["wall_s"]))
            failed.extend([] if one["status"] in ("ok", "collapsed") else [str(one["reason"])])

        began = time.perf_counter()
        numbered = list(enumerate(chosen))
        make = _engine(engine, options, workers)
        if make is None:
            run_grid(numbered, options, workers, _quiet, done)
        else:
            drive.run_cells(numbered, options, make(), _quiet, done)
        first = min(end - took for end, took in zip(ends, own, strict=True))
        return {
            "engine": engine, "cells": len(chosen), "workers": workers, "failed": len(failed), "cell_s": sum(own) / len(own),
            "startup_s": first - began, "wall_s": max(ends) - began, "overhead": overhead(ends, own, workers),
        }  # fmt: skip


def _engine(name: str, options: Options, workers: int) -> Callable[[], drive.Engine] | None:
    parser = argparse.ArgumentParser()
    command.add(parser)
    chosen = parser.parse_args(["--engine", name])
    chosen.heartbeat = None
    return command.engine(chosen, options, workers)


def _quiet(number: int, stage: str, fraction: float, detail: str) -> None:
    """Nothing is shown while the clock runs."""
