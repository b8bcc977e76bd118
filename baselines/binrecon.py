"""BinRecon (Lee et al. 2024): reconstruct the bin in which each number of a row lies, as a coarse regression.

Source: "Binning as a pretext task: improving self-supervised learning in tabular domains", arXiv 2405.07414.
Kept: ten quantile bins of train per column of numbers, their index standardised, squared error; columns may be hidden from
the input with a probability (0 by default, .1 in the paper's masked form).
Differs: house encoder and one hidden layer in the head; categories by cross-entropy; AdamW; a hidden number is treated as a
missing one, a hidden category as an unknown one.
Not verified: the published figures over 25 sets.
Tests: test_methods_tabular.py, test_contracts.py.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from jepakit.modality import Modality
from jepakit.objective import Objective
from jepakit.recipe import vit
from jepakit.registry import methods
from jepakit.table import ColumnLoss, RowHeads, table_of
from jepakit.types import Batch, Losses, Size, UsageError

BINS = 10


class BinRecon(Objective):
    """Encoder on the row, a head for the bins."""

    edges: Tensor

    def __init__(self, modality: Modality, size: Size, hide: float, bins: int) -> None:
        super().__init__()
        if bins < 2 or not 0 <= hide < 1:
            raise UsageError(f"bins={bins} and hide={hide} are not usable; use two bins or more and a share below 1")
        self.table, self.hide, self.bins = table_of(modality), hide, bins
        self.backbone = vit(modality, size)
        self.loss = ColumnLoss(self.table.sizes)
        self.head = RowHeads(len(self.table.sizes), size.dim, self.loss.width)
        inner = torch.linspace(0, 1, bins + 1)[1:-1]
        self.register_buffer(
            "edges", modality.data("train").x.float().quantile(inner, 0).T.contiguous(), persistent=False
        )

    def wanted(self, x: Float[Tensor, "b n"]) -> Float[Tensor, "b n"]:
        """Standardised bins of the numbers (mean 0 and variance 1 for equally filled bins), codes of the categories."""
        index = (x[..., None] > self.edges).sum(-1).to(x.dtype)
        scaled = (index - (self.bins - 1) / 2) / ((self.bins**2 - 1) / 12) ** 0.5
        return torch.where(self.loss.number, scaled, x)

    def forward(self, batch: Batch, progress: float) -> Losses:
        missing = self.table.missing(batch)
        hidden = torch.rand(batch.x.shape, device=batch.x.device) < self.hide
        extra = {**batch.extra, "missing": missing | hidden}
        seen = replace(batch, x=batch.x.masked_fill(hidden, 0.0), extra=extra)
        loss = self.loss(self.head(self.backbone.embed(seen)), self.wanted(batch.x), ~missing)
        return Losses(loss, {"bins": loss.detach()})


@methods.register(
    "binrecon",
    family="mae",
    paper="Lee et al. 2024, arXiv 2405.07414",
    augmentation="none",
    needs="table",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)},
    space={"recipe.hide": (0.0, 0.5, "linear")},
)
def binrecon(modality: Modality, size: Size, *, hide: float = 0.0, bins: int = BINS) -> BinRecon:
    """hide: probability that a value is hidden from the encoder; bins: per column of numbers."""
    return BinRecon(modality, size, hide, bins)
