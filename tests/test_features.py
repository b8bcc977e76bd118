"""Frozen features: what is extracted, in which mode, what happens when memory runs out or a number is not finite."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from benchmark import features
from benchmark.features import Features, extract
from jepakit.nn import Embedder
from jepakit.types import Batch, Data, DataError, Tokens

MODALITY: Any = SimpleNamespace(name="toy", dataset="waves", grid=(3,))


class Encoder(Embedder):
    """Three tokens per sample, of which the last may be padding; dropout and normalisation show a wrong mode."""

    def __init__(self, most: int = 10**9) -> None:
        super().__init__()
        self.dim, self.most = 4, most
        self.linear, self.drop, self.norm = nn.Linear(2, 4), nn.Dropout(0.5), nn.BatchNorm1d(4)
        self.seen: list[int] = []

    def tokens(self, batch: Batch) -> Tokens:
        if len(batch) > self.most:
            raise torch.OutOfMemoryError("planted")
        self.seen.append(len(batch))
        assert not torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")
        x = self.drop(self.linear(batch.x.reshape(-1, 3, 2)))
        x = self.norm(x.flatten(0, 1)).reshape(x.shape)
        valid = torch.ones(x.shape[:2], dtype=torch.bool)
        valid[:, 2] = False
        return Tokens(x, torch.zeros(*x.shape[:2], 1), valid)


def rows(n: int = 23) -> Data:
    x = torch.randn(n, 6, generator=torch.Generator().manual_seed(0))
    return Data(x, {}, np.arange(n).astype(str))


def by_hand(encoder: Encoder, data: Data) -> np.ndarray:
    x = (
        data.x.reshape(-1, 3, 2).numpy() @ encoder.linear.weight.detach().numpy().T
        + encoder.linear.bias.detach().numpy()
    )
    return x / np.sqrt(1 + encoder.norm.eps)


def test_features_are_the_valid_mean_in_evaluation_mode():
    encoder, data = Encoder(), rows()
    encoder.train()
    found = extract(encoder, MODALITY, data, device="cpu", batch_size=5, tokens=True)
    assert encoder.training  # restored
    assert int(encoder.norm.num_batches_tracked) == 0  # statistics untouched
    wanted = by_hand(encoder, data)
    assert found.pooled.dtype == np.float32 and found.tokens is not None
    np.testing.assert_allclose(found.tokens[:, :2], wanted[:, :2], rtol=1e-5, atol=1e-6)
    assert np.isnan(found.tokens[:, 2]).all()  # padding
    np.testing.assert_allclose(found.pooled, wanted[:, :2].mean(1), rtol=1e-5, atol=1e-6)
    assert sum(encoder.seen) == len(data)  # pooled and token features come from one pass
    dense = extract(encoder, MODALITY, data, device="cpu", tokens=True, dense=True)
    np.testing.assert_allclose(dense.tokens, wanted, rtol=1e-5, atol=1e-6)
    assert extract(encoder.eval(), MODALITY, data, device="cpu").tokens is None
    assert not encoder.training


def test_autocast_of_the_caller_is_switched_off():
    encoder, data = Encoder(), rows()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = extract(encoder, MODALITY, data, device="cpu")
    np.testing.assert_allclose(found.pooled, by_hand(encoder, data)[:, :2].mean(1), rtol=1e-5, atol=1e-6)


def test_an_encoder_may_pool_in_its_own_way():
    class First(Encoder):
        def embed(self, batch: Batch) -> torch.Tensor:
            return self.tokens(batch).x[:, 0]

    encoder, data = First(), rows()
    found = extract(encoder, MODALITY, data, device="cpu", tokens=True)
    np.testing.assert_allclose(found.pooled, by_hand(encoder, data)[:, 0], rtol=1e-5, atol=1e-6)


def test_out_of_memory_halves_the_batch_and_changes_nothing():
    encoder, data = Encoder(), rows()
    whole = extract(encoder, MODALITY, data, device="cpu")
    encoder.most, encoder.seen = 3, []
    small = extract(encoder, MODALITY, data, device="cpu", batch_size=20)
    assert max(encoder.seen) <= 3
    np.testing.assert_allclose(small.pooled, whole.pooled, rtol=1e-6)
    encoder.most = 0
    with pytest.raises(torch.OutOfMemoryError):  # one row alone does not fit
        extract(encoder, MODALITY, data, device="cpu")


def test_other_errors_are_not_taken_for_memory():
    class Broken(Encoder):
        def tokens(self, batch: Batch) -> Tokens:
            raise RuntimeError("shapes do not match")

    encoder = Broken()
    encoder.train()
    with pytest.raises(RuntimeError, match="shapes"):
        extract(encoder, MODALITY, rows(), device="cpu")
    assert encoder.training


def test_non_finite_features_name_the_row():
    data = rows()
    data.x[7, 0] = float("nan")
    with pytest.raises(ValueError, match=r"toy/waves: 1 of 23 rows have non-finite features \(first row 7"):
        extract(Encoder(), MODALITY, data, device="cpu")


def test_cache_returns_what_was_saved(tmp_path: Path):
    rng = np.random.default_rng(0)
    parts = {
        "train": Features(rng.normal(size=(5, 3)).astype(np.float32)),
        "test": Features(np.ones((2, 3), np.float32), rng.normal(size=(2, 4, 3)).astype(np.float16)),
    }
    path = tmp_path / "folder" / "cache.npz"
    features.save(path, parts)
    back = features.load(path)
    assert list(back) == ["train", "test"] and back["train"].tokens is None
    np.testing.assert_array_equal(back["train"].pooled, parts["train"].pooled)
    np.testing.assert_array_equal(back["test"].tokens, parts["test"].tokens)
    assert [p.name for p in path.parent.iterdir()] == ["cache.npz"]  # no draft is left


def test_a_damaged_cache_says_what_to_do(tmp_path: Path):
    path = tmp_path / "cache.npz"
    features.save(path, {"train": Features(np.ones((50, 3), np.float32))})
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match="delete it"):
        features.load(path)
    with pytest.raises(DataError, match="delete it"):
        features.load(tmp_path / "none.npz")


def test_a_failed_write_leaves_the_old_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "cache.npz"
    features.save(path, {"train": Features(np.ones((5, 3), np.float32))})

    def full(*_: object, **__: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="no space"):
        features.save(path, {"train": Features(np.zeros((5, 3), np.float32))})
    assert features.load(path)["train"].pooled.sum() == 15
    assert [p.name for p in tmp_path.iterdir()] == ["cache.npz"]


def test_channel_tokens_are_brought_to_the_places_of_dense_labels():
    """Two channels × three times for six places: the mean over channels, each time for the two places it covers."""
    x = torch.arange(6.0).reshape(1, 6, 1)
    pos = torch.tensor([[0.0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2]])[None]
    assert features.placed(Tokens(x, pos), (6,)).flatten().tolist() == [1.5, 1.5, 2.5, 2.5, 3.5, 3.5]
    assert features.placed(Tokens(x, pos), (3, 2)).flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert features.placed(Tokens(x, pos), (5,)).flatten().tolist() == [1.5, 1.5, 2.5, 3.5, 3.5]
    with pytest.raises(ValueError, match="places"):
        features.placed(Tokens(x, pos[..., :1]), (5,))
