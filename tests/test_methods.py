"""Contract of every registered method, on sequences, channel tokens and 2-D grids: what any JEPA or baseline must obey."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from chips import Chips
from plots import Plots
from waves import Bodies, Waves

import baselines  # noqa: F401 - registers
import jepakit.methods  # noqa: F401 - registers
import modalities  # noqa: F401 - registers
from jepakit.masking import Masker
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA, Objective
from jepakit.pretrain import build
from jepakit.registry import datasets, methods
from jepakit.targets import EMA
from jepakit.types import Batch, Size, Split, Tokens, UsageError, gather

SIZE = Size(32, 2, 2, 16, 2, 2, steps=50)
TRAINED = [name for name in methods if methods[name].info["family"] != "reference"]
MASKED = ["ecgjepa", "ecgjepa-kim", "ijepa", "mae"]


def sequence() -> Modality:
    return Waves()


def plane() -> Modality:
    return Waves(grid=(8, 8))


# Methods that read more than tokens are tested on a modality that has it.
def bodies() -> Modality:
    return Bodies(grid=(2, 6, 6))


OWN = {
    "sar": Chips,
    "specjepa": plane,
    "tjepa": sequence,
    "tjepa-sigreg": sequence,
    "tjepa-vicreg": sequence,
    "vjepa": plane,
    "vjepa2": plane,
    "videomae": plane,
    "voljepa": bodies,
    "salt-sets": plane,
    "salt-sets-teacher": plane,
}


NEEDS: dict[object, Callable[[], Modality]] = {
    "occupied": Plots,
    "table": lambda: datasets["tabular/made_linear"].make(None),
}


def home(name: str, other: Callable[[], Modality] = sequence) -> Modality:
    """What the method is tested on: its own kind of data, or ``other``."""
    return (OWN.get(name) or NEEDS.get(methods[name].info.get("needs")) or other)()


def made(name: str, modality: Modality, **settings: object) -> Objective:
    return build(name, modality, SIZE, 0, settings).train()


def some(modality: Modality, rows: int = 8) -> Batch:
    return modality.data("train").batch(torch.arange(rows))


@pytest.mark.parametrize("shape", ["sequence", "plane"])
@pytest.mark.parametrize("name", TRAINED)
def test_loss_is_finite_and_gradients_flow_where_they_should(name: str, shape: str) -> None:
    modality = home(name, {"sequence": sequence, "plane": plane}[shape])
    if name == "ecgjepa-kim" and shape == "plane":
        pytest.skip("needs a channel axis")
    objective = made(name, modality)
    reached: set[str] = set()
    for stage in range(len(objective.stages)):
        objective.zero_grad()
        losses = objective(some(modality), sum(objective.stages[:stage], 0.0))
        losses.total.backward()
        assert torch.isfinite(losses.total) and losses.parts and all(not p.requires_grad for p in losses.parts.values())
        touched = {n for n, p in objective.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
        assert not touched & reached, "a stage trains what another stage has trained"
        reached |= touched
    assert {n for n, p in objective.named_parameters() if p.requires_grad} == reached
    assert any(n.startswith("backbone.") for n in touched)
    assert not any(n.startswith("target.") for n in touched)


@pytest.mark.slow  # 120 steps; test_contracts.py asks 30 steps of every method on every grid
@pytest.mark.parametrize("name", TRAINED)
def test_loss_falls_on_one_batch(name: str) -> None:
    """Overfit one batch under one mask; the teacher is kept still, because a moving target may make a healthy loss rise."""
    modality = home(name)
    objective = made(name, modality)
    batch = some(modality, 16)
    optimizer = torch.optim.AdamW([p for p in objective.parameters() if p.requires_grad], lr=4e-3)
    curve = []
    for step in range(120):
        torch.manual_seed(0)
        loss = objective(batch, step / 120).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curve.append(float(loss.detach()))
    assert sum(curve[-5:]) < 0.9 * sum(curve[:5])


@pytest.mark.parametrize("name", list(methods))
def test_same_seed_same_network_and_state_round_trip(name: str) -> None:
    modality = home(name)
    a, b, other = made(name, modality), made(name, modality), build(name, modality, SIZE, 1)
    batch = some(modality)
    assert torch.equal(a.eval().encoder().embed(batch), b.eval().encoder().embed(batch))
    if any(True for _ in a.encoder().parameters()):  # a row of hand-made features has no weights to draw
        assert not torch.equal(a.encoder().embed(batch), other.eval().encoder().embed(batch))
    other.load_state_dict(a.state_dict())
    assert torch.equal(a.encoder().embed(batch), other.encoder().embed(batch))
    assert a.encoder().embed(batch).shape[0] == len(batch)


@pytest.mark.parametrize("name", MASKED)
def test_noise_in_hidden_input_leaves_the_context_bit_identical(name: str) -> None:
    """The leak test: what the encoder sees and what the predictor returns must not depend on hidden patches."""
    modality = sequence()
    objective = made(name, modality).eval()
    assert isinstance(objective, MaskedJEPA)
    batch = some(modality)
    torch.manual_seed(0)
    tokens = objective.backbone.tokenize(batch)
    split = objective.masker(tokens, torch.zeros_like(tokens.x), 0.0)
    seen = torch.zeros(len(batch), tokens.x.shape[1], dtype=torch.bool).scatter(1, split.context.flatten(1), True)
    patches = batch.x.unflatten(1, (tokens.x.shape[1], -1)).clone()
    patches[~seen] = torch.randn_like(patches[~seen]) * 100
    noisy = batch.with_x(patches.flatten(1))

    def run(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = objective.backbone.tokenize(batch)
        context = objective.backbone.encode(tokens.take(split.context))
        return context.x, objective.predict(context, tokens, split)

    (context, predicted), (context_noisy, predicted_noisy) = run(batch), run(noisy)
    assert torch.equal(context, context_noisy) and torch.equal(predicted, predicted_noisy)
    assert not torch.equal(objective.target(batch), objective.target(noisy))
    patches = batch.x.unflatten(1, (tokens.x.shape[1], -1)).clone()
    patches[seen] = torch.randn_like(patches[seen])
    assert not torch.equal(predicted, run(batch.with_x(patches.flatten(1)))[1])


@pytest.mark.parametrize("name", MASKED)
def test_loss_is_the_mean_distance_at_hidden_places(name: str) -> None:
    """The template against a slow loop over samples, groups and tokens."""
    modality = sequence()
    objective = made(name, modality).eval()
    assert isinstance(objective, MaskedJEPA)
    batch = some(modality, 3)
    torch.manual_seed(5)
    loss = float(objective(batch, 0.0).total.detach())
    torch.manual_seed(5)
    tokens, target = objective.backbone.tokenize(batch), objective.target(batch)
    split = objective.masker(tokens, target, 0.0)
    total, count = 0.0, 0
    for sample in range(3):
        context = Tokens(tokens.x[sample : sample + 1], tokens.pos[sample : sample + 1]).take(
            split.context[sample : sample + 1]
        )
        encoded = objective.backbone.encode(context)
        for group in split.target[sample, 0]:
            query = tokens.pos[sample, group][None, None, None]
            predicted = objective.predictor(encoded, query)[0, 0, 0]
            for place, vector in zip(group, predicted, strict=True):
                total += float(objective.distance(vector, target[sample, place]).detach())
                count += 1
    assert loss == pytest.approx(total / count, rel=1e-4)


def test_the_teacher_is_what_is_probed_and_it_moves_only_after_a_step() -> None:
    objective = made("ecgjepa", sequence())
    assert isinstance(objective, MaskedJEPA) and isinstance(objective.target, EMA)
    assert objective.encoder() is objective.target.teacher
    with torch.no_grad():
        for p in objective.backbone.parameters():
            p.add_(1)
    before = [p.clone() for p in objective.encoder().parameters()]
    objective(some(sequence()), 0.0)
    assert all(torch.equal(a, b) for a, b in zip(before, objective.encoder().parameters(), strict=True))
    objective.after_step(0.0)
    assert any(not torch.equal(a, b) for a, b in zip(before, objective.encoder().parameters(), strict=True))


def test_regularisers_see_the_context_and_are_weighted() -> None:
    class First(Masker):
        def forward(self, tokens: Tokens, target: torch.Tensor, progress: float) -> Split:
            index = torch.arange(self.count).expand(len(tokens.x), 1, -1)
            return Split(index[..., :5], index[:, :, None, 5:])

    base = made("ecgjepa", sequence())
    assert isinstance(base, MaskedJEPA)
    seen = []

    def spread(z: torch.Tensor) -> torch.Tensor:
        seen.append(z.shape)
        return z.std()

    objective = MaskedJEPA(
        backbone=base.backbone, predictor=base.predictor, masker=First((40,)), target=base.target,
        distance=base.distance, regularisers={"spread": (0.5, spread)},
    )  # fmt: skip
    losses = objective(some(sequence()), 0.0)
    assert seen == [(8, 32)]
    assert float(losses.total.detach()) == pytest.approx(
        float(losses.parts["prediction"] + 0.5 * losses.parts["spread"])
    )


def test_lejepa_weighs_its_two_losses_by_the_papers_convention() -> None:
    objective = made("lejepa", sequence(), weight=0.2)
    losses = objective(some(sequence()), 0.0)
    wanted = 0.8 * losses.parts["invariance"] + 0.2 * losses.parts["sigreg"]
    assert float(losses.total.detach()) == pytest.approx(float(wanted))
    with pytest.raises(UsageError, match="between 0 and 1"):
        made("lejepa", sequence(), weight=2.0)


def test_supervised_ignores_unlabelled_rows() -> None:
    objective, batch = made("supervised", sequence()), some(sequence())
    labels = {"wave": batch.labels["wave"].clone(), "phase": batch.labels["phase"].clone()}
    labels["wave"][:4], labels["phase"][:4] = -1, float("nan")
    half = Batch(batch.x[4:], {k: v[4:] for k, v in batch.labels.items()})
    objective.eval()
    partly, only = objective(Batch(batch.x, labels), 0.0), objective(half, 0.0)
    assert float(partly.total) == pytest.approx(float(only.total), rel=1e-5)
    labels["wave"][:] = -1
    assert float(objective(Batch(batch.x, labels), 0.0).parts["wave"]) == 0


def test_label_fractions_keep_the_share_of_every_class() -> None:
    modality = sequence()
    train = modality.data("train")
    some_rows = made("supervised", modality, labels=0.1).select(train)
    wanted = [round(0.1 * int((train.labels["wave"] == c).sum())) for c in range(2)]
    assert torch.bincount(some_rows.labels["wave"]).tolist() == wanted
    assert torch.equal(some_rows.x, made("supervised", modality, labels=0.1).select(train).x)
    assert torch.bincount(made("supervised", modality, labels=1e-6).select(train).labels["wave"]).tolist() == [1, 1]
    assert made("supervised", modality).select(train) is train
    with pytest.raises(UsageError, match="share of the training rows"):
        made("supervised", modality, labels=0.0)


def test_gather_takes_the_named_rows() -> None:
    x = torch.arange(24.0).reshape(2, 4, 3)
    index = torch.tensor([[[0, 3]], [[2, 1]]])
    assert torch.equal(gather(x, index)[1, 0, 0], x[1, 2])
