"""DMT-JEPA (Mo & Yun 2024): do targets made of neighbours that resemble a token teach more than the token's own?"""

from __future__ import annotations

from benchmark.claims.claim import Study, claims
from benchmark.claims.contrast import Arm, contrast
from benchmark.claims.judge import Rule


@claims.register(
    "local-semantics",
    paper="Mo & Yun 2024, arXiv 2405.17995",
    says="I-JEPA with targets aggregated from similar neighbours is better than I-JEPA.",
    fixed="data, tokens, encoder, masks, teacher, batches, steps, probe; the target moves",
    budget="`quick`, about a minute and a half a run on one core",
)
def local_semantics() -> Study:
    """DMT-JEPA against I-JEPA."""
    places = ["image/shapes", "image/speckle", "image/mnist5k"]
    return contrast(places, {"dmt": Arm("dmt"), "ijepa": Arm("ijepa")}, "dmt", "ijepa", Rule(worth=0.02), seeds=3)
