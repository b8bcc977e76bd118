"""Pairs: a method, the part taken away, what its paper saw without it, and the rule that decides whether a run shows that.

The controls are settings that the recipes offer for this purpose. The rules were written from the papers alone, before any
run. One was divided since: SimSiam's control had to lose directions *and* bring its loss to −.99 to count. Here it loses
most of its directions, but no rate or length that was tried brought the loss to that floor: where one direction is left it
is a sign, which some pairs of views disagree on. So the two are counted apart, each by its rule of old.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median, mode
from typing import Any

FEWER = 1.5  # an intact projection spans this many times the directions of a collapsed one
INTACT = "no collapse"
MEANS = ("std_mean", "std_min", "rankme", "mean_cosine", "z_std", "z_rank", "score", "loss")


@dataclass(frozen=True)
class Pair:
    """``setting`` takes ``removed`` away.

    floor: what the loss comes down to without it and stays above with it, where the paper says so; directions: a projection
    that a BatchNorm keeps from becoming constant may lose directions instead.
    """

    method: str
    setting: Mapping[str, Any]
    removed: str
    expected: str
    source: str
    floor: float | None = None
    directions: bool = False


PAIRS = (
    Pair(
        "simsiam",
        {"stop_gradient": False},
        "stop-gradient",
        "the loss reaches its minimum −1 and the normalised projections lose their spread (to few directions where the "
        "projector ends in a BatchNorm)",
        "Chen & He 2021, figure 2",
        floor=-0.99,
        directions=True,
    ),
    Pair(
        "byol",
        {"predictor": False},
        "predictor",
        "features or projections are alike for all samples",
        "Grill et al. 2020, ablation of predictor and target network",
    ),
    Pair(
        "vicreg",
        {"variance": 0.0},
        "variance term",
        "features or projections are alike for all samples",
        "Bardes et al. 2022, ablation of the three terms",
    ),
)


@dataclass(frozen=True)
class Run:
    """How one run ended.

    std_*: of pooled features, relative to their root mean square; z_std: mean standard deviation of the normalised
    projections times √width (about 1 when spread, 0 when alike); z_rank: directions that they span; verdict: of the
    suite's own rule, None when healthy; score: of a linear probe behind the encoder; loss: mean of the last steps.
    """

    std_mean: float
    std_min: float
    rankme: float
    mean_cosine: float
    z_std: float
    z_rank: float
    verdict: str | None
    collapse_step: int | None
    score: float
    loss: float


def as_told(pair: Pair, intact: Run, control: Run) -> tuple[bool, bool]:
    """Whether (the intact run stayed healthy, the control collapsed) as the paper says, at one seed."""
    lost = control.verdict is not None or (pair.directions and control.z_rank * FEWER < intact.z_rank)
    return intact.verdict is None, lost


def at_floor(pair: Pair, intact: Run, control: Run) -> tuple[bool, bool] | None:
    """Whether (the intact run stayed above the floor, the control reached it), at one seed; None where there is none."""
    return None if pair.floor is None else (intact.loss > pair.floor, control.loss <= pair.floor)


def rows(pair: Pair, arms: Sequence[tuple[Run, Run]], facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The two lines of a pair from its (intact, control) runs, one per seed: means, the most frequent verdict, the median
    step of collapse, and how many runs behaved as told. ``facts`` stand behind them."""
    told = [as_told(pair, *both) for both in arms]
    floors = [found for both in arms if (found := at_floor(pair, *both)) is not None]
    lines = []
    for arm in (0, 1):
        runs = [both[arm] for both in arms]
        steps = [run.collapse_step for run in runs if run.collapse_step is not None]
        line = {
            "method": pair.method,
            "control": f"without {pair.removed}" if arm else "intact",
            "removed": pair.removed if arm else "",
            "expected": pair.expected if arm else INTACT,
            "source": pair.source,
            "seeds": len(runs),
            "as_expected": sum(both[arm] for both in told),
            "loss_as_expected": sum(both[arm] for both in floors) if floors else None,
            "collapsed": sum(run.verdict is not None for run in runs),
            "verdict": mode((run.verdict or "healthy").split(":")[0] for run in runs),
            "collapse_step": int(median(steps)) if steps else None,
        }
        lines.append({**line, **{name: mean(getattr(run, name) for run in runs) for name in MEANS}, **facts})
    return lines
