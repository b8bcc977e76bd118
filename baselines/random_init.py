"""The same encoder, never trained: what any pre-training has to beat.

Kept: architecture, tokens and initialisation of the board's encoder; probed like every row.
Differs: nothing is learned.
Tests: test_contracts.py, test_methods.py.
"""

from jepakit.modality import Modality
from jepakit.objective import Reference
from jepakit.recipe import vit
from jepakit.registry import methods
from jepakit.types import Size


@methods.register("random_init", family="reference", paper="untrained encoder", augmentation="none")
def random_init(modality: Modality, size: Size) -> Reference:
    """The house encoder with its initial weights."""
    return Reference(vit(modality, size))
