"""Rotary positions against complex numbers, one token and one pair at a time, and what they promise: only shifts count."""

from __future__ import annotations

import cmath
import math

import pytest
import torch
from waves import Waves

from jepakit.nn import Backbone
from jepakit.rotary import Angles, RotaryBackbone, RotaryPredictor, RotaryTransformer, enough, part
from jepakit.types import Tokens, UsageError

HEAD, HEADS = 14, 2  # three parts of 4 dims, 2 left over


def slow_turn(x: list[float], pos: list[float], pairing: str) -> list[float]:
    """A head's dims turned as complex numbers; the release turns the two dims of a pair by angles of their own."""
    width = 2 * (len(x) // len(pos) // 2)
    half = width // 2
    out = list(x)
    for axis, place in enumerate(pos):
        for pair in range(half):
            first, second = (pair, pair) if pairing == "corrected" else (2 * pair % half, (2 * pair + 1) % half)
            at = axis * width + 2 * pair
            number = complex(x[at], x[at + 1])
            angles = [place / 10000 ** (2 * i / width) for i in (first, second)]
            out[at] = (number * cmath.exp(1j * angles[0])).real
            out[at + 1] = (number * cmath.exp(1j * angles[1])).imag
    return out


def slow_attention(x: torch.Tensor, pos: torch.Tensor, attention: torch.nn.Module, pairing: str) -> torch.Tensor:
    """(n, d) → (n, d) by loops over heads, queries and keys, in double precision."""
    queries, keys, values = (x.double() @ attention.qkv.weight.double().T).chunk(3, -1)  # type: ignore[union-attr, operator]
    rows = []
    for i in range(len(x)):
        row: list[float] = []
        for h in range(HEADS):
            at = slice(h * HEAD, (h + 1) * HEAD)
            asked = slow_turn(queries[i, at].tolist(), pos[i].tolist(), pairing)
            scores = []
            for j in range(len(x)):
                key = slow_turn(keys[j, at].tolist(), pos[j].tolist(), pairing)
                scores.append(sum(a * b for a, b in zip(asked, key, strict=True)) / math.sqrt(HEAD))
            weights = [math.exp(s - max(scores)) for s in scores]
            shares = [w / sum(weights) for w in weights]
            row += [sum(w * float(v) for w, v in zip(shares, column, strict=True)) for column in values[:, at].T]
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float64) @ attention.proj.weight.double().T  # type: ignore[union-attr, operator]


@pytest.mark.parametrize("pairing", ["released", "corrected"])
@torch.no_grad()
def test_attention_agrees_with_complex_numbers(pairing: str) -> None:
    torch.manual_seed(0)
    transformer = RotaryTransformer(HEAD * HEADS, 1, HEADS, bias=False)
    attention = transformer.of_timm()[0].attn
    attention.qkv.weight.normal_(0, 0.4)
    x, pos = torch.randn(5, HEAD * HEADS), torch.tensor([[0, 0, 0], [0, 1, 2], [3, 5, 1], [7, 0, 4], [1, 1, 1.0]])
    every = Angles(HEADS, pairing)(pos, HEAD * HEADS)[None]  # type: ignore[arg-type]
    turned = torch.cat([every.sin(), every.cos()], -1)[:, None]
    found = attention(x[None], rope=turned)[0]
    torch.testing.assert_close(found.double(), slow_attention(x, pos, attention, pairing), rtol=1e-4, atol=1e-5)


def test_angles_by_hand() -> None:
    """Parts of 4 dims have the frequencies 1 and 1/100: tiled (1, .01, 1, .01) or in pairs (1, 1, .01, .01)."""
    pos = torch.tensor([[2.0, 3.0, 5.0]])
    corrected = [2, 2, 0.02, 0.02, 3, 3, 0.03, 0.03, 5, 5, 0.05, 0.05, 0, 0]
    released = [2, 0.02, 2, 0.02, 3, 0.03, 3, 0.03, 5, 0.05, 5, 0.05, 0, 0]
    assert Angles(HEADS, "corrected")(pos, 28)[0].tolist() == pytest.approx(corrected)
    assert Angles(HEADS, "released")(pos, 28)[0].tolist() == pytest.approx(released)


@torch.no_grad()
def test_only_differences_of_positions_count_when_pairs_turn_as_one() -> None:
    torch.manual_seed(0)
    transformer = RotaryTransformer(HEAD * HEADS, 2, HEADS, bias=False)
    for block in transformer.of_timm():
        block.attn.qkv.weight.normal_(0, 0.5)
    x, pos = torch.randn(1, 6, HEAD * HEADS), torch.randint(0, 8, (1, 6, 3)).float()
    shift = torch.tensor([3.0, 11.0, 6.0])

    def run(pairing: str, pos: torch.Tensor) -> torch.Tensor:
        return transformer.hidden(x, every=Angles(HEADS, pairing)(pos, HEAD * HEADS))[0]  # type: ignore[arg-type]

    plain = run("corrected", pos)
    torch.testing.assert_close(run("corrected", pos + shift), plain, rtol=1e-4, atol=1e-4)
    assert (run("corrected", pos * 2) - plain).abs().max() > 0.01
    assert (run("released", pos + shift) - run("released", pos)).abs().max() > 0.01  # the release's quirk


def test_without_positions_it_is_the_house_transformer() -> None:
    torch.manual_seed(3)
    house = Backbone(
        Waves(grid=(2, 6, 6)).tokenizer(28), 28, 2, 2, code=lambda pos, dim: torch.zeros(*pos.shape[:-1], dim)
    )
    torch.manual_seed(3)
    rotary = RotaryTransformer(28, 2, 2, bias=False)
    rotary.load_state_dict(house.transformer.state_dict())
    x = torch.randn(2, 9, 28)
    still = torch.zeros(2, 9, HEAD)
    torch.testing.assert_close(rotary.hidden(x, every=still)[0], house.transformer.hidden(x)[0])
    torch.testing.assert_close(rotary.hidden(x, last=2)[0], house.transformer.hidden(x, last=2)[0])
    hidden = torch.ones(2, 1, 9, dtype=torch.bool)
    hidden[..., 5:] = False
    masked = rotary.hidden(x, every=still, allowed=hidden)[0]
    torch.testing.assert_close(masked[:, :5], rotary.hidden(x[:, :5], every=still[:, :5])[0][:, :5])


def test_registers_are_not_turned_and_the_order_of_tokens_is_nothing() -> None:
    modality = Waves(grid=(2, 6, 6))
    backbone = RotaryBackbone(modality.tokenizer(28), 28, 2, 2, axes=3, pairing="corrected", registers=2).eval()
    tokens = backbone.tokenize(modality.data("train").batch(torch.arange(2)))
    order = torch.randperm(72)
    shuffled = backbone.encode(Tokens(tokens.x[:, order], tokens.pos[:, order]))
    torch.testing.assert_close(shuffled.x, backbone.encode(tokens).x[:, order], rtol=1e-4, atol=1e-5)
    alone = RotaryBackbone(modality.tokenizer(28), 28, 1, 2, axes=3, pairing="corrected", registers=0)
    moved = Tokens(tokens.x, tokens.pos + 5)
    torch.testing.assert_close(alone.encode(moved).x, alone.encode(tokens).x, rtol=1e-4, atol=1e-4)
    # a register is a fixed point of its own: what it gives to a token depends on where the token is
    assert (backbone.encode(moved).x - backbone.encode(tokens).x).abs().max() > 1e-6


def test_queries_are_told_apart_by_their_positions_alone() -> None:
    torch.manual_seed(0)
    predictor = RotaryPredictor(28, 28, 2, 2, axes=3, pairing="released").eval()
    with torch.no_grad():
        predictor.mask_tokens[0].normal_()
    context = Tokens(torch.randn(1, 8, 28), torch.randint(0, 6, (1, 8, 3)).float())
    query = torch.tensor([[1, 2, 3], [1, 2, 3], [1, 2, 4.0]])[None, None, None]
    first, same, other = predictor(context, query)[0, 0, 0]
    torch.testing.assert_close(first, same)
    assert not torch.allclose(first, other)


def test_heads_are_as_many_as_have_a_pair_for_every_axis() -> None:
    assert [part(head, 3) for head in (5, 6, 11, 12, 16, 64)] == [0, 2, 2, 4, 4, 20]
    assert enough(64, 4, 3) == 4 and enough(32, 4, 3) == 4 and enough(16, 4, 3) == 2 and enough(8, 2, 3) == 1
    with pytest.raises(UsageError, match=r"larger size\.dim"):
        enough(4, 2, 3)
