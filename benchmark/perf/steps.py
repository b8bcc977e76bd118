"""Steps: one line per method and data set: what a step costs, against a bare loop and against the reference kernel."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from benchmark import cost, flops, request
from benchmark.cell import Cell, resolve
from benchmark.perf import loops
from benchmark.perf.loops import Where
from benchmark.subset import limited
from jepakit import pretrain
from jepakit.modality import Modality
from jepakit.registry import datasets
from jepakit.types import UsageError

FILE = "perf_steps.csv"
KEYS = ["dataset", "method", "preset", "device", "threads"]
SLOWER = 1.25  # a ratio that grew by more than this is a regression: rounds of one machine differ by up to a tenth


def rows(modality: str, wanted: Sequence[str] | None, preset: str) -> list[tuple[Cell, Modality]]:
    """The cells of the first default data set of a modality: the rows of its board, or those ``wanted``, that take steps.

    Raises UsageError for unknown names, and where none of ``wanted`` can run.
    """
    words = [modality, f"preset={preset}", *([f"method={','.join(wanted)}"] if wanted else [])]
    asked = request.parse(words)
    name = f"{modality}/{asked.datasets[0]}"
    found, data, refused = [], datasets[name].make(None), None
    for method in asked.rows(name):
        cell = resolve(name, method, preset, 0, {}, {})
        own = limited(data, cell.limit)
        try:
            objective = pretrain.build(method, own, cell.size, 0, dict(cell.settings))
        except UsageError as error:
            refused = error
            continue
        if objective.trains:
            found.append((cell, own))
    if refused is not None and not found:
        raise refused
    return found


def measure(
    cell: Cell, modality: Modality, where: Where, rounds: int, reference: Callable[[], float]
) -> dict[str, Any]:
    """One line: medians over rounds of milliseconds, and of ratios that are taken round by round."""
    cell = loops.steps_for(cell, modality, where)
    found, peak = loops.turns(cell, modality, where, rounds, reference)
    counted = flops.measure(cell, modality)
    suite = np.array([turn.suite.step_ms for turn in found])
    kernel, bare = np.array([turn.reference for turn in found]), np.array([turn.bare for turn in found])
    rate = np.median([loops.peak_gflops(turn.reference, where) for turn in found])
    step = float(np.median(suite[:, 0]))
    samples = cell.training.batch_size * cell.training.accumulate
    speed = counted.gflop_step * samples / step * 1e3
    return {
        "dataset": cell.name, "method": cell.method, "preset": cell.preset, "device": where.device,
        "batch": samples, "tokens": math.prod(modality.grid), "steps": cell.training.steps, "rounds": rounds,
        "suite_ms": step, "suite_p95_ms": np.median(suite[:, 1]), "bare_ms": np.median(bare),
        **{f"{part}_ms": np.median([turn.parts[part] for turn in found]) for part in found[0].parts},
        "reference_ms": np.median(kernel), "ratio": np.median(suite[:, 0] / kernel),
        "overhead": np.median(suite[:, 0] / bare) - 1, "data_wait": np.median([turn.suite.data_wait for turn in found]),
        "samples_per_s": samples / step * 1e3, "tokens_per_s": samples * math.prod(modality.grid) / step * 1e3,
        "gflop_per_sample": counted.gflop_step, "gflops": speed, "peak_gflops": rate, "mfu": speed / rate,
        "peak_mib": peak,
    }  # fmt: skip


def regressions(now: pd.DataFrame, then: pd.DataFrame) -> pd.DataFrame:
    """Lines of ``now`` whose ratio to the reference kernel is known from before on the same kind of machine: ``before``,
    ``after`` and ``slower`` (more than SLOWER times the ratio of before).

    Raises UsageError where no line is known.
    """
    both = now.merge(then, on=[*KEYS, "hardware"], suffixes=("", "_then"))
    if both.empty:
        raise UsageError(
            "no line of these rows was measured on this hardware before; run `make bench-perf` and keep its CSV"
        )
    out = both[["dataset", "method"]].assign(before=both["ratio_then"], after=both["ratio"])
    return out.assign(slower=out["after"] > SLOWER * out["before"])


def facts(where: Where, threads: int) -> dict[str, Any]:
    """What all lines of one run share."""
    found = cost.versions()
    return {
        "threads": threads, "precision": where.precision, "hardware": cost.hardware(where.device), "torch": found["torch"],
    }  # fmt: skip
