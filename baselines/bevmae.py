"""BEV-MAE (Lin et al. 2024): masked cells keep their place by one shared token; predict density and coordinates.

Source: arXiv 2212.05758 as summarised by its successors; no code was read.
Kept: 70 % of the occupied cells are masked and replaced, before the encoder, by one shared learnable vector at their
place, so that the receptive field stays; one 3 × 3 convolution as decoder; smooth-L1 on the point density of masked
cells, and a second target made of normalised point coordinates.
Differs: tokens of 4 × 4 cells and the house encoder; the density is log(1 + points) of each cell under a masked token;
instead of the Chamfer distance between point sets the coordinates are the mean and the largest height of each occupied
cell, standardised on train, by smooth-L1: a modality gives methods its cells, not its points; empty cells are left out
of the encoder and are zeros for the decoder.
Not verified: the masked share, which is remembered.
Published: nuScenes, TransFusion-L fine-tuned: 73.6 NDS, 69.6 mAP.
Tests: test_methods_lidar.py, test_methods.py.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from jepakit import occupancy
from jepakit.modality import Modality
from jepakit.nn import Backbone
from jepakit.objective import Objective
from jepakit.recipe import vit
from jepakit.registry import methods
from jepakit.types import Batch, Losses, Size, Tokens, UsageError

ROWS = 256  # training samples that heights are standardised on


def heights(modality: Modality) -> tuple[Tensor, Tensor]:
    """(mean, standard deviation) of the two heights over occupied cells of train, each of shape (2,)."""
    train = modality.data("train")
    cells = (
        modality.patches(train.batch(torch.arange(min(ROWS, len(train)))))
        .unflatten(-1, (-1, occupancy.VALUES))
        .flatten(0, 2)
    )
    weight = (cells[:, :1] > 0).float()
    count = weight.sum().clamp_min(1)
    mean = (cells[:, 1:] * weight).sum(0) / count
    return mean, (((cells[:, 1:] - mean).square() * weight).sum(0) / count).sqrt().clamp_min(1e-3)


class BEVMAE(Objective):
    """Replacement, encoder on all occupied tokens, decoder on the map."""

    backbone: Backbone
    mean: Tensor
    std: Tensor

    def __init__(self, modality: Modality, size: Size, hide: float) -> None:
        super().__init__()
        if not 0 < hide < 1:
            raise UsageError(f"recipe.hide is the masked share of the occupied cells in (0, 1), not {hide}")
        cells = occupancy.need_cells(modality, "bevmae")
        self.modality, self.hide, self.most = modality, hide, occupancy.need_occupied(modality, "bevmae")
        self.backbone = vit(modality, size)
        self.point = nn.Parameter(nn.init.trunc_normal_(torch.empty(size.dim), std=0.02))
        self.decoder = occupancy.Convolutions(modality.grid, size.dim, 0, out=occupancy.VALUES * cells)
        for name, value in zip(("mean", "std"), heights(modality), strict=True):
            self.register_buffer(name, value)

    def forward(self, batch: Batch, progress: float) -> Losses:
        filled, tokens = occupancy.occupied(batch), self.backbone.tokenize(batch)
        masked = occupancy.joint_mask(filled, self.hide)[1] & filled
        place = self.point + self.backbone.code(tokens.pos, self.backbone.dim)
        replaced = Tokens(torch.where(masked[..., None], place, tokens.x), tokens.pos)
        encoded, known = occupancy.encode_only(self.backbone, replaced, filled, self.most)
        said = self.decoder(encoded).unflatten(-1, (-1, occupancy.VALUES))
        wanted = self.modality.patches(batch).unflatten(-1, (-1, occupancy.VALUES))
        density = F.smooth_l1_loss(said[..., 0], wanted[..., 0], reduction="none").mean(-1)
        height = F.smooth_l1_loss(said[..., 1:], (wanted[..., 1:] - self.mean) / self.std, reduction="none").mean(-1)
        asked = masked & known
        parts = {
            "density": occupancy.mean_over(density, asked),
            "coordinates": occupancy.mean_over(height.flatten(1), (asked[..., None] & (wanted[..., 0] > 0)).flatten(1)),
        }
        return Losses(parts["density"] + parts["coordinates"], {name: value.detach() for name, value in parts.items()})


@methods.register(
    "bevmae",
    family="mae",
    paper="Lin et al. 2024, arXiv 2212.05758",
    augmentation="none",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.95)},
    space={"recipe.hide": (0.5, 0.9, "linear")},
    needs="occupied",
)
def bevmae(modality: Modality, size: Size, *, hide: float = 0.7) -> BEVMAE:
    """hide: masked share of the occupied cells."""
    return BEVMAE(modality, size, hide)
