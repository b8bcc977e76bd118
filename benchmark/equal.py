"""Equal: how many steps a row takes on a board of equal FLOPs or equal seconds, from what a step of it costs.

Such a board gives every row what the reference row (``budget.REFERENCE``) costs with the steps of the preset: FLOPs are
counted (``flops``) and the same everywhere, so the same request always plans the same cells; seconds are measured once on
this hardware, kept in ``results/.speed`` and rounded, so that a board can be resumed and extended. The steps enter a cell
as the override ``budget.steps`` and with it the record; recipes and schedules see them like any other number of steps.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmark import cost, flops
from benchmark.atomic import write_bytes
from benchmark.budget import STEPS
from benchmark.cell import Cell
from benchmark.lock import locked
from jepakit import pretrain
from jepakit.modality import Modality
from jepakit.registry import methods
from jepakit.schedules import stage_of
from jepakit.types import DataError, UsageError

LEAST = 10  # steps; below, a schedule with its warm-up means nothing
TIMED = 24  # steps that are timed, more where a stage is short


class Equal:
    """The steps of every row of one data set under one budget word.

    ``reference``: the reference row's cell, unscaled; ``modality`` as cells train on it; ``remember``: keep what was
    measured. Raises UsageError where the reference row cannot run on this data set.
    """

    def __init__(
        self, reference: Cell, modality: Modality, results: Path, *, device: str = "auto", threads: int | None = None,
        remember: bool = True,
    ) -> None:  # fmt: skip
        self.modality, self.results, self.remember = modality, results, remember
        self.device = pretrain.hardware()[0] if device == "auto" else device
        self.threads = threads or (1 if self.device == "cpu" else torch.get_num_threads())
        self.reference = reference
        self.timed: dict[Path, float] = {}  # what this plan has measured, kept or not
        try:
            self.allowed = self._price(reference) * reference.training.steps
        except DataError:
            raise
        except UsageError as error:
            raise UsageError(
                f"budget={reference.budget} measures rows by '{reference.method}', which cannot run on "
                f"{reference.name} ({error}); use train.steps instead"
            ) from error

    def words(self, cell: Cell) -> dict[str, str]:
        """The override that gives ``cell`` its steps; none for a row that takes no step and for the reference row.

        Raises UsageError when the row cannot be measured or would take fewer than ``LEAST`` steps.
        """
        if methods[cell.method].info.get("family") == "reference":
            return {}
        steps = self.allowed / self._price(cell)
        if cell.budget == "seconds" and steps != cell.training.steps:  # the reference row itself keeps its steps
            steps = rounded(steps)
        whole = round(steps)
        if whole < LEAST:
            raise UsageError(
                f"method '{cell.method}' on {cell.name} would take {whole} steps for the {cell.budget} of "
                f"{self.reference.training.steps} steps of '{self.reference.method}'; raise train.steps or leave it out"
            )
        return {} if whole == cell.training.steps else {STEPS: str(whole)}

    def _price(self, cell: Cell) -> float:
        """What one optimiser step costs: GFLOP or seconds."""
        try:
            if cell.budget == "flops":
                found = flops.of(cell, self.modality, self.results, remember=self.remember).gflop_step
                price = found * cell.training.batch_size * cell.training.accumulate
            else:
                price = self._seconds(cell)
        except UsageError:
            raise
        except Exception as error:
            text = " ".join(str(error).split())[:200]
            raise UsageError(
                f"a step of method '{cell.method}' on {cell.name} cannot be measured for budget={cell.budget} "
                f"({type(error).__name__}: {text}); leave it out or use budget=samples"
            ) from error
        if not price:
            raise UsageError(f"a step of method '{cell.method}' costs no {cell.budget}; leave it out")
        return price

    def _seconds(self, cell: Cell) -> float:
        """Seconds per step, measured once for this row on this hardware. Two processes that ask at once measure once."""
        place = {"device": self.device, "hardware": cost.hardware(self.device), "threads": self.threads}
        plan = {"batch_size": cell.training.batch_size, "accumulate": cell.training.accumulate}
        path = self.results / ".speed" / f"{flops.row_key(cell, **plan, **place)}.json"
        if not self.remember:
            if path not in self.timed:
                self.timed[path] = _read(path) or step_seconds(cell, self.modality, self.device, self.threads)
            return self.timed[path]
        with locked(self.results / ".runs" / f"speed-{path.stem}.lock", remove=True):
            found = _read(path)
            if found is None:
                found = step_seconds(cell, self.modality, self.device, self.threads)
                facts = {"step_s": found, "method": cell.method, "dataset": cell.name, **plan, **place}
                write_bytes(path, json.dumps(facts, sort_keys=True, indent=1).encode())
        return found


def _read(path: Path) -> float | None:
    try:
        found = json.loads(path.read_bytes())["step_s"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return float(found) if isinstance(found, float) and found > 0 else None


def rounded(steps: float) -> int:
    """To two significant digits, which is more than a clock can tell; halves go to the even digit."""
    unit = 10 ** max(0, math.floor(math.log10(steps)) - 1) if steps >= 1 else 1
    return round(steps / unit) * unit


def step_seconds(cell: Cell, modality: Modality, device: str, threads: int) -> float:
    """Seconds of one optimiser step of the suite's own loop: the median in every stage, weighted by their shares."""
    objective = pretrain.build(cell.method, modality, cell.size, flops.SEED, dict(cell.settings))
    stages = objective.stages
    steps = max(TIMED, math.ceil(4 / min(stages)))
    marks: list[float] = []
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        pretrain.fit(
            objective,
            modality,
            replace(cell.training, steps=steps),
            seed=flops.SEED,
            device=device,
            watch=lambda step, losses, trained: marks.append(time.perf_counter()),
            watch_every=1,
        )
    finally:
        torch.set_num_threads(before)
    # The first step also sets things up; mark i is taken at the end of step i.
    gaps = [(stage_of(i / steps, stages)[0], marks[i] - marks[i - 1]) for i in range(1, steps)]
    medians = [float(np.median([gap for stage, gap in gaps if stage == number])) for number in range(len(stages))]
    return sum(share * median for share, median in zip(stages, medians, strict=True))
