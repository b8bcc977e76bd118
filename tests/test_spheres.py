"""Masks in the space of the electrodes, V-JEPA's released blocks, and the predictor whose queries never meet."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor
from waves import Waves

import baselines  # noqa: F401 - registers
import jepakit.methods  # noqa: F401 - registers
from jepakit.crossing import CrossPredictor
from jepakit.masking import Masker
from jepakit.pretrain import build
from jepakit.spheres import ChannelBlocks, Spheres, block_share, channel_places, draws, spatial
from jepakit.types import Size, Split, Tokens, UsageError
from jepakit.video_masks import LONG, SHORT, VideoBlocks, kept, sides

SIZE = Size(16, 2, 2, 8, 1, 2, steps=50)
# Number of blocks for 32 channels and 33 times that hide .55 (arXiv 2609.33487): by radius (cm), for lengths 1, 2, 4 … 32.
GOLDEN = {
    0.0: (843, 422, 211, 106, 53, 26),
    6.0: (220, 110, 55, 28, 14, 7),
    9.0: (98, 49, 24, 12, 6, 3),
    12.0: (55, 28, 14, 7, 4, 2),
    math.inf: (26, 13, 7, 3, 2),
}


def ring(channels: int, times: int, samples: int = 64) -> Tokens:
    """Channels on a circle of 10 cm, channel-major: the places of a montage that everybody can compute."""
    angle = 2 * math.pi * torch.arange(channels) / channels
    place = torch.stack([10 * angle.cos(), 10 * angle.sin(), torch.zeros(channels)], 1)
    pos = torch.cat([place.repeat_interleave(times, 0), torch.arange(times).float().repeat(channels)[:, None]], 1)
    return Tokens(torch.zeros(samples, channels * times, 4), pos.expand(samples, -1, -1))


def drawn(masker: Masker, tokens: Tokens, times: int = 1) -> Split:
    splits = [masker(tokens, tokens.x, 0.0) for _ in range(times)]
    return Split(torch.cat([s.context for s in splits]), torch.cat([s.target for s in splits]))


def hidden_of(split: Split, count: int) -> Tensor:
    """(b, n) True where a token is asked for."""
    rows = split.target.flatten(1)
    return torch.zeros(len(rows), count, dtype=torch.bool).scatter(1, rows, True)


@pytest.mark.parametrize("radius", GOLDEN)
def test_number_of_blocks_is_that_of_the_published_table(radius: float) -> None:
    found = tuple(draws(0.55, block_share(radius, length, 32, 33)) for length in (1, 2, 4, 8, 16, 32))
    assert found[: len(GOLDEN[radius])] == GOLDEN[radius]


def test_single_tokens_hide_what_was_asked_for_overlaps_included() -> None:
    """The union itself, before it is brought to a fixed length."""
    torch.manual_seed(0)
    tokens = ring(32, 33, samples=32)
    masker = Spheres((32, 33), ratio=0.55, radius=0.0, length=1)
    share = masker.union(tokens.pos[:, ::33, :-1]).float().mean()
    assert share == pytest.approx(0.55, abs=0.01)


def test_a_sphere_hides_whole_neighbourhoods_for_successive_times() -> None:
    """One block of radius r: exactly the channels within r of a centre, at ``length`` times in a row, at every start."""
    torch.manual_seed(0)
    channels, times, radius = 12, 6, 6.0
    tokens = ring(channels, times, samples=400)
    masker = Spheres((channels, times), ratio=0.3, radius=radius, length=2)
    masker.blocks = 1
    place = tokens.pos[:, ::times, :-1]
    union = masker.union(place).unflatten(1, (channels, times))
    distance = torch.cdist(place[0], place[0])
    legal = {
        (*(distance[c] <= radius).tolist(), start) for c, start in itertools.product(range(channels), range(times - 1))
    }
    seen = set()
    for sample in union:
        where, when = sample.any(1), sample.any(0).nonzero().flatten().tolist()
        assert torch.equal(sample, where[:, None] & sample.any(0))
        assert when == [when[0], when[0] + 1]
        seen.add((*where.tolist(), when[0]))
    assert seen == legal


def test_spheres_have_fixed_lengths_and_split_all_tokens() -> None:
    torch.manual_seed(0)
    tokens = ring(19, 2)
    masker = Spheres((19, 2), ratio=0.55, radius=9.0, length=1)
    split = drawn(masker, tokens, 8)
    assert split.context.shape[-1] == int(0.45 * 38)
    together = torch.cat([split.context.flatten(1), split.target.flatten(1)], 1).sort(1).values
    assert torch.equal(together, torch.arange(38).expand(len(together), -1))
    assert not torch.equal(split.context[0], split.context[1])
    # neighbours are hidden together more often than opposite channels
    hidden = hidden_of(split, 38).float().unflatten(1, (19, 2))[..., 0]
    near = (hidden * hidden.roll(1, 1)).mean()
    far = (hidden * hidden.roll(9, 1)).mean()
    assert near > far + 0.03


def test_context_comes_from_outside_the_spheres_first() -> None:
    torch.manual_seed(0)
    tokens = ring(16, 4)
    masker = Spheres((16, 4), ratio=0.55, radius=5.0, length=2)
    unions: list[Tensor] = []
    real = masker.union
    masker.union = lambda place: unions.append(real(place)) or unions[-1]  # type: ignore[method-assign, func-returns-value]
    split = drawn(masker, tokens)
    inside = torch.gather(unions[0], 1, split.context.flatten(1))
    free = (~unions[0]).sum(1)
    assert torch.equal(inside.sum(1), (split.context.shape[-1] - free).clamp_min(0))


@pytest.mark.parametrize(
    ("ratio", "length", "radius"), [(0.0, 1, 1.0), (1.0, 1, 1.0), (0.99, 1, 1.0), (0.5, 0, 1.0), (0.5, 1, -1.0)]
)
def test_impossible_spheres_are_refused(ratio: float, length: int, radius: float) -> None:
    with pytest.raises(UsageError, match="ratio"):
        Spheres((4, 5), ratio=ratio, radius=radius, length=length)


# S-JEPA ---------------------------------------------------------------------------------------------------------------


def places(channels: int) -> Tensor:
    return ring(channels, 1).pos[0, :, :-1]


def test_a_channel_block_of_radius_zero_is_its_centre() -> None:
    torch.manual_seed(0)
    masker = ChannelBlocks((8, 3), places(8), radius=0.0)
    seen = set()
    for _ in range(100):
        split = drawn(masker, ring(8, 3))
        hidden = hidden_of(split, 24).unflatten(1, (8, 3))
        assert (hidden.all(2) == hidden.any(2)).all(), "a channel is hidden at all times or at none"
        assert (hidden[:, :, 0].sum(1) == 1).all() and torch.equal(hidden[0], hidden[-1])
        seen.add(int(hidden[0, :, 0].nonzero()))
    assert seen == set(range(8))


@pytest.mark.parametrize("least", [1, 3])
def test_a_channel_block_without_end_leaves_the_farthest_channels(least: int) -> None:
    masker = ChannelBlocks((8, 3), places(8), radius=math.inf, least=least)
    split = drawn(masker, ring(8, 3), 20)
    hidden = hidden_of(split, 24).unflatten(1, (8, 3))[..., 0]
    assert (hidden.sum(1) == 8 - least).all()
    if least == 1:  # on a ring of eight, what is visible lies opposite of a centre, so every channel can be it
        assert (~hidden).float().argmax(1).unique().numel() > 1


def test_a_channel_block_is_the_channels_nearer_than_its_radius() -> None:
    """On a ring of eight, neighbours are 2·10·sin(π/8) = 7.65 cm away and the next ones 14.14 cm."""
    for radius, count in ((7.6, 1), (7.7, 3), (14.1, 3), (14.2, 5)):
        masker = ChannelBlocks((8, 2), places(8), radius=radius)
        assert drawn(masker, ring(8, 2)).target.shape[-1] == 2 * count
    with pytest.raises(UsageError, match="channels"):
        ChannelBlocks((2, 2), places(2), radius=1.0, least=2)


# EEG-VJEPA ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("plane", "short", "long"), [((4, 16), 0.327, 0.397), ((14, 14), 0.370, 0.186)])
def test_released_blocks_keep_the_published_shares(plane: tuple[int, int], short: float, long: float) -> None:
    """The formula and, drawn block by block, the masks: a plane of four rows keeps twice what was meant."""
    torch.manual_seed(0)
    masker = VideoBlocks((2, *plane))
    for which, (one, wanted) in enumerate(((SHORT, short), (LONG, long))):
        assert kept(plane, *one) == pytest.approx(wanted, abs=0.01)
        free = torch.cat([~masker.union(50, which, torch.device("cpu")) for _ in range(100)])
        assert free.float().mean() == pytest.approx(wanted, abs=0.01)
        assert torch.equal(*free.unflatten(1, (2, -1)).unbind(1)), "blocks run through the axes before the plane"


def test_corrected_blocks_keep_their_share_of_a_narrow_plane() -> None:
    height, width = sides((4, 16), 0.7, 1.0, corrected=False)
    assert (height, width) == (4, 7)  # a square of 44 cells, cut to four rows
    assert sides((4, 16), 0.7, 1.0, corrected=True) == (4, 11)
    assert sides((16, 4), 0.7, 1.0, corrected=True) == (11, 4)
    assert kept((4, 16), *LONG, corrected=True) < 0.25 < kept((4, 16), *LONG)
    assert sides((14, 14), 0.7, 1.0, corrected=True) == sides((14, 14), 0.7, 1.0, corrected=False)


def test_video_blocks_split_all_tokens_and_draw_both_kinds() -> None:
    torch.manual_seed(0)
    tokens = ring(14, 14, samples=16)
    masker = VideoBlocks((14, 14))
    lengths = set()
    for _ in range(30):
        split = drawn(masker, tokens)
        lengths.add(split.context.shape[-1])
        together = torch.cat([split.context.flatten(1), split.target.flatten(1)], 1).sort(1).values
        assert torch.equal(together, torch.arange(196).expand(16, -1))
    assert lengths == set(masker.visible) and len(lengths) == 2
    with pytest.raises(UsageError, match="two axes"):
        VideoBlocks((20,))


# The predictor --------------------------------------------------------------------------------------------------------


def crossing() -> CrossPredictor:
    torch.manual_seed(0)
    predictor = CrossPredictor(16, 8, 2, 2, init_depth=4)
    for parameter in predictor.parameters():  # out of the small initial weights, so that every path counts
        torch.nn.init.normal_(parameter, std=0.5)
    return predictor.eval()


def context(rows: int = 6, seen: int = 5) -> Tokens:
    return Tokens(torch.randn(rows, seen, 16), torch.randn(rows, seen, 4))


def test_a_query_is_answered_alike_whoever_else_is_asked() -> None:
    predictor, memory = crossing(), context()
    query = torch.randn(3, 2, 1, 7, 4)
    whole = predictor(memory, query)
    assert whole.shape == (3, 2, 1, 7, 16)
    torch.testing.assert_close(predictor(memory, query[..., 2:3, :]), whole[..., 2:3, :], rtol=1e-5, atol=1e-6)
    other = query.clone()
    other[..., 3:, :] = torch.randn(3, 2, 1, 4, 4)
    assert torch.equal(predictor(memory, other)[..., :3, :], whole[..., :3, :])


def test_target_groups_come_back_in_their_places() -> None:
    predictor, memory = crossing(), context()
    query = torch.randn(3, 2, 4, 7, 4)
    whole = predictor(memory, query)
    for group in range(4):
        one = predictor(memory, query[:, :, group : group + 1])
        torch.testing.assert_close(one, whole[:, :, group : group + 1], rtol=1e-5, atol=1e-6)


def test_the_memory_is_a_set_and_padding_is_not_read() -> None:
    predictor, memory = crossing(), context()
    query = torch.randn(3, 2, 1, 7, 4)
    order = torch.randperm(5)
    shuffled = Tokens(memory.x[:, order], memory.pos[:, order])
    torch.testing.assert_close(predictor(shuffled, query), predictor(memory, query), rtol=1e-4, atol=1e-5)
    valid = torch.ones(6, 6, dtype=torch.bool)
    valid[:, 5] = False
    padded = Tokens(
        torch.cat([memory.x, torch.full((6, 1, 16), 9.0)], 1), torch.cat([memory.pos, memory.pos[:, :1]], 1), valid
    )
    torch.testing.assert_close(predictor(padded, query), predictor(memory, query), rtol=1e-4, atol=1e-5)


# Recipes --------------------------------------------------------------------------------------------------------------


def test_sequences_are_read_as_channels() -> None:
    assert spatial(Waves(grid=(40,))).grid == (4, 10)
    assert spatial(Waves(grid=(2, 6, 6))).grid == (2, 6, 6)
    objective = build("sjepa", Waves(grid=(40,)), SIZE, 0)
    assert torch.equal(channel_places(spatial(Waves(grid=(40,))), objective.backbone), torch.arange(4.0)[:, None])


def test_jepa_and_mae_start_from_the_same_encoder() -> None:
    """One seed, one encoder, whatever the objective: rows differ by their objective alone."""
    modality = Waves(grid=(4, 10))
    state = build("mae", modality, SIZE, 3).backbone.state_dict()
    for name in ("eeg-jepa", "eeg-vjepa", "sjepa"):
        other = build(name, modality, SIZE, 3).backbone.state_dict()
        assert state.keys() == other.keys() and all(torch.equal(state[key], other[key]) for key in state)
