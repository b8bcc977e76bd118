"""Scenes at two ears: direction, room and noise are in the sound as physics says; WavJEPA-Nat hears what it should."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import jepakit.methods  # noqa: F401 - registers
from jepakit.objective import MaskedJEPA
from jepakit.pretrain import build
from jepakit.types import PARTS, Batch, Size, UsageError
from modalities.audio.features import LAGS, between
from modalities.audio.rooms import RADIUS, SHADOW, SPEED, diffuse, tails, to_ears
from modalities.audio.scenes import Scenes, stage

RATE, SAMPLES = 8000.0, 8192
SIZE = Size(16, 2, 2, 8, 1, 2, steps=50)


class Few(Scenes):
    players = 15
    clips = 2


@pytest.fixture(scope="module")
def few() -> Few:
    return Few()


def test_a_sound_from_the_right_is_earlier_and_louder_at_the_right_ear() -> None:
    """Woodworth: r/c (θ + sin θ), a quarter turn is 5.25 samples at 8 kHz; the far ear by the shadow weaker."""
    random = np.random.default_rng(0)
    x = random.standard_normal((3, SAMPLES)).astype(np.float32)
    azimuth = np.array([np.pi / 2, 0.0, -np.pi / 6])
    ears = to_ears(x, azimuth, RATE).astype(np.float64)
    for row, angle in enumerate(azimuth):
        wanted = RADIUS / SPEED * (angle + np.sin(angle)) * RATE  # how much later the left ear hears it
        left, right = np.fft.rfft(ears[row], 2 * SAMPLES)
        fine = np.fft.irfft(left * right.conj(), 32 * SAMPLES)  # sixteen times finer
        lag = int(fine.argmax())
        lag = lag - len(fine) if lag > len(fine) // 2 else lag
        assert lag / 16 == pytest.approx(wanted, abs=0.1)
        level = 10 * np.log10(np.square(ears[row, 1]).sum() / np.square(ears[row, 0]).sum())
        assert level == pytest.approx(SHADOW * np.sin(angle), abs=0.05)


def test_nothing_comes_back_at_the_other_end() -> None:
    x = np.zeros((1, 512), dtype=np.float32)
    x[0, -1] = 1.0
    ears = to_ears(x, np.array([np.pi / 2]), RATE)
    assert np.abs(ears[0, :, :300]).max() < 0.01


def test_a_diffuse_field_is_coherent_at_low_frequencies_only() -> None:
    random = np.random.default_rng(1)
    first, second = random.standard_normal((2, 400, 512))
    pair = diffuse(first, second, RATE)
    one, other = np.fft.rfft(pair, axis=2).transpose(1, 0, 2)
    measured = (one * other.conj()).mean(0).real / np.sqrt((np.abs(one) ** 2).mean(0) * (np.abs(other) ** 2).mean(0))
    frequency = np.fft.rfftfreq(512, 1 / RATE)
    turn = 2 * np.pi * frequency * 2 * RADIUS / SPEED
    wanted = np.sin(turn[1:]) / turn[1:]
    assert np.abs(measured[1:] - wanted).max() < 0.25 and np.abs(measured[1:] - wanted).mean() < 0.05


def test_the_tail_falls_by_sixty_decibel_in_the_time_that_is_asked_for() -> None:
    made = tails(np.random.default_rng(2), np.full(40, 0.3), SAMPLES, RATE).astype(np.float64)
    power = np.square(made).mean((0, 1))
    early, late = power[160:240].mean(), power[160 + 1200 : 240 + 1200].mean()  # 0.15 s later: half of the 60 dB
    assert 10 * np.log10(early / late) == pytest.approx(30, abs=1.5)
    energy = np.square(made).sum(2)
    assert energy.mean() == pytest.approx(0.3 / 0.4, rel=0.05)


def test_the_noise_has_the_level_that_is_asked_for_at_both_ears_together() -> None:
    scene = stage(6, 2, SAMPLES, RATE, 5)
    again = stage(6, 2, SAMPLES, RATE, 5)
    assert np.array_equal(scene.heard, again.heard) and np.isfinite(scene.heard).all()
    near = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(scene.dry, scene.heard)]
    trouble = -scene.factors["noise"] / 30 + scene.factors["reverberation"]
    assert np.corrcoef(near, trouble)[0, 1] < -0.5


def test_the_ears_tell_the_direction() -> None:
    """The peak of the phase correlation alone orders the directions of dry sounds."""
    scene = stage(20, 2, SAMPLES, RATE, 6)
    found = between(torch.from_numpy(scene.dry))
    peak = found[:, : 2 * LAGS + 1].argmax(1).numpy() - LAGS  # the right ear is earlier for sounds from the right
    assert np.corrcoef(peak, scene.factors["azimuth"])[0, 1] < -0.8
    assert np.corrcoef(found[:, -1].numpy(), scene.factors["azimuth"])[0, 1] > 0.95
    shifted = torch.zeros(1, 2, 100)
    shifted[0, 0, 50], shifted[0, 1, 53] = 1.0, 2.0
    one = between(shifted)
    assert int(one[0, : 2 * LAGS + 1].argmax()) == LAGS + 3
    assert float(one[0, -1]) == pytest.approx(20 * np.log10(2), abs=1e-4)


def test_the_data_set_has_two_channels_and_its_clean_side(few: Few) -> None:
    train = few.data("train")
    assert train.x.shape == (18, 2, SAMPLES) and train.extra["clean"].shape == train.x.shape
    people = [set(few.data(part).unit) for part in PARTS]
    assert sum(map(len, people)) == len(set.union(*people)) == 15
    rms = train.x.float().mean(1).square().mean(1).sqrt()
    assert ((rms > 0.7) & (rms < 1.1)).all()
    assert few.handmade(train.batch(torch.arange(3))).shape[1] > 2 * LAGS
    tiles = few.spectral()
    assert tiles.patches(train.batch(torch.arange(2))).shape == (2, 32, 80)
    with pytest.raises(UsageError, match="channel tokens cannot run on it"):
        few.channelwise()


def made(few: Few, **settings: object) -> MaskedJEPA:
    objective = build("wavjepa-nat", few, SIZE, 0, settings)
    assert isinstance(objective, MaskedJEPA)
    return objective


def changed(batch: Batch, *, x: bool = False, clean: bool = False, channel: int | None = None) -> Batch:
    """The batch with other sound in the input or the clean side, in one channel or both."""
    random = torch.Generator().manual_seed(9)
    where = slice(None) if channel is None else slice(channel, channel + 1)
    copy = Batch(batch.x.clone(), batch.labels, {"clean": batch.extra["clean"].clone()})
    for name, wanted in (("x", x), ("clean", clean)):
        sound = copy.x if name == "x" else copy.extra["clean"]
        if wanted:
            sound[:, where] = torch.randn(sound[:, where].shape, generator=random).to(sound.dtype)
    return copy


def test_the_teacher_hears_the_clean_side_and_the_student_the_scene(few: Few) -> None:
    objective = made(few)
    batch = few.data("train").batch(torch.arange(4))
    target, seen = objective.target(batch), objective.backbone.tokenize(batch).x
    assert torch.equal(objective.target(changed(batch, x=True)), target)
    assert not torch.allclose(objective.target(changed(batch, clean=True)), target)
    assert torch.equal(objective.backbone.tokenize(changed(batch, clean=True)).x, seen)
    noisy = made(few, clean=False)
    target = noisy.target(batch)
    assert torch.equal(noisy.target(changed(batch, clean=True)), target)
    assert not torch.allclose(noisy.target(changed(batch, x=True)), target)


def test_the_control_hears_the_first_channel_only_with_as_many_weights(few: Few) -> None:
    objective, control = made(few), made(few, first=True)
    batch = few.data("train").batch(torch.arange(4))
    second = changed(batch, x=True, clean=True, channel=1)
    assert torch.equal(control.backbone.tokenize(second).x, control.backbone.tokenize(batch).x)
    assert torch.equal(control.target(second), control.target(batch))
    assert not torch.allclose(objective.backbone.tokenize(second).x, objective.backbone.tokenize(batch).x)
    assert sum(p.numel() for p in control.parameters()) == sum(p.numel() for p in objective.parameters())


def test_the_front_end_of_the_teacher_is_the_students_in_the_control_too(few: Few) -> None:
    control = made(few, first=True)
    with torch.no_grad():
        for parameter in control.backbone.tokenizer.parameters():
            parameter.add_(1.0)
    control.after_step(0.5)
    mine, theirs = control.backbone.tokenizer.parameters(), control.target.teacher.tokenizer.parameters()  # type: ignore[union-attr]
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
