"""The reversal curse: does a JEPA over concept vectors answer what a token model cannot (Wang & Sun 2025)?

The published runs take a thousand times as many steps and more; what appears only then is not excluded here.
"""

from __future__ import annotations

from benchmark.claims.claim import Evidence, Finding, Study, claims
from benchmark.claims.judge import INCONCLUSIVE, Rule, estimate
from benchmark.claims.toys.reversal import ARMS, BATCH, SEEDS, STEPS, measure

RULE = Rule(worth=0.1)
TOKENS, CONCEPTS, FULL = ARMS
LEARNT = 0.9  # forwards; below it an arm has not learnt its facts, and backwards says nothing


@claims.register(
    "reversal-curse",
    paper="Wang & Sun 2025, arXiv 2504.01928",
    says="Taught a fact in one direction, a JEPA over concept vectors finds the other; a token model stays at chance.",
    fixed="facts, transformer, widths, steps, batches, optimiser; what answers are compared with moves",
    budget=f"{STEPS} steps of {BATCH} facts for each of {len(ARMS)} arms and {SEEDS} seeds: two minutes of one core",
)
def reversal_curse() -> Study:
    """A table of its own for answers (tokens), the table of the subjects (concepts), the latter against all entities."""
    return Study(
        outcome=f"mean reciprocal rank of reversed facts among all entities: {CONCEPTS} minus {TOKENS}, mean over seeds",
        rule=f"{RULE}; inconclusive, too, while either arm's mean reciprocal rank of facts as taught is below {LEARNT:g}",
        seeds=SEEDS,
        judge=judge,
        measure=measure,
    )


def judge(evidence: Evidence) -> Finding:
    """Paired over seeds; one line per seed and arm."""
    runs = evidence.numbers["runs"]
    score = {(one["arm"], one["seed"]): one for one in runs}
    seeds = sorted({one["seed"] for one in runs})
    effect = estimate([score[CONCEPTS, seed]["reverse"] - score[TOKENS, seed]["reverse"] for seed in seeds])
    learnt = min(estimate([score[arm, seed]["forward"] for seed in seeds]).mean for arm in (TOKENS, CONCEPTS))
    backwards = {arm: estimate([score[arm, seed]["reverse"] for seed in seeds]).mean for arm in ARMS}
    told = ", ".join(f"{arm} {value:.3f}" for arm, value in backwards.items())
    says = f"reversed: {told}, by chance {evidence.numbers['chance']:.3f}; as taught at least {learnt:.3f}"
    table = tuple(
        {"arm": one["arm"], "seed": str(one["seed"]), "as taught": one["forward"], "reversed": one["reverse"]}
        for one in runs
    )
    return Finding(RULE(effect) if learnt >= LEARNT else INCONCLUSIVE, effect, says, len(seeds), table)
