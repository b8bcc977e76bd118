"""Positions, encoder and predictor: golden codes and parameter counts, dropping, permutation, attention rules."""

import pytest
import torch
from torch import nn
from waves import Waves

from jepakit.methods.ecgjepa_kim import LeadPredictor, cross_pattern
from jepakit.modality import grid_positions
from jepakit.nn import Backbone, Predictor, interleaved, sincos
from jepakit.types import Batch, Tokens


class Patches(nn.Module):
    """ECG-JEPA's tokenizer: 12 leads × 25 samples per token."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(12, dim, 25, 25, bias=False)


def trained(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(
    ("dim", "depth", "heads", "count"),
    [(192, 8, 4, 3_600_000), (384, 8, 6, 14_277_888), (768, 12, 12, 85_185_024)],
)
def test_ecgjepa_encoder_parameter_counts(dim: int, depth: int, heads: int, count: int) -> None:
    with torch.device("meta"):
        assert trained(Backbone(Patches(dim), dim, depth, heads)) == count


def test_ecgjepa_predictor_parameter_count() -> None:
    assert trained(Predictor(192, 96, 8, 4)) == 923_328


def test_no_bias_anywhere_in_the_house_encoder() -> None:
    names = [name for name, _ in Backbone(Patches(32), 32, 2, 2).named_parameters()]
    assert names and not [name for name in names if "bias" in name]


def test_position_code_golden_values() -> None:
    code = sincos(torch.tensor([[0.0, 1.0]]), 8)[0]
    torch.testing.assert_close(
        code, torch.tensor([0.84147, 0.0099998, 0.54030, 0.99995, 0, 0, 1, 1]), rtol=1e-4, atol=1e-5
    )
    assert interleaved(torch.tensor([[0.0]]), 6)[0].tolist() == [0, 1, 0, 1, 0, 1]
    mixed, plain = interleaved(torch.tensor([[3.0]]), 6)[0], sincos(torch.tensor([[3.0]]), 6)[0]
    assert mixed[[0, 2, 4, 1, 3, 5]].tolist() == plain.tolist()
    assert sincos(torch.zeros(5, 3), 32).shape == (5, 32)
    with pytest.raises(ValueError, match="even"):
        sincos(torch.zeros(1, 1), 7)


def tokens(n: int = 12, dim: int = 16, samples: int = 2) -> Tokens:
    torch.manual_seed(0)
    return Tokens(torch.randn(samples, n, dim), grid_positions((n,)).expand(samples, -1, -1))


def test_hidden_tokens_never_enter_a_block() -> None:
    """Golden: dropping happens before the first block, so every block sees register + visible tokens only."""
    backbone = Backbone(nn.Identity(), 16, 3, 2)
    lengths: list[int] = []
    for block in backbone.transformer.blocks:
        block.register_forward_pre_hook(lambda _, args: lengths.append(args[0].shape[1]))
    backbone.encode(tokens().take(torch.tensor([[[0, 5, 7]], [[1, 2, 3]]])))
    assert lengths == [4, 4, 4]


def test_context_order_does_not_matter() -> None:
    torch.manual_seed(0)
    backbone, predictor = Backbone(nn.Identity(), 16, 2, 2).eval(), Predictor(16, 8, 2, 2).eval()
    visible, query = tokens(), grid_positions((4,)).expand(2, 1, 1, -1, -1) + 20
    order = torch.randperm(12).expand(2, 1, -1)
    plain = predictor(backbone.encode(visible), query)
    mixed = predictor(backbone.encode(visible.take(order)), query)
    torch.testing.assert_close(plain, mixed, rtol=1e-4, atol=1e-6)
    swapped = predictor(backbone.encode(visible), query.flip(3))
    torch.testing.assert_close(plain.flip(3), swapped, rtol=1e-4, atol=1e-6)


def test_target_groups_cannot_see_each_other() -> None:
    predictor = Predictor(16, 8, 2, 2).eval()
    query = torch.rand(2, 1, 3, 4, 1) * 10
    other = query.clone()
    other[:, :, 1:] += 5
    a, b = predictor(tokens(), query), predictor(tokens(), other)
    assert a.shape == (2, 1, 3, 4, 16)
    assert torch.equal(a[:, :, 0], b[:, :, 0]) and not torch.equal(a[:, :, 1], b[:, :, 1])


def test_several_contexts_keep_their_sample_and_order() -> None:
    picked = tokens().take(torch.tensor([[[0, 1], [2, 3]], [[4, 5], [6, 7]]]))
    assert picked.pos[:, 0, 0].tolist() == [0, 2, 4, 6]
    predictor = Predictor(16, 8, 1, 2).eval()
    query = torch.rand(2, 2, 1, 3, 1)
    joint = predictor(picked, query)
    alone = predictor(Tokens(picked.x[2:3], picked.pos[2:3]), query[1:, :1])
    torch.testing.assert_close(joint[1, 0], alone[0, 0])


def test_invalid_tokens_change_nothing() -> None:
    backbone = Backbone(nn.Identity(), 16, 2, 2).eval()
    short = tokens(8)
    padded = Tokens(
        torch.cat([short.x, torch.randn(2, 3, 16)], 1),
        torch.cat([short.pos, torch.zeros(2, 3, 1)], 1),
        torch.arange(11).expand(2, -1) < 8,
    )
    torch.testing.assert_close(backbone.encode(short).mean(), backbone.encode(padded).mean(), rtol=1e-4, atol=1e-6)


def test_cropa_row_sums_symmetry_and_slicing() -> None:
    pos = grid_positions((8, 50))[None]
    allowed = cross_pattern(pos)
    assert (allowed.sum(-1) == 57).all() and torch.equal(allowed, allowed.mT)
    kept = torch.randperm(400)[:90].sort().values
    assert torch.equal(allowed[:, kept][:, :, kept], cross_pattern(pos[:, kept]))


def test_cropa_tokens_sharing_neither_lead_nor_time_do_not_interact() -> None:
    torch.manual_seed(0)
    backbone = Backbone(nn.Identity(), 16, 1, 2, registers=0, every=True, code=sincos, attention=cross_pattern).eval()
    pos, x = grid_positions((3, 5))[None], torch.randn(1, 15, 16)
    changed = x.clone()
    changed[:, 7] = torch.randn(16)  # lead 1, time 2
    moved = (
        (backbone.encode(Tokens(x, pos)).x - backbone.encode(Tokens(changed, pos)).x).abs().amax(-1)[0].reshape(3, 5)
    )
    untouched = torch.ones(3, 5, dtype=torch.bool)
    untouched[1], untouched[:, 2] = False, False
    assert (moved[untouched] == 0).all() and (moved[~untouched] > 0).all()


def test_lead_predictor_reads_only_its_own_lead() -> None:
    predictor = LeadPredictor(16, 8, 2, 2, every=True, code=sincos).eval()
    predictor.leads = 3
    pos = grid_positions((3, 5)).reshape(1, 3, 5, 2)
    context, query = pos[:, :, :2].reshape(1, 6, 2), pos[:, :, 2:].reshape(1, 1, 1, 9, 2)
    x = torch.randn(1, 6, 16)
    changed = x.clone()
    changed[:, 2:4] = torch.randn(2, 16)  # lead 1
    a, b = predictor(Tokens(x, context), query), predictor(Tokens(changed, context), query)
    moved = (a - b).abs().amax(-1).reshape(3, 3)
    assert (moved[[0, 2]] == 0).all() and (moved[1] > 0).all()


def test_registers_are_not_decayed_and_not_returned() -> None:
    from jepakit.pretrain import decay_groups

    waves = Waves()
    backbone = Backbone(waves.tokenizer(16), 16, 2, 2, bias=True)
    out = backbone.tokens(Batch(waves.data("val").x[:3]))
    assert out.x.shape == (3, 40, 16)
    decayed, kept = decay_groups(backbone)
    assert all(p.ndim > 1 for p in decayed) and all(p.ndim == 1 for p in kept)
    assert any(p is backbone.registers[0] for p in kept)
