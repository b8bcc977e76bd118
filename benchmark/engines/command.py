"""``run --engine …`` and ``plan``: what starts cells elsewhere, and cells written down for any scheduler."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmark import estimate, plan, record, request, spec
from benchmark.atomic import write_bytes
from benchmark.claims.claim import claims
from benchmark.engines import drive
from benchmark.grid import Options
from jepakit.types import UsageError

ENGINES = ("local", "ray", "slurm", "slurm-here")


def add(run: argparse.ArgumentParser) -> None:
    """The options of ``run`` that say where cells run."""
    run.add_argument(
        "--engine",
        default="local",
        choices=ENGINES,
        help="where cells run: processes here, a Ray cluster, a SLURM site",
    )
    run.add_argument("--address", help="of a Ray cluster that runs (default: one on this machine)")
    run.add_argument("--cpus", type=float, default=1, help="cores of a cell on an engine")
    run.add_argument("--gpus", type=float, default=0, help="GPUs of a cell on an engine; Ray takes fractions")
    run.add_argument("--memory", type=float, default=8, help="GiB of a cell on an engine")
    run.add_argument("--minutes", type=int, default=240, help="time of a SLURM job; a cell goes on in the next one")
    run.add_argument("--partition", help="of the SLURM site")


def engine(chosen: argparse.Namespace, options: Options, jobs: int | None) -> Callable[[], drive.Engine] | None:
    """What starts cells elsewhere; None for processes of this machine. Raises UsageError for what an engine cannot do."""
    if chosen.engine == "local":
        return None
    if chosen.heartbeat is not None:
        raise UsageError(
            "--heartbeat watches processes of this machine; leave it out, the engine sees dead jobs itself"
        )
    if chosen.engine == "ray":
        from benchmark.engines.on_ray import OnRay

        memory = int(chosen.memory * 2**30) if chosen.address else 0  # of its own machine Ray knows the memory
        return partial(
            OnRay, options, address=chosen.address, jobs=jobs, cpus=chosen.cpus, gpus=chosen.gpus, memory=memory
        )
    from benchmark.engines.on_slurm import OnSlurm

    return partial(
        OnSlurm, options, local=chosen.engine == "slurm-here", jobs=jobs, minutes=chosen.minutes, cpus=int(chosen.cpus),
        gpus=int(chosen.gpus), memory_gb=max(1, round(chosen.memory)), partition=chosen.partition,
    )  # fmt: skip


def write_plan(chosen: argparse.Namespace, root: Path, console: Console) -> None:
    """Write the specs of the missing cells, of words or of a claim, the longest first. Raises UsageError."""
    if chosen.claim and chosen.words:
        raise UsageError(f"a claim fixes its rows itself, so '{chosen.words[0]}' cannot be given beside --claim")
    words = claims[chosen.claim].make().requests if chosen.claim else (chosen.words,)
    requests = [request.parse(one) for one in words]
    planned = plan.together(requests, root, chosen.results, device=chosen.device, threads=chosen.threads)
    todo = [cell for cell in planned.cells if record.find(chosen.results, cell) is None]
    known = record.load_all(chosen.results)
    guesses = {cell.key: estimate.seconds(cell, known) for cell in todo}
    todo.sort(key=lambda cell: -(guesses[cell.key] or (estimate.weight(cell), 0))[0])
    for number, cell in enumerate([] if chosen.dry_run else todo):
        write_bytes(chosen.out / f"{number:04d}-{cell.method}-{cell.key}.json", spec.text(cell).encode())
    done = len(planned.cells) - len(todo)
    fate = "to write" if chosen.dry_run else "written"
    console.print(f"{len(planned.cells)} cells, {done} finished, {len(todo)} {fate} to {chosen.out}", soft_wrap=True)
    if todo:
        console.print(
            f"run them anywhere that sees {chosen.results}: python -m benchmark.worker {chosen.out}/*.json",
            soft_wrap=True,
        )
