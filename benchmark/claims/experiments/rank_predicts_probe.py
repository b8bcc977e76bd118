"""Does the rank of features foretell the probe? RankMe (Garrido et al. 2023) against linear scores."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy.stats import kendalltau

from benchmark import folds, labelfree
from benchmark.claims import places
from benchmark.claims.claim import Evidence, Finding, Study, claims
from benchmark.claims.judge import Rule
from benchmark.labelfree import Checkpoint

RULE = Rule(worth=0.3)
MAIN = "rankme"
OTHERS = ("lda_rank", "alpha_req")
FEWEST = 5  # methods


@claims.register(
    "rank-predicts-probe",
    paper="Garrido et al. 2023, arXiv 2210.02885 (RankMe); Thilak et al. 2023, arXiv 2312.04000 (LiDAR)",
    says="The effective rank of features, which needs no label, orders checkpoints as a linear probe does.",
    fixed="boards, encoder, steps, batches, the rows on which ranks are measured; methods move",
    budget="the committed boards of preset `quick`; nothing to train beside them",
)
def rank_predicts_probe() -> Study:
    """All boards of the suite."""
    return Study(
        outcome="Kendall's τ between RankMe and linear score over methods (means over seeds), mean over modalities",
        rule=str(RULE),
        seeds=1,
        judge=judge,
        requests=places.requests(1),
    )


def judge(evidence: Evidence) -> Finding:
    """One line per board: the effect (τ over methods) with its exact permutation p, τ within methods, what choosing by rank
    costs."""
    found: dict[str, list[float]] = {}
    within: list[float] = []
    regrets, seeds, table, count = [], [], [], 0
    for modality in places.BOARDS:
        boards: dict[str, list[Checkpoint]] = {}
        for records in places.learners(evidence, modality).values():
            for one in labelfree.checkpoints(records):
                boards.setdefault(one.board[0], []).append(one)
        parts: dict[str, list[float]] = {}
        for dataset, points in sorted(boards.items()):
            tau, p = across(points, MAIN)
            if not np.isfinite(tau):
                continue
            count += len(points)
            inside, cost = inner(points, MAIN), regret(points, MAIN)
            within += [inside] if np.isfinite(inside) else []
            regrets += [cost] if np.isfinite(cost) else []
            parts.setdefault(folds.board(modality, dataset), []).append(tau)
            seeds.append(len(points) // len({one.method for one in points}))
            table.append(
                {
                    "data set": f"{modality}/{dataset}", "checkpoints": len(points), "effect": tau, "p": p,
                    "τ within": inside, "regret": cost, **{f"τ {name}": across(points, name)[0] for name in OTHERS},
                }
            )  # fmt: skip
        if parts:
            found[modality] = [float(np.mean(own)) for own in parts.values()]
    if not found:
        return Finding("", None, f"no board has {FEWEST} methods with a rank and a score yet")
    effect = places.over_modalities(found)
    rows = tuple({key: None if value != value else value for key, value in row.items()} for row in table)
    says = (
        f"{count} checkpoints on {len(table)} data sets and folds; τ within methods {np.mean(within):.2f} on average; the "
        f"checkpoint of the highest rank loses {np.mean(regrets):.0%} of what the best is above the mean (by chance 100 %)"
    )
    return Finding(RULE(effect), effect, says, min(seeds), rows)


def across(points: Sequence[Checkpoint], name: str) -> tuple[float, float]:
    """(τ-b, two-sided permutation p) over the methods' means; NaN for fewer than FEWEST methods."""
    pairs: dict[str, list[tuple[float, float]]] = {}
    for one in points:
        value = one.numbers.get(name)
        if value is not None and np.isfinite(value):
            pairs.setdefault(one.method, []).append((value, one.score))
    if len(pairs) < FEWEST:
        return float("nan"), float("nan")
    x, y = np.array([np.mean(own, 0) for own in pairs.values()]).T
    made = kendalltau(x, y)
    return float(made.statistic), float(made.pvalue)


def inner(points: Sequence[Checkpoint], name: str) -> float:
    """Share of pairs of one method's seeds that rank and score order alike, minus the share they do not."""
    signs = [
        np.sign((a.numbers[name] - b.numbers[name]) * (a.score - b.score))  # type: ignore[operator]
        for a, b in combinations(points, 2)
        if a.method == b.method and a.numbers.get(name) is not None and b.numbers.get(name) is not None
    ]
    return float(np.mean(signs)) if signs else float("nan")


def regret(points: Sequence[Checkpoint], name: str) -> float:
    """What the checkpoint with the highest rank scores below the best one, as a share of best − mean."""
    known = [one for one in points if one.numbers.get(name) is not None]
    scores = np.array([one.score for one in known])
    chosen = max(known, key=lambda one: one.numbers[name] or -np.inf)
    spread = float(scores.max() - scores.mean())
    return float(scores.max() - chosen.score) / spread if spread > 0 else float("nan")
