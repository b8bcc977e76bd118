"""Channels: what reference rows compute from the signals of the channels, whatever the tokens of a data set are."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from jepakit.modality import Modality, grid_positions
from jepakit.nn import Embedder
from jepakit.types import Batch, Tokens


class Channels(Embedder):
    """Anything made of the signals that the channel tokens of a data set are cut from (``Modality.channelwise``).

    Raises UsageError for a data set without a channel axis.
    """

    def __init__(self, modality: Modality) -> None:
        super().__init__()
        self.modality, self.dim = modality.channelwise(), 0

    def signals(self, batch: Batch) -> Float[Tensor, "b c t"]:
        """The channels through all of their patches."""
        patches = self.modality.patches(batch).float()
        return patches.unflatten(1, (-1, self.modality.grid[-1])).flatten(2)

    def tokens(self, batch: Batch) -> Tokens:
        """The raw patches: what is computed of whole signals has no places."""
        patches = self.modality.patches(batch)
        pos = grid_positions(self.modality.grid).to(patches.device)
        return Tokens(patches, pos.expand(len(patches), -1, -1))
