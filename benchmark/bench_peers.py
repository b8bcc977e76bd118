"""Step time of MAE, SimCLR and I-JEPA against lightly and stable-pretraining, at ViT-tiny/16 and 224 pixels.

``make bench-peers`` makes an environment of its own that holds all three packages, so that they share one interpreter and
one torch, prints a table and writes ``results/bench_peers.csv``. A step is forward, backward, AdamW and the EMA update, on
given random images: no loader, no augmentation, no training framework. What a contest holds equal stands in
``benchmark.peers.contest``; that it is equal is checked: a package whose step differs by more than TOLERANCE in counted
FLOPs is refused, its times are neither taken nor told, and the command exits with 1.

Where a package draws its masks inside the step, so do all; where its masks come with the batch (I-JEPA), it is handed those
that the suite draws inside its step, free of charge. Contestants take turns step by step, in rotating order. Compared are,
round by round, process CPU time on a CPU and the device's own events on a GPU; wall time stands beside them.
"""

from __future__ import annotations

import argparse
import importlib
import platform
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

import baselines  # noqa: F401 - registers
import jepakit.methods  # noqa: F401 - registers
from benchmark import cost
from benchmark.atomic import write_bytes
from benchmark.flops import counting
from benchmark.peers import contest, ours
from benchmark.peers.contest import Absent, Contestant, Inputs
from jepakit.objective import Objective
from jepakit.randomness import reseed

TOLERANCE = 0.03
COUNTED = 4  # samples of the step whose FLOPs are counted
PEERS = {"lightly": "benchmark.peers.of_lightly", "stable-pretraining": "benchmark.peers.of_stable"}
OURS = "jepakit"
CPU, GPU = "process CPU ms", "device ms"


def count(contestant: Contestant, inputs: Inputs) -> float:
    """GFLOP per sample of one step; the step is taken."""
    few = inputs.first(COUNTED)
    reseed(0, 0, few.images.device)
    with counting() as counter:
        contestant.step(few, torch.float32)
    return counter.get_total_flops() / (len(few.images) * 1e9)


def admitted(gflop: float, reference: float) -> bool:
    """Whether a contestant's FLOPs are near enough to the reference's for times to be compared."""
    return abs(gflop / reference - 1) <= TOLERANCE


def timed(act: Callable[[], Any], device: torch.device) -> tuple[float, float]:
    """(compared, wall) milliseconds of ``act``: compared is process CPU time, on a GPU the time between two events."""
    if device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize(device)
        wall = time.perf_counter()
        start.record()
        act()
        end.record()
        torch.cuda.synchronize(device)
        return start.elapsed_time(end), 1e3 * (time.perf_counter() - wall)
    cpu, wall = time.process_time(), time.perf_counter()
    act()
    return 1e3 * (time.process_time() - cpu), 1e3 * (time.perf_counter() - wall)


def rounds_of(
    contestants: Sequence[Contestant], inputs: Callable[[int], Inputs], rounds: int, steps: int, precision: torch.dtype
) -> dict[str, np.ndarray]:
    """package → (rounds, 2) compared and wall milliseconds per step, after one round that warms up."""
    found: dict[str, list[tuple[float, float]]] = {one.package: [] for one in contestants}
    for turn in range(rounds + 1):
        given = [inputs(turn * steps + i) for i in range(steps)]
        device = given[0].images.device
        for place in range(len(contestants)):
            one = contestants[(turn + place) % len(contestants)]

            def act(one: Contestant = one, turn: int = turn, given: Sequence[Inputs] = given) -> None:
                for i, batch in enumerate(given):
                    reseed(0, turn * steps + i, batch.images.device)
                    one.step(batch, precision)

            taken = timed(act, device)
            if turn:
                found[one.package].append((taken[0] / steps, taken[1] / steps))
    return {name: np.array(values) for name, values in found.items()}


def verdict(ratio: np.ndarray) -> str:
    """Ours against a package, from the ratios its time / ours of all rounds: the middle half must lie on one side of 1."""
    low, high = np.quantile(ratio, (0.25, 0.75))
    return "ours faster" if low > 1 else "ours slower" if high < 1 else "equal"


def lines(
    name: str, gflop: dict[str, float], times: dict[str, np.ndarray], absent: dict[str, str], packages: Sequence[str]
) -> list[dict[str, Any]]:
    """One line per package of a contest; no time where it was refused or has no such method."""
    out = []
    for package in packages:
        line: dict[str, Any] = {
            "contest": name,
            "package": package,
            "status": "measured",
            "note": contest.CONTESTS[name],
        }
        if package in absent:
            out.append({**line, "status": "absent", "note": absent[package]})
            continue
        line |= {"gflop_per_sample": gflop[package], "flops_ratio": gflop[package] / gflop[OURS]}
        if package not in times:
            reason = f"refused: FLOPs differ by {line['flops_ratio'] - 1:+.1%}, more than {TOLERANCE:.0%}"
            out.append({**line, "status": "refused", "note": reason})
            continue
        compared, wall = times[package].T
        line |= {"rounds": len(compared)}
        for key, values in (("ms", compared), ("wall_ms", wall)):
            line |= {key: np.median(values), f"{key}_min": values.min(), f"{key}_max": values.max()}
        if package != OURS:
            ratio = compared / times[OURS][:, 0]
            line |= {"ratio": np.median(ratio), "ratio_min": ratio.min(), "ratio_max": ratio.max()}
            line |= {"wall_ratio": np.median(wall / times[OURS][:, 1]), "verdict": verdict(ratio)}
        out.append(line)
    return out


def compete(
    name: str, chosen: argparse.Namespace, device: torch.device, precision: torch.dtype
) -> list[dict[str, Any]]:
    """Build, count, admit and time the contestants of one contest."""
    reseed(0, 0, device)
    images, other = torch.randn(2, chosen.batch, contest.CHANNELS, contest.SIDE, contest.SIDE, device=device).unbind()
    mine, objective = ours.build_ours(name)
    contestants, absent = [mine.prepare(device)], dict[str, str]()
    for package, module in PEERS.items():
        try:
            contestants.append(importlib.import_module(module).build(name).prepare(device))
        except Absent as reason:
            absent[package] = str(reason)

    def inputs(step: int) -> Inputs:
        return given(objective, images, other, step)

    gflop = {one.package: count(one, inputs(0)) for one in contestants}
    allowed = [one for one in contestants if admitted(gflop[one.package], gflop[OURS])]
    times = rounds_of(allowed, inputs, chosen.rounds, chosen.steps, precision)
    return lines(name, gflop, times, absent, (OURS, *PEERS))


def given(objective: Objective, images: torch.Tensor, other: torch.Tensor, step: int) -> Inputs:
    """The inputs of a step, with the masks that the suite will draw in it."""
    reseed(0, step, images.device)
    return Inputs(images, other, ours.masks(objective, len(images), images.device))


def show(found: Sequence[dict[str, Any]], title: str, compared: str) -> Table:
    """The lines as a table."""
    table = Table(
        title=title, caption="ratio: its time over ours, median and range over rounds; above 1 ours is faster"
    )
    heads = ("contest", "package", "GFLOP/sample", compared, "wall ms", "ratio", "range", "verdict")
    for head in heads:
        table.add_column(head, justify="left" if head in ("contest", "package", "verdict") else "right")
    for line in found:
        cells = [line["contest"], line["package"]]
        cells.append(f"{line['gflop_per_sample']:.3f}" if "gflop_per_sample" in line else "")
        if line["status"] != "measured":
            table.add_row(*cells, "", "", "", "", f"{line['status']}: {line['note'].removeprefix('refused: ')}")
            continue
        cells += [f"{line['ms']:.0f} ({line['ms_min']:.0f}–{line['ms_max']:.0f})", f"{line['wall_ms']:.0f}"]
        if "ratio" in line:
            cells += [f"{line['ratio']:.3f}", f"{line['ratio_min']:.3f}–{line['ratio_max']:.3f}", line["verdict"]]
        table.add_row(*cells)
    return table


def main(arguments: list[str] | None = None) -> int:
    """Command line: contests, batch, rounds, steps of a round, threads, device, precision. Exit 1 when one was refused."""
    parser = argparse.ArgumentParser(prog="python -m benchmark.bench_peers", description=__doc__)
    parser.add_argument("--contests", default=",".join(contest.CONTESTS))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=1, help="of each contestant in a round")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32", help="bfloat16: autocast")
    parser.add_argument("--results", type=Path, default=Path("results"))
    chosen = parser.parse_args(arguments)
    names = chosen.contests.split(",")
    if unknown := set(names) - set(contest.CONTESTS):
        parser.error(f"no contest named {sorted(unknown)}; there are {', '.join(contest.CONTESTS)}")
    torch.set_num_threads(chosen.threads)
    device, precision = torch.device(chosen.device), getattr(torch, chosen.precision)
    compared = GPU if device.type == "cuda" else CPU
    facts = {
        "compared": compared, "batch": chosen.batch, "steps": chosen.steps, "pixels": contest.SIDE, "patch": contest.PATCH,
        "device": device.type, "hardware": cost.hardware(str(device)), "threads": chosen.threads,
        "precision": chosen.precision, "python": platform.python_version(), "torch": torch.__version__,
        "timm": version("timm"),
    }  # fmt: skip
    found = [
        {**line, "version": version(line["package"]), **facts}
        for name in names
        for line in compete(name, chosen, device, precision)
    ]
    frame = pd.DataFrame(found)
    write_bytes(chosen.results / "bench_peers.csv", frame.to_csv(index=False, float_format="%.5g").encode())
    title = f"one training step of {chosen.batch} on {facts['hardware']}, {chosen.threads} threads, {chosen.precision}"
    console = Console()
    (console if console.is_terminal else Console(width=160)).print(show(found, title, compared))
    return int(any(line["status"] == "refused" for line in found))


if __name__ == "__main__":
    sys.exit(main())
