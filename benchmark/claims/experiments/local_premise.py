"""The premise of DMT-JEPA (Mo & Yun 2024), asked before its method: do similar neighbours show the same?

``place`` was added after a look at the figures, which showed the untrained encoder ahead; the rule was not changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmark.claims.claim import Evidence, Finding, Study, claims
from benchmark.claims.judge import Rule, estimate
from benchmark.claims.toys.neighbourhood import PIXELS, PLACE, SEEDS, SIMILAR, STEPS, TRAINED, UNTRAINED, measure

RULE = Rule(worth=0.1)


@claims.register(
    "local-premise",
    paper="Mo & Yun 2024, arXiv 2405.17995",
    says="Of a token's neighbours, those that resemble it in an I-JEPA's features show the same thing.",
    fixed="images, labels of patches, neighbourhood, number chosen; what resemblance is read from moves",
    budget=f"{STEPS} steps for each of {SEEDS} seeds on image/shapes: four minutes of one core",
)
def local_premise() -> Study:
    """I-JEPA's tokens; the untrained encoder's, pixels and plain closeness beside them."""
    return Study(
        outcome=f"share of the {SIMILAR} most similar of 8 neighbours that show the token's class, as a share of the way "
        "from all 8 to the best possible choice, where neighbours differ; mean over seeds",
        rule=str(RULE),
        seeds=SEEDS,
        judge=judge,
        measure=measure,
    )


def judge(evidence: Evidence) -> Finding:
    """The interval is over seeds; one line per seed, with the controls."""
    lines: list[Mapping[str, Any]] = evidence.numbers["lines"]
    gains = {
        name: {one["seed"]: one["gain"] for one in lines if one["features"] == name}
        for name in (TRAINED, UNTRAINED, PIXELS, PLACE)
    }
    table = tuple({"seed": str(seed), **{name: own[seed] for name, own in gains.items()}} for seed in gains[TRAINED])
    effect = estimate(list(gains[TRAINED].values()))
    means = ", ".join(f"{name} {np.mean(list(own.values())):.2f}" for name, own in gains.items())
    base, best = (np.mean([one[name] for one in lines]) for name in ("base", "best"))
    says = f"of the way from {base:.2f} (all neighbours) to {best:.2f} (the best choice): {means}"
    return Finding(RULE(effect), effect, says, len(gains[TRAINED]), table)
