"""Views with known transforms: what methods that predict one view from others and the transform between them share."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from jepakit.modality import Modality
from jepakit.nn import Embedder, Transformer, initialise, weight_std
from jepakit.types import Batch, Tokens, UsageError


def need_actions(modality: Modality, method: str) -> int:
    """The number of transform parameters that a view of ``modality`` reports; UsageError when it reports none."""
    if not modality.actions:
        raise UsageError(
            f"'{method}' predicts a view from the transform that leads to it, and views of {modality.name}/"
            f"{modality.dataset} report none; take lejepa or a data set with actions"
        )
    return len(modality.actions)


def acted(modality: Modality, batch: Batch, views: int) -> tuple[list[Batch], Float[Tensor, "b s a"]]:
    """``views`` random views of each sample, and the s = views − 1 relative actions from each to the next (the difference of
    their parameters)."""
    drawn = [modality.views(batch) for _ in range(views)]
    return drawn, torch.stack([view.extra["action"] for view in drawn], 1).diff(dim=1)


class Aggregator(nn.Module):
    """Features of the seen views and the action that follows each → one summary of the sequence."""

    def __init__(self, dim: int, actions: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        if (dim + width) % heads:
            raise UsageError(f"{dim} + recipe.action={width} is not a multiple of recipe.heads={heads}; change one")
        self.action = nn.Sequential(nn.Linear(actions, width, bias=False), nn.BatchNorm1d(width, affine=False))
        self.width, self.summary = width, nn.Parameter(torch.zeros(dim + width))
        self.transformer = Transformer(dim + width, depth, heads, bias=False)

    def embed(self, moves: Float[Tensor, "b s a"]) -> Float[Tensor, "b s w"]:
        """Relative actions as the numbers that the aggregator and the predictor read."""
        out: Tensor = self.action(moves.flatten(0, 1))
        return out.unflatten(0, moves.shape[:2])

    def forward(self, features: Float[Tensor, "b s d"], between: Float[Tensor, "b s-1 w"]) -> Float[Tensor, "b e"]:
        """``between``: embedded actions from each seen view to the next; after the last one stands zero."""
        x = torch.cat([features, F.pad(between, (0, 0, 0, 1))], -1)
        x = torch.cat([self.summary.to(x.dtype).expand(len(x), 1, -1), x], 1)
        out: Tensor = self.transformer.norm(self.transformer.hidden(x)[0][:, 0])
        return out


class Summary(Embedder):
    """The invariant tap: the summary of a sequence of one view."""

    def __init__(self, backbone: Embedder, aggregator: Aggregator) -> None:
        super().__init__()
        self.backbone, self.aggregator, self.dim = backbone, aggregator, backbone.dim + aggregator.width

    def tokens(self, batch: Batch) -> Tokens:
        """The encoder's tokens: the summary has no places."""
        return self.backbone.tokens(batch)

    def embed(self, batch: Batch) -> Float[Tensor, "b d"]:
        features = self.backbone.embed(batch)[:, None]
        out: Tensor = self.aggregator(features, features.new_zeros(len(features), 0, self.aggregator.width))
        return out


class Hypernetwork(nn.Module):
    """A linear map of the feature whose weights are a linear function of the action (SIE).

    The identity transform, an action of zero, starts as the identity map.
    """

    def __init__(self, actions: int, dim: int) -> None:
        super().__init__()
        self.dim = dim
        self.weights = nn.Linear(actions, dim * dim)
        initialise(self, weight_std(dim))
        with torch.no_grad():
            self.weights.bias.copy_(torch.eye(dim).flatten())

    def forward(self, z: Float[Tensor, "b k"], action: Float[Tensor, "b a"]) -> Float[Tensor, "b k"]:
        weights = self.weights(action).unflatten(-1, (self.dim, self.dim))
        return (weights @ z[..., None])[..., 0]


class Slice(Embedder):
    """Some of an encoder's feature dimensions, from ``start`` up to ``end``."""

    def __init__(self, backbone: Embedder, start: int, end: int) -> None:
        super().__init__()
        self.backbone, self.start, self.dim = backbone, start, end - start

    def tokens(self, batch: Batch) -> Tokens:
        tokens = self.backbone.tokens(batch)
        return Tokens(tokens.x[..., self.start : self.start + self.dim], tokens.pos, tokens.valid)
