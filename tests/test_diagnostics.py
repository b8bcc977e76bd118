"""Diagnostics: closed-form values, planted collapses that must be flagged, healthy features that must not."""

from __future__ import annotations

import numpy as np
import pytest

from benchmark.diagnostics import measure, verdict


def test_isotropic_features_use_every_dimension():
    d = 7
    z = np.concatenate([np.eye(d), -np.eye(d)]).astype(np.float32)
    found = measure(z)
    assert found["rankme"] == pytest.approx(d)
    assert found["rankme_norm"] == pytest.approx(1)
    assert found["std_min"] == pytest.approx(np.sqrt(2 / (2 * d)))
    # Among the other 2d − 1 samples one is opposite, all others are orthogonal.
    assert found["mean_cosine"] == pytest.approx(-1 / (2 * d - 1))


def test_rank_one_and_constant_features():
    z = np.outer(np.linspace(-1, 1, 50), np.arange(1, 9)) + 3
    assert measure(z)["rankme"] == pytest.approx(1)
    flat = measure(np.full((50, 8), 2.5))
    assert (flat["rankme"], flat["std_mean"]) == (0, 0)
    assert flat["mean_cosine"] == pytest.approx(1)


def test_rankme_of_two_known_singular_values():
    # Singular values 3 : 1, so p = ¾, ¼ and rankme = exp(−¾ ln ¾ − ¼ ln ¼).
    z = np.array([[3, 0], [-3, 0], [0, 1], [0, -1]]) / np.sqrt(2)
    assert measure(z)["rankme"] == pytest.approx(np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25)))


def test_rankme_does_not_see_an_offset_but_cosine_does():
    z = np.random.default_rng(0).normal(size=(400, 16))
    assert measure(z + 100)["rankme"] == pytest.approx(measure(z)["rankme"])
    assert measure(z + 100)["mean_cosine"] > 0.999
    assert abs(measure(z)["mean_cosine"]) < 0.01


def planted(kind: str, rng: np.random.Generator) -> np.ndarray:
    n, d = 500, 64
    if kind == "constant":
        return np.tile(rng.normal(size=d), (n, 1))
    if kind == "zero":
        return np.zeros((n, d))
    if kind == "position only":  # the same for every sample up to float32 rounding of another batch
        return np.tile(rng.normal(size=d), (n, 1)) * (1 + 1e-6 * rng.normal(size=(n, d)))
    rank = int(kind[-1])
    return rng.normal(size=(n, rank)) @ rng.normal(size=(rank, d)) + 1e-3 * rng.normal(size=(n, d)) + 2


@pytest.mark.parametrize("kind", ["constant", "zero", "position only", "rank 1", "rank 2"])
@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_planted_collapses_are_flagged_at_every_scale(kind: str, scale: float):
    z = (planted(kind, np.random.default_rng(0)) * scale).astype(np.float32)
    assert verdict(z) is not None


def healthy(kind: str, rng: np.random.Generator) -> np.ndarray:
    z = rng.normal(size=(300, 48))
    if kind == "power law":
        return z * np.arange(1, 49) ** -1.0 @ np.linalg.qr(rng.normal(size=(48, 48)))[0]
    if kind == "large offset":
        return z + 30 * rng.normal(size=48)
    if kind == "mixed scales":  # hand-made features in different units, one constant
        return np.concatenate([z * 10.0 ** rng.uniform(-3, 3, 48), np.full((300, 1), 360.0)], 1)
    if kind == "sparse":
        return np.maximum(z - 1.5, 0)
    if kind == "few samples":
        return z[:6]
    if kind == "two dimensions":
        return z[:, :2]
    return z


@pytest.mark.parametrize(
    "kind", ["normal", "power law", "large offset", "mixed scales", "sparse", "few samples", "two dimensions"]
)
@pytest.mark.parametrize("seed", range(5))
def test_healthy_features_are_never_flagged(kind: str, seed: int):
    assert verdict(healthy(kind, np.random.default_rng(seed)).astype(np.float32)) is None


def test_bad_input():
    z = np.random.default_rng(0).normal(size=(10, 4))
    z[3, 2] = np.nan
    assert verdict(z) == "features are not finite"
    with pytest.raises(ValueError, match="not finite"):
        measure(z)
    with pytest.raises(ValueError, match="n ≥ 2"):
        measure(z[:1])
