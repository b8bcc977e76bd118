"""Several sets of masks on every batch, which share one pass of the teacher; each set has a mask token of its own."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from jepakit.nn import Predictor
from jepakit.objective import MaskedJEPA
from jepakit.tubes import MultiBlocks
from jepakit.types import Batch, Losses, Tokens, gather


class SetPredictor(Predictor):
    """The house predictor with one mask token per set of masks, all zero at first."""

    def __init__(self, *sizes: int, sets: int = 2, **more: Any) -> None:
        super().__init__(*sizes, **more)
        del self.mask_token
        # One vector per set, each a 1-D parameter: it must never be weight-decayed.
        self.mask_tokens = nn.ParameterList(torch.zeros(self.width) for _ in range(sets))

    def forward(
        self,
        context: Tokens,
        query: Float[Tensor, "b m t q p"],
        which: int = 0,
        real: Bool[Tensor, "b m t q"] | None = None,
    ) -> Float[Tensor, "b m t q e"]:
        """``which``: the set that asks; ``real``: False where a query is padding, which nothing attends to."""
        groups, q = query.shape[2], query.shape[3]
        flat = query.flatten(0, 2)
        pos = torch.cat([context.pos.repeat_interleave(groups, 0), flat], 1)
        visible = self.inward(context.x).repeat_interleave(groups, 0)
        hidden = self.mask_tokens[which].to(visible.dtype).expand(len(flat), q, -1)
        allowed = None
        if context.valid is not None or real is not None:
            seen = torch.ones_like(context.x[..., 0], dtype=torch.bool) if context.valid is None else context.valid
            asked = torch.ones_like(flat[..., 0], dtype=torch.bool) if real is None else real.flatten(0, 2)
            allowed = torch.cat([seen.repeat_interleave(groups, 0), asked], 1)[:, None, :]
        x = self.attend(torch.cat([visible, hidden], 1), pos, allowed)
        return self.outward(self.transformer.norm(x[:, -q:])).unflatten(0, query.shape[:3])

    def attend(
        self, x: Float[Tensor, "r n w"], pos: Float[Tensor, "r n p"], allowed: Bool[Tensor, "r 1 n"] | None
    ) -> Float[Tensor, "r n w"]:
        """The blocks, with the position code added once or at every block."""
        places = self.code(pos, self.width)
        if self.every:
            return self.transformer.hidden(x, every=places, allowed=allowed)[0]
        return self.transformer.hidden(x + places, allowed=allowed)[0]


def spread(predicted: Float[Tensor, "b m t q e"]) -> Float[Tensor, "b m t e"]:
    """Standard deviation of each predicted feature over the queried tokens, √(var + 1e-4)."""
    return (predicted.var(-2) + 1e-4).sqrt()


class MaskSets(MaskedJEPA):
    """One context pass and one predictor pass per set of masks, losses averaged over the sets.

    variance: weight of mean relu(1 − std), where std is the spread of predictions averaged over the sets.
    """

    masker: MultiBlocks

    def __init__(self, *, variance: float = 0.0, **slots: Any) -> None:
        super().__init__(**slots)
        self.variance = variance

    def forward(self, batch: Batch, progress: float) -> Losses:
        tokens, target = self.backbone.tokenize(batch), self.target(batch)
        losses, spreads = [], []
        for which in range(self.masker.sets):
            split = self.masker(tokens, target, progress, which)
            context = self.backbone.encode(tokens.take(split.context))
            predicted = self.predictor(context, gather(tokens.pos, split.target), which)
            losses.append(self.distance(predicted, gather(target, split.target)))
            if self.variance:
                spreads.append(spread(predicted))
        parts = {"prediction": torch.stack(losses).mean()}
        total = parts["prediction"]
        if spreads:
            parts["variance"] = F.relu(1 - torch.stack(spreads).mean(0)).mean()
            total = total + self.variance * parts["variance"]
        return Losses(total, {name: value.detach() for name, value in parts.items()})
