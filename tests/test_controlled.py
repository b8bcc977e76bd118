"""Simulated data with one thing set: nuisances keep signal and answers, are predictable or not; views; few labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmark import plugin
from benchmark.claims.claim import cells, claims
from benchmark.overall import aside
from jepakit.registry import datasets
from jepakit.types import Batch, UsageError
from modalities.controlled import labels, nuisances, veils, views
from modalities.image.shapes import Shapes
from modalities.image.views import draw
from modalities.lidar.scenes import Scenes

plugin.everything([])


def unexplained(value: np.ndarray) -> float:
    """Share of the last column's variance that a linear function of the others leaves."""
    x = value - value.mean(0)
    left = x[:, -1] - x[:, :-1] @ np.linalg.lstsq(x[:, :-1], x[:, -1], rcond=None)[0]
    return float(left.var() / x[:, -1].var())


def test_waves_of_columns_can_be_predicted_and_noise_cannot() -> None:
    noise, waves = (nuisances.nuisance(kind, 4000, 300, 0) for kind in nuisances.KINDS)
    assert noise.std() == pytest.approx(1, abs=0.02) and waves.std() == pytest.approx(1, abs=0.05)
    assert unexplained(noise) > 0.98 and unexplained(waves) < 1e-9
    assert (waves != nuisances.nuisance("waves", 4000, 300, 1)).all(), "parts are draws of their own"


def test_only_the_nuisance_grows_with_its_strength() -> None:
    frames = {
        name: datasets[f"tabular/nuisance-linear-{name}"].make.frames(None)["train"]
        for name in ("none", "noise-1", "noise-2", "waves-1")
    }
    clean = frames.pop("none")
    columns = [name for name in clean if name != "target"]
    for frame in frames.values():
        assert frame["target"].equals(clean["target"])
    one, two = (frames[name][columns] - clean[columns] for name in ("noise-1", "noise-2"))
    np.testing.assert_allclose(2 * one, two, atol=4e-3)  # three digits each
    # By hand: a column is a mixture of length 1 and .3 of its own.
    assert float(clean[columns].to_numpy().var()) == pytest.approx(1.09, rel=0.05)


def test_the_same_of_electrodes() -> None:
    noise, waves = (nuisances.electrodes(kind, 40, 500, 100.0, 3) for kind in nuisances.KINDS)
    assert np.sqrt((noise**2).mean()) == pytest.approx(1, abs=0.01)
    assert np.sqrt((waves**2).mean()) == pytest.approx(1, abs=0.02)
    # A sine obeys x[t+1] = 2 cos(ω) x[t] − x[t−1]: two samples tell all others.
    for one, least, most in ((waves, 0.0, 1e-9), (noise, 0.8, 1.2)):
        for signal in one[:5, 0]:
            past = np.stack([signal[1:-1], signal[:-2]], 1)
            left = signal[2:] - past @ np.linalg.lstsq(past, signal[2:], rcond=None)[0]
            assert least <= left.var() / signal.var() <= most


def test_disturbed_hearts_are_those_of_the_simulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nuisances.Disturbed, "patients", 20)
    monkeypatch.setattr(nuisances.Disturbed, "recordings", 1)
    none, strong = (datasets[f"ecg/nuisance-{name}"].make.read(None) for name in ("none", "waves-2"))
    assert [len(none[part]) for part in ("train", "val", "test")] == [12, 4, 4]
    for name, label in none["train"].labels.items():
        np.testing.assert_array_equal(label, strong["train"].labels[name])
    assert set(none["train"].labels) == {"rhythm", "conduction", "heart_rate"}
    assert not torch.equal(none["train"].x, strong["train"].x)


def test_a_wave_over_an_image_can_be_predicted_and_noise_cannot() -> None:
    shape = (60, 3, 32, 32)
    noise, waves = (make(shape, np.random.default_rng(1)) for make in (veils.noise, veils.waves))
    assert noise.std() == pytest.approx(1, abs=0.01) and waves.std() == pytest.approx(1, abs=0.03)
    # A plane wave obeys x[r − 1] + x[r + 1] = 2 cos(ω) x[r] on the way down and across: two pixels tell all others.
    for one, least, most in ((waves, 0.0, 1e-6), (noise, 0.8, 1.2)):
        for x in (*one[:5, 0], *one[:5, 0].transpose(0, 2, 1)):
            past = np.stack([x[1:-1].ravel(), x[:-2].ravel()], 1)
            left = x[2:].ravel() - past @ np.linalg.lstsq(past, x[2:].ravel(), rcond=None)[0]
            assert least <= left.var() / x.var() <= most
    # What one channel shows, the others show in their size.
    assert np.linalg.matrix_rank(waves[0].reshape(3, -1), tol=1e-3) == 1


def test_veiled_scenes_are_those_of_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Shapes, "sizes", {"train": 60, "val": 20, "test": 20})
    scenes = Shapes.read(None)["train"]
    parts = {
        name: datasets[f"image/nuisance-{name}"].make.read(None)["train"]
        for name in ("none", "noise-1", "noise-2", "waves-2")
    }
    clean = parts["none"].x.double() / 255
    # Two fifths of the contrast about the middle, by hand: black, grey and white become .3, .5 and .7.
    torch.testing.assert_close(clean, 0.3 + 0.4 * scenes.x.double() / 255, atol=0.5 / 255 + 1e-6, rtol=0)
    for name, part in parts.items():
        assert part.x.dtype == torch.uint8 and part.labels["shape"].equal(scenes.labels["shape"])
        assert {"texture", "hue", "noise"}.isdisjoint(
            task.name for task in datasets[f"image/nuisance-{name}"].make.tasks
        )
        assert float(((part.x == 0) | (part.x == 255)).double().mean()) < 0.01
    for name, size in (("noise-1", 0.06), ("noise-2", 0.12), ("waves-2", 0.12)):
        assert float((parts[name].x.double() / 255 - clean).std()) == pytest.approx(size, rel=0.03)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("tabular/nuisance-linear-noise-3", "0.5, 1, 2"),
        ("tabular/nuisance-cubic-none", "linear, shells, steps"),
        ("ecg/nuisance-hum-1", "noise, waves"),
        ("image/nuisance-noise", "0.5, 1, 2"),
        ("image/views-full", "image/shapes"),
        ("ecg/views-strong", "none or crop"),
        ("lidar/labels-7", "3, 10, 100"),
    ],
)
def test_families_know_their_members(name: str, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        datasets[name]
    assert not aside(*name.split("/"))


def test_they_stand_aside() -> None:
    for name in (
        "tabular/nuisance-steps-waves-2",
        "ecg/nuisance-none",
        "image/nuisance-noise-1",
        "image/views-crop",
        "ecg/views-none",
        "lidar/labels-10",
    ):
        assert datasets[name].make is datasets[name].make, "the same class every time"
        assert aside(*name.split("/")) and name not in list(datasets)
    assert not aside("ecg", "simulated") and not aside("ecg", "no such") and not aside("audio", "esc10-folds")


def test_views_of_no_strength_are_the_input() -> None:
    none, crop = (datasets[f"image/views-{name}"].make for name in views.STRENGTHS)
    assert none.policy.actions == crop.policy.actions == ("crop_y", "crop_x", "log_height", "log_width")
    torch.manual_seed(0)
    still, moved = (draw(one.policy, 64, torch.device("cpu")).action(one.policy) for one in (none, crop))
    assert float(still.abs().max()) == pytest.approx(0, abs=1e-6) and float(moved.abs().max()) > 0.1
    assert crop.policy.scale == Shapes.policy.scale and crop.policy.flip == 0 == crop.policy.jitter * crop.policy.hue
    batch = Batch(torch.randn(4, 12, 500))
    hearts = {name: datasets[f"ecg/views-{name}"].make(None) for name in views.STRENGTHS}
    assert hearts["none"].views(batch) is batch and not torch.equal(hearts["crop"].views(batch).x, batch.x)


def test_shares_of_labels_are_nested_and_no_share_lacks_a_class() -> None:
    segment = np.full((3200, 3), -1)
    segment[np.arange(3200) // 8 % 4 == 0, 1] = 2
    few, some, every = (labels.kept(segment, percent, 7) for percent in (1, 10, 100))
    assert (few.sum(), some.sum(), every.sum()) == (8, 80, 800) and (labels.kept(segment, 0, 7).sum()) == 8
    assert not (few & ~some).any() and not (some & ~every).any() and set(np.flatnonzero(every) // 8 % 4) == {0}
    parts = datasets[f"lidar/labels-{labels.PERCENTS[0]}"].make(None)
    train, known = parts.data("train"), Scenes(None).data("train").labels
    kept = (train.labels["segment"] >= 0).any(1)
    assert int(kept.sum()) == 8 and train.labels["segment"][kept].equal(known["segment"][kept])
    assert [task.name for task in parts.tasks] == list(train.labels) == list(parts.data("test").labels) == ["segment"]
    for task in Scenes.tasks:
        if task.kind == "class":  # every layout, under every sensor
            assert set(known[task.name][kept].tolist()) == set(range(len(task.classes)))
    keep = torch.tensor([True, False])
    assert labels.without(torch.tensor([3, 4]), keep).tolist() == [3, -1]
    assert labels.without(torch.tensor([[1, 2], [1, 2]]), keep).tolist() == [[1, 2], [-1, -1]]
    assert labels.without(torch.tensor([0.5, 0.5]), keep).isnan().tolist() == [False, True]


@pytest.mark.slow
def test_every_claim_can_read_the_data_made_for_it() -> None:
    asked = {(c.modality, c.dataset) for name in claims for c in cells(claims[name].make().requests)}
    made = sorted(f"{modality}/{name}" for modality, name in asked if aside(modality, name))
    assert {name.partition("/")[0] for name in made} == {"tabular", "ecg", "image", "lidar"}
    for name in made:
        parts = datasets[name].make(None)
        assert all(len(parts.data(part).x) for part in ("train", "val", "test")), name
