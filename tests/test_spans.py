"""WavJEPA's masks: the law of the paper against its golden statistics, and the fixed sizes that a batch gets."""

from __future__ import annotations

import pytest
import torch

from jepakit.spans import Spans
from jepakit.types import Split, Tokens, UsageError


def draw(masker: Spans, samples: int = 64) -> Split:
    x = torch.zeros(samples, masker.count, 1)
    return masker(Tokens(x, x), x, 0.0)


def test_the_released_law_has_the_golden_statistics() -> None:
    """200 frames, spans of 10, .25 and .65: measured on the released sampler, which draws again under a tenth."""
    torch.manual_seed(0)
    context, groups = Spans((200,), length=10, legacy=True).regions(600, torch.device("cpu"))
    share = context.float().mean(-1)
    kept = share >= 0.1
    assert share[kept].mean().item() == pytest.approx(0.194, rel=0.02)
    assert share[kept].std().item() == pytest.approx(0.047, rel=0.1)
    assert 1 / kept.float().mean().item() == pytest.approx(1.02, rel=0.02)
    assert groups.float().mean().item() == pytest.approx(0.2275, rel=0.02)
    assert groups.any(2).float().mean().item() == pytest.approx(0.637, rel=0.02)
    both = (context[:, :, None] | groups).float().mean(-1).mean(-1)
    assert both[kept].mean().item() == pytest.approx(0.421, rel=0.02)
    assert not (context[:, :, None] & groups).any()


def test_a_group_is_a_union_of_spans_with_distinct_starts() -> None:
    torch.manual_seed(1)
    masker = Spans((60,), length=6)
    union = masker.union((500,), 2, torch.device("cpu"))
    for row in union.tolist():
        text = "".join("x" if inside else " " for inside in row)
        assert all(len(run) >= 6 for run in text.split())
    # Two of 55 starts, distinct: at least one token more than one span.
    assert union.sum(1).min() >= 7 and union.sum(1).max() == 12


def test_only_the_released_sampler_never_hides_the_last_token() -> None:
    torch.manual_seed(2)
    hidden = {}
    for legacy in (True, False):
        masker = Spans((50,), length=5, legacy=legacy)
        hidden[legacy] = masker.union((2000,), 6, torch.device("cpu")).float().mean(0)
    assert hidden[True][-1] == 0 and hidden[False][-1] > 0.05
    torch.testing.assert_close(hidden[False], hidden[False].flip(0), atol=0.05, rtol=0)


@pytest.mark.parametrize("grid", [(200,), (50,), (32,), (16,), (4, 8), (2, 6, 6)])
def test_sets_have_one_size_and_never_meet(grid: tuple[int, ...]) -> None:
    torch.manual_seed(3)
    masker = Spans(grid)
    sizes = set()
    for _ in range(5):
        split = draw(masker)
        sizes.add((split.context.shape[1:], split.target.shape[1:]))
        visible = torch.zeros(64, masker.count, dtype=torch.bool).scatter(1, split.context[:, 0], True)
        asked = torch.zeros(64, 4, masker.count, dtype=torch.bool).scatter(2, split.target[:, 0], True)
        assert not (visible[:, None] & asked).any(), "a group asks for what is seen"
        assert (visible.sum(1) == masker.visible).all() and (asked.sum(2) == masker.queried).all(), "a place twice"
        assert (split.context.diff(dim=-1) > 0).all() and (split.target.diff(dim=-1) > 0).all()
    assert len(sizes) == 1


def test_the_fixed_sizes_are_those_of_the_law_and_most_tokens_are_drawn_by_it() -> None:
    torch.manual_seed(4)
    masker = Spans((200,), length=10)
    # 13 and 5 spans of 10 in 200: a token escapes s of them with probability .95^s.
    assert masker.visible == round(200 * 0.95 ** (13 + 20)) and masker.queried == round(200 * (1 - 0.95**5))
    split = draw(masker, 400)
    seen = torch.zeros(400, 200).scatter(1, split.context[:, 0], 1.0)
    changes = (seen.diff(dim=1) != 0).float().sum(1).mean()
    torch.manual_seed(4)
    scattered = (torch.rand(400, 200).argsort(1) < masker.visible).float().diff(dim=1).ne(0).float().sum(1).mean()
    assert changes < 0.5 * scattered, "the context is made of runs, not of scattered tokens"


def test_places_are_drawn_per_sample_and_repeat_with_the_seed() -> None:
    masker = Spans((64,))
    torch.manual_seed(5)
    first = draw(masker)
    torch.manual_seed(5)
    again = draw(masker)
    assert torch.equal(first.context, again.context) and torch.equal(first.target, again.target)
    assert not torch.equal(first.context[0], first.context[1])


@pytest.mark.parametrize(
    ("grid", "settings"),
    [((10,), {"length": 10}), ((20,), {"length": 19}), ((40,), {"groups": 0}), ((40,), {"target": 0.9, "least": 0.5})],
)
def test_impossible_settings_are_refused_with_a_remedy(grid: tuple[int, ...], settings: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="use a"):
        Spans(grid, **settings)  # type: ignore[arg-type]
