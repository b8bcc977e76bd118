"""Covariance in the tangent space (Barachant et al. 2012): the field's strong classical row for signals of many channels.

Source: doi 10.1109/TBME.2011.2172210; pyriemann.
Kept: covariance over time of the channels, shrunk (OAS), projected to the tangent space at the Riemannian mean of the
training covariances; probed like every row.
Differs: broad-band covariances of the board's windows; nothing is learned but the mean, from at most 512 training rows.
Published: TUAB, recording-level accuracy about .86 with logistic regression (Gemein et al. 2020); motor imagery of seven
OpenBMI subjects 84.7 %.
Tests: test_eeg_classical.py, test_contracts.py.
"""

import importlib
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from jepakit.channels import Channels
from jepakit.modality import Modality
from jepakit.objective import Reference
from jepakit.registry import methods
from jepakit.types import Batch, Size

ROWS = 512  # of train, for the mean


def riemann(module: str) -> Any:
    """A module of pyriemann, whose import takes longer than the rest of this package: only the row that needs it waits."""
    return importlib.import_module(f"pyriemann.{module}")


class Tangent(Channels):
    """Upper triangles of the logarithms of covariances seen from the training mean."""

    middle: Tensor

    def __init__(self, modality: Modality) -> None:
        super().__init__(modality)
        train = modality.data("train")
        rows = np.sort(np.random.default_rng(len(train)).permutation(len(train))[:ROWS])
        seen = modality.windows(train.take(rows))
        batch = seen.batch(torch.arange(len(seen)))
        self.register_buffer(
            "middle",
            torch.from_numpy(riemann("geometry.mean").gmean(self.covariances(batch), metric="riemann")),
        )

    def covariances(self, batch: Batch) -> np.ndarray:
        """(b, c, c), positive definite through shrinkage."""
        x = self.signals(batch).detach().cpu().double().numpy()
        found: np.ndarray = riemann("estimation").Covariances("oas").transform(x)
        # Average reference leaves one direction without variance, and a silent channel has none at all.
        return found + 1e-6 * np.eye(x.shape[1])

    def embed(self, batch: Batch) -> Float[Tensor, "b f"]:
        found = riemann("geometry.tangentspace").tangent_space(
            self.covariances(batch), self.middle.cpu().numpy(), metric="riemann"
        )
        return torch.from_numpy(found).float().to(batch.x.device)


@methods.register("tangent", family="reference", paper="Barachant et al. 2012, tangent space", augmentation="none")
def tangent(modality: Modality, size: Size) -> Reference:
    """No network: the logarithm of the covariance between channels."""
    return Reference(Tangent(modality))
