"""SAR-JEPA (Li et al. 2024): are gradients by ratio the better target where noise multiplies?"""

from __future__ import annotations

from benchmark.claims.claim import Study, claims
from benchmark.claims.contrast import Arm, contrast
from benchmark.claims.judge import Rule


@claims.register(
    "gradient-target",
    paper="Li et al. 2024, SAR-JEPA",
    says="Under speckle, multi-scale gradients are a better target than pixels.",
    fixed="data, tokens, encoder, batches, steps, probe; the objective moves",
    budget="`quick`, about a minute a run on one core",
)
def gradient_target() -> Study:
    """SAR-JEPA against MAE on speckled shapes; I-JEPA beside them."""
    arms = {"gradients": Arm("sar"), "pixels": Arm("mae"), "latents": Arm("ijepa")}
    return contrast(["image/speckle"], arms, "gradients", "pixels", Rule(worth=0.02))
