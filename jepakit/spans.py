"""WavJEPA's masks: unions of short spans. Target groups are what spans cover, the context is what long spans leave over."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from jepakit.masking import Masker
from jepakit.types import Split, Tokens, UsageError


class Spans(Masker):
    """Time-inverse block masks (arXiv 2509.23238) on a sequence; a grid of several axes is read row by row.

    Each of ``groups`` target groups is a union of spans of ``length`` tokens at distinct starts, as many as would cover
    ``target`` of the sequence if they did not overlap. The context is what such spans of ``hidden`` leave over, minus all
    groups; drawn again where that is less than ``least``.

    The paper hides tokens by attention masks, so that its sets may differ in size. Here hidden tokens are dropped: of
    ``tries`` draws the one whose context is nearest to the size that is usual for the law is taken (of each group alike),
    and tokens at random are added or left out until it is that size. ``regions`` is the law itself.
    """

    def __init__(
        self,
        grid: tuple[int, ...],
        *,
        groups: int = 4,
        target: float = 0.25,
        hidden: float = 0.65,
        length: int | None = None,
        least: float = 0.1,
        tries: int = 8,
        legacy: bool = False,
    ) -> None:
        """``length``: of a span; default a twentieth of the sequence (10 of 200), but at least 5 tokens, or an eighth of a
        sequence under 40; ``legacy=True`` never draws the last legal start, as the released code does, so that the last
        token is always seen. Raises UsageError where nothing would be seen or asked for."""
        super().__init__(grid)
        n = self.count
        self.length = max(min(5, n // 8), round(n / 20), 1) if length is None else length
        self.groups, self.tries = groups, tries
        self.starts = n - self.length + (0 if legacy else 1)
        self.target_spans = max(1, round(target * n / max(1, self.length)))
        self.hidden_spans = max(1, round(hidden * n / max(1, self.length)))
        if groups < 1 or not 1 <= self.length < n or max(self.target_spans, self.hidden_spans) > self.starts:
            raise UsageError(
                f"{groups} groups of spans of {self.length} tokens, {self.target_spans} and {self.hidden_spans} at a time, "
                f"do not fit a sequence of {n}; use a shorter recipe.length or other shares"
            )
        # The size that is usual: a token is covered by a union of s spans with probability 1 − (1 − ℓ/n)^s.
        left = 1 - self.length / n
        self.queried = max(1, round(n * (1 - left**self.target_spans)))
        usual = n * left ** (self.hidden_spans + groups * self.target_spans)
        self.visible = max(math.ceil(least * n), round(usual), 1)
        if self.visible + self.queried > n:
            raise UsageError(
                f"a context of {self.visible} and groups of {self.queried} of {n} tokens do not fit together; use a smaller "
                "recipe.target or recipe.hidden"
            )

    def union(self, shape: tuple[int, ...], spans: int, device: torch.device) -> Bool[Tensor, "..."]:
        """Where ``spans`` spans with distinct starts lie: (*shape, n)."""
        first = torch.rand(*shape, self.starts, device=device).argsort(-1)[..., :spans, None]
        place = torch.arange(self.count, device=device)
        return ((place >= first) & (place < first + self.length)).any(-2)

    def regions(self, samples: int, device: torch.device) -> tuple[Bool[Tensor, "b r n"], Bool[Tensor, "b r t n"]]:
        """(context, groups) of ``tries`` draws per sample, of whatever size they come out."""
        asked = self.union((samples, self.tries, self.groups), self.target_spans, device)
        context = ~self.union((samples, self.tries), self.hidden_spans, device) & ~asked.any(2)
        return context, asked

    def forward(self, tokens: Tokens, target: Float[Tensor, "b n e"], progress: float) -> Split:
        samples, device = len(tokens.x), tokens.x.device
        context, asked = self.regions(samples, device)
        miss = (context.sum(-1) - self.visible).abs() + (asked.sum(-1) - self.queried).abs().sum(-1)
        best, row = miss.argmin(1), torch.arange(samples, device=device)
        context, asked = context[row, best], asked[row, best]
        union = asked.any(1)
        # A context that is too small grows into what nobody asks for, and only then into the groups.
        draw = torch.rand(context.shape, device=device)
        visible = (2.0 * context + 1.0 * ~union + draw).topk(self.visible, -1).indices.sort(-1).values
        seen = torch.zeros_like(context).scatter(1, visible, True)[:, None]
        # A group that is too small grows at the ends of its spans, and never asks for what is seen.
        near = torch.nn.functional.max_pool1d(asked.float(), 3, 1, 1)
        score = 2.0 * asked + near + torch.rand(asked.shape, device=device) - 9.0 * seen
        groups = score.topk(self.queried, -1).indices.sort(-1).values
        return Split(visible[:, None], groups[:, None])
