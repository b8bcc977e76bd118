"""Siamese templates: directions, stop-gradient, teacher; the collapses that the papers' parts prevent."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from waves import Waves

import baselines  # noqa: F401 - registers
from baselines.dino import Dino
from jepakit.objective import Objective
from jepakit.pretrain import Training, build, fit
from jepakit.siamese import Siamese, Taught, others
from jepakit.types import Batch, Size, UsageError

SIZE = Size(16, 2, 2, 8, 1, 2, steps=200)
VIEWS = ["barlow", "byol", "dino", "mixed-barlow", "mocov3", "simclr", "simsiam", "vicreg", "wmse"]


def some(rows: int = 16) -> Batch:
    return Waves().data("train").batch(torch.arange(rows))


def made(name: str, **settings: object) -> Objective:
    return build(name, Waves(), SIZE, 0, settings).train()


def embeddings(objective: Objective) -> torch.Tensor:
    with torch.no_grad():
        return objective.eval().encoder().embed(some(64))


@pytest.mark.parametrize("name", ["byol", "mocov3", "simsiam"])
def test_loss_is_the_sum_of_both_directions(name: str) -> None:
    objective = made(name)
    assert isinstance(objective, Taught)
    one, two = some(16), some(32)
    two = Batch(two.x[16:], two.labels)
    objective.pair = lambda batch: (one, two)  # type: ignore[method-assign]
    found = float(objective(some(), 0.0).total.detach())
    encoder, projector = objective.teacher or objective.backbone, objective.teacher_projector or objective.projector
    wanted = 0.0
    for student, other in ((one, two), (two, one)):
        p = objective.predictor(objective.projector(objective.backbone.embed(student)))
        k = projector(encoder.embed(other))
        wanted += float(objective.loss(p, k).detach())
    assert found == pytest.approx(wanted, rel=1e-5)


def test_simsiam_reaches_minus_one_for_equal_directions() -> None:
    from baselines.simsiam import half_cosine

    z = torch.randn(4, 3)
    assert float(half_cosine(z, 2 * z) + half_cosine(3 * z, z)) == pytest.approx(-1.0, abs=1e-6)
    assert float(half_cosine(z, -z) + half_cosine(z, -z)) == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("name", ["byol", "mocov3", "dino"])
def test_teacher_gets_no_gradient_and_follows_with_its_buffers(name: str) -> None:
    objective = made(name)
    assert isinstance(objective, Taught | Dino) and objective.momentum is not None
    heads = (objective.head, objective.teacher_head) if isinstance(objective, Dino) else (
        objective.projector, objective.teacher_projector
    )  # fmt: skip
    student, teacher = (
        nn.ModuleDict({"encoder": e, "head": h}) for e, h in zip((objective.backbone, objective.teacher), heads)
    )
    before = {k: v.clone() for k, v in teacher.named_parameters()}
    objective(some(), 0.0).total.backward()
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    with torch.no_grad():
        for p in student.parameters():
            p.add_(1.0)
    objective.after_step(0.5)
    momentum, new = objective.momentum(0.5), dict(student.named_parameters())
    for key, p in teacher.named_parameters():
        torch.testing.assert_close(p, momentum * before[key] + (1 - momentum) * new[key])
    assert all(torch.equal(a, b) for a, b in zip(teacher.buffers(), student.buffers(), strict=True))
    assert bool(list(teacher.buffers())) == (name != "dino")


def test_momentum_of_byol_is_the_papers_cosine() -> None:
    objective = build("byol", Waves(), Size(16, 2, 2, 8, 1, 2, steps=100_000), 0)
    assert isinstance(objective, Taught) and objective.momentum is not None
    for progress, wanted in ((0.0, 0.99), (0.5, 0.995), (0.25, 1 - 0.01 * (2**-0.5 + 1) / 2)):
        assert objective.momentum(progress) == pytest.approx(wanted)


def test_simsiam_sends_no_gradient_through_the_target() -> None:
    for stop in (True, False):
        objective = made("simsiam", stop_gradient=stop)
        assert isinstance(objective, Taught)
        z = torch.randn(4, 64, requires_grad=True)
        objective.taught(some(4), z).sum().backward() if not stop else None
        assert (z.grad is None) == stop
        assert objective.taught(some(4), z).requires_grad != stop


def test_dino_pairs_and_local_views() -> None:
    assert others(2, 4) == [(0, 1), (0, 2), (0, 3), (1, 0), (1, 2), (1, 3)]
    objective = made("dino")
    assert isinstance(objective, Dino)
    assert objective.encoder() is objective.teacher
    with pytest.raises(UsageError, match="small crops"):
        made("dino", local=2)(some(), 0.0)


def test_the_centre_moves_once_a_step_over_all_micro_batches() -> None:
    objective = made("dino")
    assert isinstance(objective, Dino)
    objective(some(), 0.0), objective(some(32), 0.0)
    assert not objective.centre.value.any()
    objective.after_step(0.0)
    assert objective.centre.value.any()


def test_whitening_refuses_sub_batches_that_are_too_small() -> None:
    with pytest.raises(UsageError, match="sub-batches of 64 rows"):
        made("wmse", out=32, rows=40)
    objective = made("wmse", out=12)
    assert objective.least_batch == 24
    with pytest.raises(UsageError, match=r"train\.batch_size"):
        fit(objective, Waves(), Training(steps=2, batch_size=16), seed=0, device="cpu")


@pytest.mark.parametrize("name", VIEWS)
def test_side_inputs_of_a_batch_reach_the_encoder(name: str) -> None:
    """Electrode positions and the like travel with the views."""
    objective = made(name)
    seen: list[set[str]] = []
    tokenizer = objective.backbone.tokenizer  # type: ignore[union-attr]
    tokenizer.register_forward_pre_hook(lambda module, args: seen.append(set(args[0].extra)))
    batch = some()
    objective(Batch(batch.x, batch.labels, {"place": torch.zeros(16, 3)}), 0.0)
    assert seen and all("place" in names for names in seen)


@pytest.mark.slow
def test_without_its_stop_gradient_simsiam_solves_its_task_by_losing_dimensions() -> None:
    """The literature's control: the loss gets nearer to its minimum −1 while the projections span fewer directions."""
    losses, ranks = {}, {}
    for stop in (True, False):
        objective = made("simsiam", stop_gradient=stop)
        run = fit(objective, Waves(), Training(steps=400, batch_size=32, lr=5e-3), seed=0, device="cpu", watch_every=50)
        assert isinstance(objective, Siamese)
        with torch.no_grad():
            z = objective.train().project(some(64))
        share = torch.linalg.svdvals(z - z.mean(0))
        share = share / share.sum()
        losses[stop] = run.history[-1]["loss"]
        ranks[stop] = float(torch.exp(-(share * share.clamp_min(1e-12).log()).sum()))
    assert losses[False] < -0.99 < losses[True]
    assert ranks[True] > 1.5 * ranks[False]
