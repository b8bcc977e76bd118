"""Fine-tuning: encoder and linear head trained end to end on the labels, starting from the linear probe.

What the frozen probes leave open: how good a start the weights are (FEET, Lee et al. 2024: frozen, few-shot, fine-tuned).
The head starts as the probe that ``logreg`` (``ridge`` for regression) finds on the frozen features, which is better and
steadier than a random head (Kumar et al. 2022, LP-FT), and features stay standardised by their first statistics.

Budget: RATES learning rates × at most STEPS steps of BATCH rows, AdamW with warm-up and cosine. Validation (at most
VAL rows, or whole records) is asked LOOKS times and chooses rate and step; a rate is left after PATIENCE looks without a
gain. Step 0, the linear probe itself, takes part, so that fine-tuning is never chosen where it harms. No augmentation.
The probe trains its own copy of the encoder.
Tests: test_probe_finetune.py.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from benchmark.features import over, placed
from benchmark.probes import logreg, ridge
from benchmark.probes.base import Choice, EncoderProbe, Fitted, standardise, standardiser, subsample
from benchmark.probes.heads import Answer
from jepakit.modality import Modality
from jepakit.nn import Embedder
from jepakit.pretrain import decay_groups
from jepakit.randomness import batch_index, mix, reseed
from jepakit.registry import probes
from jepakit.schedules import warmup_cosine
from jepakit.types import Batch, Data, Task

RATES = (1e-4, 5e-4, 2e-3)
DECAY, CLIP = 0.05, 1.0
STEPS, BATCH = 300, 64
LOOKS, PATIENCE = 10, 3
VAL, PROBED = 2_000, 4_000  # validation rows that choose; training rows that give the head its start
STREAM = 0x66696E65  # keeps its random draws apart from those of pre-training


@probes.register("finetune", kinds=("class", "multilabel", "regression", "dense"), sees="encoder")
class FineTune(EncoderProbe):
    """End-to-end training of encoder and linear head."""

    def fit(
        self, encoder: Embedder, modality: Modality, train: Data, val: Data, task: Task, seed: int, device: str
    ) -> Fitted:
        if val.record is None:  # whole records are kept whole
            val = val.take(subsample(len(val), VAL, seed))
        label, judged = _labels(val, task)
        record = None if task.kind == "dense" else val.record
        known = _labels(train, task)
        answer = Answer(known[0][known[1]], task)
        model = Tuned(encoder.to(device), modality.grid if task.kind == "dense" else None)
        _start(model, answer, train, val, task, seed, device)
        choice: Choice[Tuned] = Choice(task, label[judged], record)

        def offer(now: Tuned, rate: float, step: int) -> None:
            raw = now.outputs(val, device)[judged]
            choice.offer({"lr": rate, "step": step}, copy.deepcopy(now), answer.scores(raw))

        offer(model, 0.0, 0)
        for rate in RATES:
            tuned, waited = copy.deepcopy(model), 0
            for step in _training(tuned, answer, train, task, rate, seed, device):
                before = choice.chosen
                offer(tuned, rate, step)
                waited = 0 if choice.chosen != before else waited + 1
                if waited == PATIENCE:
                    break
        best = choice.best()
        return Fitted(choice.chosen, choice.score, lambda data: answer.scores(best.outputs(data, device)))


class Tuned(nn.Module):
    """Encoder, fixed standardisation and linear head; with a ``grid``, of the token at every place."""

    mean: Tensor
    inverse: Tensor

    def __init__(self, encoder: Embedder, grid: tuple[int, ...] | None) -> None:
        super().__init__()
        self.encoder, self.grid, self.head = encoder, grid, nn.Linear(1, 1)

    def start(self, mean: np.ndarray, inverse: np.ndarray, weight: np.ndarray, bias: np.ndarray, device: str) -> None:
        """Set statistics (d,) and the head's weight (d, c) and bias (c,)."""
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("inverse", torch.from_numpy(inverse))
        self.head = nn.Linear(*weight.shape)
        with torch.no_grad():
            self.head.weight.copy_(torch.from_numpy(weight.T))
            self.head.bias.copy_(torch.from_numpy(bias))
        self.to(device).requires_grad_(True)  # a teacher comes without gradients

    def features(self, batch: Batch) -> Float[Tensor, "rows d"]:
        """One row per sample, or per place of each sample."""
        if self.grid is None:
            return self.encoder.embed(batch)
        return placed(self.encoder.tokens(batch), self.grid).flatten(0, 1)

    def forward(self, batch: Batch) -> Float[Tensor, "rows c"]:
        out: Tensor = self.head((self.features(batch) - self.mean) * self.inverse)
        return out

    def outputs(self, data: Data, device: str) -> np.ndarray:
        """Outputs for every sample or place (rows, c), in evaluation mode."""
        return over(self, data, lambda batch: [self(batch).float().cpu().numpy()], device=device)[0]


def _labels(data: Data, task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Labels, one per output of the head, and which of them are known."""
    label = data.labels[task.name].cpu().numpy()
    if task.kind != "dense":
        return label, np.ones(len(label), dtype=bool)
    return label.reshape(-1), label.reshape(-1) >= 0


def _start(model: Tuned, answer: Answer, train: Data, val: Data, task: Task, seed: int, device: str) -> None:
    """Put the best linear probe of the frozen features into the head."""
    part = train.take(subsample(len(train), PROBED, seed))

    def features(data: Data) -> tuple[np.ndarray, np.ndarray]:
        label, known = _labels(data, task)
        found = over(model.encoder, data, lambda batch: [model.features(batch).float().cpu().numpy()], device=device)
        return found[0][known], label[known]

    (x, label), (held, held_label) = features(part), features(val)
    mean, inverse = standardiser(x)
    x, held = standardise(x, mean, inverse), standardise(held, mean, inverse)
    record = None if task.kind == "dense" else val.record
    choice: Choice[tuple[np.ndarray, np.ndarray]] = Choice(task, held_label, record)
    for weight, bias in _linear(x, answer.encode(label), task):
        choice.offer({}, (weight, bias), answer.scores(held @ weight + bias))
    model.start(mean, inverse, *choice.best(), device)


def _linear(x: np.ndarray, target: np.ndarray, task: Task) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(weight (d, c), bias (c,)) for every penalty, in float32."""
    if task.kind == "regression":
        solved = ridge.solve(x, target.astype(np.float64))
        for factor in ridge.FACTORS:
            weight, bias = solved.map(factor)
            yield weight.astype(np.float32), bias.astype(np.float32)
    else:
        for one in logreg.path(x, target, task.kind == "multilabel"):
            yield one.weight, one.bias


def _training(
    model: Tuned, answer: Answer, train: Data, task: Task, rate: float, seed: int, device: str
) -> Iterator[int]:
    """Train ``model`` in place and stop at every look, giving the number of steps done."""
    target = torch.from_numpy(answer.encode(_labels(train, task)[0])).unflatten(0, (len(train), -1)).to(device)
    decayed, kept = decay_groups(model)
    groups = [{"params": decayed, "weight_decay": DECAY}, {"params": kept, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=rate)
    schedule = warmup_cosine(0.01 * rate, rate, 0.01 * rate, 0.1)
    for step in range(STEPS):
        reseed(mix(seed, STREAM), step, torch.device(device))
        rows = batch_index(mix(seed, STREAM), step, len(train), BATCH)
        batch = train.batch(rows)
        batch = Batch(batch.x.to(device), {}, {name: column.to(device) for name, column in batch.extra.items()})
        for group in optimizer.param_groups:
            group["lr"] = schedule((step + 1) / STEPS)
        model.train()
        optimizer.zero_grad(set_to_none=True)
        answer.loss(model(batch), target[rows.to(device)].flatten(0, 1)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        if (step + 1) % (STEPS // LOOKS) == 0:
            yield step + 1
