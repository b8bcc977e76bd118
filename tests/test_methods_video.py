"""V-JEPA, V-JEPA 2 and VideoMAE on a small film: what their steps compute, against slow loops and figures by hand."""

from __future__ import annotations

import pytest
import torch
from waves import Waves

import jepakit.methods  # noqa: F401 - registers
from baselines.videomae import per_channel
from jepakit.mask_sets import MaskSets, SetPredictor, spread
from jepakit.methods.salt import SALT
from jepakit.objective import MaskedJEPA
from jepakit.pretrain import build
from jepakit.tubes import MultiBlocks, PaperMultiBlocks
from jepakit.types import Size, Tokens, UsageError, gather

SIZE = Size(32, 2, 2, 16, 1, 2, steps=50)
LONG = Size(32, 2, 2, 16, 1, 2, steps=100_000)
GRID = (2, 6, 6)


def made(name: str, size: Size = SIZE, **settings: object) -> MaskSets:
    objective = build(name, Waves(grid=GRID), size, 0, settings)
    assert isinstance(objective, MaskSets)
    return objective.train()


def some(rows: int = 3):  # type: ignore[no-untyped-def]
    return Waves(grid=GRID).data("train").batch(torch.arange(rows))


def test_the_loss_is_the_mean_over_both_sets_of_the_mean_absolute_error() -> None:
    objective, batch = made("vjepa").eval(), some()
    torch.manual_seed(5)
    loss = float(objective(batch, 0.0).total.detach())
    torch.manual_seed(5)
    tokens, target = objective.backbone.tokenize(batch), objective.target(batch)
    means = []
    for which in range(2):
        split = objective.masker(tokens, target, 0.0, which)
        context = objective.backbone.encode(tokens.take(split.context))
        predicted = objective.predictor(context, gather(tokens.pos, split.target), which)
        errors = [
            float((predicted[b, 0, 0, q] - target[b, split.target[b, 0, 0, q]]).abs().mean().detach())
            for b in range(3)
            for q in range(split.target.shape[-1])
        ]
        means.append(sum(errors) / len(errors))
    assert loss == pytest.approx(sum(means) / 2, rel=1e-5)


def test_one_teacher_pass_and_one_context_and_predictor_pass_per_set() -> None:
    objective, calls = made("vjepa"), {"teacher": 0, "context": [], "predictor": 0}
    assert objective.target.teacher is not None

    def count(name: str):  # type: ignore[no-untyped-def]
        def hook(module: object, given: object, output: torch.Tensor) -> None:
            if name == "context":
                calls[name].append(output.shape[1] - 1)  # type: ignore[attr-defined] # one register
            else:
                calls[name] += 1  # type: ignore[operator]

        return hook

    objective.target.teacher.transformer.blocks[0].register_forward_hook(count("teacher"))
    objective.backbone.transformer.blocks[0].register_forward_hook(count("context"))
    objective.predictor.register_forward_hook(count("predictor"))
    objective(some(), 0.0)
    # Of 36 cells in two planes: round(.23 · 36) = 8 tubes and round(.07 · 36) = 3 are seen.
    assert calls == {"teacher": 1, "context": [16, 6], "predictor": 2}


def test_mask_tokens_are_one_per_set_zero_at_first_and_undecayed() -> None:
    objective = made("vjepa")
    predictor = objective.predictor
    assert isinstance(predictor, SetPredictor) and len(predictor.mask_tokens) == 2
    assert all(token.ndim == 1 and not token.any() for token in predictor.mask_tokens)
    objective(some(), 0.0).total.backward()
    assert all(token.grad is not None and token.grad.abs().sum() > 0 for token in predictor.mask_tokens)
    with torch.no_grad():
        predictor.mask_tokens[1].add_(1.0)
    tokens = objective.backbone.tokenize(some())
    query = tokens.pos[:, None, None, 40:50]
    first, second = predictor(tokens, query, 0), predictor(tokens, query, 1)
    assert not torch.allclose(first, second)


def test_padded_queries_are_seen_by_nobody() -> None:
    predictor = made("vjepa").predictor.eval()
    tokens = made("vjepa").backbone.tokenize(some())
    query = tokens.pos[:, None, None, 40:46].clone()
    real = torch.tensor([True, True, True, True, False, False]).expand(3, 1, 1, -1)
    full = predictor(tokens, query[..., :4, :], 1)
    padded = predictor(tokens, query, 1, real)
    torch.testing.assert_close(padded[..., :4, :], full)
    query[..., 4:, :] = 3.0
    assert torch.equal(predictor(tokens, query, 1, real)[..., :4, :], padded[..., :4, :])


def test_the_variance_term_by_hand() -> None:
    """Two tokens at 0 and 2: variance 2 over tokens (unbiased); a constant feature: √1e-4."""
    predicted = torch.tensor([[0.0, 5.0], [2.0, 5.0]])[None, None, None]
    assert spread(predicted)[0, 0, 0].tolist() == pytest.approx([2.0001**0.5, 0.01], rel=1e-6)
    plain, held = made("vjepa").eval(), made("vjepa", variance=0.5).eval()
    torch.manual_seed(0)
    without = plain(some(), 0.0)
    torch.manual_seed(0)
    losses = held(some(), 0.0)
    assert "variance" not in without.parts and 0 < float(losses.parts["variance"]) <= 1
    assert float(losses.total.detach()) == pytest.approx(
        float(without.total.detach()) + 0.5 * float(losses.parts["variance"]), rel=1e-5
    )


def test_samplers_and_schedules() -> None:
    assert (
        type(made("vjepa").masker) is MultiBlocks and type(made("vjepa", sampler="legacy").masker) is PaperMultiBlocks
    )
    made("vjepa", sampler="legacy")(some(8), 0.0).total.backward()
    momentum = made("vjepa", LONG).target.momentum  # type: ignore[operator, union-attr]
    assert [momentum(p) for p in (0.0, 0.5, 1.0)] == pytest.approx([0.998, 0.999, 1.0])  # type: ignore[operator]
    with pytest.raises(UsageError, match="two axes"):
        build("vjepa", Waves(), SIZE, 0)


def test_vjepa2_has_rotary_positions_and_a_constant_momentum() -> None:
    objective = made("vjepa2", LONG)
    momentum = objective.target.momentum  # type: ignore[operator, union-attr]
    assert [momentum(p) for p in (0.0, 0.5, 1.0)] == [0.99925] * 3  # type: ignore[operator]
    assert made("vjepa2").target.momentum(0.7) == pytest.approx(0.8)  # type: ignore[operator, union-attr] # 1 − 10/50
    batch = some()
    tokens = objective.backbone.tokenize(batch)
    assert torch.equal(tokens.x, objective.backbone.tokenizer(batch).x), "a position was added"
    seen = objective.backbone.eval().encode(tokens).x
    other = objective.backbone.encode(Tokens(tokens.x, tokens.pos.flip(1))).x
    assert not torch.allclose(seen, other), "positions have no effect"


def test_videomae_normalises_each_channel_of_a_cube() -> None:
    """[1, 2, 3, 4]: mean 2.5, unbiased deviation 1.29099; the second channel is the same ten times as large; the third is
    constant."""
    x = torch.tensor([[[1.0, 2, 3, 4, 10, 20, 30, 40, 7, 7, 7, 7]]])
    wanted = [-1.16190, -0.38730, 0.38730, 1.16190]
    found = per_channel(x, 3)[0, 0].tolist()
    assert found == pytest.approx([*wanted, *wanted, 0, 0, 0, 0], abs=1e-4)


def test_videomae_asks_for_hidden_cubes_only() -> None:
    objective = build("videomae", Waves(grid=GRID), SIZE, 0, {}).eval()
    assert isinstance(objective, MaskedJEPA)
    batch = some()
    torch.manual_seed(2)
    loss = float(objective(batch, 0.0).total.detach())
    torch.manual_seed(2)
    tokens, target = objective.backbone.tokenize(batch), objective.target(batch)
    split = objective.masker(tokens, target, 0.0)
    assert split.context.shape[-1] == 2 * (36 - 32) and split.target.shape[-1] == 2 * 32  # int(.9 · 36) = 32
    cubes = batch.x.reshape(3, 72, 4)
    wanted = (cubes - cubes.mean(-1, keepdim=True)) / (cubes.std(-1, keepdim=True) + 1e-6)
    predicted = objective.predict(objective.backbone.encode(tokens.take(split.context)), tokens, split)
    errors = [
        float((predicted[b, 0, 0, q] - wanted[b, split.target[b, 0, 0, q]]).square().mean().detach())
        for b in range(3)
        for q in range(64)
    ]
    assert loss == pytest.approx(sum(errors) / len(errors), rel=1e-4)


def test_salt_under_both_sets_trains_its_teacher_and_then_a_student_of_it() -> None:
    objective = made("salt-sets")
    assert isinstance(objective, SALT) and objective.first is not None
    assert objective.stages == pytest.approx((1 / 6, 5 / 6)) and objective.target.teacher is objective.first.backbone
    batch = some()
    for progress in (0.0, 0.5):
        objective.zero_grad(set_to_none=True)
        objective(batch, progress).total.backward()
        moved = [
            any(p.grad is not None for p in net.parameters()) for net in (objective.first.backbone, objective.backbone)
        ]
        assert moved == [progress < 1 / 6, progress > 1 / 6]
    assert objective.encoder() is objective.backbone
    assert isinstance(made("salt-sets-teacher"), MaskSets)
    with pytest.raises(UsageError, match="add up to 1"):
        made("salt-sets", stages=(0.5, 0.6))
