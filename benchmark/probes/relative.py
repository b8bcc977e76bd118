"""Relative probe: which transform leads from one view of a row to another, read linearly off the two features (R²).

Kept: frozen features of two views side by side, one value per transform parameter (Garrido et al. 2023, arXiv 2302.10283).
Differs: ridge regression, so only what is linear in the features counts (paper: an MLP of 1024 units); parameters are those
that the modality's views report, and their relative value is their difference.
It scores tasks of its own, ``transform_<action>``, and nothing where views report no parameters.
Tests: test_pairs.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from benchmark import pairs
from benchmark.features import Features
from benchmark.probes.base import subsample
from benchmark.probes.ridge import RidgeProbe
from jepakit.modality import Modality
from jepakit.nn import Embedder
from jepakit.registry import probes
from jepakit.types import Data, Part

ROWS = 10_000  # of each part, at most


@probes.register("relative", kinds=("regression",), sees="pairs")
class Relative(RidgeProbe):
    """Ridge regression on pairs of views."""

    tasks = staticmethod(pairs.tasks)

    @staticmethod
    def extract(
        encoder: Embedder, modality: Modality, rows: Mapping[Part, Data], *, seed: int, device: str
    ) -> tuple[dict[Part, Features], dict[Part, Data]]:
        """Pairs of at most ROWS rows of each part: see ``pairs.extract``."""
        some = {part: data.take(subsample(len(data), ROWS, seed)) for part, data in rows.items()}
        return pairs.extract(encoder, modality, some, seed=seed, device=device)
