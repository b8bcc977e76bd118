"""VIME (Yoon et al. 2020): say which columns of a corrupted row were replaced, and what stood there.

Source: NeurIPS 2020, "VIME: Extending the success of self- and semi-supervised learning to tabular domain".
Kept: every value is replaced with probability .3 by one from its column's marginal distribution; the mask that is asked
for is where the value really changed; loss = mask cross-entropy + 2 · reconstruction of the whole row; the self-supervised
stage.
Differs: house encoder and a hidden layer in both heads (one dense layer as wide as the table, and none, there); categories
are reconstructed by cross-entropy; AdamW instead of RMSprop; missing values are not asked for; no semi-supervised stage.
Not verified: the published figures (genomics, clinical data, MNIST as columns).
Tests: test_methods_tabular.py, test_contracts.py.
"""

import torch
from torch.nn import functional as F

from jepakit.modality import Modality
from jepakit.objective import Objective
from jepakit.recipe import vit
from jepakit.registry import methods
from jepakit.table import ColumnLoss, RowHeads, table_of
from jepakit.types import Batch, Losses, Size


class Vime(Objective):
    """Encoder on the corrupted row, a head for the mask and one for the row."""

    def __init__(self, modality: Modality, size: Size, corrupt: float, weight: float) -> None:
        super().__init__()
        self.table, self.corrupt, self.weight = table_of(modality), corrupt, weight
        self.backbone = vit(modality, size)
        columns = len(self.table.sizes)
        self.loss = ColumnLoss(self.table.sizes)
        self.mask_head = RowHeads(columns, size.dim, 1)
        self.row_head = RowHeads(columns, size.dim, self.loss.width)

    def forward(self, batch: Batch, progress: float) -> Losses:
        hit = torch.rand(batch.x.shape, device=batch.x.device) < self.corrupt
        seen = self.table.corrupted(batch, hit)
        changed = (seen.x != batch.x) | (self.table.missing(seen) != self.table.missing(batch))
        row = self.backbone.embed(seen)
        mask = F.binary_cross_entropy_with_logits(self.mask_head(row)[..., 0].float(), changed.float())
        values = self.loss(self.row_head(row), batch.x, ~self.table.missing(batch))
        return Losses(mask + self.weight * values, {"mask": mask.detach(), "values": values.detach()})


@methods.register(
    "vime",
    family="mae",
    paper="Yoon et al. 2020, NeurIPS",
    augmentation="modality-specific",
    needs="table",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)},
    space={"recipe.corrupt": (0.1, 0.6, "linear")},
)
def vime(modality: Modality, size: Size, *, corrupt: float = 0.3, weight: float = 2.0) -> Vime:
    """corrupt: probability of a replaced value; weight: of the reconstruction."""
    return Vime(modality, size, corrupt, weight)
