"""AD-L-JEPA, BEV-MAE: is pre-training on clouds worth it where few scenes have labels?

Every arm is fine-tuned on the same labelled scenes by the probe ``finetune``; from scratch means from the untrained encoder.
All scenes are pre-trained on, and validation keeps its labels at every share. Before an outcome was computed, the
smallest share rose from one to three in a hundred (three scenes cannot show four layouts, and no run began), and six tasks
that are not judged were left out: a run was fine-tuned for each of them, and took more than ten minutes.
"""

from __future__ import annotations

from dataclasses import replace

from benchmark.claims.claim import Evidence, Finding, Study, claims
from benchmark.claims.contrast import Arm, contrast
from benchmark.claims.judge import Rule
from modalities.controlled.labels import PERCENTS

RULE = Rule(worth=0.02)
JUDGED = "10"  # of a hundred: at the smallest share eight scenes have labels, whichever they are
PROBE = "finetune"
PROBES = {"probe": f"linear,{PROBE}"}


@claims.register(
    "bev-label-efficiency",
    paper="Zhu et al. 2026, arXiv 2501.04969 (AD-L-JEPA); Lin et al. 2024, arXiv 2212.05758 (BEV-MAE)",
    says="Pre-trained on all scenes and fine-tuned on a tenth of their labels, a JEPA beats training from scratch on these.",
    fixed="scenes, labels, tokens, encoder, fine-tuning and its budget; what the encoder starts from moves",
    budget="`quick`, five minutes and more a run on one core, a good half of it fine-tuning",
)
def bev_label_efficiency() -> Study:
    """AD-L-JEPA against the untrained encoder; BEV-MAE beside them; the smallest share and all labels shown as well."""
    arms = {"adljepa": Arm("adljepa", PROBES), "scratch": Arm("random_init", PROBES), "bevmae": Arm("bevmae", PROBES)}
    studies = {
        percent: contrast([f"lidar/labels-{percent}"], arms, "adljepa", "scratch", RULE, seeds=3, probe=PROBE)
        for percent in PERCENTS
    }

    def judge(evidence: Evidence) -> Finding:
        found = {percent: study.judge(evidence) for percent, study in studies.items()}
        others = (f"{percent} %: {one.effect.mean:+.3f}" for percent, one in found.items() if one.effect)
        table = tuple(line for one in found.values() for line in one.table)
        judged = found[JUDGED]
        says = judged.says if judged.effect is None else f"by share of labels, {', '.join(others)}"
        return replace(judged, says=says, table=table)

    return Study(
        outcome=f"{studies[JUDGED].outcome.removesuffix(', mean over data sets')}, with {JUDGED} % of the labels",
        rule=str(RULE),
        seeds=3,
        judge=judge,
        requests=tuple(words for study in studies.values() for words in study.requests),
    )
