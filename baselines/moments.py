"""Mean and variance of every channel and nothing else: what a row that only reads offsets and gains would score.

Kept: the mean and the log variance over time of each channel of the standardised input; probed like every row.
Differs: nothing is learned. A row that is not clearly above this one may have learned the amplifier.
Tests: test_eeg_classical.py, test_contracts.py.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from jepakit.channels import Channels
from jepakit.modality import Modality
from jepakit.objective import Reference
from jepakit.registry import methods
from jepakit.types import Batch, Size


class Moments(Channels):
    """(b, 2 · channels): means, then log variances."""

    def embed(self, batch: Batch) -> Float[Tensor, "b f"]:
        x = self.signals(batch)
        return torch.cat([x.mean(-1), (x.var(-1) + 1e-6).log()], 1)


@methods.register("moments", family="reference", paper="mean and variance per channel", augmentation="none")
def moments(modality: Modality, size: Size) -> Reference:
    """No network: two numbers per channel."""
    return Reference(Moments(modality))
