"""Probes that see the encoder: fine-tuning moves what freezing cannot and leaves the cache alone; the band's variants."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from toybox import TINY, toys

from benchmark import record
from benchmark.cell import Cell, resolve
from benchmark.features import extract
from benchmark.fingerprint import fingerprints
from benchmark.metrics import get
from benchmark.probes import Source, band, evaluate, finetune
from benchmark.run import run_cell
from jepakit.nn import Backbone, Embedder
from jepakit.registry import datasets
from jepakit.types import PARTS, Batch, Data, Task, Tokens

SIGN = Task("sign", "class", "accuracy", ("no", "yes"))


class Narrow(Embedder):
    """A hidden layer that sees only the first of two inputs, so that the label needs its weights to move."""

    def __init__(self) -> None:
        super().__init__()
        self.dim, self.layer = 16, nn.Linear(2, 16)
        with torch.no_grad():
            self.layer.weight[:, 1] = 0

    def tokens(self, batch: Batch) -> Tokens:
        return Tokens(torch.relu(self.layer(batch.x))[:, None], torch.zeros(len(batch), 1, 1))


def signs(places: int = 0) -> dict:
    """The label is whether the second input, which the encoder ignores, is positive."""
    parts = {}
    for seed, part in enumerate(PARTS):
        x = torch.randn(300, *([places] if places else []), 2, generator=torch.Generator().manual_seed(seed))
        label = (x[..., 1] > 0).long()
        parts[part] = Data(x, {"sign": label}, np.arange(300).astype(str))
    return parts


def source(encoder: Embedder, data: dict, grid: tuple[int, ...] = (1,)) -> Source:
    return Source(encoder, SimpleNamespace(name="toy", dataset="toy", grid=grid, data=data.__getitem__))  # type: ignore[arg-type]


def frozen(encoder: Embedder, data: dict, grid: tuple[int, ...] = (1,), dense: bool = False) -> dict:
    where = source(encoder, data, grid).modality
    return {part: extract(encoder, where, data[part], device="cpu", dense=dense) for part in PARTS}


def test_fine_tuning_learns_what_the_frozen_features_lack():
    data = signs()
    torch.manual_seed(0)
    encoder = Narrow().requires_grad_(False)  # as a teacher comes
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    features = frozen(encoder, data)
    assert evaluate("linear", features, data, SIGN, 0).value < 0.65
    one, two = (evaluate("finetune", features, data, SIGN, 0, source(encoder, data)) for _ in range(2))
    assert one.value > 0.93 and one.chosen["step"] > 0
    np.testing.assert_array_equal(one.predictions, two.predictions)
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())


def test_fine_tuning_starts_at_the_linear_probe(monkeypatch: pytest.MonkeyPatch):
    """Without a step it is the logistic probe, to rounding."""
    monkeypatch.setattr(finetune, "RATES", ())
    data = signs()
    torch.manual_seed(0)
    encoder = Narrow()
    features = frozen(encoder, data)
    for part in PARTS:
        data[part].labels["sign"][:] = (data[part].x[:, 0] + 0.3 * data[part].x[:, 1] > 0).long()
    tuned = evaluate("finetune", features, data, SIGN, 0, source(encoder, data))
    wanted = evaluate("logreg", features, data, SIGN, 0)
    assert tuned.chosen == {"lr": 0.0, "step": 0}
    np.testing.assert_allclose(tuned.predictions, wanted.predictions, atol=1e-3)


def test_fine_tuning_of_every_place(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(finetune, "RATES", (2e-3,))

    class Places(Narrow):
        def tokens(self, batch: Batch) -> Tokens:
            return Tokens(torch.relu(self.layer(batch.x)), torch.zeros(*batch.x.shape[:2], 1))

    data = signs(places=3)
    for part in PARTS:
        data[part].labels["sign"][:, 2] = -1  # a place without labels
        data[part].labels["sign"][7] = -1
    task = Task("sign", "dense", "macro_f1", ("no", "yes"))
    torch.manual_seed(0)
    encoder = Places()
    features = frozen(encoder, data, (3,), dense=True)
    score = evaluate("finetune", features, data, task, 0, source(encoder, data, (3,)))
    assert score.value > 0.9 > 0.7 > evaluate("linear", features, data, task, 0).value
    assert len(score.labels) == len(score.predictions) == 299 * 2


class Counting(nn.Module):
    """Six tokens of four numbers each, of which the last two of every other row are padding."""

    def forward(self, batch: Batch) -> Tokens:
        valid = torch.ones(len(batch), 6, dtype=torch.bool)
        valid[batch.x[:, 0, 0] > 0, 4:] = False
        return Tokens(batch.x, torch.arange(6.0)[None, :, None].expand(len(batch), -1, -1), valid)


def test_band_variants_by_hand():
    torch.manual_seed(0)
    encoder = Backbone(Counting(), 4, 3, 2).eval()
    data = Data(torch.randn(20, 6, 4), {}, np.arange(20).astype(str))
    found = band.variants(encoder, data, "cpu")
    assert set(found) == {f"{pool}_{layer}" for pool in band.POOLS for layer in ("last", "last2")}  # three blocks only
    with torch.no_grad():
        tokens = encoder.tokenize(data.batch(torch.arange(20)))
        blocks = encoder.hidden(tokens, last=2)
        layers = {"last": encoder.encode(tokens).x, "last2": (blocks[0] + blocks[1]) / 2}
    for name, x in layers.items():
        rows = [row[: 4 if first > 0 else 6] for row, first in zip(x, data.x[:, 0, 0], strict=True)]
        mean, peak = torch.stack([r.mean(0) for r in rows]), torch.stack([r.max(0).values for r in rows])
        np.testing.assert_allclose(found[f"mean_{name}"], mean, atol=1e-5)
        np.testing.assert_allclose(found[f"max_{name}"], peak, atol=1e-5)
        np.testing.assert_allclose(found[f"meanmax_{name}"], torch.cat([mean, peak], 1), atol=1e-5)


def test_band_headline_is_ridge_and_its_spread_is_said():
    data = signs()
    torch.manual_seed(0)
    encoder = Narrow()
    features = frozen(encoder, data)
    score = evaluate("band", features, data, SIGN, 0, source(encoder, data))
    ridge = evaluate("ridge", features, data, SIGN, 0)
    assert score.value == pytest.approx(ridge.value) and score.val == pytest.approx(ridge.val)
    arms = {name: value for name, value in score.extras.items() if "_last_" in name}
    assert len(arms) == 9 and arms["accuracy_mean_last_std"] == score.value
    assert score.extras["accuracy_band_min"] == min(arms.values())
    assert score.extras["accuracy_band_max"] == max(arms.values())
    assert score.extras["accuracy_band_std"] == pytest.approx(np.std(list(arms.values())))
    assert get("accuracy")(score.labels, score.predictions) == score.value


@pytest.fixture
def toy() -> Iterator[None]:
    with toys():
        yield


def test_a_cell_with_such_probes_leaves_the_cached_encoder_alone(
    toy: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Tokens are extracted only when they are asked for; the encoder is loaded again, not trained again, and stays."""
    monkeypatch.setattr(finetune, "RATES", (2e-3,))
    fingerprint = fingerprints(tmp_path, "toy/toy", datasets["toy/toy"].make(None))

    def cell(probe: str) -> Cell:
        words = dict(word.split("=") for word in TINY) | {"probe": probe}
        return resolve("toy/toy", "toy-ae", "quick", 0, words, fingerprint)

    def run(probe: str) -> record.Record:
        return run_cell(cell(probe), datasets["toy/toy"].make(None), tmp_path, device="cpu")

    plain = run("ridge")
    (stored,) = (tmp_path / ".cache" / "encoders").glob("*.safetensors")
    weights = stored.read_bytes()
    (file,) = (tmp_path / ".cache" / "features").glob("*.npz")
    with np.load(file) as arrays:
        assert "train.tokens" not in arrays.files
    monkeypatch.setattr("jepakit.pretrain.fit", lambda *a, **k: pytest.fail("trained again"))
    rich = run("finetune,ridge,band,attentive")
    assert rich["status"] == "ok"
    assert {s["probe"] for s in rich["scores"]} == {"finetune", "ridge", "band", "attentive"}
    assert [s for s in rich["scores"] if s["probe"] == "ridge"] == plain["scores"]
    assert stored.read_bytes() == weights
    with np.load(file) as arrays:
        assert arrays["train.tokens"].shape == (240, 4, 8)
