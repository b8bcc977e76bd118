"""Classical rows: covariances in the tangent space against a slow oracle, means and variances, and what each can see."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from chips import Chips
from scipy.linalg import logm, sqrtm
from waves import Waves

import baselines  # noqa: F401 - registers
from jepakit.pretrain import build
from jepakit.types import Batch, Size, UsageError

SIZE = Size(16, 2, 2, 8, 1, 2, steps=50)


def some(rows: int = 12) -> tuple[Waves, Batch]:
    modality = Waves(grid=(40,))
    return modality, modality.data("train").batch(torch.arange(rows))


def oas(x: np.ndarray) -> np.ndarray:
    """Oracle approximating shrinkage of one (c, t) signal (Chen et al. 2010), as scikit-learn writes it."""
    c, t = x.shape
    x = x - x.mean(1, keepdims=True)
    empirical = x @ x.T / t
    mu, alpha = np.trace(empirical) / c, np.mean(empirical**2)
    shrink = min((alpha + mu**2) / ((t + 1) * (alpha - mu**2 / c)), 1.0)
    return (1 - shrink) * empirical + shrink * mu * np.eye(c)


def test_tangent_vectors_are_logarithms_seen_from_the_mean() -> None:
    """√2 · upper triangle of log(M^-½ C M^-½), the diagonal once, for M the row's own mean."""
    modality, batch = some()
    row = build("tangent", modality, SIZE, 0).encoder()
    found = row.embed(batch)
    assert found.shape == (12, 10)
    middle = row.middle.numpy()
    root = np.linalg.inv(np.real(sqrtm(middle)))
    up = np.triu_indices(4)
    weight = np.where(up[0] == up[1], 1.0, np.sqrt(2))
    for x, vector in zip(batch.x.reshape(12, 4, 40).double().numpy(), found.numpy()):
        covariance = oas(x) + 1e-6 * np.eye(4)
        wanted = np.real(logm(root @ covariance @ root))[up] * weight
        np.testing.assert_allclose(np.sort(vector), np.sort(wanted), rtol=2e-3, atol=2e-3)


def test_the_mean_of_train_is_the_riemannian_one() -> None:
    """Where tangent vectors of the training rows add up to nothing."""
    modality, _ = some()
    row = build("tangent", modality, SIZE, 0).encoder()
    train = row.embed(modality.data("train").batch(torch.arange(128)))
    assert train.mean(0).abs().max() < 1e-3 < train.abs().mean()


def test_moments_see_offsets_and_gains_and_nothing_else() -> None:
    modality, batch = some()
    row = build("moments", modality, SIZE, 0).encoder()
    found = row.embed(batch)
    x = batch.x.reshape(12, 4, 40)
    torch.testing.assert_close(found[:, :4], x.mean(-1))
    torch.testing.assert_close(found[:, 4:], (x.var(-1) + 1e-6).log())
    order = torch.randperm(40)
    torch.testing.assert_close(row.embed(batch.with_x(x[..., order].reshape(12, 160))), found, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(row.embed(batch.with_x(2 * batch.x + 1)), found)


@pytest.mark.parametrize("name", ["tangent", "moments"])
def test_what_has_no_channels_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="no channel axis"):
        build(name, Chips(), SIZE, 0)
