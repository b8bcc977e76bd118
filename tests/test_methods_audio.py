"""WavJEPA and the spectrogram JEPA: what their papers say of teacher and targets."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tiles import Tiles
from waves import Waves

import baselines  # noqa: F401 - registers
import jepakit.methods  # noqa: F401 - registers
from jepakit.hearing import SharedFront
from jepakit.methods.specjepa import SpectrogramJEPA
from jepakit.objective import MaskedJEPA
from jepakit.pretrain import build
from jepakit.targets import Frozen
from jepakit.types import Batch, Size, UsageError
from modalities.audio.simulated import Simulated

SIZE = Size(16, 3, 2, 8, 1, 2, steps=100)


class Few(Simulated):
    """The simulated data set with few players."""

    players = 12
    clips = 2


def made(name: str, modality: object, **settings: object) -> MaskedJEPA:
    objective = build(name, modality, SIZE, 0, settings)  # type: ignore[arg-type]
    assert isinstance(objective, MaskedJEPA)
    return objective


def waves(rows: int = 6) -> Batch:
    return Waves().data("train").batch(torch.arange(rows))


def test_wavjepa_targets_are_the_mean_of_instance_normed_layers() -> None:
    objective = made("wavjepa", Waves(), layers=2)
    batch, teacher = waves(), objective.target.teacher
    assert isinstance(teacher, torch.nn.Module)
    layers = []
    hooks = [b.register_forward_hook(lambda m, given, out: layers.append(out)) for b in teacher.transformer.blocks[-2:]]
    target = objective.target(batch)
    for hook in hooks:
        hook.remove()
    by_hand = []
    for layer in layers:
        own = layer[:, 1:]  # without the register
        mean, var = own.mean(1, keepdim=True), own.var(1, unbiased=False, keepdim=True)
        by_hand.append((own - mean) / (var + 1e-5).sqrt())
    torch.testing.assert_close(target, (by_hand[0] + by_hand[1]) / 2, rtol=1e-4, atol=1e-5)
    single = made("wavjepa", Waves(), layers=1).target(batch)
    torch.testing.assert_close(single.mean(1), torch.zeros(6, 16), atol=1e-5, rtol=0)
    torch.testing.assert_close(single.var(1, unbiased=False), torch.ones(6, 16), atol=2e-2, rtol=0)


def test_the_front_end_of_wavjepas_teacher_is_the_students_and_has_no_gradient() -> None:
    objective = made("wavjepa", Waves())
    student, target = objective.backbone, objective.target
    assert isinstance(target, SharedFront)
    start = [p.clone() for p in target.teacher.transformer.parameters()]
    with torch.no_grad():
        for p in student.parameters():
            p.add_(1.0)
    m = target.momentum(0.3)
    assert 0 < m < 1
    objective.after_step(0.3)
    for mine, theirs in zip(target.teacher.tokenizer.parameters(), student.tokenizer.parameters(), strict=True):
        assert torch.equal(mine, theirs)
    for now, before, fixed in zip(
        target.teacher.transformer.parameters(), start, student.transformer.parameters(), strict=True
    ):
        torch.testing.assert_close(now, m * before + (1 - m) * fixed)
    objective(waves(), 0.3).total.backward()
    assert all(p.grad is None for p in target.teacher.parameters())
    assert all(p.grad is not None for p in student.tokenizer.parameters())


def test_wavjepa_asks_for_four_groups_and_refuses_more_layers_than_there_are() -> None:
    objective = made("wavjepa", Waves())
    batch = waves()
    tokens = objective.backbone.tokenize(batch)
    assert objective.masker(tokens, tokens.x, 0.0).target.shape[2] == 4
    with pytest.raises(UsageError, match=r"recipe\.layers is 1 to 3"):
        made("wavjepa", Waves(), layers=4)


@pytest.mark.parametrize("masks", ["random", "blocks"])
def test_the_spectrogram_teacher_sees_the_target_tiles_alone(masks: str) -> None:
    objective = made("specjepa", Tiles(), masks=masks)
    assert isinstance(objective, SpectrogramJEPA)
    batch = Tiles().data("train").batch(torch.arange(4))
    tokens = objective.backbone.tokenize(batch)
    torch.manual_seed(0)
    split = objective.masker(tokens, tokens.x, 0.0)
    asked = torch.zeros(4, objective.masker.count).scatter(1, split.target.flatten(1), 1.0)

    def changed(flags: torch.Tensor) -> Batch:
        x = batch.x.clone().requires_grad_()
        (Tiles().patches(batch.with_x(x)) * flags[..., None]).sum().backward()
        assert x.grad is not None
        return batch.with_x(torch.where(x.grad != 0, batch.x + 5.0, batch.x))

    before = objective.target.at(batch, split.target)
    assert before.shape == (*split.target.shape, 16)
    assert torch.equal(objective.target.at(changed(1 - asked), split.target), before)
    assert not torch.equal(objective.target.at(changed(asked), split.target), before)
    torch.testing.assert_close(before.mean(-1), torch.zeros(before.shape[:-1]), atol=1e-5, rtol=0)


def test_spectrogram_methods_take_a_spectrogram_where_there_is_one_and_refuse_sequences() -> None:
    audio = Few()
    objective = made("specjepa", audio)
    batch = audio.crop(audio.data("train").batch(torch.arange(3)))
    tokens = objective.backbone.tokenize(batch)
    assert tokens.pos.shape[-1] == 2 and tokens.x.shape[1] == 4 * 8
    assert torch.isfinite(objective(batch, 0.0).total)
    with pytest.raises(UsageError, match="no spectrogram"):
        made("specjepa", Waves())


@pytest.mark.parametrize("name", ["wavjepa", "specjepa", "ijepa", "data2vec", "lejepa", "mae", "simclr", "vicreg"])
def test_the_rows_of_the_audio_board_run_on_sound(name: str, tmp_path: Path) -> None:
    audio = Few()
    objective = build(name, audio, SIZE, 0).train()
    batch = audio.crop(audio.data("train").batch(torch.arange(8)))
    loss = objective(batch, 0.0).total
    loss.backward()
    assert torch.isfinite(loss)
    features = objective.eval().encoder().embed(batch)
    assert features.shape == (8, 16) and torch.isfinite(features).all()
    assert not any(isinstance(module, Frozen) and module.training for module in [getattr(objective, "target", None)])
