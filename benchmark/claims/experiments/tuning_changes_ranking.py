"""Does tuning choose the winner? Rankings of methods as published and with what an equal search found for each."""

from __future__ import annotations

from benchmark.claims.claim import Evidence, Finding, Study, Words, claims
from benchmark.claims.contrast import PROBE, Row, row_of
from benchmark.claims.judge import Rule, estimate
from benchmark.claims.rankings import orders

RULE = Rule(worth=0.1)
PLACES = ("simulated", "mitbih", "ludb")
METHODS = ("ecgjepa", "ijepa", "lejepa", "mae", "simclr")


@claims.register(
    "tuning-changes-ranking",
    paper="Musgrave et al. 2020, arXiv 2003.08505 (A metric learning reality check), said of self-supervised rankings",
    says="Rankings of methods with settings as published do not survive equal tuning.",
    fixed="data, encoder, steps, batches, trials and size of the search; the settings that it may change move",
    budget="`quick`, and before it a search of four trials for each method and data set (`hpo`)",
)
def tuning_changes_ranking() -> Study:
    """Five methods on three ECG data sets."""
    return Study(
        outcome=f"Kendall's τ of the ranking as published with itself under redrawn seeds and test units, minus its τ with "
        f"the ranking after tuning ({PROBE} probe); mean over data sets",
        rule=str(RULE),
        seeds=3,
        judge=judge,
        requests=tuple(
            words(place, method, tuned) for place in PLACES for method in METHODS for tuned in (False, True)
        ),
    )


def words(place: str, method: str, tuned: bool) -> Words:
    """One row."""
    more = ("tuned=yes",) if tuned else ()
    return ("ecg", f"dataset={place}", f"method={method}", "preset=quick", "seeds=3", *more)


def judge(evidence: Evidence) -> Finding:
    """One line per data set that has both."""
    table, effects = [], []
    turned = apart = 0
    for place in PLACES:
        sides: list[dict[str, Row]] = []
        for tuned in (False, True):
            found = {method: row_of(evidence, words(place, method, tuned), PROBE) for method in METHODS}
            sides.append({method: row for method, row in found.items() if row is not None})
        made = orders(*sides)
        if made is None:
            continue
        effects.append(made.effect)
        turned, apart = turned + made.turned, apart + made.apart
        table.append(
            {
                "data set": f"ecg/{place}", "methods": made.methods, "τ": made.tau, "τ of noise alone": made.again,
                "effect": made.effect, "pairs told apart in both": made.apart, "turned round": made.turned,
            }
        )  # fmt: skip
    if not effects:
        return Finding("", None, "no data set has four methods both as published and tuned")
    effect = estimate(effects)
    says = f"{turned} of {apart} pairs of methods told apart both ways are turned round, on {len(effects)} data sets"
    return Finding(RULE(effect), effect, says, 3, tuple(table))
