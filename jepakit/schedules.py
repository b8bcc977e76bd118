"""Schedules as pure functions of progress: the only clock of the library, so that any run length works."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

Schedule = Callable[[float], float]


def constant(value: float) -> Schedule:
    """The same value throughout."""
    return lambda progress: value


def linear(start: float, end: float) -> Schedule:
    """From ``start`` at progress 0 to ``end`` at progress 1."""
    return lambda progress: start + progress * (end - start)


def cosine(start: float, end: float) -> Schedule:
    """Half a cosine from ``start`` at progress 0 to ``end`` at progress 1."""
    return lambda progress: end + 0.5 * (start - end) * (1 + math.cos(math.pi * progress))


def warmup_cosine(start: float, peak: float, end: float, warmup: float) -> Schedule:
    """Linear from ``start`` to ``peak`` over the first ``warmup`` of the run, then half a cosine to ``end``."""
    decay = cosine(peak, end)

    def value(progress: float) -> float:
        if progress < warmup:
            return start + progress / warmup * (peak - start)
        return decay((progress - warmup) / (1 - warmup)) if warmup < 1 else peak

    return value


def stage_of(progress: float, stages: Sequence[float]) -> tuple[int, float, float]:
    """(number of the stage that ``progress`` lies in, where it begins, its share); ``stages`` are shares adding up to 1."""
    begin = 0.0
    for number, share in enumerate(stages):
        if progress < begin + share - 1e-9 or number == len(stages) - 1:
            return number, begin, share
        begin += share
    raise ValueError("a run has at least one stage")


def momentum(start: float, end: float, steps: int, shape: Callable[[float, float], Schedule] = linear) -> Schedule:
    """EMA momentum from ``start`` to ``end`` (``shape``: linear or cosine), ``start`` lowered to 1 − 10/steps in short runs.

    With a paper's start of .996 the teacher of a 400-step run would still be 45 % random network at its end; under
    2,500 steps the start is chosen so that the initial weights keep about e^-5.
    """
    return shape(min(start, max(0.0, 1 - 10 / steps)), end)
