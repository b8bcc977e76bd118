"""What an EMA teacher finds salient, and regions of equal size ordered by it (DSeq-JEPA)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from jepakit.masking import chosen
from jepakit.modality import grid_positions
from jepakit.targets import EMA
from jepakit.types import Batch, Split, UsageError


class Salient(EMA):
    """An EMA teacher that also says how salient each token is: the product of its register, over √width, with the token
    five sixths up its blocks (block 10 of 12)."""

    def look(self, batch: Batch) -> tuple[Float[Tensor, "b n e"], Float[Tensor, "b n"]]:
        """(targets, saliency), both from one pass and without gradient."""
        with torch.no_grad():
            blocks = len(self.teacher.transformer.blocks)
            hidden = self.teacher.hidden(self.teacher.tokenize(batch), blocks - round(blocks * 5 / 6) + 1)
            target = self.teacher.transformer.norm(hidden[-1])
            saliency = hidden[0].float() @ self.teacher.registers[0].float() / self.teacher.dim**0.5
            return (self.norm(target) if self.norm else target), saliency


class Regions(nn.Module):
    """Saliency (b, n) → ``count`` connected regions of ``share`` of the grid each, most salient first, then the background.

    A region starts at the most salient free token and takes the most salient free token that touches it (corners count)
    until it is full; where none touches it, the most salient free one. Regions are then ranked by their mean saliency. All
    on the device, in count·size rounds, and all sizes are known on the host.
    """

    touching: Tensor

    def __init__(self, grid: tuple[int, ...], count: int = 4, share: float = 0.15) -> None:
        super().__init__()
        place = grid_positions(grid)
        self.count, self.tokens = count, len(place)
        self.size = int(share * self.tokens + 1e-9)
        if count < 1 or self.size < 1 or count * self.size >= self.tokens:
            raise UsageError(
                f"{count} regions of {self.size} of {self.tokens} tokens leave no background or are empty; use another "
                "recipe.regions or recipe.share"
            )
        self.register_buffer("touching", (place[:, None] - place).abs().amax(-1) <= 1, persistent=False)

    def forward(self, saliency: Float[Tensor, "b n"]) -> list[Int[Tensor, "b _"]]:
        low, high = saliency.amin(1, keepdim=True), saliency.amax(1, keepdim=True)
        level = (saliency - low) / (high - low).clamp_min(1e-12)  # in [0, 1], so that 2 for touching outranks it
        free = torch.ones_like(level, dtype=torch.bool)
        found = []
        for _ in range(self.count):
            edge = torch.zeros_like(free)
            members = []
            for _ in range(self.size):
                token = (level + 2 * edge).masked_fill(~free, -1).argmax(1)
                members.append(token)
                edge = edge | self.touching[token]
                free = free.scatter(1, token[:, None], False)
            found.append(torch.stack(members, 1).sort(1).values)
        regions = torch.stack(found, 1)
        mean = torch.gather(level, 1, regions.flatten(1)).unflatten(1, regions.shape[1:]).mean(2)
        order = mean.argsort(dim=1, descending=True, stable=True)
        ranked = torch.gather(regions, 1, order[..., None].expand_as(regions))
        return [*ranked.unbind(1), chosen(free, self.tokens - self.count * self.size)]


def accumulated(regions: list[Int[Tensor, "b _"]]) -> Iterator[Split]:
    """Region k + 1 is asked for from the union of regions 1 … k, for every k."""
    for k in range(1, len(regions)):
        seen = torch.cat(regions[:k], 1).sort(1).values
        yield Split(seen[:, None], regions[k][:, None, None])
