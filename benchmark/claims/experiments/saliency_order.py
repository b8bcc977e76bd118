"""DSeq-JEPA (2025): is it worth something that regions are predicted from the most salient one on?"""

from __future__ import annotations

from benchmark.claims.claim import Study, claims
from benchmark.claims.contrast import Arm, contrast
from benchmark.claims.judge import Rule

ORDERS = ("reversed", "random", "raster")


@claims.register(
    "saliency-order",
    paper="DSeq-JEPA 2025, github SkyShunsuke/DSeq-JEPA",
    says="Regions predicted one after another teach more in the order of their saliency than in another order.",
    fixed="data, tokens, encoder, teacher, regions, sizes of context and target, steps, probe; the order moves",
    budget="`quick`, about two minutes a run on one core",
)
def saliency_order() -> Study:
    """By saliency against a random order; the reverse, the raster and I-JEPA, which has no order, beside them."""
    arms = {"saliency": Arm("dseq")}
    arms |= {order: Arm("dseq-order", {"recipe.order": order}) for order in ORDERS}
    places = ["image/shapes", "image/speckle", "image/mnist5k"]
    return contrast(places, arms | {"ijepa": Arm("ijepa")}, "saliency", "random", Rule(worth=0.02), seeds=3)
