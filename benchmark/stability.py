"""Rank stability: how far the ranking of a board's methods depends on the small print of its probe (Kendall τ).

The probe ``band`` scores every method under many protocols (pool × layer × normalisation). Methods are ranked by their mean
over seeds under each; τ-b (Kendall 1945) between two rankings is 1 where they agree, 0 where they are unrelated.
Reference rows are left out, as on the board; a variant that some method lacks is compared on the methods that have it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from rich.table import Table
from scipy.stats import kendalltau

from benchmark import folds
from benchmark.board import boards, row_variant
from benchmark.lines import REFERENCES, Record
from benchmark.listing import table as listing
from benchmark.metrics import get
from benchmark.probes.band import HEADLINE, LAYERS, NORMS, POOLS

PROBE = "band"
VARIANTS = tuple(f"{pool}_{layer}_{norm}" for layer in LAYERS for pool in POOLS for norm in NORMS)


@dataclass(frozen=True)
class Stability:
    """One task of one board. scores: by variant, the mean over seeds of every method; to_house: τ of each variant's ranking
    with the house protocol's; pairs: (τ, variant, variant), the least alike first. τ is NaN where a ranking has ties only.
    """

    dataset: str
    preset: str
    budget: str
    task: str
    metric: str
    scores: Mapping[str, Mapping[str, float]]
    to_house: Mapping[str, float]
    pairs: tuple[tuple[float, str, str], ...]

    @property
    def mean(self) -> float:
        """Mean τ over all pairs of variants."""
        known = [tau for tau, _, _ in self.pairs if np.isfinite(tau)]
        return float(np.mean(known)) if known else float("nan")


def rank_stability(records: Iterable[Record], dataset: str, preset: str) -> list[Stability]:
    """The stability of every task that at least two ranked methods answered with the probe ``band``; [] if none."""
    wanted = [
        one
        for one in records
        if dataset in (one["dataset"], folds.board(one["modality"], one["dataset"])) and one["preset"] == preset
    ]
    found, apart = [], not dataset.endswith(folds.ALL)
    for board in boards(wanted, None, keep=lambda measure: measure.probe == PROBE and not measure.extra, apart=apart):
        for measure in board.measures:
            scores = _scores(board.records, measure.task, measure.metric, board.folds)
            if measure.nuisance or len(scores.get(HEADLINE, {})) < 2:
                continue
            pairs = [(_tau(scores[a], scores[b]), a, b) for a, b in itertools.combinations(scores, 2)]
            house = {name: _tau(scores[HEADLINE], own) for name, own in scores.items() if name != HEADLINE}
            pairs.sort(key=lambda pair: (np.isnan(pair[0]), pair))
            place = (board.dataset, board.preset, board.budget, measure.task, measure.metric)
            found.append(Stability(*place, scores, house, tuple(pairs)))
    return found


def _scores(records: Iterable[Record], task: str, metric: str, count: int) -> dict[str, dict[str, float]]:
    """By variant and row, the mean over seeds that have all ``count`` folds."""
    values: dict[str, dict[str, dict[int, list[float]]]] = {name: {} for name in VARIANTS}
    for one in records:
        if one["family"] in REFERENCES:
            continue
        row = f"{one['method']} {row_variant(one)}".strip()
        for score in one["scores"]:
            if (score["task"], score["probe"], score["metric"]) == (task, PROBE, metric):
                for name in VARIANTS:
                    value = (score.get("extras") or {}).get(f"{metric}_{name}")
                    if value is not None:
                        values[name].setdefault(row, {}).setdefault(one["seed"], []).append(float(value))
    means = {
        name: {
            row: float(np.mean(np.concatenate(whole)))
            for row, seeds in rows.items()
            if (whole := [own for own in seeds.values() if len(own) == count])
        }
        for name, rows in values.items()
    }
    return {name: rows for name, rows in means.items() if rows}


def _tau(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Kendall τ-b over the methods that both have; NaN with fewer than two."""
    both = sorted(set(one) & set(other))
    if len(both) < 2:
        return float("nan")
    return float(kendalltau([one[name] for name in both], [other[name] for name in both]).statistic)


def table(one: Stability) -> Table:
    """For the terminal: variants by τ to the house protocol, with the best method of each."""
    methods = len(one.scores[HEADLINE])
    title = f"{one.dataset} · {one.preset} {one.budget}".rstrip() + f" · {one.task} · {methods} methods"
    least, a, b = one.pairs[0] if one.pairs else (float("nan"), HEADLINE, HEADLINE)
    made = listing(title, "protocol", "Kendall τ", "best method", one.metric)
    made.caption = f"mean τ over all pairs {one.mean:.2f}; least {least:.2f}, between {a} and {b}"
    for name in (HEADLINE, *sorted(one.to_house, key=lambda n: (np.isnan(one.to_house[n]), one.to_house[n], n))):
        own = one.scores[name]
        best = (max if get(one.metric).higher_is_better else min)(own, key=lambda row: own[row])
        tau = "house" if name == HEADLINE else f"{one.to_house[name]:.2f}"
        made.add_row(name, tau, best, f"{own[best]:.3f}")
    return made
