"""BEVContrast (Sautier et al. 2024): the same place in two views of a scene attracts, other places of the batch repel.

Source: arXiv 2310.17281; no code was read.
Kept: contrast over cells of the bird's-eye view of two clouds whose rigid motion is known, InfoNCE on cosines of
projected cell features, only where both clouds have points.
Differs: the two clouds are views of one cloud (turned, mirrored, scaled, thinned), not sweeps at two times; each view's
token features are read, by bilinear interpolation, where places of the input have gone; ``pairs`` places of a batch
take part (they repeat where a batch has fewer; a repeated place is no negative of itself); tokens of 4 × 4 cells.
Not verified: temperature and number of cells; published are fine-tuned segmentations of SemanticKITTI only.
Tests: test_methods_places.py, test_methods.py.
"""

import math
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from jepakit.modality import Modality, grid_positions
from jepakit.nn import Backbone, Projector
from jepakit.objective import Objective
from jepakit.occupancy import cycled, need_occupied, occupied
from jepakit.recipe import vit
from jepakit.registry import methods
from jepakit.relative import need_actions
from jepakit.types import Batch, Losses, Size, UsageError, gather

NEEDED = ("turn", "mirror", "scale")  # what a view reports first, as shares of its policy's largest ones


def moved(
    place: Float[Tensor, "n 2"], action: Float[Tensor, "b 3"], angle: float, scale: float
) -> Float[Tensor, "b n 2"]:
    """Where places lie in a view: mirrored (y → −y), scaled, turned. ``angle`` (degrees), ``scale``: of a share of 1."""
    turn, factor = action[:, :1] * math.radians(angle), 1 + scale * action[:, 2:]
    x, y = place[:, 0], place[:, 1] * (1 - 2 * action[:, 1:2])
    return torch.stack([turn.cos() * x - turn.sin() * y, turn.sin() * x + turn.cos() * y], -1) * factor[..., None]


def read(maps: Float[Tensor, "b n d"], at: Float[Tensor, "b q 2"], grid: tuple[int, ...]) -> Float[Tensor, "b q d"]:
    """Bilinear values of a token map at places in tokens from the middle of the grid, 0 outside."""
    plan = maps.mT.unflatten(2, grid)
    rows, columns = (2 * at[..., axis] / grid[axis] for axis in (0, 1))
    found = F.grid_sample(plan, torch.stack([columns, rows], -1)[:, None], align_corners=False)
    return found[:, :, 0].mT


class BEVContrast(Objective):
    """Two views, one encoder, one projector of tokens."""

    backbone: Backbone

    def __init__(self, modality: Modality, size: Size, pairs: int, temperature: float, out: int) -> None:
        super().__init__()
        need_occupied(modality, "bevcontrast")
        need_actions(modality, "bevcontrast")
        policy: Any = getattr(modality, "policy", None)
        if len(modality.grid) != 2 or policy is None or modality.actions[:3] != NEEDED:
            raise UsageError(
                "'bevcontrast' matches places of a plan; views must report turn, mirror and scale; take simclr"
            )
        self.modality, self.pairs, self.temperature = modality, pairs, temperature
        self.angle, self.scale = float(policy.angle), float(policy.scale)
        self.backbone, self.projector = vit(modality, size), Projector(size.dim, size.dim, out)

    def look(self, view: Batch) -> tuple[Float[Tensor, "b n d"], Bool[Tensor, "b n"]]:
        """(projected tokens, which hold points)."""
        x: Tensor = self.projector(self.backbone.tokens(view).x.flatten(0, 1))
        return x.unflatten(0, occupied(view).shape), occupied(view)

    def forward(self, batch: Batch, progress: float) -> Losses:
        views = [self.modality.views(batch) for _ in range(2)]
        origin = torch.tensor([(side - 1) / 2 for side in self.modality.grid])
        place = (grid_positions(self.modality.grid) - origin).to(batch.x.device, non_blocking=True)
        sides, filled = [], torch.ones(len(batch), len(place), dtype=torch.bool, device=batch.x.device)
        for view in views:  # both are read at the places of the input
            at = moved(place, view.extra["action"][:, :3], self.angle, self.scale)
            x, here = self.look(view)
            sides.append(F.normalize(read(x, at, self.modality.grid).float(), dim=-1).flatten(0, 1)[None])
            filled = filled & (read(here[..., None].float(), at, self.modality.grid)[..., 0] > 0.5)
        index = cycled(filled.flatten()[None], self.pairs)
        a, b = (gather(side, index)[0] for side in sides)
        again = (index[0, :, None] == index[0]).fill_diagonal_(False)
        logits = (a @ b.T / self.temperature).masked_fill(again, -torch.inf)
        own = torch.arange(self.pairs, device=a.device)
        loss = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
        return Losses(loss, {"contrast": loss.detach()})


@methods.register(
    "bevcontrast", family="contrastive", paper="Sautier et al. 2024, arXiv 2310.17281", augmentation="modality-specific",
    training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)}, needs="occupied",
)  # fmt: skip
def bevcontrast(
    modality: Modality, size: Size, *, pairs: int = 512, temperature: float = 0.1, out: int = 64
) -> BEVContrast:
    """pairs: places of a batch that take part; temperature: of the softmax; out: projector width."""
    return BEVContrast(modality, size, pairs, temperature, out)
