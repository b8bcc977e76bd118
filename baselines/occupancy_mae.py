"""Occupancy-MAE (Min et al. 2022, Voxel-MAE): tell which cells under hidden tokens hold points; the MAE row of point
clouds.

Source: arXiv 2206.09900 as summarised by its successors; no code was read.
Kept: of the occupied tokens near the sensor more are hidden than of those far away (.9, .7, .5 by distance), the
encoder sees visible occupied tokens alone, a light decoder says for every cell under a hidden token, occupied or not,
whether any point lies in it; binary cross-entropy, focal with ``focal`` > 0.
Differs: tokens of 4 × 4 cells and the house encoder instead of sparse convolutions over voxels, so occupancy is that of
the bird's-eye view; house predictor as decoder, asked at every place and judged at hidden ones; distance bands are
thirds of the way from the middle of the grid to its corner; empty places are hidden with the share of their band;
``masks=joint`` takes AD-L-JEPA's masks, so that only the target differs.
Not verified: the ratios and their distances, which are remembered.
Published: KITTI and Waymo fine-tuning gains only.
Tests: test_methods_lidar.py, test_methods.py.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from jepakit.modality import Modality, grid_positions
from jepakit.nn import Backbone
from jepakit.objective import Objective
from jepakit.occupancy import VALUES, first, joint_mask, need_cells, need_occupied, occupied, room
from jepakit.processes import terms
from jepakit.recipe import narrow, vit
from jepakit.registry import methods
from jepakit.types import Batch, Losses, Size, Tokens, UsageError

BANDS = (0.9, 0.7, 0.5)  # hidden shares from the sensor outwards


def by_distance(grid: tuple[int, ...], shares: tuple[float, ...]) -> Float[Tensor, "n"]:
    """The hidden share at every token: bands of equal width from the middle of the grid to its corner."""
    distance = (grid_positions(grid) - (torch.tensor(grid) - 1) / 2).square().sum(1).sqrt()
    band = (distance / distance.max().clamp_min(1e-6) * len(shares)).long().clamp_max(len(shares) - 1)
    return torch.tensor(shares)[band]


def focal_loss(logit: Tensor, wanted: Tensor, gamma: float) -> Tensor:
    """Binary cross-entropy of every cell, times (1 − p of the true answer)^γ."""
    plain = F.binary_cross_entropy_with_logits(logit, wanted, reduction="none")
    return plain if gamma == 0 else plain * (1 - torch.exp(-plain)) ** gamma


class OccupancyMAE(Objective):
    """Masks, encoder on visible occupied tokens, decoder at every place."""

    backbone: Backbone
    share: Tensor

    def __init__(
        self, modality: Modality, size: Size, masks: Literal["distance", "joint"], hide: float, focal: float
    ) -> None:
        super().__init__()
        if not 0 < hide < 1 or focal < 0:
            raise UsageError(f"recipe.hide is a share in (0, 1) and recipe.focal ≥ 0, not {hide} and {focal}")
        cells, most = need_cells(modality, "occupancy-mae"), need_occupied(modality, "occupancy-mae")
        self.modality, self.joint, self.hide, self.focal = modality, masks == "joint", hide, focal
        self.register_buffer("share", by_distance(modality.grid, BANDS), persistent=False)
        self.seen = room(most, 1 - (hide if self.joint else min(BANDS)))
        self.backbone, self.decoder = vit(modality, size), narrow(size, out=cells)

    def masked(self, filled: Bool[Tensor, "b n"]) -> Bool[Tensor, "b n"]:
        """Which tokens are hidden."""
        if self.joint:
            return joint_mask(filled, self.hide)[1]
        return torch.rand(filled.shape, device=filled.device) < self.share

    def forward(self, batch: Batch, progress: float) -> Losses:
        filled, tokens = occupied(batch), self.backbone.tokenize(batch)
        hidden = self.masked(filled)
        index, valid = first(filled & ~hidden, self.seen)
        taken = tokens.take(index[:, None])
        context = self.backbone.encode(Tokens(taken.x, taken.pos, valid))
        logit = self.decoder(context, tokens.pos[:, None, None])[:, 0, 0]
        wanted = (self.modality.patches(batch).unflatten(-1, (-1, VALUES))[..., 0] > 0).to(logit.dtype)
        error = focal_loss(logit, wanted, self.focal).mean(-1)
        loss = (error * hidden).sum() / terms(hidden)
        return Losses(loss, {"occupancy": loss.detach()})


@methods.register(
    "occupancy-mae",
    family="mae",
    paper="Min et al. 2022, arXiv 2206.09900",
    augmentation="none",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.95)},
    needs="occupied",
)
def occupancy_mae(
    modality: Modality, size: Size, *, masks: Literal["distance", "joint"] = "distance", hide: float = 0.5,
    focal: float = 0.0,
) -> OccupancyMAE:  # fmt: skip
    """masks: range-aware, or AD-L-JEPA's with the share hide; focal: exponent of the focal loss."""
    return OccupancyMAE(modality, size, masks, hide, focal)
