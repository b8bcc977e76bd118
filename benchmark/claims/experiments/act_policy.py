"""ACT-JEPA (2025): does a policy act better whose encoder also foretells the latents of what will be seen?

How many demonstrations there are, how much they are disturbed and how many actions are carried out at a time was chosen on
the arm without the latent loss, at seeds that the claim does not use, so that it succeeds about half of the time. Thirteen
settings were tried: nine without disturbance (eight never succeeded, one was not finished), four with it (three always did).
"""

from __future__ import annotations

from benchmark.claims.claim import Evidence, Finding, Study, claims
from benchmark.claims.judge import Rule, estimate
from benchmark.claims.toys.act_policy import ARMS, DEMOS, ENVIRONMENT, ROLLOUTS, SEEDS, STEPS, measure

RULE = Rule(worth=0.05)
WITH, WITHOUT = ARMS


@claims.register(
    "act-policy",
    paper="Vujinovic & Kovacevic 2025, arXiv 2501.14622 (ACT-JEPA)",
    says="A cloned policy succeeds more often if its encoder also predicts the latents of the observations to come.",
    fixed="demonstrations, starts, networks, chunks, steps, batches; the weight of the latent loss moves: 1 or 0",
    budget=f"{STEPS} steps for each of {len(ARMS)} arms and {SEEDS} seeds, {ROLLOUTS} roll-outs each: 3 minutes of a core",
)
def act_policy() -> Study:
    """Cloning with and without the latent loss, from the same demonstrations; the expert beside them."""
    return Study(
        outcome=f"success over {ROLLOUTS} roll-outs of {ENVIRONMENT} after {DEMOS} demonstrations: {WITH} the latent loss "
        f"minus {WITHOUT} it, mean over seeds",
        rule=str(RULE),
        seeds=SEEDS,
        judge=judge,
        measure=measure,
    )


def judge(evidence: Evidence) -> Finding:
    """Paired over seeds, whose starts and demonstrations are the same for both arms; one line per seed."""
    runs = evidence.numbers["runs"]
    effect = estimate([one[WITH] - one[WITHOUT] for one in runs])
    means = {name: estimate([one[name] for one in runs]).mean for name in (WITH, WITHOUT, "expert")}
    every = len(runs) * evidence.numbers["rollouts"]
    says = f"success {WITH} {means[WITH]:.0%}, {WITHOUT} {means[WITHOUT]:.0%}, expert {means['expert']:.0%}"
    table = tuple({"seed": str(one["seed"]), **{name: one[name] for name in means}} for one in runs)
    return Finding(RULE(effect), effect, f"{says} of {every} roll-outs each", len(runs), table)
