"""seq-JEPA (Ghaemi et al. 2025): can one encoder both tell what an image shows and how two views of it were transformed?

Two scores of the same frozen features: the headline task of the data set, which views must not change (invariance), and
R² of the parameters between two views (the probe ``relative``; equivariance). Methods are points in the plane of the two.
"""

from __future__ import annotations

import numpy as np

from benchmark.claims.claim import Evidence, Finding, Study, Words, cells, claims, known
from benchmark.claims.contrast import PROBE, Arm, between, over_places, row_of
from benchmark.claims.judge import INCONCLUSIVE, NOT_REPRODUCED, REPRODUCED, Estimate, Rule, estimate, no_worse

MORE, NO_LESS = Rule(worth=0.05), no_worse(0.02)
SEEDS, SECOND = 3, "relative"
PLACES = ("image/shapes", "image/speckle")
PROBES = {"probe": f"{PROBE},{SECOND}"}
ARMS = {
    "seq": Arm("seq", PROBES),
    "seq, summary": Arm("seq", {**PROBES, "recipe.tap": "aggregate"}),
    "sie": Arm("sie", PROBES),
    "simclr": Arm("simclr", PROBES),
    "ijepa": Arm("ijepa", PROBES),
    "untrained": Arm("random_init", PROBES),
}
ARM, THAN = "seq", "simclr"


@claims.register(
    "inv-equiv-plane",
    paper="Ghaemi et al. 2025, NeurIPS (seq-JEPA); Garrido et al. 2023, arXiv 2302.10283 (SIE)",
    says="seq-JEPA's encoder tells transforms better than a method of invariance does, and classes no worse.",
    fixed="images, views and their parameters, encoder, batches, steps, probes; the objective moves",
    budget="`quick`, one to three minutes a run on one core",
)
def inv_equiv_plane() -> Study:
    """seq-JEPA against SimCLR; its summary, SIE, I-JEPA and the untrained encoder beside them."""
    return Study(
        outcome=f"R² of the parameters between two views ({SECOND} probe, mean over parameters, each at least 0), {ARM} "
        f"minus {THAN}, mean over data sets",
        rule=f"{MORE}; and so for the {PROBE} score of {ARM} minus that of {THAN}, as a share of the way from chance to a "
        f"perfect score: {NO_LESS}; not reproduced if either half is not, reproduced if both are, else inconclusive",
        seeds=SEEDS,
        judge=judge,
        requests=tuple(words(place, arm) for place in PLACES for arm in ARMS),
    )


def words(place: str, arm: str) -> Words:
    """One row."""
    return ARMS[arm].words(place, "quick", SEEDS)


def judge(evidence: Evidence) -> Finding:
    """Both differences, paired over seeds; one line per data set and arm: its point in the plane."""
    table, more, less = [], [], []
    for place in PLACES:
        rows = {arm: row_of(evidence, words(place, arm), PROBE) for arm in ARMS}
        told = {arm: transforms(evidence, words(place, arm)) for arm in ARMS}
        for arm, row in rows.items():
            if row is not None and told[arm]:
                point = {
                    "invariant": float(row.sampled.values.mean()),
                    "equivariant": float(np.mean(list(told[arm].values()))),
                }
                table.append({"data set": place, "row": arm, **point})
        both = sorted(set(told[ARM]) & set(told[THAN]))
        kept = between(rows[ARM], rows[THAN])
        if len(both) > 1 and kept is not None:
            found = estimate([told[ARM][seed] - told[THAN][seed] for seed in both])
            more.append(Estimate(found.mean, found.lo, found.hi, found.df, 1))
            less.append(kept)
    effect, invariant = over_places(more), over_places(less)
    if effect is None or invariant is None:
        return Finding("", None, f"no data set has {ARM} and {THAN} with both probes yet", table=tuple(table))
    says = f"{ARM} minus {THAN}: classes {invariant.mean:+.3f} [{invariant.lo:.3f}, {invariant.hi:.3f}] of the way"
    return Finding(verdict(effect, invariant), effect, says, int(effect.df) + 1, tuple(table))


def verdict(equivariant: Estimate, invariant: Estimate) -> str:
    """Both halves of the sentence have to hold; either one that does not is enough against it."""
    found = {MORE(equivariant), NO_LESS(invariant)}
    if NOT_REPRODUCED in found:
        return NOT_REPRODUCED
    return REPRODUCED if found == {REPRODUCED} else INCONCLUSIVE


def transforms(evidence: Evidence, asked: Words) -> dict[int, float]:
    """By seed the mean over parameters of R², each at least 0: less is luck of the penalty, not knowledge."""
    found = {}
    for wanted in cells([asked]):
        one = known(wanted, evidence.records)
        scores = (
            [] if one is None else [s["value"] for s in one["scores"] if s["probe"] == SECOND and s["metric"] == "r2"]
        )
        if scores:
            found[wanted.seed] = float(np.mean(np.maximum(scores, 0.0)))
    return found
