"""Worker: runs cells from their specs: ``python -m benchmark.worker cells/*.json --results DIR``. What engines start on
other machines, and what any other scheduler can start.

Exit codes: those of ``python -m benchmark``. Running a spec twice does no work twice: a finished record is found, and an
interrupted cell goes on from its checkpoint, on whatever machine sees the results folder.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmark import loggers, plugin, record, signals, spec
from benchmark.fingerprint import fingerprints
from benchmark.grid import Options, run_one
from benchmark.run import Say, quiet
from jepakit.registry import datasets
from jepakit.types import UsageError

OK, FAILED, USAGE = 0, 2, 3


def work(said: str, options: Options, say: Say = quiet) -> record.Record:
    """The record of the cell that the text ``said`` speaks of.

    Raises UsageError for a bad spec and where the data here are not those it was planned on, KeyboardInterrupt when
    stopped (the checkpoint is written).
    """
    plugin.everything(options.plugins)
    cell = spec.parse(said)
    modality = datasets[cell.name].make(options.root)
    if fingerprints(options.results, cell.name, modality) != dict(cell.data):
        raise UsageError(
            f"{cell.name} here is not the data that the cell was planned on; use the same files in both places"
        )
    return run_one(cell, modality, options, say)


def parser() -> argparse.ArgumentParser:
    """Options of the command line."""
    out = argparse.ArgumentParser("benchmark.worker", description="Run cells from their specs.", epilog=__doc__)
    out.add_argument("specs", nargs="+", type=Path, help="files that `python -m benchmark plan` wrote")
    out.add_argument("--results", type=Path, default=Path("results"))
    out.add_argument("--data", type=Path)
    out.add_argument("--plugin", type=Path, action="append", default=[])
    out.add_argument("--device", default="auto")
    out.add_argument("--threads", type=int)
    out.add_argument("--devices", type=int, default=1, help="that pre-train one cell together")
    out.add_argument("--timeout", type=float, help="most seconds of pre-training per cell")
    out.add_argument("--force", action="store_true")
    loggers.add(out)
    return out


def command(path: Path, options: Options) -> list[str]:
    """The command that runs one spec in a process of its own."""
    words = [sys.executable, "-m", "benchmark.worker", str(path), "--results", str(options.results.resolve())]
    words += ["--device", options.device, "--devices", str(options.devices), *(["--force"] if options.force else [])]
    words += ["--logger", ",".join(options.loggers) or loggers.NONE]
    for name, value in (("data", options.root), ("threads", options.threads), ("timeout", options.timeout)):
        if value is not None:
            words += [f"--{name}", str(value.resolve() if isinstance(value, Path) else value)]
    for one in options.plugins:
        words += ["--plugin", str(one)]
    return words


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every spec and return the exit code."""
    chosen = parser().parse_args(arguments)
    root = chosen.data or Path(os.environ.get("JEPAKIT_DATA") or "data")
    code = OK
    with signals.stopping():
        try:
            options = Options(
                chosen.results, root, tuple(chosen.plugin), chosen.device, chosen.threads, chosen.timeout, chosen.force,
                devices=chosen.devices, loggers=loggers.choose(chosen.logger),
            )  # fmt: skip
            loggers.prepare(options.loggers, options.results)
            for path in chosen.specs:
                plugin.everything(options.plugins)
                cell = spec.read(path)
                one = work(spec.text(cell), options)
                print(f"{cell.name} {cell.method} seed {cell.seed} {one['status']} {one['key']}", flush=True)
                code = FAILED if one["status"] in record.FAILED else code
        except UsageError as error:
            print(f"error: {error}", file=sys.stderr)
            return USAGE
        except KeyboardInterrupt as stop:
            return signals.exit_code(signals.reason(stop))
    return code


if __name__ == "__main__":
    sys.exit(main())
