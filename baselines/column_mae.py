"""Column MAE: reconstruct hidden columns of a row from the others, numbers by squared error, categories by cross-entropy.

Kept: MAE's order of steps (He et al. 2022, arXiv 2111.06377): hidden tokens dropped before the encoder, light decoder,
loss on hidden columns only, betas (.9, .95), weight decay .05.
Differs: half of the columns stay visible (a quarter of a table of eight is two); a head for each column on the decoder's
tokens; missing values are not asked for.
Tests: test_methods_tabular.py, test_contracts.py.
"""

import torch

from jepakit.masking import Subset
from jepakit.modality import Modality
from jepakit.nn import Backbone
from jepakit.objective import Objective
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.table import ColumnLoss, TokenHeads, table_of
from jepakit.types import Batch, Losses, Size, gather


class ColumnMAE(Objective):
    """Encoder on the visible columns, decoder at the hidden ones."""

    backbone: Backbone

    def __init__(self, modality: Modality, size: Size, keep: float) -> None:
        super().__init__()
        self.table = table_of(modality)
        self.backbone = vit(modality, size)
        self.predictor = narrow(size)
        self.masker = Subset(modality.grid, keep)
        self.loss = ColumnLoss(self.table.sizes)
        self.heads = TokenHeads(len(self.table.sizes), size.dim, self.loss.width)

    def forward(self, batch: Batch, progress: float) -> Losses:
        tokens = self.backbone.tokenize(batch)
        split = self.masker(tokens, tokens.x, progress)
        context = self.backbone.encode(tokens.take(split.context))
        predicted = self.predictor(context, gather(tokens.pos, split.target))[:, 0, 0]
        hidden = split.target[:, 0, 0]
        place = hidden[..., None].expand_as(predicted)
        every = torch.zeros_like(tokens.x, dtype=predicted.dtype).scatter(1, place, predicted)
        asked = torch.zeros_like(batch.x, dtype=torch.bool).scatter(1, hidden, True)
        loss = self.loss(self.heads(every), batch.x, asked & ~self.table.missing(batch))
        return Losses(loss, {"columns": loss.detach()})


@methods.register(
    "column-mae",
    family="mae",
    paper="He et al. 2022, arXiv 2111.06377, on columns",
    augmentation="none",
    needs="table",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.95)},
    space={"recipe.keep": (0.25, 0.75, "linear")},
)
def column_mae(modality: Modality, size: Size, *, keep: float = 0.5) -> ColumnMAE:
    """keep: the visible share of the columns."""
    return ColumnMAE(modality, size, keep)
