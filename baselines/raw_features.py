"""The field's hand-made features of the data set, without any network: the row that many published figures fail to beat.

Kept: ``Modality.handmade`` for whole samples, the raw patches for per-token tasks; probed like every row.
Differs: nothing is learned.
Tests: test_contracts.py, test_methods.py.
"""

from jaxtyping import Float
from torch import Tensor

from jepakit.modality import Modality, grid_positions
from jepakit.nn import Embedder
from jepakit.objective import Reference
from jepakit.registry import methods
from jepakit.types import Batch, Size, Tokens


class HandMade(Embedder):
    """Features computed by the modality."""

    def __init__(self, modality: Modality) -> None:
        super().__init__()
        self.modality, self.dim = modality, 0

    def tokens(self, batch: Batch) -> Tokens:
        patches = self.modality.patches(batch)
        pos = grid_positions(self.modality.grid).to(patches.device)
        return Tokens(patches, pos.expand(len(patches), -1, -1))

    def embed(self, batch: Batch) -> Float[Tensor, "b d"]:
        return self.modality.handmade(batch)


@methods.register("raw_features", family="reference", paper="hand-made features of the field", augmentation="none")
def raw_features(modality: Modality, size: Size) -> Reference:
    """No network: the modality's own features."""
    return Reference(HandMade(modality))
