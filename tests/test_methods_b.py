"""DMT-JEPA, DSeq-JEPA, SparseJEPA, seq-JEPA, SAR-JEPA and SIE as wholes: losses against slow loops and values by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from chips import Chips
from tiles import Tiles
from torch import Tensor
from torch.nn import functional as F
from waves import Waves

import jepakit.methods  # noqa: F401 - registers
from jepakit.aggregation import most_similar
from jepakit.backbones import Timm
from jepakit.methods.dmt import DMTJEPA
from jepakit.methods.dseq import DSeqJEPA
from jepakit.methods.seq import SeqJEPA
from jepakit.methods.sie import SIE
from jepakit.methods.sparse import Groups, SparseJEPA
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA, Objective
from jepakit.pretrain import build
from jepakit.relative import Aggregator, Hypernetwork, Summary, acted
from jepakit.types import Batch, Size, Tokens, UsageError

SIZE = Size(16, 2, 2, 8, 1, 2, steps=50)


def made(name: str, modality: Modality, **settings: object) -> Objective:
    return build(name, modality, SIZE, 0, settings).train()


def some(modality: Modality, rows: int = 4) -> Batch:
    return modality.data("train").batch(torch.arange(rows))


def slow_error(objective: MaskedJEPA, predicted: Tensor, target: Tensor, places: Tensor) -> float:
    """Mean distance at the asked places, one token at a time: (b, m, t, q, e) against (b, n, e) at (b, m, t, q)."""
    errors = [
        float(objective.distance(predicted[b, m, t, q], target[b, places[b, m, t, q]]))
        for b in range(len(places))
        for m in range(places.shape[1])
        for t in range(places.shape[2])
        for q in range(places.shape[3])
    ]
    return sum(errors) / len(errors)


# DMT-JEPA ------------------------------------------------------------------------------------------------------------


def test_dmt_predicts_aggregated_targets_from_an_aggregated_context() -> None:
    modality = Tiles()
    objective = made("dmt", modality).eval()
    assert isinstance(objective, DMTJEPA)
    batch = some(modality)
    torch.manual_seed(3)
    losses = objective(batch, 0.0)
    loss = float(losses.total.detach())
    torch.manual_seed(3)
    with torch.no_grad():
        tokens, teacher = objective.backbone.tokenize(batch), objective.target.teacher
        plain = F.layer_norm(teacher.encode(teacher.tokenize(batch)).x, (16,))
        target = objective.target.head.around(plain, most_similar(plain, objective.target.near, 4))
        split = objective.masker(tokens, target, 0.0)
        context = objective.backbone.encode(tokens.take(split.context))
        mixed = Tokens(objective.head(context.x), context.pos)
        wanted = slow_error(objective, objective.predict(mixed, tokens, split), target, split.target)
    assert loss == pytest.approx(wanted, rel=1e-4)
    spread = [float(torch.tensor([float(v) for v in target[..., d].flatten()]).std()) for d in range(16)]
    assert float(losses.parts["target_std"]) == pytest.approx(sum(spread) / 16, rel=1e-4)


# DSeq-JEPA -----------------------------------------------------------------------------------------------------------


def test_dseq_draws_its_curriculum_in_proportion_to_progress() -> None:
    modality = Waves()
    objective = made("dseq", modality)
    batch, blocks = some(modality, 2), []
    objective.masker.register_forward_hook(lambda *_: blocks.append(1))
    shares = []
    for progress in (0.0, 0.3, 0.999):
        blocks.clear()
        for step in range(200):
            torch.manual_seed(step)
            with torch.no_grad():
                objective(batch, progress)
        shares.append(1 - len(blocks) / 200)
    assert shares[0] == 0 and shares[1] == pytest.approx(0.3, abs=0.1) and shares[2] > 0.97


def test_dseq_predicts_every_region_from_those_before_it() -> None:
    modality = Tiles()
    objective = made("dseq", modality).eval()
    assert isinstance(objective, DSeqJEPA)
    batch = some(modality, 2)
    loss = float(objective(batch, 1.0).total.detach())
    with torch.no_grad():
        target, saliency = objective.target.look(batch)
        regions, tokens = objective.regions(saliency), objective.backbone.tokenize(batch)
        errors = []
        for k in (1, 2, 3, 4):
            seen = torch.cat(regions[:k], 1)  # unsorted: attention does not mind
            context = objective.backbone.encode(tokens.take(seen))
            asked = regions[k][:, None, None]
            places = torch.stack([tokens.pos[b, asked[b]] for b in range(2)])
            errors.append(slow_error(objective, objective.predictor(context, places), target, asked))
    assert len(regions) == 5 and loss == pytest.approx(sum(errors) / 4, rel=1e-4)


# SparseJEPA ----------------------------------------------------------------------------------------------------------


def test_group_penalty_by_hand() -> None:
    """Two groups of two rows; their columns have norms 5, 0, 1, 2 and 13, 1, 0, 0."""
    groups = Groups(4, 2)
    weight = [[3, 0, 1, 0], [4, 0, 0, 2], [5, 0, 0, 0], [12, 1, 0, 0]]
    with torch.no_grad():
        groups.weight.copy_(torch.tensor(weight).float())
    assert groups.penalty().item() == pytest.approx(5 + 0 + 1 + 2 + 13 + 1)
    assert len(list(groups.parameters())) == 1
    with pytest.raises(UsageError, match=r"recipe\.groups"):
        Groups(4, 3)


def test_sparse_adds_the_weighted_penalty_and_its_predictor_reads_the_groups() -> None:
    modality = Waves()
    objective = made("sparse", modality, weight=0.25).eval()
    assert isinstance(objective, SparseJEPA)
    losses = objective(some(modality), 0.0)
    assert float(losses.total.detach()) == pytest.approx(
        float(losses.parts["prediction"] + 0.25 * losses.parts["sparsity"]), rel=1e-5
    )
    with torch.no_grad():
        objective.mix.weight.zero_()  # then the predictor sees places only: the same answer for every sample
    answers: list[Tensor] = []
    objective.predictor.register_forward_hook(lambda module, given, output: answers.append(output))
    batch = some(modality)
    for one in (batch, batch.with_x(torch.randn_like(batch.x))):
        torch.manual_seed(0)
        objective(one, 0.0)
    assert torch.equal(*answers)


def test_the_penalty_shrinks_the_groups() -> None:
    left = []
    for weight in (0.0, 1.0):
        objective = made("sparse", Waves(), weight=weight)
        assert isinstance(objective, SparseJEPA)
        optimizer = torch.optim.Adam([p for p in objective.parameters() if p.requires_grad], lr=3e-3)
        for step in range(60):
            torch.manual_seed(step)
            loss = objective(some(Waves(), 8), 0.0).total
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        left.append(float(objective.mix.penalty().detach()))
    assert left[1] < 0.5 * left[0]


# seq-JEPA and SIE ----------------------------------------------------------------------------------------------------


class Script(Tiles):
    """Tiles whose views come from a script: light added and the action that says so."""

    actions = ("light",)

    def __init__(self, lights: list[float]) -> None:
        super().__init__()
        self.lights: Iterator[float] = iter(lights)

    def views(self, batch: Batch) -> Batch:
        light = next(self.lights)
        return replace(batch, x=batch.x + light, extra={"action": torch.full((len(batch), 1), light)})


def test_relative_actions_are_differences_of_consecutive_views() -> None:
    views, moves = acted(Script([1.0, 4.0, 2.0]), some(Tiles(), 2), 3)
    assert [round(float(view.x.mean() - views[0].x.mean()), 3) for view in views] == [0, 3, 1]
    assert moves.tolist() == [[[3.0], [-2.0]]] * 2


def test_the_aggregator_joins_each_view_with_the_action_after_it_and_zero_for_the_last() -> None:
    torch.manual_seed(0)
    aggregator = Aggregator(8, 2, 4, 3, 4)
    with torch.no_grad():
        for parameter in aggregator.transformer.parameters():
            parameter.normal_(std=0.3)
    read: list[Tensor] = []
    aggregator.transformer.blocks[0].register_forward_pre_hook(lambda module, given: read.append(given[0]))
    features, between = torch.randn(5, 3, 8), torch.randn(5, 2, 4)
    out = aggregator(features, between)
    assert out.shape == (5, 12) and read[0].shape == (5, 4, 12)
    assert torch.equal(read[0][:, 0], torch.zeros(5, 12))  # the summary token starts at zero
    assert torch.equal(read[0][:, 1:3, 8:], between) and torch.equal(read[0][:, 3, 8:], torch.zeros(5, 4))
    assert torch.equal(read[0][:, 1:, :8], features)
    # No positions: swapping the first two views together with their actions changes nothing.
    swapped = aggregator(features[:, [1, 0, 2]], between[:, [1, 0]])
    torch.testing.assert_close(swapped, out, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(aggregator(features[:, [2, 1, 0]], between), out, atol=1e-3)
    assert not any(isinstance(module, torch.nn.BatchNorm1d) and module.affine for module in aggregator.modules())


def test_seq_loss_is_one_minus_the_cosine_to_the_teachers_last_view() -> None:
    lights = [0.0, 1.0, -1.0, 0.5]
    modality = Script(lights)
    objective = made("seq", modality).eval()
    assert isinstance(objective, SeqJEPA)
    with torch.no_grad():
        for parameter in objective.teacher.parameters():
            parameter.add_(0.01)  # so that teacher and student differ
    batch = some(Tiles(), 3)
    loss = float(objective(batch, 0.0).total.detach())
    with torch.no_grad():
        features = [objective.backbone.embed(batch.with_x(batch.x + light)) for light in lights[:3]]
        steps = torch.tensor([[1.0], [-2.0], [1.5]])
        actions = objective.aggregator.action(steps)
        summary = objective.aggregator(torch.stack(features, 1), actions[:2].expand(3, -1, -1))
        predicted = objective.predictor(torch.cat([summary, actions[2:].expand(3, -1)], 1))
        wanted = objective.teacher.embed(batch.with_x(batch.x + lights[3]))
    cosines = [float(p @ w / p.norm() / w.norm()) for p, w in zip(predicted, wanted, strict=True)]
    assert loss == pytest.approx(1 - sum(cosines) / 3, abs=1e-5)


def test_seq_lets_both_representations_be_probed() -> None:
    modality = Tiles()
    batch = some(modality)
    plain, summed = (made("seq", modality, tap=tap).eval() for tap in ("encoder", "aggregate"))
    assert isinstance(summed, SeqJEPA) and plain.encoder() is plain.backbone
    tap = summed.encoder()
    assert isinstance(tap, Summary) and tap.dim == 16 + 128
    wanted = summed.aggregator(summed.backbone.embed(batch)[:, None], torch.zeros(4, 0, 128))
    assert torch.equal(tap.embed(batch), wanted) and tap.embed(batch).shape == (4, tap.dim)
    assert torch.equal(tap.tokens(batch).x, plain.encoder().tokens(batch).x)


@pytest.mark.parametrize("name", ["seq", "sie"])
def test_methods_on_transforms_train_the_papers_resnet(name: str) -> None:
    modality = Tiles()
    objective = made(name, modality, backbone="resnet18")
    losses = objective(some(modality), 0.0)
    losses.total.backward()
    student = objective.backbone
    assert isinstance(student, Timm) and student.dim == 512
    assert all(parameter.grad is not None for parameter in student.parameters())
    if isinstance(objective, SeqJEPA):
        assert all(
            parameter.grad is None and not parameter.requires_grad for parameter in objective.teacher.parameters()
        )
        with torch.no_grad():
            student.model.bn1.running_mean.add_(1.0)
        objective.after_step(0.5)
        torch.testing.assert_close(objective.teacher.model.bn1.running_mean, student.model.bn1.running_mean)


@pytest.mark.parametrize("name", ["seq", "sie"])
def test_methods_on_transforms_need_views_that_report_them(name: str) -> None:
    class Silent(Tiles):
        actions = ()

    with pytest.raises(UsageError, match="report none; take lejepa"):
        made(name, Silent())


@pytest.mark.parametrize("settings", [{"seen": 0}, {"action": 127}])
def test_impossible_sequences_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=r"recipe\."):
        made("seq", Tiles(), **settings)


def test_the_hypernetwork_makes_one_map_per_sample_and_starts_as_the_identity() -> None:
    torch.manual_seed(0)
    network = Hypernetwork(2, 3)
    z, action = torch.randn(5, 3), torch.randn(5, 2)
    torch.testing.assert_close(network(z, torch.zeros(5, 2)), z)
    got = network(z, action)
    slope = network.weights.weight.reshape(3, 3, 2)
    for b in range(5):
        for i in range(3):
            by_hand = sum(
                float((slope[i, j] @ action[b]) + (1.0 if i == j else 0.0)) * float(z[b, j]) for j in range(3)
            )
            assert float(got[b, i]) == pytest.approx(by_hand, abs=1e-5)


def test_sie_weighs_its_terms_as_released() -> None:
    modality = Script([0.0, 1.0])
    objective = made("sie", modality).eval()
    assert isinstance(objective, SIE)
    batch = some(Tiles(), 6)
    total = float(objective(batch, 0.0).total.detach())
    with torch.no_grad():
        first, second = objective.backbone.embed(batch), objective.backbone.embed(batch.with_x(batch.x + 1))
        still = [objective.invariant(x[:, :8]) for x in (first, second)]
        moved = [objective.equivariant(x[:, 8:]) for x in (first, second)]
        predicted = objective.predictor(moved[0], torch.ones(6, 1))

    def hinge(x: Tensor) -> float:
        return sum(max(0.0, 1 - math.sqrt(float(column.var()) + 1e-4)) for column in x.T) / x.shape[1]

    def covariance(x: Tensor) -> float:
        c = torch.cov(x.T)
        return float((c.square().sum() - c.diagonal().square().sum()) / len(c))

    both = [torch.cat(pair, 1) for pair in zip(still, moved, strict=True)]
    wanted = 10 * float((still[0] - still[1]).square().mean()) + 4.5 * float((predicted - moved[1]).square().mean())
    wanted += 10 * (hinge(both[0]) / 2 + hinge(both[1]) / 2 + hinge(predicted) / 2)
    wanted += covariance(both[0]) + covariance(both[1])
    assert total == pytest.approx(wanted, rel=1e-4)


def test_sie_lets_each_half_be_probed() -> None:
    modality = Tiles()
    batch = some(modality)
    whole = made("sie", modality).eval().encoder()
    halves = [made("sie", modality, tap=tap).eval().encoder() for tap in ("invariant", "equivariant")]
    assert [half.dim for half in halves] == [8, 8]
    assert torch.equal(torch.cat([half.embed(batch) for half in halves], 1), whole.embed(batch))


# SAR-JEPA ------------------------------------------------------------------------------------------------------------


def test_sar_loss_is_the_mean_squared_error_at_hidden_places() -> None:
    modality = Chips()
    objective = made("sar", modality).eval()
    assert isinstance(objective, MaskedJEPA) and objective.encoder() is objective.backbone
    batch = some(modality, 2)
    torch.manual_seed(1)
    loss = float(objective(batch, 0.0).total.detach())
    torch.manual_seed(1)
    with torch.no_grad():
        tokens, target = objective.backbone.tokenize(batch), objective.target(batch)
        split = objective.masker(tokens, target, 0.0)
        assert split.context.shape == (2, 4, 4) and split.target.shape == (2, 4, 1, 12)  # windows of 4×4, 80 % hidden
        predicted = objective.predict(objective.backbone.encode(tokens.take(split.context)), tokens, split)
        wanted = slow_error(objective, predicted, target, split.target)
    assert loss == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("modality", [Waves, Tiles])
def test_sar_refuses_inputs_that_are_no_intensities(modality: type[Modality]) -> None:
    with pytest.raises(UsageError, match="stores no intensities"):
        made("sar", modality())
