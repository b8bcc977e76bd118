"""SparseJEPA (2025): does a latent read through sparse groups predict better than I-JEPA's?"""

from __future__ import annotations

from benchmark.claims.claim import Study, claims
from benchmark.claims.contrast import Arm, contrast
from benchmark.claims.judge import Rule


@claims.register(
    "sparse-groups",
    paper="SparseJEPA 2025, arXiv 2504.16140",
    says="I-JEPA with a penalty that makes groups of the latent sparse is better than I-JEPA.",
    fixed="data, tokens, encoder, masks, teacher, batches, steps, probe; the groups and their penalty move",
    budget="`quick`, about a minute and a half a run on one core",
)
def sparse_groups() -> Study:
    """SparseJEPA against I-JEPA, the groups without their penalty beside them."""
    arms = {
        "groups": Arm("sparse"),
        "ijepa": Arm("ijepa"),
        "without penalty": Arm("sparse", {"recipe.weight": "0"}),
    }
    return contrast(
        ["image/shapes", "image/speckle", "image/mnist5k"], arms, "groups", "ijepa", Rule(worth=0.02), seeds=3
    )
