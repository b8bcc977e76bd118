"""Speed of the suite, as ratios that a noisy machine leaves alone: ``python -m benchmark.perf
steps|scaling|engines|forecast|check``.

steps: what a training step costs (results/perf_steps.csv). scaling: how it grows (results/perf_scaling.csv). engines: what
many short cells cost (results/perf_engines.csv). forecast: what a dry run foretells against what then passes
(results/perf_forecast.csv). check: is a step slower than the committed table says? Exit code 1 if so.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from rich.progress import Progress

from benchmark import plugin
from benchmark.atomic import write_bytes
from benchmark.listing import table
from benchmark.perf import engines, forecasts, loops, scaling, steps
from jepakit.registry import datasets
from jepakit.types import UsageError

GUARDED = "ijepa,lejepa,mae,simclr"  # of ECG: a minute
OK, SLOWER, USAGE = 0, 1, 3
SHOWN = (
    "engine", "cells", "workers", "failed", "cell_s", "startup_s", "calibration_s", "forecast_s", "wall_s", "error",
    "factor", "dataset", "methods", "method", "value",
    "step_ms", "exponent", "suite_ms", "bare_ms", "ratio", "overhead", "samples_per_s", "tokens_per_s", "gflops", "mfu",
    "data_wait", "peak_mib", "before", "after", "slower",
)  # fmt: skip


def parser() -> argparse.ArgumentParser:
    """Options of the command line."""
    out = argparse.ArgumentParser("python -m benchmark.perf", description=__doc__)
    out.add_argument("what", choices=("steps", "scaling", "engines", "forecast", "check"))
    out.add_argument("--modalities", help="default: all; of check: ecg")
    out.add_argument("--methods", help="default: the rows of each board that take steps; of check: " + GUARDED)
    out.add_argument("--factors", default=",".join(scaling.FACTORS))
    out.add_argument("--engines", default="local,ray")
    out.add_argument("--cells", type=int, default=64)
    out.add_argument("--preset", default="quick")
    out.add_argument("--rounds", type=int, default=3)
    out.add_argument("--device", default="auto")
    out.add_argument("--threads", type=int, default=1)
    out.add_argument("--results", type=Path, default=Path("results"))
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    chosen = parser().parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 160)
    torch.set_num_threads(chosen.threads)
    plugin.everything(())
    try:
        if chosen.what == "check":
            return _check(chosen, console)
        frame, name = {"steps": _steps, "scaling": _scaling, "engines": _engines, "forecast": _forecast}[chosen.what](
            chosen, console
        )
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return USAGE
    write_bytes(chosen.results / name, frame.to_csv(index=False, float_format="%.5g").encode())
    _show(frame, console)
    return OK


def _steps(chosen: argparse.Namespace, console: Console) -> tuple[pd.DataFrame, str]:
    where = loops.Where.chosen(chosen.device)
    wanted = chosen.methods.split(",") if chosen.methods else None
    reference, found = loops.kernel(where), []
    with Progress(console=console, transient=True) as bar:
        for modality in _modalities(chosen.modalities):
            rows = steps.rows(modality, wanted, chosen.preset)
            task = bar.add_task(modality, total=len(rows))
            for cell, data in rows:
                bar.update(task, description=f"{modality} {cell.method}")
                found.append(steps.measure(cell, data, where, chosen.rounds, reference))
                bar.advance(task)
    return pd.DataFrame(found).assign(**steps.facts(where, chosen.threads)), steps.FILE


def _modalities(asked: str | None) -> list[str]:
    return asked.split(",") if asked else list(dict.fromkeys(name.partition("/")[0] for name in datasets))


def _scaling(chosen: argparse.Namespace, console: Console) -> tuple[pd.DataFrame, str]:
    where = loops.Where.chosen(chosen.device)
    factors = chosen.factors.split(",")
    unknown = [name for name in factors if name not in scaling.FACTORS]
    if unknown:
        raise UsageError(f"no factor '{unknown[0]}'; known: {', '.join(scaling.FACTORS)}")
    with console.status("steps at several sizes"):
        return scaling.lines(where, chosen.rounds, steps.facts(where, chosen.threads), factors), scaling.FILE


def _engines(chosen: argparse.Namespace, console: Console) -> tuple[pd.DataFrame, str]:
    cells = engines.cells(chosen.cells)
    with console.status(f"{chosen.cells} cells on {chosen.engines}"):
        lines = [engines.measure(name, cells, workers=2) for name in chosen.engines.split(",")]
    return pd.DataFrame(lines).assign(**steps.facts(loops.Where.chosen("cpu"), 1)), engines.FILE


def _forecast(chosen: argparse.Namespace, console: Console) -> tuple[pd.DataFrame, str]:
    lines = []
    for words in forecasts.GRIDS:
        with console.status(f"forecast and grid of {' '.join(words)}"):
            lines.append(forecasts.measure(words, chosen.preset, chosen.rounds, workers=2, root=None))
    return pd.DataFrame(lines).assign(**steps.facts(loops.Where.chosen("cpu"), 1)), forecasts.FILE


def _check(chosen: argparse.Namespace, console: Console) -> int:
    path = chosen.results / steps.FILE
    try:
        then = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read ({error}); run `make bench-perf` first") from None
    chosen.modalities, chosen.methods = chosen.modalities or "ecg", chosen.methods or GUARDED
    found = steps.regressions(_steps(chosen, console)[0], then)
    _show(found, console)
    return SLOWER if found["slower"].any() else OK


def _show(frame: pd.DataFrame, console: Console) -> None:
    """The columns that a person compares; the others are in the file."""
    shown = [name for name in SHOWN if name in frame.columns]
    made = table("", *(name.replace("_", " ") for name in shown))
    for _, line in frame.iterrows():
        made.add_row(*(f"{line[name]:.3g}" if isinstance(line[name], float) else str(line[name]) for name in shown))
    console.print(made)


if __name__ == "__main__":
    sys.exit(main())
