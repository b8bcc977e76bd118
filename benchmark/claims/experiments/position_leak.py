"""point2vec (Abou Zeid et al. 2023): does a student that is told where the hidden points are learn less?"""

from __future__ import annotations

from benchmark.claims.claim import Study, claims
from benchmark.claims.contrast import Arm, contrast
from benchmark.claims.judge import Rule


@claims.register(
    "position-leak",
    paper="Abou Zeid et al. 2023, arXiv 2303.16570",
    says="A student that sees the places of hidden points learns worse features than one that does not.",
    fixed="data, tokens, encoder, teacher, visible share, steps, batches, probe; which places are asked for moves",
    budget="`quick`, about half a minute a run on one core",
)
def position_leak() -> Study:
    """point2vec asked at any hidden place, and at occupied ones alone, which tells where the points are."""
    arms = {"no leak": Arm("point2vec"), "leak": Arm("point2vec", {"recipe.leak": "true"})}
    return contrast(["lidar/scenes", "lidar/scenes-town2"], arms, "no leak", "leak", Rule(worth=0.02))
