"""SALT (Li et al. 2025): is a teacher that was trained first and is frozen as good as one that follows its student?

Before an outcome was computed, the data sets were changed from shapes and sprites, whose arms would take seven hours of two
cores, to a simulated heart and brain, and the moving teacher from V-JEPA, which needs two axes and has other masks, to the
control that differs from SALT by its teacher alone.
"""

from __future__ import annotations

from benchmark.claims.claim import Study, claims
from benchmark.claims.contrast import Arm, contrast
from benchmark.claims.judge import no_worse


@claims.register(
    "salt-frozen-teacher",
    paper="Li et al. 2025, arXiv 2509.24317",
    says="At equal compute a student of a frozen, pixel-trained teacher is as good as one of a moving (EMA) teacher.",
    fixed="data, tokens, encoder, masks, predictor, batches, probe, training FLOPs over both stages; the teacher moves",
    budget="`quick`, equal FLOPs, half a minute to a minute a run on one core",
)
def frozen_teacher() -> Study:
    """SALT against the same student of a moving teacher; its teacher alone, an untrained and a smaller one beside them."""
    equal = {"budget": "flops"}
    arms = {
        "salt": Arm("salt", equal),
        "moving teacher": Arm("moving-teacher", equal),
        "stage 1 alone": Arm("salt-teacher", equal),
        "untrained teacher": Arm("random-teacher", equal),
        "smaller teacher": Arm("salt", {**equal, "recipe.teacher_dim": "32"}),
        "short stage 1": Arm("salt", {**equal, "recipe.stages": "0.05,0.95"}),
        "long stage 1": Arm("salt", {**equal, "recipe.stages": "0.5,0.5"}),
    }
    return contrast(["ecg/simulated", "eeg/simulated"], arms, "salt", "moving teacher", no_worse(0.02))
