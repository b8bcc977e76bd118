"""How JEPA avoids noisy features (Littwin et al. 2024), beyond linear encoders: nuisances of rising strength.

``deep-linear`` is the exact stage. Here encoders are the boards' own, and what rises is a nuisance that lies on the signal:
one that cannot be predicted (noise), which the theory says a JEPA leaves out and an MAE keeps, and one that can (waves),
which it says nothing against.
"""

from __future__ import annotations

from benchmark.claims.claim import Evidence, Finding, Study, Words, claims
from benchmark.claims.contrast import PROBE, Arm, over_places, row_of
from benchmark.claims.judge import Rule
from benchmark.claims.slopes import mean, shares, slopes, steeper
from modalities.controlled.nuisances import KINDS, NONE, STRENGTHS

RULE = Rule(worth=0.02)
SEEDS = 3
PLACES = (
    "tabular/nuisance-linear",
    "tabular/nuisance-shells",
    "tabular/nuisance-steps",
    "ecg/nuisance",
    "image/nuisance",
)
# The same three families everywhere; the untrained encoder shows what the signal itself loses.
ARMS: dict[str, dict[str, str]] = {
    "tabular": {"jepa": "tjepa", "mae": "column-mae", "contrastive": "scarf", "untrained": "random_init"},
    "ecg": {"jepa": "ecgjepa", "mae": "mae", "contrastive": "simclr", "untrained": "random_init"},
    "image": {"jepa": "ijepa", "mae": "mae", "contrastive": "simclr", "untrained": "random_init"},
}
ARM, THAN = "jepa", "mae"
NOISE, WAVES = KINDS


@claims.register(
    "nuisance-slopes",
    paper="Littwin et al. 2024, arXiv 2407.03475",
    says="As a nuisance that cannot be predicted grows, a JEPA loses less than an MAE does.",
    fixed="signal, answers, splits, tokens, encoder, batches, steps, probe; kind and strength of the nuisance move",
    budget="`quick`, 10 to 90 s a run on one core",
)
def nuisance_slopes() -> Study:
    """Four strengths of two nuisances on three tables, ECG and images; a contrastive row, the untrained encoder beside."""
    requests = (
        words(place, level, arm)
        for place in PLACES
        for arm in ARMS[place.partition("/")[0]]
        for level in (NONE, *(f"{kind}-{strength}" for kind in KINDS for strength in STRENGTHS))
    )
    return Study(
        outcome=f"slope of the score over all strengths of unpredictable noise, {ARM} minus {THAN} ({PROBE} probe, as a "
        "share of the way from chance to a perfect score), mean over data sets",
        rule=str(RULE),
        seeds=SEEDS,
        judge=judge,
        requests=tuple(requests),
    )


def words(place: str, level: str, arm: str) -> Words:
    """The request of an arm under one level of nuisance."""
    return Arm(ARMS[place.partition("/")[0]][arm]).words(f"{place}-{level}", "quick", SEEDS)


def judge(evidence: Evidence) -> Finding:
    """Paired over seeds on every data set; one line per data set and kind of nuisance."""
    table, effects = [], {kind: [] for kind in KINDS}  # type: ignore[var-annotated]
    for place in PLACES:
        arms = ARMS[place.partition("/")[0]]
        clean = {arm: row_of(evidence, words(place, NONE, arm), PROBE) for arm in arms}
        for kind in KINDS:
            found, ends = {}, {}
            for arm in arms:
                levels = {float(s): row_of(evidence, words(place, f"{kind}-{s}", arm), PROBE) for s in STRENGTHS}
                found[arm] = slopes({0.0: clean[arm], **levels})
                ends[arm] = clean[arm], levels[max(levels)]
            gap = steeper(found[ARM], found[THAN])
            if gap is not None:
                effects[kind].append(gap)
            line: dict[str, object] = {"data set": place, "nuisance": kind}
            line |= {f"slope of {arm}": mean(list(found[arm].values())) for arm in arms}
            # A slope alone does not tell an arm that stays from one that started low.
            line |= {
                f"{arm} {level}": row and mean(list(shares(row).values()))
                for arm in (ARM, THAN)
                for level, row in zip(("without", "at the strongest"), ends[arm])
            }
            line |= {"effect": gap and gap.mean, "lo": gap and gap.lo, "hi": gap and gap.hi}
            if any(found.values()):
                table.append(line)
    effect, beside = (over_places(effects[kind]) for kind in (NOISE, WAVES))
    if effect is None:
        return Finding(
            "", None, f"no data set has {ARM} and {THAN} at every strength of {NOISE} yet", table=tuple(table)
        )
    less, more = (sum(ends) for ends in zip(*((one.lo > 0, one.hi < 0) for one in effects[NOISE])))
    says = f"under {NOISE} {ARM} falls less than {THAN} on {less}, more on {more} of {len(effects[NOISE])} data sets"
    if beside is not None:
        says += f"; under predictable {WAVES} slopes differ by {beside.mean:.3f} [{beside.lo:.3f}, {beside.hi:.3f}]"
    return Finding(RULE(effect), effect, says, min(one.replicates for one in effects[NOISE]), tuple(table))
