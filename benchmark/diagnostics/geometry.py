"""Geometry of features: how far apart samples lie, how near their views, and how far all of it is from a Gaussian."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial.distance import pdist

from jepakit.losses import SIGReg

Array = np.ndarray


def unit(z: Float[Array, "*s d"]) -> Float[Array, "*s d"]:
    """Each vector divided by its length; a zero vector stays zero."""
    norm = np.linalg.norm(z, axis=-1, keepdims=True)
    return np.divide(z, norm, out=np.zeros_like(z), where=norm > 0)


def mean_cosine(z: Float[Array, "n d"]) -> float:
    """Mean cosine between two different samples, −1/(n − 1) … 1."""
    u = unit(z)
    n = len(u)
    return float((np.square(u.sum(0)).sum() - np.square(u).sum()) / (n * (n - 1)))


def alignment(views: Float[Array, "n q d"]) -> float:
    """Mean squared distance of the first two views of a sample on the unit sphere (Wang & Isola 2020), 0 … 4."""
    return float(np.square(unit(views[:, 0]) - unit(views[:, 1])).sum(-1).mean())


def uniformity(z: Float[Array, "n d"]) -> float:
    """log of the mean of exp(−2‖u − v‖²) over pairs of different samples on the unit sphere (Wang & Isola 2020): 0 when
    all are alike, about −4 when they are spread evenly in many dimensions."""
    return float(np.log(np.exp(-2 * pdist(unit(z), "sqeuclidean")).mean()))


def sigreg(z: Float[Array, "n d"], slices: int = 256) -> float:
    """LeJEPA's statistic (Epps–Pulley along 256 fixed random directions) divided by n: 1.05/n for a standard normal
    sample, .402 when all are 0. Trained on by some rows, which it therefore does not judge."""
    with torch.no_grad():
        return float(SIGReg(slices)(torch.from_numpy(z).float())) / len(z)
