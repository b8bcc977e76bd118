"""Attentive probe: one learned query reads the frozen tokens by cross-attention (V-JEPA, Bardes et al. 2024).

Kept: pooled = q + attention(q; tokens), out = pooled + MLP(LayerNorm(pooled)), then a linear layer; AdamW on a
warm-up and cosine; a bank of heads over learning rates and weight decays trained at once on the same batches (V-JEPA 2).
Of the bank, and of the looks during training, validation chooses one.
Differs: tokens are standardised on train in place of the first LayerNorm, as for every probe; since there is one query,
query and key projection are one vector per attention head (the same functions); a bank of 6, not 20.

Why: mean pooling understates encoders whose objective is local, because few tokens may say what a sample is.
Cost: LEAST to STEPS steps of BATCH rows for the whole bank; 3,000 samples of 50 tokens × 64 take about 6 s on one core (470
steps). Deterministic on a CPU for a seed.
Tests: test_probe_attentive.py.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from benchmark.probes.base import Choice, Fitted, Probe, standardiser, subsample
from benchmark.probes.heads import Answer, device_of_choice
from jepakit.randomness import batch_index, mix
from jepakit.registry import probes
from jepakit.schedules import warmup_cosine
from jepakit.types import Task

RATES = (3e-3, 1e-3, 3e-4)
DECAYS = (0.01, 0.4)
EPOCHS, LEAST, STEPS, BATCH = 20, 300, 1000, 128
LOOKS = 15  # how often validation is asked
VAL = 4_000  # most validation rows that choose, unless they are windows of records
MOMENTS = 4_096  # samples from which mean and deviation of a token dimension are taken
HEADS = 4
CHUNK = 512


@probes.register("attentive", kinds=("class", "multilabel", "regression"), sees="tokens")
class Attentive(Probe):
    """A bank of attentive heads on frozen tokens."""

    def fit(
        self,
        train: np.ndarray,
        train_label: np.ndarray,
        val: np.ndarray,
        val_label: np.ndarray,
        task: Task,
        seed: int,
        val_record: np.ndarray | None = None,
    ) -> Fitted:
        torch.set_flush_denormal(True)  # confident rows make denormal gradients, ten times slower on a CPU
        answer, device = Answer(train_label, task), device_of_choice()
        if val_record is None:  # whole records are kept whole
            some = subsample(len(val), VAL, seed)
            val, val_label = val[some], val_label[some]
        choice: Choice[Head] = Choice(task, val_label, val_record)
        ready = Ready(train, device)
        target = torch.from_numpy(answer.encode(train_label)).to(device)
        grid = [(rate, decay) for rate in RATES for decay in DECAYS]
        first = Head(train.shape[2], answer.columns, torch.Generator().manual_seed(mix(seed, 0x61747465)))
        bank = [first.copy().to(device) for _ in grid]
        groups = [group for head, (rate, decay) in zip(bank, grid, strict=True) for group in head.groups(rate, decay)]
        optimizer = torch.optim.AdamW(groups, fused=True)
        steps = min(STEPS, max(LEAST, EPOCHS * len(train) // BATCH))
        looks = {round(steps * (i + 1) / LOOKS) for i in range(LOOKS)}
        schedule = warmup_cosine(0.01, 1.0, 0.01, 0.1)
        for step in range(steps):
            rows = batch_index(seed, step, len(train), BATCH)
            for group in optimizer.param_groups:
                group["lr"] = group["rate"] * schedule((step + 1) / steps)
            optimizer.zero_grad(set_to_none=True)
            raw = forward(stacked(bank), *ready(train[rows.numpy()]))
            answer.loss(raw, target[rows.to(device)]).sum().backward()
            optimizer.step()
            if step + 1 in looks:
                outputs = predict(bank, ready, val)
                for head, (rate, decay), raw_val in zip(bank, grid, outputs, strict=True):
                    chosen = {"lr": rate, "weight_decay": decay, "step": step + 1}
                    choice.offer(chosen, head.copy(), answer.scores(raw_val))
        best = choice.best()
        return Fitted(choice.chosen, choice.score, lambda tokens: answer.scores(predict([best], ready, tokens)[0]))


class Ready:
    """Token features as they come → standardised with the statistics of train, and which of them are real."""

    def __init__(self, train: np.ndarray, device: str) -> None:
        some = train[subsample(len(train), MOMENTS, 0)]
        real = some[~np.isnan(some).any(-1)]
        self.mean, self.inverse = (torch.from_numpy(part).to(device) for part in standardiser(real))
        self.device = device

    def __call__(self, tokens: np.ndarray) -> tuple[Float[Tensor, "b n d"], Bool[Tensor, "b n"]]:
        x = torch.from_numpy(tokens).to(self.device).float()
        real = ~x.isnan().any(-1)
        return ((x - self.mean) * self.inverse).masked_fill(~real[..., None], 0.0), real


class Head(nn.Module):
    """The parameters of one head: query and value vectors of the attention, MLP and output."""

    def __init__(self, width: int, columns: int, random: torch.Generator) -> None:
        super().__init__()
        inner = -(-width // HEADS)

        def draw(*shape: int) -> nn.Parameter:
            return nn.Parameter(nn.init.trunc_normal_(torch.empty(*shape), std=0.02, generator=random))

        self.query, self.look = draw(width), draw(HEADS, width)
        self.value = nn.Parameter(torch.randn(HEADS, width, inner, generator=random) / width**0.5)
        self.project = nn.Parameter(torch.randn(HEADS, inner, width, generator=random) / width**0.5)
        self.gain, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.up, self.up_bias = draw(width, 4 * width), nn.Parameter(torch.zeros(4 * width))
        self.down, self.down_bias = draw(4 * width, width), nn.Parameter(torch.zeros(width))
        self.out, self.out_bias = draw(width, columns), nn.Parameter(torch.zeros(columns))

    def copy(self) -> Head:
        """The same head with parameters of its own."""
        own: Head = Head.__new__(Head)
        nn.Module.__init__(own)
        for name, value in self.named_parameters():
            setattr(own, name, nn.Parameter(value.detach().clone()))
        return own

    def groups(self, rate: float, decay: float) -> list[dict[str, object]]:
        """What AdamW needs: weights decay, vectors do not."""
        decayed = [p for p in self.parameters() if p.ndim > 1]
        kept = [p for p in self.parameters() if p.ndim == 1]
        return [
            {"params": decayed, "lr": rate, "rate": rate, "weight_decay": decay},
            {"params": kept, "lr": rate, "rate": rate, "weight_decay": 0.0},
        ]


def stacked(bank: list[Head]) -> dict[str, Tensor]:
    """The parameters of several heads side by side, (heads of the bank, …): gradients reach each head's own."""
    names = [name for name, _ in bank[0].named_parameters()]
    return {name: torch.stack([head.get_parameter(name) for head in bank]) for name in names}


def forward(p: dict[str, Tensor], x: Float[Tensor, "b n d"], real: Bool[Tensor, "b n"]) -> Float[Tensor, "bank b c"]:
    """Outputs of every head of a bank for standardised tokens; padding is not attended to.

    The tokens are pooled before they are projected (attention weights add up to 1), which costs heads·d per token, not d².
    """
    width, inner = x.shape[-1], p["value"].shape[-1]
    score = torch.einsum("bnd,khd->kbhn", x, p["look"]) * inner**-0.5
    share = score.masked_fill(~real[:, None, :], float("-inf")).softmax(-1)
    pooled = torch.einsum("kbhn,bnd->khbd", share, x)
    attended = torch.einsum("khbi,khiw->kbw", pooled @ p["value"], p["project"])
    z = p["query"][:, None] + attended
    normed = functional.layer_norm(z, (width,)) * p["gain"][:, None] + p["shift"][:, None]
    hidden = functional.gelu(torch.baddbmm(p["up_bias"][:, None], normed, p["up"]))
    z = z + torch.baddbmm(p["down_bias"][:, None], hidden, p["down"])
    return torch.baddbmm(p["out_bias"][:, None], z, p["out"])


@torch.no_grad()
def predict(bank: list[Head], ready: Ready, tokens: np.ndarray) -> np.ndarray:
    """Outputs (heads of the bank, n, c) for token features as they come."""
    p = stacked(bank)
    parts = [forward(p, *ready(tokens[i : i + CHUNK])) for i in range(0, len(tokens), CHUNK)]
    return np.asarray(torch.cat(parts, 1).float().cpu().numpy())
