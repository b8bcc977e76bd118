"""Label-free diagnostics of an encoder: how many dimensions its features use, how they lie, and whether they collapsed.

``Looker`` embeds a few fixed validation rows, ``measure`` gives every number of that look, ``verdict`` says whether and how
it collapsed, ``projected`` whether what a projector makes of it did. None of them ranks methods.
"""

from benchmark.diagnostics.collapse import projected, verdict
from benchmark.diagnostics.geometry import mean_cosine
from benchmark.diagnostics.look import Look, Looker
from benchmark.diagnostics.measures import MEASURES, NAMES, measure

__all__ = ["MEASURES", "NAMES", "Look", "Looker", "mean_cosine", "measure", "projected", "verdict"]
