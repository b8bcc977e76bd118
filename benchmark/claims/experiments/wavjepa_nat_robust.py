"""WavJEPA-Nat (2025): does a teacher that hears the source alone make features that hold in rooms and noise?"""

from __future__ import annotations

import numpy as np

from benchmark import robustness
from benchmark.board import boards
from benchmark.claims.claim import Evidence, Finding, Study, Words, cells, claims, known
from benchmark.claims.contrast import PROBE, Arm
from benchmark.claims.judge import Rule, estimate

RULE = Rule(worth=0.05)
PLACE, SEEDS = "audio/scenes", 5
# The control hears the same scenes with as many parameters; "one ear" is the other of the paper's differences.
ARMS = {
    "clean teacher": Arm("wavjepa-nat"),
    "teacher in the scene": Arm("wavjepa-nat", {"recipe.clean": "false"}),
    "one ear": Arm("wavjepa-nat", {"recipe.first": "true"}),
}
ARM, THAN = "clean teacher", "teacher in the scene"


@claims.register(
    "wavjepa-nat-robust",
    paper="WavJEPA-Nat 2025, arXiv 2509.23238",
    says="With the clean source as target, scores fall less from easy to hard rooms and noise.",
    fixed="scenes, two ears, encoder, masks, batches, steps, probe; what the teacher hears moves",
    budget="`quick`, about a minute a run on one core",
)
def robust() -> Study:
    """The drop of ``robustness`` along reverberation × noise, seed by seed."""
    return Study(
        outcome=f"relative drop of the score from easy to hard scenes: {THAN} minus {ARM}, mean over seeds",
        rule=str(RULE),
        seeds=SEEDS,
        judge=judge,
        requests=tuple(words(name) for name in ARMS),
    )


def words(arm: str) -> Words:
    """The request of an arm."""
    return ARMS[arm].words(PLACE, "quick", SEEDS)


def judge(evidence: Evidence) -> Finding:
    """Paired over the seeds that both arms have; one line per seed."""
    drops = {name: of(evidence, words(name)) for name in ARMS}
    seeds = sorted({seed for own in drops.values() for seed in own})
    table = tuple({"seed": str(seed), **{name: own.get(seed) for name, own in drops.items()}} for seed in seeds)
    paired = [drops[THAN][seed] - drops[ARM][seed] for seed in seeds if seed in drops[THAN] and seed in drops[ARM]]
    if not paired:
        return Finding("", None, f"no seed has both {ARM} and {THAN} yet", table=table)
    effect = estimate(paired)
    means = ", ".join(f"{name} {np.mean(list(own.values())):.0%}" for name, own in drops.items() if own)
    return Finding(RULE(effect), effect, f"drops: {means}", len(paired), table)


def of(evidence: Evidence, asked: Words) -> dict[int, float]:
    """Relative drop by seed."""
    found = {}
    for wanted in cells([asked]):
        one = known(wanted, evidence.records)
        if one is None:
            continue
        for board in boards([one], evidence.results, keep=lambda measure: measure.probe == PROBE and not measure.extra):
            main = next((measure for measure in board.measures if not (measure.minor or measure.nuisance)), None)
            if main is None:
                continue
            for drops in robustness.study(board, main, evidence.results).values():
                if np.isfinite(drops[-1].drop):
                    found[wanted.seed] = drops[-1].drop
    return found
