"""What a path of penalties costs: the ridge and logistic probes against scikit-learn's LogisticRegression.

``python -m benchmark.bench_probes`` prints a table and writes ``results/bench_probes.csv``. All see the same synthetic
features (power-law spectrum within classes, so the logistic optimum is ill-conditioned as it is for real features), one
thread, denormals flushed. They take turns round by round and are compared by the median over rounds, because machines are
noisy. Timed is all that a probe does: standardise, solve every penalty, score validation for each, choose.

Speed is compared with scikit-learn at its default tolerance, accuracy with scikit-learn at TIGHT: at its default a warm
start on weak penalties counts as converged after no step at all. ``accuracy_gap`` is the largest difference in test
accuracy to that reference at equal penalties, over the whole path.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import threadpoolctl
import torch
from rich.console import Console
from rich.table import Table
from sklearn.linear_model import LogisticRegression

from benchmark.atomic import write_bytes
from benchmark.probes import logreg, ridge
from benchmark.probes.base import Choice, Fitted, standardise, standardiser
from jepakit.registry import probes
from jepakit.types import Task

REFERENCE, EXACT = "scikit-learn", "scikit-learn, tight"
DEFAULT, TIGHT = 1e-4, 1e-6  # scikit-learn's tolerance
Rows = tuple[np.ndarray, np.ndarray]


def features(classes: int, dim: int, sizes: tuple[int, ...]) -> list[Rows]:
    """(features, labels) of train, validation and test: Gaussian classes with variances 1/rank in a rotated basis."""
    rng = np.random.default_rng(classes)
    spread = np.arange(1, dim + 1) ** -0.5
    rotation = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    centres = (0.12 if classes <= 10 else 0.2) * spread * rng.normal(size=(classes, dim))
    parts = []
    for n in sizes:
        label = rng.integers(0, classes, n)
        parts.append((((centres[label] + spread * rng.normal(size=(n, dim))) @ rotation).astype(np.float32), label))
    return parts


def scikit_path(x: np.ndarray, label: np.ndarray, tolerance: float) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """(factor, weight, bias) of scikit-learn's warm L-BFGS path over the penalties of ``logreg``."""
    model = LogisticRegression(solver="lbfgs", warm_start=True, max_iter=20_000, tol=tolerance)
    for factor in logreg.FACTORS:
        model.set_params(C=1 / (len(x) * factor * float(np.square(x).mean()))).fit(x, label)
        yield factor, model.coef_.T.copy(), model.intercept_.copy()


def scikit(train: Rows, val: Rows, task: Task, tolerance: float = DEFAULT) -> Fitted:
    """That path, chosen on validation."""
    mean, inverse = standardiser(train[0])
    x, held = standardise(train[0], mean, inverse), standardise(val[0], mean, inverse)
    choice: Choice[Rows] = Choice(task, val[1])
    for factor, weight, bias in scikit_path(x, train[1], tolerance):
        choice.offer({"penalty": factor}, (weight, bias), held @ weight + bias)
    weight, bias = choice.best()
    return Fitted(choice.chosen, choice.score, lambda rows: standardise(rows, mean, inverse) @ weight + bias)


def gap(train: Rows, test: Rows) -> float:
    """Largest difference in test accuracy between ``logreg`` and tight scikit-learn at the same penalty."""
    mean, inverse = standardiser(train[0])
    x, fresh = standardise(train[0], mean, inverse), standardise(test[0], mean, inverse)
    target = np.eye(int(train[1].max()) + 1, dtype=np.float32)[train[1]]

    def accuracy(weight: np.ndarray, bias: np.ndarray) -> float:
        return float(((fresh @ weight + bias).argmax(1) == test[1]).mean())

    pairs = zip(logreg.path(x, target, False), scikit_path(x, train[1], TIGHT), strict=True)
    return max(abs(accuracy(one.weight, one.bias) - accuracy(*other[1:])) for one, other in pairs)


def measure(classes: int, dim: int, sizes: tuple[int, ...], rounds: int) -> list[dict[str, Any]]:
    """One row per contestant at this number of classes."""
    train, val, test = features(classes, dim, sizes)
    task = Task("bench", "class", "accuracy", tuple(map(str, range(classes))))

    def probe(name: str) -> Callable[[], Fitted]:
        return lambda: probes[name].make().fit(*train, *val, task, 0)

    contestants: dict[str, tuple[int, Callable[[], Fitted]]] = {
        "ridge": (len(ridge.FACTORS), probe("ridge")),
        "logreg": (len(logreg.FACTORS), probe("logreg")),
        REFERENCE: (len(logreg.FACTORS), lambda: scikit(train, val, task)),
    }
    cpu: dict[str, list[float]] = {name: [] for name in contestants}
    wall: dict[str, list[float]] = {name: [] for name in contestants}
    fitted: dict[str, Fitted] = {}
    for _ in range(rounds):
        for name, (_, fit) in contestants.items():
            began = time.process_time(), time.perf_counter()
            fitted[name] = fit()
            cpu[name].append(time.process_time() - began[0])
            wall[name].append(time.perf_counter() - began[1])
    began = time.process_time(), time.perf_counter()
    fitted[EXACT] = scikit(train, val, task, TIGHT)
    cpu[EXACT], wall[EXACT] = [time.process_time() - began[0]], [time.perf_counter() - began[1]]
    gaps = {"logreg": gap(train, test)}
    penalties = {name: count for name, (count, _) in contestants.items()} | {EXACT: len(logreg.FACTORS)}
    return [
        {
            "classes": classes,
            "probe": name,
            "penalties": penalties[name],
            "rounds": len(cpu[name]),
            "cpu_s": float(np.median(cpu[name])),
            "cpu_s_max": float(np.max(cpu[name])),
            "wall_s": float(np.median(wall[name])),
            "speedup_cpu": float(np.median(cpu[REFERENCE]) / np.median(cpu[name])),
            "speedup_wall": float(np.median(wall[REFERENCE]) / np.median(wall[name])),
            "test_accuracy": float((fitted[name].predict(test[0]).argmax(1) == test[1]).mean()),
            "accuracy_gap": gaps.get(name),
            "chosen_penalty": float(fitted[name].chosen["penalty"]),
        }
        for name in fitted
    ]


def denormals(dim: int, rows: int, classes: int, rounds: int) -> list[dict[str, Any]]:
    """One evaluation of loss and gradient on confident rows (logits of deviation 20), with and without flushing."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(rng.normal(size=(rows, dim)).astype(np.float32))
    loss = logreg.Loss(x, np.eye(classes, dtype=np.float32)[rng.integers(0, classes, rows)], False, np.ones(rows))
    weight = 20 * rng.normal(size=(classes, dim + 1)) / np.sqrt(dim)
    cpu: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(rounds):
        for flush, seconds in cpu.items():
            torch.set_flush_denormal(flush)
            began = time.process_time()
            loss(weight)
            seconds.append(time.process_time() - began)
    torch.set_flush_denormal(True)
    slow, fast = float(np.median(cpu[False])), float(np.median(cpu[True]))
    return [
        {"classes": classes, "probe": f"one loss, denormals {word}", "rounds": rounds, "cpu_s": seconds,
         "speedup_cpu": slow / seconds}
        for word, seconds in (("flushed", fast), ("kept", slow))
    ]  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    """Command line: numbers of classes, width, rows, rounds, where to write."""
    parser = argparse.ArgumentParser(prog="python -m benchmark.bench_probes", description=__doc__)
    parser.add_argument("--classes", default="10,100")
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--rows", default="10000,2000,5000", help="of train, validation and test")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--results", type=Path, default=Path("results"))
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    sizes = tuple(int(n) for n in chosen.rows.split(","))
    counts = [int(n) for n in chosen.classes.split(",")]
    with threadpoolctl.threadpool_limits(1):
        rows = [row for classes in counts for row in measure(classes, chosen.dim, sizes, chosen.rounds)]
        rows += denormals(chosen.dim, sizes[0], max(counts), 5)
    frame = pd.DataFrame(rows)
    write_bytes(chosen.results / "bench_probes.csv", frame.to_csv(index=False, float_format="%.5g").encode())
    about = f"{sizes[0]:,} × {chosen.dim} features, one thread, median of {chosen.rounds} interleaved rounds"
    table = Table(title=f"{about}; against {REFERENCE}")
    for name in ("classes", "probe", "penalties", "cpu s", "wall s", "× cpu", "× wall", "test accuracy", "gap"):
        table.add_column(name, justify="left" if name == "probe" else "right")
    shown = ("cpu_s", "wall_s", "speedup_cpu", "speedup_wall", "test_accuracy", "accuracy_gap")
    for row in rows:
        cells = [f"{row[name]:.4g}" if row.get(name) is not None else "" for name in shown]
        table.add_row(str(row["classes"]), str(row["probe"]), str(row.get("penalties", "")), *cells)
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
