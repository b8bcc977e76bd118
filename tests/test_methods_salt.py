"""SALT: what each stage trains, that the second leaves the teacher alone, resume across the boundary, foreign teachers."""

from __future__ import annotations

from pathlib import Path

import pytest
import safetensors.torch
import torch
from tiles import Tiles
from torch import Tensor, nn
from waves import Waves

import baselines  # noqa: F401 - registers
from jepakit.methods.salt import SALT
from jepakit.modality import Modality
from jepakit.objective import MaskedJEPA
from jepakit.pretrain import Training, build, fit
from jepakit.targets import Frozen
from jepakit.types import Batch, Size, Split, UsageError

SIZE = Size(32, 2, 2, 16, 2, 2, steps=12)
TRAINING = Training(steps=12, batch_size=16)


def made(name: str = "salt", modality: Modality | None = None, **settings: object) -> SALT:
    objective = build(name, modality or Tiles(), SIZE, 0, settings).train()
    assert isinstance(objective, SALT)
    return objective


def some(rows: int = 8) -> Batch:
    return Tiles().data("train").batch(torch.arange(rows))


def copied(module: nn.Module) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in module.state_dict().items()}


def unchanged(module: nn.Module, before: dict[str, Tensor]) -> bool:
    return all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


def test_each_stage_trains_its_own_half() -> None:
    objective = made(stages=(0.25, 0.75))
    assert objective.first is not None and isinstance(objective.target, Frozen)
    assert objective.first.backbone is objective.target.teacher and objective.encoder() is objective.backbone
    teacher = [*objective.first.parameters()]
    student = [*objective.backbone.parameters(), *objective.predictor.parameters()]
    assert not {id(p) for p in teacher} & {id(p) for p in student}
    for progress, trained, idle in ((0.0, teacher, student), (0.24, teacher, student), (0.25, student, teacher)):
        objective.zero_grad()
        objective(some(), progress).total.backward()
        assert all(p.grad is not None and p.grad.any() for p in trained)
        assert all(p.grad is None for p in idle)
        assert objective.first.backbone.training == (progress < 0.25)  # a frozen teacher drops nothing
    objective.eval()(some(), 0.0)
    assert not objective.first.backbone.training


def test_the_second_stage_leaves_the_teacher_bit_identical_and_moves_the_student() -> None:
    """One third of twelve steps for the teacher: after step 4 nothing of it may change, weight decay included."""
    objective = made(stages=(1 / 3, 2 / 3))
    assert objective.first is not None
    before = {"teacher": copied(objective.first), "student": copied(objective.backbone)}
    kept: dict[str, dict[str, Tensor]] = {}

    def watch(step: int, losses: dict[str, float], _: object) -> None:
        if step == 4:
            assert objective.first is not None
            kept.update(teacher=copied(objective.first), student=copied(objective.backbone))

    fit(objective, Tiles(), TRAINING, seed=1, device="cpu", watch=watch, watch_every=4)
    assert not unchanged(objective.first, before["teacher"]) and unchanged(objective.first, kept["teacher"])
    assert all(torch.equal(v, before["student"][k]) for k, v in kept["student"].items())
    assert not unchanged(objective.backbone, kept["student"])


@pytest.mark.parametrize("at", [3, 4, 5])
def test_resume_across_the_boundary_gives_the_same_bits(at: int, tmp_path: Path) -> None:
    class Bomb(Exception):
        pass

    def die(step: int) -> None:
        if step == at:
            raise Bomb

    def go(objective: SALT, folder: Path | None, stop: bool) -> None:
        after = objective.after_step
        done = iter(range(1, 100))

        def counted(progress: float) -> None:
            after(progress)
            if stop:
                die(next(done) - 1)  # the step after the checkpoint

        objective.after_step = counted  # type: ignore[method-assign]
        fit(objective, Tiles(), TRAINING, seed=1, device="cpu", folder=folder, checkpoint_every=at if folder else 0)

    whole, first, second = (build("salt", Tiles(), SIZE, seed, {"stages": (1 / 3, 2 / 3)}) for seed in (0, 0, 9))
    assert all(isinstance(one, SALT) for one in (whole, first, second))
    go(whole, None, False)
    with pytest.raises(Bomb):
        go(first, tmp_path, True)
    assert (tmp_path / "last.ckpt").exists()
    go(second, tmp_path, False)
    assert unchanged(second, copied(whole))


class Halves(nn.Module):
    """The first half of 64 tokens is seen, the second asked for."""

    def forward(self, *given: object) -> Split:
        return Split(torch.arange(32).expand(8, 1, 32), torch.arange(32, 64).expand(8, 1, 1, 32))


def test_zero_predictions_cost_the_targets_own_spread() -> None:
    """Stage 1: patches of 12 values over their unbiased deviation have mean square 11/12. Stage 2: the mean |latent|."""
    objective = made()
    assert objective.first is not None
    for part in (objective.first, objective):
        part.predictor.outward.weight.data.zero_()
    torch.manual_seed(0)
    assert float(objective(some(), 0.0).total.detach()) == pytest.approx(11 / 12, abs=1e-3)

    objective.masker = Halves()  # type: ignore[assignment]
    latent = objective.first.backbone.tokens(some()).x[:, 32:]
    assert float(objective(some(), 0.5).total.detach()) == pytest.approx(float(latent.abs().mean().detach()), rel=1e-5)


def test_a_teacher_of_another_size() -> None:
    objective = made(teacher_dim=48, teacher_depth=1)
    assert objective.first is not None and objective.first.backbone.dim == 48
    assert len(objective.first.backbone.transformer.blocks) == 1 and objective.backbone.dim == 32
    assert torch.isfinite(objective(some(), 0.9).total)
    with pytest.raises(UsageError, match="multiple of the 2 heads"):
        made(teacher_dim=33)


@pytest.mark.parametrize("stages", [(0.0, 1.0), (0.5, 0.6), (1.2, -0.2)])
def test_stages_are_two_shares(stages: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="add up to 1"):
        made(stages=stages)


def stored(encoder: nn.Module, path: Path) -> str:
    path.write_bytes(safetensors.torch.save({k: v.contiguous() for k, v in encoder.state_dict().items()}))
    return str(path)


def test_a_stored_teacher_takes_the_place_of_stage_one(tmp_path: Path) -> None:
    teacher = build("salt-teacher", Tiles(), SIZE, 5)
    assert isinstance(teacher, MaskedJEPA)
    objective = made(teacher=stored(teacher.encoder(), tmp_path / "teacher.safetensors"))
    assert objective.first is None and objective.stages == (1.0,) and isinstance(objective.target, Frozen)
    torch.testing.assert_close(objective.target(some()), teacher.encoder().tokens(some()).x.detach())
    assert not any(p.requires_grad for p in objective.target.parameters())


def test_a_foreign_teacher_is_refused_by_the_key_that_differs(tmp_path: Path) -> None:
    other = stored(build("random_init", Waves(), SIZE, 0).encoder(), tmp_path / "waves.safetensors")
    with pytest.raises(UsageError, match=r"'tokenizer\.weight\.weight' is \[32, 4\] there and \[32, 12\] here"):
        made(teacher=other)
    own = stored(build("random_init", Tiles(), SIZE, 0).encoder(), tmp_path / "tiles.safetensors")
    with pytest.raises(UsageError, match=r"'transformer\.blocks\.2\.\S+' is absent there"):
        made(teacher=own, teacher_depth=3)
    with pytest.raises(UsageError, match="cannot be read"):
        made(teacher=str(tmp_path / "nowhere.safetensors"))
    (tmp_path / "text.safetensors").write_text("no weights at all")
    with pytest.raises(UsageError, match="cannot be read"):
        made(teacher=str(tmp_path / "text.safetensors"))


def test_controls() -> None:
    random = made("random-teacher")
    before = copied(random.target)
    fit(random, Tiles(), TRAINING, seed=1, device="cpu")
    assert unchanged(random.target, before) and random.stages == (1.0,)
    assert random.encoder() is random.backbone
    teacher = build("salt-teacher", Tiles(), SIZE, 0)
    both = made()
    assert both.first is not None
    torch.manual_seed(0)
    alone = float(teacher(some(), 0.7).total.detach())
    both.first.load_state_dict(teacher.state_dict())
    torch.manual_seed(0)
    assert float(both(some(), 0.0).total.detach()) == alone  # stage 1 is the control's own step


def test_the_moving_teacher_differs_by_its_teacher_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    moving, frozen = build("moving-teacher", Tiles(), SIZE, 0), build("random-teacher", Tiles(), SIZE, 0)
    frozen.backbone.load_state_dict(moving.backbone.state_dict())
    frozen.predictor.load_state_dict(moving.predictor.state_dict())
    plain = moving.target.teacher.tokens

    def normed(batch: Batch) -> Tensor:
        return torch.nn.functional.layer_norm(plain(batch).x, (SIZE.dim,))

    monkeypatch.setattr(frozen.target, "forward", normed)
    losses = []
    for objective in (moving, frozen):
        torch.manual_seed(0)
        losses.append(float(objective(some(), 0.5).total.detach()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    before = copied(moving.target)
    fit(moving, Tiles(), TRAINING, seed=1, device="cpu")
    assert not unchanged(moving.target, before) and moving.encoder() is moving.target.teacher
