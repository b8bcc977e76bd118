"""FLOP counts against counts by hand: attention, a small transformer, stages, draws; and that counting leaves no trace."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_run import make, result, run
from torch import nn
from torch.nn import functional as F
from toybox import toys

from benchmark import flops
from benchmark import run as running
from benchmark.cell import Cell, resolve
from jepakit import pretrain
from jepakit.nn import Transformer
from jepakit.objective import Objective
from jepakit.registry import datasets, methods
from jepakit.types import PARTS, Batch, Losses, Size

DATA = {part: part[0] * 64 for part in PARTS}


@pytest.fixture(autouse=True)
def box() -> Iterator[None]:
    with toys():
        yield


def counted(function: Any) -> int:
    with flops.counting() as counter:
        function()
    return int(counter.get_total_flops())


@pytest.mark.parametrize("masked", [False, True])
def test_attention_on_a_cpu_is_counted(masked: bool) -> None:
    b, h, q, k, d = 2, 3, 5, 7, 8
    query, key, value = (torch.randn(b, h, n, d, requires_grad=True) for n in (q, k, k))
    mask = torch.ones(b, 1, q, k, dtype=torch.bool) if masked else None
    forward = 2 * b * h * q * k * d * 2  # scores, then their mixture of values; two operations per multiply-add
    attend = lambda: F.scaled_dot_product_attention(query, key, value, attn_mask=mask)  # noqa: E731
    with torch.no_grad():
        assert counted(attend) == forward
    assert counted(lambda: attend().sum().backward()) == 3 * forward


def test_the_fused_inference_path_of_multihead_attention_is_counted() -> None:
    b, n, d, heads = 2, 5, 8, 2
    layer, x = nn.MultiheadAttention(d, heads, batch_first=True).eval(), torch.randn(b, n, d)
    before = torch.backends.mha.get_fastpath_enabled()
    with torch.inference_mode():
        assert counted(lambda: layer(x, x, x, need_weights=False)) == 2 * b * n * d * 4 * d + 2 * 2 * b * n * n * d
    assert torch.backends.mha.get_fastpath_enabled() == before


def transformer_flops(b: int, n: int, d: int, depth: int) -> int:
    """Forward: q, k, v and output projection (4 d²), MLP of ratio 4 (8 d²) per token, two products of n² d."""
    return depth * (2 * b * n * (4 + 8) * d * d + 2 * 2 * b * n * n * d)


@pytest.mark.parametrize(("b", "n", "d", "depth"), [(2, 6, 8, 1), (3, 5, 16, 3)])
def test_a_small_transformer_forward_and_backward(b: int, n: int, d: int, depth: int) -> None:
    body = Transformer(d, depth, 4, bias=False)
    x = torch.randn(b, n, d, requires_grad=True)
    forward = transformer_flops(b, n, d, depth)
    with torch.no_grad():
        assert counted(lambda: body.hidden(x)) == forward
    assert counted(lambda: body.hidden(x)[0].sum().backward()) == 3 * forward  # each product has two in its backward


class Planned(Objective):
    """One d × d product on each of the four tokens: a counted number of times, by stage and by draw."""

    def __init__(self, modality: Any, size: Size, stages: tuple[float, ...], times: tuple[int, ...]) -> None:
        super().__init__()
        self.modality, self.stages, self.times = modality, stages, times
        self.backbone = methods["toy-ae"].make(modality, size).backbone

    def forward(self, batch: Batch, progress: float) -> Losses:
        end, stage = self.stages[0], 0
        while progress >= end:
            stage += 1
            end += self.stages[stage]
        x, total = batch.x.reshape(-1, 2), torch.zeros(())
        for _ in range(self.times[stage]):
            total = total + self.backbone.project(x).sum()
        return Losses(total, {})


def planned(stages: tuple[float, ...], times: tuple[int, ...], name: str = "planned", **training: Any) -> None:
    @methods.register(name, training=training)
    def build(modality: Any, size: Size) -> Objective:
        return Planned(modality, size, stages, times)


def toy_cell(method: str, **words: str) -> Cell:
    given = {"train.steps": "10", "train.batch_size": "4", "size.dim": "8", "size.depth": "1", **words}
    return resolve("toy/toy", method, "quick", 0, given, DATA)


def test_stages_are_weighted_by_their_shares_of_the_steps() -> None:
    planned((0.25, 0.75), (1, 5))
    found = flops.measure(toy_cell("planned"), datasets["toy/toy"].make(None))
    product = 2 * 4 * 2 * 8  # four tokens of two numbers to eight features
    # The input needs no gradient: backward is the one product that makes the weight's.
    assert found.gflop_step * 1e9 == pytest.approx(2 * product * (0.25 * 1 + 0.75 * 5))
    assert found.gflop_encode * 1e9 == pytest.approx(product)
    assert found.total(toy_cell("planned", **{"train.accumulate": "3"})) == pytest.approx(
        2 * product * 4.0 * 4 * 3 * 10 / 1e15
    )


def test_a_masked_autoencoder_on_real_rows_by_hand() -> None:
    """The whole of MAE on the simulator: tokenizer, visible tokens, decoder; hidden lengths as its masker draws them."""
    small = {"size.dim": "16", "size.depth": "2", "size.predictor_dim": "8", "size.predictor_depth": "1"}
    cell = resolve("ecg/simulated", "mae", "smoke", 0, {**small, "train.batch_size": "4"}, DATA)
    modality = datasets["ecg/simulated"].make(None)
    n, patch = modality.grid[0], modality.patch_values
    objective = pretrain.build("mae", modality, cell.size, 0)
    registers = len(objective.backbone.registers)
    lengths: list[tuple[int, int]] = []
    inner = type(objective.masker).forward

    def spy(self: Any, *inputs: Any) -> Any:
        split = inner(self, *inputs)
        lengths.append((split.context.shape[-1], split.target.shape[-1]))
        return split

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(objective.masker), "forward", spy)
        found = flops.measure(cell, modality)
    assert len(lengths) == flops.DRAWS
    total = 0
    for visible, hidden in lengths:
        tokenizer = 2 * n * patch * 16
        encoder = transformer_flops(1, visible + registers, 16, 2)
        inward, outward = 2 * visible * 16 * 8, 2 * hidden * 8 * patch
        decoder = transformer_flops(1, visible + hidden, 8, 1)
        # The raw input needs no gradient, so the tokenizer's backward is one product instead of two.
        total += 2 * tokenizer + 3 * (encoder + inward + decoder + outward)
    assert found.gflop_step * 1e9 == pytest.approx(total / len(lengths))
    assert found.gflop_encode * 1e9 == pytest.approx(2 * n * patch * 16 + transformer_flops(1, n + registers, 16, 2))


def test_teachers_and_views_are_charged() -> None:
    modality = datasets["ecg/simulated"].make(None)
    small = {"size.dim": "16", "size.depth": "2", "size.predictor_dim": "8", "size.predictor_depth": "1"}

    def step(method: str, **words: str) -> flops.Flops:
        cell = resolve("ecg/simulated", method, "smoke", 0, {**small, "train.batch_size": "4", **words}, DATA)
        return flops.measure(cell, modality)

    two, four = step("lejepa", **{"recipe.views": "2"}), step("lejepa", **{"recipe.views": "4"})
    assert 2 * 2.8 < two.gflop_step / two.gflop_encode < 2 * 3.2  # both views, forward and backward
    assert four.gflop_step == pytest.approx(2 * two.gflop_step, rel=0.05)
    jepa = step("ecgjepa")
    assert jepa.gflop_step > jepa.gflop_encode  # the teacher alone sees every token once


def test_counts_depend_on_neither_seed_nor_length_nor_the_state_of_generators() -> None:
    modality = datasets["ecg/simulated"].make(None)
    cell = resolve("ecg/simulated", "ijepa", "smoke", 0, {"train.batch_size": "4"}, DATA)
    first = flops.measure(cell, modality)
    torch.rand(7)
    longer = replace(cell, seed=3, training=replace(cell.training, steps=400))
    assert flops.measure(longer, modality) == first
    assert flops.row_key(longer) == flops.row_key(cell)
    assert flops.row_key(replace(cell, method="mae")) != flops.row_key(cell)
    assert flops.row_key(replace(cell, size=replace(cell.size, dim=64))) != flops.row_key(cell)


def test_counting_disturbs_no_generator_and_no_other_objective() -> None:
    modality = datasets["ecg/simulated"].make(None)
    cell = resolve("ecg/simulated", "simclr", "smoke", 0, {"train.batch_size": "4"}, DATA)
    own = pretrain.build("simclr", modality, cell.size, 0)
    weights = {name: value.clone() for name, value in own.state_dict().items()}
    for kind in ("before", "after"):
        torch.manual_seed(5)
        random.seed(5)
        np.random.seed(5)
        if kind == "after":
            with torch.no_grad():
                flops.measure(cell, modality)
                assert not torch.is_grad_enabled()
        drawn = (torch.rand(3).tolist(), random.random(), np.random.random())
        expected = drawn if kind == "before" else expected
    assert drawn == expected
    assert all(torch.equal(value, weights[name]) for name, value in own.state_dict().items())
    assert all(p.grad is None for p in own.parameters())


def test_a_record_is_the_same_with_and_without_the_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted_cell = run(tmp_path / "with", make(tmp_path))
    assert counted_cell["cost"]["gflop_step"] > 0
    monkeypatch.setattr(running.flops, "of", lambda *a, **k: flops.Flops(0.0, 0.0))
    plain = run(tmp_path / "without", make(tmp_path))
    assert plain["cost"]["gflop_step"] == 0.0
    assert result(counted_cell) == result(plain)
    weights = [
        next((tmp_path / x / ".cache" / "encoders").glob("*.safetensors")).read_bytes() for x in ("with", "without")
    ]
    assert weights[0] == weights[1]


def test_the_record_holds_the_counts_and_their_total(tmp_path: Path) -> None:
    one = run(tmp_path, make(tmp_path))["cost"]
    product = 2 * 4 * 2 * 8
    out = 2 * 4 * 8 * 2  # back to the samples of a token: its backward has two products, the encoder's one
    assert one["gflop_encode"] == pytest.approx(product / 1e9)
    assert one["gflop_step"] == pytest.approx((2 * product + 3 * out) / 1e9)
    assert one["pflop"] == pytest.approx(one["gflop_step"] * 16 * 10 / 1e6)
    still = run(tmp_path, make(tmp_path, "toy-still"))["cost"]
    assert (still["gflop_step"], still["pflop"]) == (0.0, 0.0) and still["gflop_encode"] > 0


def test_counts_are_remembered_and_a_damaged_memory_is_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell, modality = toy_cell("toy-ae"), datasets["toy/toy"].make(None)
    first = flops.of(cell, modality, tmp_path)
    (memory,) = tmp_path.rglob("flops/*.json")
    memory.write_text("{")
    assert flops.of(cell, modality, tmp_path) == first
    assert json.loads(memory.read_text())["gflop_step"] == first.gflop_step
    monkeypatch.setattr(flops, "measure", lambda *a: pytest.fail("counted again"))
    assert flops.of(replace(cell, seed=9), modality, tmp_path) == first


def test_what_cannot_be_counted_keeps_its_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*inputs: Any, **more: Any) -> flops.Flops:
        raise NotImplementedError("no rule for this operator")

    monkeypatch.setattr(running.flops, "of", refuse)
    with pytest.warns(UserWarning, match=r"no FLOPs of toy-ae.*no rule"):
        one = run(tmp_path, make(tmp_path))
    assert one["status"] == "ok" and one["scores"] and "gflop_step" not in one["cost"]
