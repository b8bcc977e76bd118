"""How much do rows of views owe to their views? ``augmentation-dependence`` by strength: none, crops, all of them.

The data are the same under every strength, so one run of a masked row, which sees no views, stands beside all of them.
"""

from __future__ import annotations

from benchmark.claims.claim import Evidence, Finding, Study, Words, claims
from benchmark.claims.contrast import FEWEST, PROBE, Arm, between, over_places, row_of
from benchmark.claims.judge import Rule
from modalities.controlled.views import STRENGTHS

RULE = Rule(worth=0.02)
SEEDS = 3
FULL = {"image": "image/shapes", "ecg": "ecg/simulated"}
PLACES = {m: {**{s: f"{m}/views-{s}" for s in STRENGTHS}, "full": full} for m, full in FULL.items()}
VIEWED, MASKED = ("simclr", "vicreg"), "ijepa"
ARM = VIEWED[0]
assert len(FULL) < FEWEST  # the interval is over seeds and test units, and speaks of these data sets alone


@claims.register(
    "view-strength",
    paper="Assran et al. 2023, arXiv 2301.08243",
    says="Methods of views owe their features to hand-made views: without them they are worse.",
    fixed="data, tokens, encoder, batches, steps, probe; how far views go moves",
    budget="`quick`, one to two minutes a run on one core",
)
def view_strength() -> Study:
    """SimCLR with all views against SimCLR with none; crops alone, VICReg and I-JEPA beside them."""
    requests = [words(place, method) for places in PLACES.values() for place in places.values() for method in VIEWED]
    return Study(
        outcome=f"{ARM} with full views minus {ARM} with none, {PROBE} probe, as a share of the way from chance to a "
        "perfect score, mean over data sets",
        rule=str(RULE),
        seeds=SEEDS,
        judge=judge,
        requests=(*requests, *(words(full, MASKED) for full in FULL.values())),
    )


def words(place: str, method: str) -> Words:
    """One row."""
    return Arm(method).words(place, "quick", SEEDS)


def judge(evidence: Evidence) -> Finding:
    """Paired over seeds and test units, which are the same under every strength; one line per data set and strength."""
    table, effects, above, seeds = [], [], [], []
    for modality, places in PLACES.items():
        masked = row_of(evidence, words(FULL[modality], MASKED), PROBE)
        rows = {
            s: {name: row_of(evidence, words(place, name), PROBE) for name in VIEWED} for s, place in places.items()
        }
        for strength, own in rows.items():
            line: dict[str, object] = {"data set": FULL[modality], "views": strength}
            known = {**own, MASKED: masked}
            table.append(line | {name: row and float(row.sampled.values.mean()) for name, row in known.items()})
        gain = between(rows["full"][ARM], rows[STRENGTHS[0]][ARM])
        if gain is not None:
            effects.append(gain)
            seeds.append(int(gain.df) + 1)
        lead = between(masked, rows[STRENGTHS[0]][ARM])
        above += [] if lead is None else [lead.lo > 0]
    effect = over_places(effects)
    if effect is None:
        return Finding("", None, f"no data set has {ARM} with full views and with none yet", table=tuple(table))
    says = f"without views {MASKED} is above {ARM} on {sum(above)} of {len(above)} data sets (95 %, each by itself)"
    return Finding(RULE(effect), effect, says, min(seeds), tuple(table))
