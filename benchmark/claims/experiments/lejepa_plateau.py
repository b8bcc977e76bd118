"""LeJEPA (Balestriero & LeCun 2025): how far may its one weight be moved before features are worse?

Rows of ECG and sound had been seen, as arms of ``lejepa-no-heuristics``, when this rule was written; those of images had
not. Images take as many steps as the other two, for the sake of the ResNet (ResNet-10 in timm's tiered form), and are
digits: shapes ask of every patch, and the ResNet has one place for all of them. Seeds were raised from three to five after
a look at the first verdict (inconclusive); outcome, rule and arms are as before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from benchmark.claims.claim import Evidence, Finding, Study, Words, claims
from benchmark.claims.contrast import FEWEST, PROBE, Arm, between, row_of
from benchmark.claims.judge import estimate, no_worse

RULE, SEEDS = no_worse(0.02), 5
WEIGHTS: dict[str, dict[str, str]] = {
    "weight": {},
    "weight / 5": {"recipe.weight": "0.01"},
    "weight × 5": {"recipe.weight": "0.25"},
}
PUBLISHED, *MOVED = WEIGHTS
STEPS = {"train.steps": "450"}


@dataclass(frozen=True)
class Where:
    """A data set ("<modality>/<name>") and what its rows have in common besides."""

    place: str
    settings: Mapping[str, str] = field(default_factory=dict)

    def words(self, weight: str) -> Words:
        """One row."""
        return Arm("lejepa", {**self.settings, **WEIGHTS[weight]}).words(self.place, "quick", SEEDS)


LINES = {
    "ecg/simulated": Where("ecg/simulated"),
    "audio/simulated": Where("audio/simulated"),
    "image/mnist5k": Where("image/mnist5k", STEPS),
    "image/mnist5k, ResNet": Where("image/mnist5k", {**STEPS, "recipe.backbone": "resnet10t"}),
}


@claims.register(
    "lejepa-plateau",
    paper="Balestriero & LeCun 2025, arXiv 2511.08544",
    says="LeJEPA's one weight hardly matters: a fifth of it and five times it make features as good.",
    fixed="data, views, encoder, batches, steps, probe; λ moves",
    budget="`quick` (images: 450 steps), one to two minutes a run on one core",
)
def plateau() -> Study:
    """Three modalities; a ViT on all, a ResNet beside it on images."""
    return Study(
        outcome=f"lejepa with a fifth and with five times its weight, mean of both, minus lejepa as published, {PROBE} "
        "probe, as a share of the way from chance to a perfect score, mean over data sets and backbones",
        rule=str(RULE),
        seeds=SEEDS,
        judge=judge,
        requests=tuple(where.words(weight) for where in LINES.values() for weight in WEIGHTS),
    )


def judge(evidence: Evidence) -> Finding:
    """Paired over seeds; a line of the table is a weight on a data set, the outcome's interval is over data sets."""
    table, means, worse, seeds = [], [], [], []
    for name, where in LINES.items():
        published = row_of(evidence, where.words(PUBLISHED), PROBE)
        found = []
        for weight in MOVED:
            row = row_of(evidence, where.words(weight), PROBE)
            one = between(row, published)
            if row is None or published is None or one is None:
                continue
            scores = {PUBLISHED: float(published.sampled.values.mean()), "moved": float(row.sampled.values.mean())}
            gap = {"effect": one.mean, "lo": one.lo, "hi": one.hi}
            table.append({"data set": f"{name}, {weight}", "metric": row.measure.metric, **scores, **gap})
            found.append(one)
        if len(found) == len(MOVED):
            means.append(float(np.mean([one.mean for one in found])))
            worse += [one.hi < 0 for one in found]
            seeds.append(min(int(one.df) + 1 for one in found))
    if len(means) < FEWEST:
        return Finding("", None, f"{len(means)} of {len(LINES)} lines have all weights yet", table=tuple(table))
    effect = estimate(means)
    says = f"below the published weight in {sum(worse)} of {len(worse)} rows (95 %, each by itself)"
    return Finding(RULE(effect), effect, says, min(seeds), tuple(table))
