"""Simulated EEG: physics, labels, determinism, the separation of people; tokens, views and features of the modality."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jepakit.registry import datasets
from jepakit.types import PARTS, Batch, Data, UsageError
from modalities.eeg.base import scale
from modalities.eeg.features import BANDS, band_power
from modalities.eeg.montage import TEN_TWENTY, positions
from modalities.eeg.simulated import NUISANCES, STATES, Simulated, Simulation, simulate
from modalities.eeg.sources import below, lead_field, unit
from modalities.eeg.views import gain, mirror, opposite, shift, view
from modalities.perturb import drop_channels, mask_time

AT = {name: row for row, name in enumerate(TEN_TWENTY)}


class Small(Simulated):
    subjects = 40
    rows = 4


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return simulate(60, 8, 400, 100.0, seed=5)


@pytest.fixture(scope="module")
def parts() -> dict[str, Data]:
    small = Small()
    return {part: small.data(part) for part in PARTS}


def power(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """(n, c): mean power between two frequencies."""
    spectrum = np.abs(np.fft.rfft(x * np.hanning(x.shape[-1]), axis=-1)) ** 2
    frequency = np.fft.rfftfreq(x.shape[-1], 0.01)
    return spectrum[..., (frequency >= low) & (frequency < high)].mean(-1)


def test_a_dipole_looks_as_coulomb_says() -> None:
    """Potential of a dipole p at r: p·(x − r)/|x − r|³, against the mean of the electrodes."""
    electrodes = np.array([[0.0, 0.0, 10.0], [10.0, 0.0, 0.0], [0.0, 0.0, -10.0]])
    field = lead_field(np.array([0.0, 0.0, 5.0]), np.array([0.0, 0.0, 2.0]), electrodes)
    raw = np.array([2 * 5 / 125, 2 * -5 / np.sqrt(125) ** 3, 2 * -15 / 15**3])
    np.testing.assert_allclose(field, raw - raw.mean())
    assert np.abs(unit(field)).max() == 1.0


def test_a_source_is_seen_best_by_the_electrode_above_it() -> None:
    from modalities.eeg.sources import MIDDLE

    place = positions(TEN_TWENTY) - MIDDLE
    for name in ("O1", "C3", "C4", "Fz"):
        field = lead_field(below(name), below(name), place)
        assert field.argmax() == AT[name] and field.sum() == pytest.approx(0, abs=1e-9)


def test_signals_have_the_size_and_the_reference_of_a_scalp(simulation: Simulation) -> None:
    assert np.abs(simulation.signal.mean(1)).max() < 1e-3
    typical = np.median(simulation.clean.std(2))
    assert 3 < typical < 25
    assert np.isfinite(simulation.signal).all()


def test_closed_eyes_release_the_alpha_rhythm_and_a_hand_silences_the_other_side(simulation: Simulation) -> None:
    state = simulation.factors["state"]
    alpha = np.log(power(simulation.clean, 8, 12))
    back = alpha[:, [AT["O1"], AT["O2"]]].mean(1)
    assert back[state == 0].mean() > back[state == 1].mean() + 1.0
    beta = np.log(power(simulation.clean, 16, 24))
    side = beta[:, AT["C3"]] - beta[:, AT["C4"]]
    right, left = side[state == STATES.index("right hand")], side[state == STATES.index("left hand")]
    assert right.mean() < left.mean() - 0.4


def test_the_alpha_peak_lies_where_the_factor_says(simulation: Simulation) -> None:
    closed = simulation.factors["state"] == 0
    x = simulation.clean[closed][:, AT["O1"]]
    spectrum = np.abs(np.fft.rfft(x * np.hanning(400), axis=-1)) ** 2
    frequency = np.fft.rfftfreq(400, 0.01)
    alpha = (frequency >= 7) & (frequency <= 13)
    peak = frequency[alpha][spectrum[:, alpha].argmax(1)]
    stated = simulation.factors["alpha_frequency"][closed]
    assert np.median(np.abs(peak - stated)) < 0.7 and np.corrcoef(peak, stated)[0, 1] > 0.7
    for subject in range(60):
        assert len(set(simulation.factors["alpha_frequency"][simulation.subject == subject])) == 1


def test_each_nuisance_changes_what_it_should(simulation: Simulation) -> None:
    added = simulation.signal - (simulation.clean - simulation.clean.mean(1, keepdims=True))
    place = {"blinks": (["Fp1", "Fp2"], 0.5, 6), "muscle": (["T7", "T8"], 25, 45), "electrode_noise": (["Pz"], 8, 16)}
    for name, (electrodes, low, high) in place.items():
        size = simulation.factors[name]
        assert size.min() >= 0 and size.max() <= NUISANCES[name]
        found = np.log(power(added[:, [AT[e] for e in electrodes]], low, high).mean(1) + 1e-9)
        large, small = size > np.quantile(size, 0.7), size < np.quantile(size, 0.3)
        assert found[large].mean() > found[small].mean() + 0.5, name
        assert abs(np.corrcoef(size, simulation.factors["state"])[0, 1]) < 0.15


def test_equal_seeds_give_equal_recordings() -> None:
    one, two, other = (simulate(4, 2, 200, 100.0, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.signal, two.signal) and not np.array_equal(one.signal, other.signal)


def test_people_never_cross_and_train_sets_the_scale(parts: dict[str, Data]) -> None:
    units = [set(parts[part].unit) for part in PARTS]
    assert [len(one) for one in units] == [24, 8, 8] and not set.intersection(*units)
    assert not any(a & b for a in units for b in units if a is not b)
    low, middle, high = torch.quantile(
        parts["train"].x.transpose(0, 1).flatten(1), torch.tensor([0.25, 0.5, 0.75]), dim=1
    )
    torch.testing.assert_close(middle, torch.zeros(19), atol=2e-3, rtol=0)
    torch.testing.assert_close((high - low) / 1.349, torch.ones(19), atol=2e-3, rtol=0)
    assert all(parts[part].x.abs().max() <= 15 for part in PARTS)


def test_statistics_come_from_train_alone() -> None:
    random = np.random.default_rng(0)
    x = {part: random.standard_normal((6, 3, 50)) * (5.0 if part == "test" else 1.0) for part in PARTS}
    before = scale({part: x[part].copy() for part in PARTS})
    x["test"] *= 100
    after = scale({part: x[part].copy() for part in PARTS})
    assert np.array_equal(before["train"], after["train"]) and np.array_equal(before["val"], after["val"])
    assert np.abs(after["test"]).max() == 15


def test_registered_default_has_the_stated_shape() -> None:
    modality = datasets["eeg/simulated"].make(None)
    assert modality.grid == (19, 2) and modality.tasks[0].name == "state" and len(modality.electrodes) == 19
    assert {task.name for task in modality.tasks if task.nuisance} == set(NUISANCES)


# Tokens, views, features ----------------------------------------------------------------------------------------------


def test_tokens_carry_the_place_of_their_electrode(parts: dict[str, Data]) -> None:
    modality = Small()
    tokens = modality.tokenizer(16)(parts["train"].batch(torch.arange(3)))
    assert tokens.x.shape == (3, 38, 16) and tokens.pos.shape == (3, 38, 4)
    pos = tokens.pos[1].unflatten(0, (19, 2))
    np.testing.assert_allclose(pos[:, 0, :3], positions(TEN_TWENTY), rtol=1e-5)
    assert torch.equal(pos[:, 0, :3], pos[:, 1, :3]) and torch.equal(
        pos[:, :, 3], torch.tensor([0.0, 1.0]).expand(19, 2)
    )
    other = modality.channelwise().tokenizer(16)(parts["train"].batch(torch.arange(3)))
    assert other.pos.shape == (3, 38, 2)


def test_a_token_sees_its_own_stretch_of_its_own_electrode(parts: dict[str, Data]) -> None:
    modality = Small()
    tokenizer, batch = modality.tokenizer(16), parts["train"].batch(torch.arange(2))
    x = batch.x.clone()
    x[:, 7, 200:] = torch.randn(2, 200)
    changed = (tokenizer(batch.with_x(x)).x != tokenizer(batch).x).any(-1)
    assert changed.nonzero()[:, 1].unique().tolist() == [15]
    patches = modality.patches(batch)
    assert torch.equal(patches[:, 15], batch.x[:, 7, 200:]) and patches.shape[-1] == modality.patch_values


def test_the_spectrum_of_a_token_does_not_see_phase_and_finds_the_rhythm() -> None:
    tokenizer = Small().tokenizer(16)
    clock = torch.arange(200) / 100
    one, two = (torch.sin(2 * torch.pi * 10 * clock + phase)[None, None] for phase in (0.0, 1.3))
    torch.testing.assert_close(tokenizer.spectrum(one), tokenizer.spectrum(two), atol=0.35, rtol=0)
    assert tokenizer.frequency[tokenizer.spectrum(one)[0, 0].argmax()] == 10.0
    assert tokenizer.frequency[0] == 1.0 and tokenizer.frequency[-1] == 45.0
    assert torch.isfinite(tokenizer.spectrum(torch.zeros(1, 1, 200))).all()


def test_band_power_is_log_power_by_electrode_and_band() -> None:
    clock = torch.arange(400) / 100
    x = torch.zeros(1, 2, 400)
    x[0, 1] = 2 * torch.sin(2 * torch.pi * 9 * clock)
    found = band_power(x, 100.0).unflatten(1, (2, len(BANDS) - 1))
    assert found[0, 1].argmax() == 2  # 8 to 10 Hz
    louder = band_power(3 * x, 100.0).unflatten(1, (2, len(BANDS) - 1))
    assert float(louder[0, 1, 2] - found[0, 1, 2]) == pytest.approx(2 * np.log(3), abs=1e-3)
    # Parseval: power density over its band adds up to the variance of the sine
    assert float(found[0, 1, 2].exp()) * 2.0 == pytest.approx(2.0, rel=0.35)


def test_views_keep_shape_and_spectrum_and_differ(parts: dict[str, Data]) -> None:
    torch.manual_seed(0)
    x = parts["train"].x[:16]
    one, two = view(x, 100.0), view(x, 100.0)
    assert one.shape == x.shape and torch.isfinite(one).all() and not torch.equal(one, two)
    torch.testing.assert_close(shift(x).sort(-1).values, x.sort(-1).values)
    ratio = gain(x) / x
    assert (ratio[x.abs() > 1e-3] > 0).all()
    dropped = (drop_channels(x, 0.999) != 0).any(-1)
    assert (dropped.sum(1) >= 1).all() and not dropped.all()
    assert ((mask_time(x, 0.25) == 0).all(1).float().mean(1) <= 0.26).all()


def test_left_and_right_are_exchanged_with_their_electrodes_or_not_at_all() -> None:
    partner = opposite(TEN_TWENTY)
    assert TEN_TWENTY[partner[AT["F3"]]] == "F4" and partner[AT["Cz"]] == AT["Cz"]
    assert [partner[k] for k in partner] == list(range(19))
    x = torch.randn(2, 19, 10)
    mirrored = mirror(x, torch.tensor(partner))
    assert torch.equal(mirrored[:, AT["C3"]], x[:, AT["C4"]]) and torch.equal(
        mirror(mirrored, torch.tensor(partner)), x
    )
    with pytest.raises(UsageError, match="no partner"):
        opposite(("C3", "Cz"))


def test_windows_lie_side_by_side_and_keep_no_record() -> None:
    x = torch.arange(2 * 19 * 900).reshape(2, 19, 900).float()
    data = Data(x, {"state": torch.tensor([1, 2])}, np.array(["a", "b"]))
    found = Small().windows(data)
    assert found.x.shape == (4, 19, 400) and found.record is None
    assert torch.equal(found.x[1], x[0, :, 400:800]) and found.labels["state"].tolist() == [1, 1, 2, 2]
    assert found.unit.tolist() == ["a", "a", "b", "b"]
    batch = Small().crop(Batch(x))
    assert batch.x.shape == (2, 19, 400)
