"""Does the rank of features foretell the probe? RankMe (Garrido et al. 2023) against linear scores.

Other label-free numbers, what choosing by each of them costs, and where the mean τ lies among those of scores dealt to other
methods were added to what is shown after a look at the first verdict; outcome and rule are as before. ``rank-injected`` is
the sharp test.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from scipy.stats import kendalltau

from benchmark import folds, labelfree
from benchmark.claims import places
from benchmark.claims.claim import Evidence, Finding, Study, claims
from benchmark.claims.judge import Rule
from benchmark.claims.rankings import dealt, turned
from benchmark.labelfree import Checkpoint

RULE = Rule(worth=0.3)
MAIN = "rankme"
OTHERS = ("lda_rank", "alpha_req")
DRAWS = 500  # of the permutation null
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
        requests=places.requests(),
    )


def judge(evidence: Evidence) -> Finding:
    """One line per board: for each number τ over methods (the effect: of RankMe, with its exact permutation p) and within
    methods, and what choosing by it costs."""
    found: dict[str, list[float]] = {}
    null: dict[str, list[np.ndarray]] = {}
    seeds, table, count = [], [], 0
    for modality in places.BOARDS:
        boards: dict[str, list[Checkpoint]] = {}
        for records in places.learners(evidence, modality).values():
            for one in labelfree.checkpoints(records):
                boards.setdefault(one.board[0], []).append(one)
        parts: dict[str, list[tuple[float, np.ndarray]]] = {}
        for dataset, points in sorted(boards.items()):
            tau, p = across(points, MAIN)
            if not np.isfinite(tau):
                continue
            count += len(points)
            chance = dealt(*means(points, MAIN), DRAWS, zlib.crc32(f"{modality}/{dataset}".encode()))
            parts.setdefault(folds.board(modality, dataset), []).append((tau, chance))
            seeds.append(len(points) // len({one.method for one in points}))
            line: dict[str, object] = {
                "data set": f"{modality}/{dataset}",
                "checkpoints": len(points),
                "effect": tau,
                "p": p,
            }
            for name in (MAIN, *OTHERS):
                tail = "" if name == MAIN else f" {name}"
                line |= {} if name == MAIN else {f"τ{tail}": across(points, name)[0]}
                line |= {f"τ within{tail}": inner(points, name), f"regret{tail}": regret(points, name)}
            table.append(line)
        if parts:
            found[modality] = [float(np.mean([tau for tau, _ in own])) for own in parts.values()]
            null[modality] = [np.mean([drawn for _, drawn in own], 0) for own in parts.values()]
    if not found:
        return Finding("", None, f"no board has {FEWEST} methods with a rank and a score yet")
    effect = places.over_modalities(found)
    drawn = np.mean([np.mean(own, 0) for own in null.values()], 0)
    by_chance = (1 + int((np.abs(drawn) >= abs(effect.mean)).sum())) / (1 + DRAWS)
    rows = tuple({key: None if value != value else value for key, value in row.items()} for row in table)
    told = []
    for name in (MAIN, *OTHERS):
        tail = "" if name == MAIN else f" {name}"
        within, cost = (mean([row[f"{key}{tail}"] for row in rows]) for key in ("τ within", "regret"))
        told.append(f"{name} {within:.2f} and {cost:.0%}")
    says = (
        f"{count} checkpoints on {len(table)} data sets and folds; p of the mean τ {by_chance:.2g} (scores dealt out anew); "
        f"τ within methods, and what the checkpoint of the best number loses of what the best is above the mean (by chance "
        f"100 %): {', '.join(told)}"
    )
    return Finding(RULE(effect), effect, says, min(seeds), rows)


def mean(values: Sequence[object]) -> float:
    """Of those that are known; NaN for none."""
    known = [float(value) for value in values if isinstance(value, float)]
    return float(np.mean(known)) if known else float("nan")


def means(points: Sequence[Checkpoint], name: str) -> tuple[np.ndarray, np.ndarray]:
    """(number, score) of every method that has the number: means over its seeds."""
    pairs: dict[str, list[tuple[float, float]]] = {}
    for one in points:
        value = turned(name, one.numbers.get(name))
        if np.isfinite(value):
            pairs.setdefault(one.method, []).append((value, one.score))
    x, y = np.array([np.mean(own, 0) for own in pairs.values()]).reshape(-1, 2).T
    return x, y


def across(points: Sequence[Checkpoint], name: str) -> tuple[float, float]:
    """(τ-b, two-sided permutation p) over the methods' means; NaN for fewer than FEWEST methods."""
    x, y = means(points, name)
    if len(x) < FEWEST:
        return float("nan"), float("nan")
    made = kendalltau(x, y)
    return float(made.statistic), float(made.pvalue)


def inner(points: Sequence[Checkpoint], name: str) -> float:
    """Share of pairs of one method's seeds that number and score order alike, minus the share they do not."""
    signs = [
        np.sign((turned(name, a.numbers.get(name)) - turned(name, b.numbers.get(name))) * (a.score - b.score))
        for a, b in combinations(points, 2)
        if a.method == b.method
    ]
    known = [sign for sign in signs if np.isfinite(sign)]
    return float(np.mean(known)) if known else float("nan")


def regret(points: Sequence[Checkpoint], name: str) -> float:
    """What the checkpoint with the best number scores below the best one, as a share of best − mean."""
    known = [one for one in points if np.isfinite(turned(name, one.numbers.get(name)))]
    if not known:
        return float("nan")
    scores = np.array([one.score for one in known])
    chosen = max(known, key=lambda one: turned(name, one.numbers.get(name)))
    spread = float(scores.max() - scores.mean())
    return float(scores.max() - chosen.score) / spread if spread > 0 else float("nan")
