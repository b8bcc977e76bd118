"""Signals: tokens, patches, crops, windows, mending and views of multi-channel time series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from jepakit.types import PARTS, Batch, Card, Data, DataError, Part, Task
from modalities.ecg import views
from modalities.signals import SignalModality, mend, standardise


class Ramp(SignalModality):
    """Three channels of 40 samples whose value says where it is: 1000 · channel + sample (+ 10,000 · row)."""

    name = "toy"
    dataset = "ramp"
    card = Card("ramp", "none", "here", "none", "row")
    channels, length, patch, rate = 3, 16, 4, 10.0
    tasks = (Task("side", "class", "macro_f1", ("a", "b")), Task("place", "dense", "macro_f1"))

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        rows = torch.arange(4)
        x = rows[:, None, None] * 10_000 + torch.arange(3)[:, None] * 1000 + torch.arange(40)
        labels = {"side": rows % 2, "place": torch.arange(10).repeat(4, 1)}
        unit = np.array([f"u{row}" for row in rows.tolist()])
        return {part: Data(x.float(), labels, unit, extra={"row": rows}) for part in PARTS}


def whole(data: Data) -> Batch:
    return data.batch(torch.arange(len(data)))


def test_tokenizer_is_a_linear_map_of_patches() -> None:
    torch.manual_seed(0)
    for modality in (Ramp(), Ramp().channelwise()):
        batch = modality.crop(whole(modality.data("train")))
        batch = batch.with_x(torch.randn_like(batch.x))
        tokenizer = modality.tokenizer(5)
        (weight,) = tokenizer.parameters()
        tokens, patches = tokenizer(batch), modality.patches(batch)
        assert tokens.x.shape == (4, int(np.prod(modality.grid)), 5)
        assert patches.shape == (4, int(np.prod(modality.grid)), modality.patch_values)
        torch.testing.assert_close(tokens.x, patches @ weight.flatten(1).T)


def test_joint_tokens_hold_all_channels_of_their_time() -> None:
    modality = Ramp()
    batch = Batch(whole(modality.data("train")).x[..., :16])
    expected = [1000 * channel + 4 * 2 + i for channel in range(3) for i in range(4)]
    assert modality.patches(batch)[0, 2].tolist() == expected
    assert modality.tokenizer(8)(batch).pos[1].flatten().tolist() == [0, 1, 2, 3]


def test_channel_tokens_are_channel_major_with_channel_and_time_as_coordinates() -> None:
    modality = Ramp().channelwise()
    batch = Batch(whole(modality.data("train")).x[..., :16])
    tokens, patches = modality.tokenizer(8)(batch), modality.patches(batch)
    assert modality.grid == (3, 4)
    for n in range(12):
        channel, time = divmod(n, 4)
        assert tokens.pos[0, n].tolist() == [channel, time]
        assert patches[0, n].tolist() == [1000 * channel + 4 * time + i for i in range(4)]
    assert (modality.name, modality.dataset, modality.card) == ("toy", "ramp", Ramp.card)
    assert modality.windows(modality.data("val")).x.shape == (16, 3, 16)


def test_a_token_starts_as_large_beside_its_position_as_in_the_paper() -> None:
    """Weights of std .02 over 300 values: a unit-variance input gives tokens of std .02·√300, whatever the patch."""
    torch.manual_seed(0)
    for modality in (Ramp(), Ramp().channelwise()):
        (weight,) = modality.tokenizer(4000).parameters()
        assert weight.std().item() * weight[0].numel() ** 0.5 == pytest.approx(0.02 * 300**0.5, rel=0.03)


def test_tokenizer_refuses_an_uncropped_recording() -> None:
    modality = Ramp()
    with pytest.raises(ValueError, match="crop first"):
        modality.tokenizer(8)(whole(modality.data("train")))


def test_crop_keeps_signal_and_dense_label_together() -> None:
    modality = Ramp()
    batch = whole(modality.data("train"))
    torch.manual_seed(1)
    starts = set()
    for _ in range(20):
        crop = modality.crop(batch)
        assert crop.x.shape == (4, 3, 16)
        assert torch.equal(crop.labels["side"], batch.labels["side"])
        for row in range(4):
            start = int(crop.x[row, 0, 0]) - 10_000 * row
            starts.add(start)
            assert crop.x[row, 2].tolist() == [10_000 * row + 2000 + start + i for i in range(16)]
            assert (crop.labels["place"][row] * 4).tolist() == [start + 4 * i for i in range(4)]
    assert starts == {0, 4, 8, 12, 16, 20, 24}  # every token border from which a crop fits


def test_crop_without_dense_label_starts_anywhere_and_follows_the_seed() -> None:
    modality = Ramp()
    batch = Batch(whole(modality.data("train")).x)
    torch.manual_seed(2)
    first = [modality.crop(batch).x[:, 0, 0] for _ in range(60)]
    torch.manual_seed(2)
    again = [modality.crop(batch).x[:, 0, 0] for _ in range(60)]
    assert torch.equal(torch.stack(first), torch.stack(again))
    assert {int(v) % 10_000 for column in first for v in column} == set(range(25))
    short = Batch(batch.x[..., :16])
    assert modality.crop(short) is short


def test_windows_overlap_by_half_and_remember_their_recording() -> None:
    modality = Ramp()
    data = modality.windows(modality.data("test"))
    assert data.x[:, 0, 0].tolist() == [10_000 * row + start for row in range(4) for start in (0, 8, 16, 24)]
    assert data.labels["place"].tolist() == [[s, s + 1, s + 2, s + 3] for _ in range(4) for s in (0, 2, 4, 6)]
    assert data.labels["side"].tolist() == [side for side in (0, 1, 0, 1) for _ in range(4)]
    assert data.unit.tolist() == [f"u{row}" for row in range(4) for _ in range(4)]
    assert data.record is not None and len(set(data.record)) == 4
    assert data.extra["row"].tolist() == [row for row in range(4) for _ in range(4)]
    assert modality.windows(data) is data


def test_recordings_shorter_than_the_model_input_are_refused() -> None:
    modality = Ramp()
    data = modality.data("train")
    short = Data(data.x[..., :8], {}, data.unit)
    with pytest.raises(DataError, match="shorter than the model input"):
        modality.windows(short)


def test_mend_fills_gaps_linearly_and_counts_them() -> None:
    signal = np.array([[0.0, np.nan, np.nan, 3.0, 4.0], [np.nan, 1.0, 2.0, 1.0, np.inf]])
    mended, repairs = mend(signal, "r", ("I", "II"))
    assert mended.tolist() == [[0, 1, 2, 3, 4], [1, 1, 2, 1, 1]]
    assert repairs == {"nan_samples_interpolated": 4}
    assert np.isnan(signal[0, 1])  # the caller's array is left alone


def test_mend_names_record_and_lead_of_a_dead_channel() -> None:
    good = np.arange(5.0)
    with pytest.raises(DataError, match=r"record r7 has no valid sample in lead V2.*(copy|leave)"):
        mend(np.stack([good, np.full(5, np.nan)]), "r7", ("I", "V2"))
    with pytest.raises(DataError, match=r"record r7 is flat in lead V2.*(copy|leave)"):
        mend(np.stack([good, np.ones(5)]), "r7", ("I", "V2"))
    _, repairs = mend(np.stack([good, np.ones(5)]), "r7", ("I", "V2"), flat="keep")
    assert repairs == {"flat_leads_kept": 1}


def test_standardise_knows_train_only() -> None:
    random = np.random.default_rng(0)
    train = random.normal([[3.0], [-1.0]], [[2.0], [0.5]], (50, 2, 30)).astype(np.float32)
    test = random.normal(100.0, 50.0, (5, 2, 30)).astype(np.float32)
    one = standardise({"train": train.copy(), "val": train[:3].copy(), "test": test.copy()})
    two = standardise({"train": train.copy(), "val": train[:3].copy(), "test": -test})
    assert np.array_equal(one["train"], two["train"]) and np.array_equal(one["val"], two["val"])
    np.testing.assert_allclose(one["train"].mean((0, 2)), 0, atol=1e-2)  # not exactly: ±5 is clipped
    np.testing.assert_allclose(one["train"].std((0, 2)), 1, atol=1e-2)
    assert np.abs(one["test"]).max() == 5.0


def test_a_class_without_positive_in_train_is_an_error_and_in_test_a_count() -> None:
    class Lopsided(Ramp):
        missing: Part = "train"

        @classmethod
        def read(cls, root: Path | None) -> dict[Part, Data]:
            parts = super().read(root)
            data = parts[cls.missing]
            parts[cls.missing] = Data(data.x, {**data.labels, "side": torch.zeros(4, dtype=torch.long)}, data.unit)
            return parts

    with pytest.raises(DataError, match=r"class 'b' of task 'side' has no positive in train"):
        Lopsided().data("test")
    Kind = type("Kind", (Lopsided,), {"missing": "test"})
    assert Kind().data("test").repairs == {"classes_without_positive_test": 1}
    assert Kind().data("train").repairs == {}


def test_views_keep_shape_order_and_polarity() -> None:
    torch.manual_seed(3)
    time = torch.arange(500) / 100
    pulse = torch.exp(-0.5 * ((time % 1.0 - 0.4) / 0.03) ** 2) - 0.3 * torch.exp(
        -0.5 * ((time % 1.0 - 0.7) / 0.06) ** 2
    )
    x = 4 * pulse.expand(64, 12, -1)
    one, two = views.view(x, 100.0), views.view(x, 100.0)
    assert one.shape == x.shape and torch.isfinite(one).all() and not torch.equal(one, two)
    silent = (one.abs().amax(-1) == 0).sum(1)
    assert 0 < silent.float().mean() < 3 and silent.max() < 12
    # Upright stays upright, and the small wave still follows the large one: skewness and lag are kept.
    alive = one.abs().amax(-1) > 0
    assert (one.amax(-1)[alive] > -one.amin(-1)[alive]).float().mean() > 0.99


def test_each_view_changes_what_it_says() -> None:
    torch.manual_seed(4)
    x = torch.randn(256, 4, 100)
    factor = views.gain(x) / x
    assert (factor.amax((1, 2)) - factor.amin((1, 2))).max() < 1e-3
    assert factor.min() > 0.79 and factor.max() < 1.26
    kept = (views.drop_leads(x, chance=0.95).abs().amax(-1) > 0).sum(1)
    assert kept.min() == 1
    hidden = views.mask_time(x) == 0
    assert torch.equal(hidden.any(1), hidden.all(1)) and hidden.float().mean((1, 2)).max() <= 0.11
    ramp = torch.arange(100.0).expand(256, 4, -1)
    zoomed = views.zoom(ramp)
    steps = zoomed.diff(dim=-1)
    assert steps.min() > 0.89 and steps.max() < 1.01  # forward in time, at most a tenth slower
    assert zoomed.min() >= 0 and zoomed.max() <= 99
