"""What a training step costs beside the objective: the suite's loop against a bare loop over the same objective.

``python -m benchmark.overhead`` prints the shares and writes ``results/overhead.csv``. Both loops see the same batches,
draws and optimiser, take turns round by round, and are compared by the median over rounds, because machines are noisy.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

import baselines  # noqa: F401 - registers
import jepakit.methods  # noqa: F401 - registers
import modalities  # noqa: F401 - registers
from benchmark.atomic import write_bytes
from benchmark.budget import preset
from jepakit.modality import Modality
from jepakit.pretrain import Training, build, decay_groups, fit
from jepakit.randomness import batch_index, reseed
from jepakit.registry import datasets, methods
from jepakit.types import Size


def bare(method: str, modality: Modality, size: Size, training: Training) -> dict[str, float]:
    """Milliseconds per step of a plain loop, in all and by part."""
    objective = build(method, modality, size, 0).train()
    data = modality.data("train")
    decayed, kept = decay_groups(objective)
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": training.weight_decay[0]}, {"params": kept, "weight_decay": 0.0}],
        lr=training.lr, betas=training.betas, eps=training.eps, fused=True,
    )  # fmt: skip
    parts = {"data": 0.0, "forward": 0.0, "backward": 0.0, "update": 0.0}
    began = time.perf_counter()
    for step in range(training.steps):
        reseed(0, step)
        marks = [time.perf_counter()]
        batch = modality.crop(data.batch(batch_index(0, step, len(data), training.batch_size)))
        marks.append(time.perf_counter())
        optimizer.zero_grad(set_to_none=True)
        loss = objective(batch, step / training.steps).total
        marks.append(time.perf_counter())
        loss.backward()
        marks.append(time.perf_counter())
        optimizer.step()
        objective.after_step(step / training.steps)
        marks.append(time.perf_counter())
        for name, duration in zip(parts, np.diff(marks), strict=True):
            parts[name] += float(duration)
    total = time.perf_counter() - began
    return {name: 1e3 * value / training.steps for name, value in {**parts, "total": total}.items()}


def suite(method: str, modality: Modality, size: Size, training: Training) -> float:
    """Milliseconds per step of ``jepakit.pretrain.fit``: the whole call, Trainer set-up included."""
    objective = build(method, modality, size, 0)
    began = time.perf_counter()
    fit(objective, modality, training, seed=0, device="cpu")
    return 1e3 * (time.perf_counter() - began) / training.steps


def measure(method: str, modality: Modality, budget: str, steps: int, rounds: int) -> dict[str, float | str | int]:
    """One row: medians over interleaved rounds after one warm-up round of each loop."""
    chosen = preset(budget)
    size = replace(chosen.size, steps=steps)
    overrides = {**chosen.training, **methods[method].info.get("training", {}), "steps": steps}
    training = Training(**overrides)
    plain, ours = [], []
    for turn in range(rounds + 1):
        pair = bare(method, modality, size, training), suite(method, modality, size, training)
        if turn:
            plain.append(pair[0])
            ours.append(pair[1])
    row = {f"bare_{name}_ms": float(np.median([p[name] for p in plain])) for name in plain[0]}
    overhead = float(np.median([o / p["total"] - 1 for o, p in zip(ours, plain, strict=True)]))
    return {
        "method": method, "dataset": f"{modality.name}/{modality.dataset}",
        "preset": budget, "steps": steps, "rounds": rounds,
        **row, "suite_ms": float(np.median(ours)), "overhead": overhead,
        "objective_share": row["bare_forward_ms"] / row["bare_total_ms"] / (1 + overhead)
        + row["bare_backward_ms"] / row["bare_total_ms"] / (1 + overhead),
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Command line: methods, data set, preset, steps, rounds, where to write."""
    parser = argparse.ArgumentParser(prog="python -m benchmark.overhead", description=__doc__)
    parser.add_argument("--methods", default="ecgjepa,ijepa,lejepa,mae,simclr")
    parser.add_argument("--dataset", default="ecg/simulated")
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--results", type=Path, default=Path("results"))
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    modality = datasets[chosen.dataset].make(None)
    modality.data("train")
    rows = [measure(m, modality, chosen.preset, chosen.steps, chosen.rounds) for m in chosen.methods.split(",")]
    frame = pd.DataFrame(rows)
    write_bytes(chosen.results / "overhead.csv", frame.to_csv(index=False, float_format="%.4f").encode())
    table = Table(title=f"ms per step, one thread, median of {chosen.rounds} interleaved rounds")
    shown = [
        "method",
        "bare_data_ms",
        "bare_forward_ms",
        "bare_backward_ms",
        "bare_update_ms",
        "bare_total_ms",
        "suite_ms",
    ]
    for name in (*shown, "overhead", "objective"):
        table.add_column(name.replace("bare_", "").replace("_ms", ""), justify="left" if name == "method" else "right")
    for row in rows:
        cells = [str(row["method"]), *(f"{float(row[name]):.2f}" for name in shown[1:])]
        table.add_row(*cells, f"{float(row['overhead']):+.1%}", f"{float(row['objective_share']):.1%}")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
