"""Attentive probe: what one token says is found where the mean hides it; padding is not read; a bank equals single heads."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark.probes import attentive
from jepakit import registry
from jepakit.types import DataError, Task

CLASS = Task("shape", "class", "accuracy", ("a", "b", "c"))


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attentive, "LEAST", 150)
    monkeypatch.setattr(attentive, "EPOCHS", 0)


def needle(n: int = 900) -> tuple[np.ndarray, np.ndarray]:
    """Twenty noise tokens of which one, at a random place and marked as such, carries the class."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n)
    x = rng.normal(size=(n, 20, 8)).astype(np.float32)
    code = np.concatenate([np.eye(3) * 4, np.full((3, 1), 6.0), np.zeros((3, 4))], 1)
    x[np.arange(n), rng.integers(0, 20, n)] = code[y] + 0.3 * rng.normal(size=(n, 8))
    return x, y


def fit(name: str, x: np.ndarray, y: np.ndarray, task: Task = CLASS, seed: int = 0):  # type: ignore[no-untyped-def]
    return registry.probes[name].make().fit(x[:500], y[:500], x[500:700], y[500:700], task, seed)


def test_it_reads_the_token_that_the_mean_hides():
    x, y = needle()
    found = fit("attentive", x, y).predict(x[700:]).argmax(1) == y[700:]
    mean = fit("linear", x.mean(1), y).predict(x[700:].mean(1)).argmax(1) == y[700:]
    assert found.mean() > 0.95 > mean.mean() + 0.1


def test_padding_is_not_read():
    """Tokens that are NaN change nothing: the same head gives the same scores without them."""
    x, y = needle()
    fitted = fit("attentive", x, y)
    padded = np.concatenate([x, np.full((len(x), 5, 8), np.nan, np.float32)], 1)
    np.testing.assert_allclose(fitted.predict(padded[700:]), fitted.predict(x[700:]), atol=1e-4)
    assert fit("attentive", padded, y).chosen == fitted.chosen


def test_a_head_is_cross_attention_with_one_query():
    """Against torch's own attention, LayerNorm and MLP with the head's weights written out."""
    width, heads = 8, attentive.HEADS
    head = attentive.Head(width, 3, torch.Generator().manual_seed(0)).double()
    x = torch.randn(5, 7, width, dtype=torch.float64)
    pieces = []
    for h in range(heads):
        query = head.look[h].expand(5, 1, width) * (width / heads) ** -0.5
        value = x @ head.value[h]
        read = torch.nn.functional.scaled_dot_product_attention(query, x, value, scale=1.0)[:, 0]
        pieces.append(read @ head.project[h])
    z = head.query + torch.stack(pieces).sum(0)
    normed = torch.nn.functional.layer_norm(z, (width,), head.gain, head.shift)
    z = z + torch.nn.functional.gelu(normed @ head.up + head.up_bias) @ head.down + head.down_bias
    wanted = z @ head.out + head.out_bias
    found = attentive.forward(attentive.stacked([head, head]), x, torch.ones(5, 7, dtype=torch.bool))
    torch.testing.assert_close(found[0], wanted)
    torch.testing.assert_close(found[1], wanted)


def test_same_seed_same_bits_another_seed_other_bits():
    x, y = needle()
    one, two, other = (fit("attentive", x, y, seed=seed).predict(x[700:]) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)


def test_a_class_that_train_never_shows_and_a_single_class():
    x, y = needle()
    scores = fit("attentive", x, np.where(y == 1, 0, y)).predict(x[700:])
    assert scores.shape == (200, 3) and not (scores.argmax(1) == 1).any()
    with pytest.raises(DataError, match="one class only"):
        fit("attentive", x, np.zeros_like(y))
