"""The reversal curse on made facts: who is taught "a r b" and the inverse r⁻¹ of others, can it tell r⁻¹ of b?

Source: github OSU-NLP-Group/reversal-curse-binding, at its abstract level (an entity is one token), much smaller.
Kept: entities of group A with facts in both directions, of group B in one, whose reverse is the test; random pairs for every
relation; a causal transformer on (subject, relation, mask), whose last state answers; concept vectors are the same table
for subjects and objects, divided by their root mean square; softmax over the batch's objects, gradients on both sides.
Differs: hundreds of entities instead of 80,000, a constant rate after a short rise, no memory layer, one token per entity.
Scores are reciprocal ranks among all entities: against a batch's they would flatter.
Tests: test_reversal.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from jepakit.randomness import mix, reseed

BOTH, ONE, RELATIONS = 120, 72, 3  # entities of group A and B; pairs of a relation and its inverse
DIM, DEPTH, HEADS = 64, 2, 4
STEPS, BATCH, RATE, RISE, DECAY = 400, 128, 2e-3, 50, 0.1
SEEDS = 3
ARMS = ("tokens", "concepts", "full negatives")


@dataclass(frozen=True)
class Facts:
    """Rows (subject, relation, object): train, and by direction the tests of group B; entities: how many there are.

    Relation 2k + 1 is the inverse of 2k.
    """

    train: Int[Tensor, "n 3"]
    forward: Int[Tensor, "t 3"]
    reverse: Int[Tensor, "t 3"]
    entities: int


def facts(seed: int, both: int = BOTH, one: int = ONE, relations: int = RELATIONS) -> Facts:
    """Every relation pairs the entities of a group at random: half of them subjects, half objects."""
    rng = np.random.default_rng(seed)
    train, forward, reverse = [], [], []
    for relation in range(relations):
        for first, count in ((0, both), (both, one)):
            a, b = first + rng.permutation(count).reshape(2, -1)
            there = np.stack([a, np.full_like(a, 2 * relation), b], 1)
            back = np.stack([b, np.full_like(a, 2 * relation + 1), a], 1)
            train.append(there)
            if first:
                forward.append(there)
                reverse.append(back)
            else:
                train.append(back)
    whole = [torch.from_numpy(np.concatenate(rows)) for rows in (train, forward, reverse)]
    return Facts(whole[0], whole[1], whole[2], both + one)


class Reader(nn.Module):
    """(subject, relation, mask) → a vector that is compared with those of all entities.

    own: objects have a table of their own, as the output layer of a token model; else the subjects' (concepts).
    """

    def __init__(self, entities: int, relations: int, *, own: bool) -> None:
        super().__init__()
        self.concepts = nn.Embedding(entities, DIM)
        self.words = nn.Embedding(2 * relations + 1, DIM)
        self.places = nn.Parameter(0.02 * torch.randn(3, DIM))
        layer = nn.TransformerEncoderLayer(DIM, HEADS, 4 * DIM, 0.0, "gelu", batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, DEPTH, enable_nested_tensor=False)
        self.norm = nn.RMSNorm(DIM, elementwise_affine=False)
        self.out = nn.Embedding(entities, DIM) if own else self.concepts
        # Not a set of them: that would be filled in the order of addresses, another one in every process.
        for table in dict.fromkeys((self.concepts, self.words, self.out)):
            nn.init.normal_(table.weight, std=DIM**-0.5)

    def forward(self, asked: Int[Tensor, "b 2"]) -> Float[Tensor, "b d"]:
        mask = self.words.weight[-1].expand(len(asked), -1)
        x = torch.stack([self.norm(self.concepts(asked[:, 0])), self.words(asked[:, 1]), mask], 1) + self.places
        hidden = nn.Transformer.generate_square_subsequent_mask(3)
        return self.norm(self.blocks(x, mask=hidden, is_causal=True)[:, -1]) * DIM**-0.5

    def objects(self) -> Float[Tensor, "e d"]:
        """The vectors that answers are compared with."""
        return self.norm(self.out.weight)


def loss(model: Reader, rows: Int[Tensor, "b 3"], *, full: bool) -> Float[Tensor, ""]:
    """Softmax cross-entropy over all entities, or over the objects of the batch, each once."""
    answer, wanted = model(rows[:, :2]), rows[:, 2]
    if full:
        return F.cross_entropy(answer @ model.objects().T, wanted)
    present, place = wanted.unique(return_inverse=True)
    return F.cross_entropy(answer @ model.norm(model.out(present)).T, place)


def train(arm: str, data: Facts, seed: int, steps: int = STEPS) -> Reader:
    """One of ARMS. Draws are functions of (seed, step)."""
    with torch.random.fork_rng([]):
        reseed(mix(seed, 0x63757273), 0, torch.device("cpu"))
        model = Reader(data.entities, int(data.train[:, 1].max() + 1) // 2, own=arm == "tokens")
        optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY)
        for step in range(steps):
            reseed(seed, step, torch.device("cpu"))
            for group in optimiser.param_groups:
                group["lr"] = RATE * min(1.0, (step + 1) / RISE)
            rows = data.train[torch.randint(len(data.train), (BATCH,))]
            optimiser.zero_grad()
            loss(model, rows, full=arm != "concepts").backward()
            optimiser.step()
    return model


@torch.no_grad()
def reciprocal_rank(model: Reader, rows: Int[Tensor, "b 3"]) -> float:
    """Mean of 1 / rank of the right object among all entities (1: always first)."""
    scores = model(rows[:, :2]) @ model.objects().T
    right = scores.gather(1, rows[:, 2:])
    rank = 1 + (scores > right).sum(1)
    return float((1.0 / rank).mean())


def by_chance(entities: int) -> float:
    """Mean reciprocal rank of a guess: H_N / N."""
    return float(np.sum(1 / np.arange(1, entities + 1)) / entities)


def measure(seeds: Sequence[int] = tuple(range(SEEDS)), steps: int = STEPS) -> dict[str, Any]:
    """Reciprocal ranks of every arm and seed, forwards and backwards, and what chance gives."""
    runs = []
    for seed in seeds:
        data = facts(seed)
        for arm in ARMS:
            model = train(arm, data, seed, steps)
            ranks = {
                way: reciprocal_rank(model, rows)
                for way, rows in (("forward", data.forward), ("reverse", data.reverse))
            }
            runs.append({"seed": seed, "arm": arm, **ranks})
    return {"runs": runs, "chance": by_chance(BOTH + ONE), "entities": BOTH + ONE, "steps": steps}
