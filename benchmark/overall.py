"""Overall: methods across data sets and modalities, on the headline task of each with the published probe.

A cell is the board of one data set under one preset without overrides (of one that was run both by folds and by a single
split: the board with more fresh rows, then that of the folds); rows are methods as published (no variant) with
fresh scores. Tuned rows (variant ``tuned``) have standings of their own, with the references that cannot be tuned.
Modalities weigh the same, and data sets the same within a modality. The headline is the normalised score
(``benchmark.normalised``) over the data sets that have that scale. A missing or failed cell counts 0, what an untrained
encoder gets, and ranks last: leaving out a hard data set gains nothing; ``normalised_present`` and ``coverage`` stand
beside it. Data sets that say ``aside`` were made for one claim and are no part of it. Intervals take the data sets as given
and redraw seeds and test units of each by itself; within a data set all methods see the same draws.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.special import expit
from scipy.stats import rankdata, trim_mean

from benchmark import folds, metrics, tuned
from benchmark.board import Board
from benchmark.lines import CEILING, FLOOR, Line, Measure, Number
from benchmark.normalised import ratio
from benchmark.stats import RESAMPLES, Resampled, joint, percentiles
from jepakit.registry import datasets
from jepakit.types import UsageError

PROBE = "linear"
RIDGE = 1.0
BT_RESAMPLES = 200  # each is an optimisation


@dataclass(frozen=True)
class Standing:
    """One line of ``results/leaderboard.csv``, its fields in column order; None is an empty cell.

    iqm: mean of the middle half of the normalised scores of all runs; worst: lowest normalised score of a data set;
    win_rate: share of data sets and other methods whose mean is beaten; bt: strength in log-odds, regularised
    Bradley-Terry. hpo_trials: fewest trials of tuning on a data set, 0 for methods as published.
    n_datasets, n_modalities: where the method has a score; n_scaled: data sets that have a normalised score at all.
    """

    rank: int | None
    method: str
    family: str
    preset: str
    normalised: Number
    normalised_lo: Number
    normalised_hi: Number
    normalised_present: Number
    mean_rank: Number
    mean_rank_lo: Number
    mean_rank_hi: Number
    iqm: Number
    worst: Number
    worst_dataset: str
    win_rate: Number
    bt: Number
    bt_lo: Number
    bt_hi: Number
    n_datasets: int
    n_scaled: int
    n_modalities: int
    coverage: float
    hpo_trials: int
    reference: bool


def headline(measure: Measure) -> bool:
    """Whether this is what a data set contributes."""
    return not (measure.nuisance or measure.minor or measure.extra) and measure.probe == PROBE


@dataclass(frozen=True)
class _Cell:
    """One data set. Scores and draws are turned so that more is better; ``scale``: floor and ceiling, if there is one."""

    modality: str
    dataset: str
    lines: Mapping[str, Line]
    runs: Mapping[str, Mapping[int, float]]
    draws: Mapping[str, np.ndarray]
    metric: metrics.Metric
    weight: float = 0.0
    scale: tuple[float, float] | None = None
    scores: Mapping[str, float] = field(default_factory=dict)

    def normal(self, score: float) -> float:
        assert self.scale is not None
        return (score - self.scale[0]) / (self.scale[1] - self.scale[0])


def overall(boards: Sequence[Board]) -> list[Standing]:
    """The standings of every preset, as published, then tuned, each by rank with references last."""
    chosen: dict[tuple[str, str, str, str], tuple[int, int, str, _Cell]] = {}
    for board in boards:
        for variant in ("", tuned.WORD):
            cell = None if board.budget or aside(board.modality, board.dataset) else _cell(board, variant)
            if cell is None:
                continue
            # Of two versions of the data the one with more fresh rows is today's.
            place = board.preset, variant, board.modality, folds.origin(board.modality, board.dataset)
            order = len(cell.lines), board.folds, board.data
            if place not in chosen or order > chosen[place][:-1]:
                chosen[place] = (*order, cell)
    out = []
    for group in sorted({place[:2] for place in chosen}):
        cells = [chosen[place][-1] for place in sorted(chosen) if place[:2] == group]
        sizes = Counter(cell.modality for cell in cells)
        out += _standings(group[0], [replace(c, weight=1 / (len(sizes) * sizes[c.modality])) for c in cells])
    return out


def aside(modality: str, dataset: str) -> bool:
    """Whether a data set says that it is none to rank methods on (``modalities.controlled``); False for an unknown one."""
    name = f"{modality}/{dataset}"
    try:
        return name in datasets and bool(getattr(datasets[name].make, "aside", False))
    except UsageError:  # a family that has no such member
        return False


def compared(board: Board) -> bool:
    """Whether a board is there to rank methods: not one of data made for a claim, nor one that a single method has under a
    budget of its own, as arms of claims have. Their figures are the claim's, their rows are in the CSV."""
    alone = len({one["method"] for one in board.records}) == 1
    return not aside(board.modality, board.dataset) and not (board.budget and alone)


def _cell(board: Board, variant: str) -> _Cell | None:
    measure = next((m for m in board.measures if headline(m)), None)
    if measure is None:
        return None
    metric = metrics.get(measure.base)
    sign = 1 if metric.higher_is_better else -1
    lines = {
        x.method: x
        for x in board.of(measure)
        if x.variant == (variant if x.family != "reference" else "") and not (x.stale or x.mean is None)
    }
    if not any(not line.reference for line in lines.values()):
        return None
    known: dict[str, Resampled] = {
        name: board.sampled[measure][name, line.variant]
        for name, line in lines.items()
        if (name, line.variant) in board.sampled[measure]
    }
    draws: dict[str, np.ndarray] = {}
    if known:
        drawn = sign * joint(list(known.values()))
        # An own order for every data set: the same seed on two data sets is not the same luck.
        rng = np.random.default_rng(zlib.crc32(f"{board.modality}/{board.dataset}".encode()))
        drawn = drawn[rng.integers(len(drawn), size=RESAMPLES)]
        draws = dict(zip(known, drawn.T, strict=True))
    runs = {name: dict(zip(row.seeds, sign * row.values, strict=True)) for name, row in known.items()}
    scores = {name: sign * float(line.mean or 0.0) for name, line in lines.items()}
    ends = scores.get(FLOOR), scores.get(CEILING)
    scale = None
    if ends[0] is not None and ends[1] is not None and ends[1] > ends[0]:
        low, high = (draws.get(name) for name in (FLOOR, CEILING))
        # Turned draws: more is better, whatever the metric says.
        if low is None or high is None or len(ratio(low, low, high, replace(metric, higher_is_better=True))):
            scale = ends[0], ends[1]
    return _Cell(board.modality, board.dataset, lines, runs, draws, metric, scale=scale, scores=scores)


def _standings(preset: str, cells: Sequence[_Cell]) -> list[Standing]:
    first = {name: line for cell in reversed(cells) for name, line in cell.lines.items()}
    entrants = sorted(name for name, line in first.items() if not line.reference)
    ranks, lows, highs = _ranks(entrants, cells)
    rates, strengths = _rates(entrants, cells), bradley_terry(_wins(entrants, cells))
    weakest, strongest = _strengths(entrants, cells)
    out = []
    for name, line in first.items():
        present = [cell for cell in cells if name in cell.lines]
        standing = Standing(
            rank=None, method=name, family=line.family, preset=preset, **_scaled(name, cells),  # type: ignore[arg-type]
            mean_rank=None, mean_rank_lo=None, mean_rank_hi=None, win_rate=None, bt=None, bt_lo=None, bt_hi=None,
            n_datasets=len(present), hpo_trials=min(cell.lines[name].hpo_trials for cell in present),
            n_scaled=sum(cell.scale is not None for cell in cells),
            n_modalities=len({cell.modality for cell in present}), coverage=len(present) / len(cells),
            reference=line.reference,
        )  # fmt: skip
        if name in entrants:
            i = entrants.index(name)
            standing = replace(
                standing, mean_rank=float(ranks[i]), mean_rank_lo=_finite(lows[i]), mean_rank_hi=_finite(highs[i]),
                win_rate=None if rates is None else float(rates[i]), bt=float(strengths[i]),
                bt_lo=_finite(weakest[i]), bt_hi=_finite(strongest[i]),
            )  # fmt: skip
        out.append(standing)

    def place(one: Standing) -> tuple[float, float]:  # best first, as it is printed: no rank from hidden digits
        return -round(one.normalised or 0.0, 4), round(one.mean_rank or 0.0, 4)

    places = sorted(place(one) for one in out if not one.reference)
    out = [one if one.reference else replace(one, rank=places.index(place(one)) + 1) for one in out]
    return sorted(out, key=lambda one: (one.reference, place(one), one.method))


def _scaled(name: str, cells: Sequence[_Cell]) -> dict[str, Number | str]:
    """The columns that rest on normalised scores, empty where no data set has a scale."""
    empty: dict[str, Number | str] = dict.fromkeys(
        ("normalised", "normalised_lo", "normalised_hi", "normalised_present", "iqm", "worst")
    )
    used = [cell for cell in cells if cell.scale is not None]
    if not used:
        return empty | {"worst_dataset": ""}
    # Modalities without any scale give their weight to the others.
    sizes = Counter(cell.modality for cell in used)
    weights = np.array([1 / (len(sizes) * sizes[cell.modality]) for cell in used])
    here = np.array([name in cell.lines for cell in used])
    values = np.array([cell.normal(cell.scores[name]) if name in cell.lines else 0.0 for cell in used])
    low, high = _interval(name, used, weights)
    per_run: list[float] = []
    for cell in used:
        count = max(1, cell.lines[FLOOR].n_seeds)
        runs = cell.runs.get(name)
        fallback = [cell.normal(cell.scores[name]) if name in cell.lines else 0.0] * count
        per_run += [cell.normal(value) for value in runs.values()] if runs else fallback
    worst = int(values.argmin())
    return {
        "normalised": float(weights @ values),
        "normalised_lo": low,
        "normalised_hi": high,
        "normalised_present": float(weights @ values / weights[here].sum()) if here.any() else None,
        "iqm": float(trim_mean(per_run, 0.25)),
        "worst": float(values[worst]),
        "worst_dataset": f"{used[worst].modality}/{used[worst].dataset}",
    }


def _interval(name: str, used: Sequence[_Cell], weights: np.ndarray) -> tuple[Number, Number]:
    total = np.zeros(RESAMPLES)
    for cell, weight in zip(used, weights, strict=True):
        if name not in cell.lines:
            continue
        ends = [cell.draws.get(row) for row in (name, FLOOR, CEILING)]
        if any(x is None for x in ends):
            return None, None
        row, floor, ceiling = (np.asarray(x) for x in ends)
        drawn = ratio(row, floor, ceiling, replace(cell.metric, higher_is_better=True))  # draws are turned already
        if not len(drawn):
            return None, None
        total += weight * drawn
    low, high = percentiles(total)
    return _finite(low), _finite(high)


def _ranks(entrants: Sequence[str], cells: Sequence[_Cell]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean rank of every entrant and the bounds of its interval; missing cells share the last places."""
    point, drawn = np.zeros(len(entrants)), np.zeros((RESAMPLES, len(entrants)))
    for cell in cells:
        scores = np.array([cell.scores.get(name, -np.inf) for name in entrants])
        point += cell.weight * rankdata(-scores)
        columns = [
            cell.draws.get(name, np.full(RESAMPLES, score)) for name, score in zip(entrants, scores, strict=True)
        ]
        drawn += cell.weight * rankdata(-np.stack(columns, 1), axis=1)
    low, high = np.array([percentiles(column) for column in drawn.T]).T
    return point, low, high


def _rates(entrants: Sequence[str], cells: Sequence[_Cell]) -> np.ndarray | None:
    """Share of other methods' means that each one beats, ties one half; None for a method alone."""
    if len(entrants) < 2:
        return None
    total = np.zeros(len(entrants))
    for cell in cells:
        scores = np.array([cell.scores.get(name, -np.inf) for name in entrants])
        beaten = (scores[:, None] > scores).sum(1) + ((scores[:, None] == scores).sum(1) - 1) / 2
        total += cell.weight * beaten / (len(entrants) - 1)
    return total


def _wins(entrants: Sequence[str], cells: Sequence[_Cell]) -> np.ndarray:
    """(m, m): how many data sets i won against j, each split by the share of common seeds; weights as everywhere."""
    wins = np.zeros((len(entrants), len(entrants)))
    for cell in cells:
        for i, one in enumerate(entrants):
            for j, two in enumerate(entrants):
                if i == j or (one not in cell.lines and two not in cell.lines):
                    continue
                pairs = [(cell.scores.get(one, -np.inf), cell.scores.get(two, -np.inf))]
                a, b = cell.runs.get(one, {}), cell.runs.get(two, {})
                pairs = [(a[seed], b[seed]) for seed in a if seed in b] or pairs
                share = float(np.mean([(x > y) + (x == y) / 2 for x, y in pairs]))
                wins[i, j] += cell.weight * len(cells) * share
    return wins


def _strengths(entrants: Sequence[str], cells: Sequence[_Cell]) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the interval of every strength: Bradley–Terry on the wins of each joint draw of seeds and test units."""
    m = len(entrants)
    wins = np.zeros((BT_RESAMPLES, m, m))
    for cell in cells:
        here = np.array([name in cell.lines for name in entrants])
        scores = [cell.draws.get(name, np.full(RESAMPLES, cell.scores.get(name, -np.inf))) for name in entrants]
        drawn = np.stack(scores, 1)[:BT_RESAMPLES]
        share = (drawn[:, :, None] > drawn[:, None]) + (drawn[:, :, None] == drawn[:, None]) / 2
        wins += cell.weight * len(cells) * share * ((here[:, None] | here) & ~np.eye(m, dtype=bool))
    strengths = np.array([bradley_terry(one) for one in wins])
    low, high = np.array([percentiles(column) for column in strengths.T]).T
    return low, high


def bradley_terry(wins: np.ndarray, ridge: float = RIDGE) -> np.ndarray:
    """Strengths θ (m,), mean 0, that maximise Σ wins_ij · log σ(θ_i − θ_j) − ridge · |θ|² / 2; P(i beats j) = σ(θ_i − θ_j).

    The penalty keeps a method finite that never wins (or never loses), where the maximum likelihood diverges. Newton's
    method on a strictly concave function, with halved steps as long as it does not rise.
    """
    strength = np.zeros(len(wins))

    def height(at: np.ndarray) -> float:
        gap = at[:, None] - at
        return float(-(wins * np.logaddexp(0, -gap)).sum() - ridge * (at @ at) / 2)

    for _ in range(100):
        lose = expit(strength - strength[:, None])  # P(i loses to j)
        slope = (wins * lose).sum(1) - (wins * lose).sum(0) - ridge * strength
        if np.abs(slope).max(initial=0.0) < 1e-10:
            break
        weight = (wins + wins.T) * lose * lose.T
        step = np.linalg.solve(np.diag(weight.sum(1) + ridge) - weight, slope)
        while height(strength + step) < height(strength) - 1e-12:
            step = step / 2
        strength = strength + step
    return strength


def _finite(value: float) -> Number:
    return float(value) if np.isfinite(value) else None
