"""Does the probe choose the winner? Rankings of methods by a linear probe and by nearest neighbours on the same features."""

from __future__ import annotations

from benchmark.claims import places
from benchmark.claims.claim import Evidence, Finding, Study, claims
from benchmark.claims.contrast import rows_of
from benchmark.claims.judge import Rule
from benchmark.claims.rankings import Orders, orders

RULE = Rule(worth=0.1)
FIRST, SECOND = "linear", "knn"


@claims.register(
    "probe-changes-ranking",
    paper="La Quatra et al. 2024 (ARCH) and Turian et al. 2022 (HEAR), whose probes order models differently",
    says="Which self-supervised method is best depends on the probe: another probe, another ranking.",
    fixed="boards, encoders, frozen features, test parts; the probe moves alone",
    budget="the committed boards of preset `quick`; nothing to train beside them",
)
def probe_changes_ranking() -> Study:
    """All boards of the suite."""
    return Study(
        outcome=f"Kendall's τ of the ranking by {FIRST} with itself under redrawn seeds and test units, minus its τ with "
        f"the ranking by {SECOND}; mean over modalities",
        rule=str(RULE),
        seeds=1,
        judge=judge,
        requests=places.requests(),
    )


def judge(evidence: Evidence) -> Finding:
    """One line per board."""
    found: dict[str, list[Orders]] = {}
    table, seeds = [], []
    for modality in places.BOARDS:
        for name, records in places.learners(evidence, modality).items():
            sides = [rows_of(records, evidence, probe) for probe in (FIRST, SECOND)]
            made = orders(sides[0][0], sides[1][0]) if all(len(one) == 1 for one in sides) else None
            if made is None:
                continue
            found.setdefault(modality, []).append(made)
            seeds.append(len({one["seed"] for one in records}))
            table.append(
                {
                    "board": f"{modality}/{name}", "methods": made.methods, "τ": made.tau, "τ of noise alone": made.again,
                    "effect": made.effect, "pairs told apart by both": made.apart, "turned round": made.turned,
                }
            )  # fmt: skip
    every = [one for own in found.values() for one in own]
    if not every:
        return Finding("", None, "no board has four methods with both probes yet")
    effect = places.over_modalities({name: [one.effect for one in own] for name, own in found.items()})
    turned, apart = sum(one.turned for one in every), sum(one.apart for one in every)
    says = f"{turned} of {apart} pairs of methods that both probes tell apart are turned round, on {len(every)} boards"
    return Finding(RULE(effect), effect, says, min(seeds), tuple(table))
