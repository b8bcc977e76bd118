"""SubTab (Ucar et al. 2021): overlapping groups of columns are encoded apart; each reconstructs the row, all agree.

Source: arXiv 2110.04361 and its released code (github AstraZeneca/SubTab).
Kept: four groups of successive columns that overlap their neighbour by three quarters of a group; values replaced with
probability .3 by others of their column; for every pair of groups the reconstruction of the whole row, NT-Xent on normalised
projections (temperature .1) and their squared distance, mean over the six pairs; a row's features are the mean over the
clean groups.
Differs: groups are rounded up and spread evenly from the first column to the last (the release leaves out what a division
by four leaves over); house encoder on the tokens of a group; reconstruction is a mean over columns instead of a sum,
categories by cross-entropy; AdamW at the board's rate and batch.
Not verified: the published figures (MNIST as columns, TCGA, Adult, Blog, Income, Obesity).
Tests: test_methods_tabular.py, test_contracts.py.
"""

import itertools

import torch
from torch import nn
from torch.nn import functional as F

from jepakit.losses import nt_xent
from jepakit.modality import Modality
from jepakit.nn import Projector
from jepakit.objective import Objective
from jepakit.recipe import vit
from jepakit.registry import methods
from jepakit.table import ColumnLoss, Grouped, RowHeads, groups, table_of
from jepakit.types import Batch, Losses, Size, UsageError

GROUPS = 4


class SubTab(Objective):
    """All pairs of groups."""

    backbone: Grouped
    least_batch = 2

    def __init__(self, modality: Modality, size: Size, corrupt: float, overlap: float, temperature: float) -> None:
        super().__init__()
        self.table, self.corrupt, self.temperature = table_of(modality), corrupt, temperature
        columns = len(self.table.sizes)
        if columns < GROUPS:
            raise UsageError(f"SubTab needs {GROUPS} columns or more, this table has {columns}; use another method")
        self.backbone = Grouped(vit(modality, size), groups(columns, overlap, GROUPS))
        self.loss = ColumnLoss(self.table.sizes)
        self.head = RowHeads(columns, size.dim, self.loss.width)
        self.projector: nn.Module = Projector(size.dim, 2 * size.dim, size.dim)

    def forward(self, batch: Batch, progress: float) -> Losses:
        hit = torch.rand(batch.x.shape, device=batch.x.device) < self.corrupt
        rows = self.backbone.each(self.table.corrupted(batch, hit))
        asked = ~self.table.missing(batch)
        rebuilt = torch.stack([self.loss(self.head(row), batch.x, asked) for row in rows]).mean()
        z = [F.normalize(self.projector(row).float(), dim=-1) for row in rows]
        pairs = list(itertools.combinations(z, 2))
        contrast = torch.stack([nt_xent(a, b, self.temperature) for a, b in pairs]).mean()
        distance = torch.stack([(a - b).square().sum(-1).mean() for a, b in pairs]).mean()
        parts = {"columns": rebuilt, "contrast": contrast, "distance": distance}
        return Losses(rebuilt + contrast + distance, {name: value.detach() for name, value in parts.items()})


@methods.register(
    "subtab",
    family="contrastive",
    paper="Ucar et al. 2021, arXiv 2110.04361",
    augmentation="modality-specific",
    needs="table",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)},
    space={"recipe.corrupt": (0.0, 0.6, "linear")},
)
def subtab(
    modality: Modality, size: Size, *, corrupt: float = 0.3, overlap: float = 0.75, temperature: float = 0.1
) -> SubTab:
    """corrupt: probability of a replaced value; overlap: share of a group that its neighbour sees too; temperature: of the
    softmax."""
    return SubTab(modality, size, corrupt, overlap, temperature)
