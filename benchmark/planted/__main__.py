"""Planted collapses: SimSiam without stop-gradient, BYOL without predictor, VICReg without its variance term.

``python -m benchmark.planted`` trains every pair on an embedded data set, a few seeds each, prints one table, writes
``results/planted.csv`` and from it ``docs/planted.md``. ``--page`` only writes the page again. Exits with 1 when a run did
not behave as its paper says.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from statistics import mean
from typing import Any

import pandas as pd
import torch
from rich.console import Console

from benchmark import plugin
from benchmark.atomic import write_bytes
from benchmark.planted import arms, table
from benchmark.planted.pairs import PAIRS, rows
from jepakit.pretrain import Training
from jepakit.registry import datasets, methods

PAGE = Path("docs") / "planted.md"


def measured(chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """The lines of all pairs."""
    plugin.everything()
    torch.set_num_threads(1)
    modality = datasets[chosen.dataset].make(None)
    task = modality.tasks[0]
    facts = {
        "dataset": chosen.dataset, "task": task.name, "metric": task.metric,
        "untrained": mean(arms.untrained(modality, seed) for seed in range(chosen.seeds)),
        "steps": chosen.steps, "batch_size": chosen.batch, "lr": chosen.lr, "torch": torch.__version__,
    }  # fmt: skip
    found = []
    for pair in PAIRS:
        settings = {"steps": chosen.steps, "batch_size": chosen.batch, "lr": chosen.lr}
        training = Training(**{**methods[pair.method].info.get("training", {}), **settings})
        both = []
        for seed in range(chosen.seeds):
            intact = arms.train(pair.method, {}, modality, training, seed)
            control = arms.train(pair.method, pair.setting, modality, training, seed)
            both.append((intact, control))
            told = [f"loss {run.loss:.3f}, {run.verdict or 'healthy'}" for run in both[-1]]
            Console(stderr=True).print(f"{pair.method}, seed {seed}: {told[0]} | without {pair.removed}: {told[1]}")
        found += rows(pair, both, facts)
    return found


def main(arguments: list[str] | None = None) -> int:
    """Command line: data set, steps, seeds, where to write."""
    parser = argparse.ArgumentParser(prog="python -m benchmark.planted", description=__doc__)
    parser.add_argument("--dataset", default="ecg/simulated")
    parser.add_argument("--steps", type=int, default=450)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=5e-3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--page", action="store_true", help="only write the page again from the CSV")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--docs", type=Path, default=PAGE, help="the page")
    chosen = parser.parse_args(arguments)
    path = chosen.results / "planted.csv"
    if not chosen.page:
        text = pd.DataFrame(measured(chosen)).to_csv(index=False, float_format="%.5g")
        write_bytes(path, text.encode())
    lines = table.read(path)
    write_bytes(chosen.docs, table.page(lines).encode())
    console = Console()
    (console if console.is_terminal else Console(width=180)).print(table.table(lines))
    return int(not table.all_as_told(lines))


if __name__ == "__main__":
    sys.exit(main())
