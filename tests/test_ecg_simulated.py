"""Simulated ECG: physics, labels, determinism and the separation of patients."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import torch

from jepakit.registry import datasets
from jepakit.types import PARTS, Data
from modalities.ecg.rhythms import RHYTHMS
from modalities.ecg.simulated import CONDUCTIONS, NUISANCES, Simulated, Simulation, simulate


class Small(Simulated):
    patients = 100
    recordings = 3


@pytest.fixture(scope="module")
def simulation() -> Simulation:
    return simulate(150, 2, 500, 100.0, seed=5)


@pytest.fixture(scope="module")
def parts() -> dict[str, Data]:
    small = Small()
    return {part: small.data(part) for part in PARTS}


def test_registered_default_has_the_stated_shape() -> None:
    modality = datasets["ecg/simulated"].make(None)
    assert (modality.channels, modality.length, modality.patch, modality.rate) == (12, 500, 20, 100.0)
    assert modality.grid == (25,)
    assert modality.tasks[0].name == "rhythm" and len(modality.tasks[0].classes) == 4
    assert {task.name for task in modality.tasks if task.nuisance} == {
        "baseline_wander",
        "electrode_noise",
        "line_noise",
    }


def test_leads_obey_einthoven_and_goldberger(simulation: Simulation) -> None:
    for signal in (simulation.clean, simulation.signal):
        one, two, three, right, left, foot = signal.astype(np.float64).transpose(1, 0, 2)[:6]
        for is_, should in (
            (three, two - one),
            (right, -(one + two) / 2),
            (left, one - two / 2),
            (foot, two - one / 2),
        ):
            np.testing.assert_allclose(is_, should, atol=2e-5)


def test_amplitudes_are_those_of_a_heart(simulation: Simulation) -> None:
    sinus = (simulation.factors["rhythm"] == 0) & (simulation.factors["conduction"] == 0)
    height = simulation.clean[sinus].max(2)
    lead_two = np.median(height[:, 1])
    assert 0.5 < lead_two < 2.5  # mV, R in lead II
    assert np.median(simulation.clean[sinus, 3].min(1)) < -0.4  # aVR points down
    v1, v5 = simulation.clean[sinus, 6], simulation.clean[sinus, 10]
    assert np.median(v5.max(1) + v5.min(1)) > 0 > np.median(v1.max(1) + v1.min(1))  # R grows from V1 to V5


def test_nuisance_labels_are_the_size_of_what_was_added(simulation: Simulation) -> None:
    added = (simulation.signal - simulation.clean).astype(np.float64)
    spectrum = np.abs(np.fft.rfft(added * np.hanning(500), axis=2)) ** 2
    frequency = np.fft.rfftfreq(500, 0.01)
    band = {
        "baseline_wander": frequency < 1,
        "line_noise": np.abs(frequency - 40) < 1,  # 60 Hz met by a 100-Hz converter
        "electrode_noise": (frequency > 15) & (frequency < 35),
    }
    for name in NUISANCES:
        power = np.sqrt(spectrum[:, :, band[name]].sum(2)).mean(1)
        assert np.corrcoef(power, simulation.factors[name])[0, 1] > 0.75, name
        others = [simulation.factors[other] for other in NUISANCES if other != name]
        assert max(abs(np.corrcoef(simulation.factors[name], other)[0, 1]) for other in others) < 0.2


def test_heart_rate_is_that_of_the_visible_peaks(simulation: Simulation) -> None:
    from scipy.signal import find_peaks

    sinus = np.flatnonzero((simulation.factors["rhythm"] == 0) & (simulation.factors["conduction"] == 0))[:40]
    for i in sinus:
        slope = np.abs(np.diff(simulation.clean[i], axis=1)).sum(0)
        slope = np.convolve(slope, np.ones(9), "same")
        peaks, _ = find_peaks(slope, height=slope.max() / 2, distance=30)
        rate = 6000 * (len(peaks) - 1) / (peaks[-1] - peaks[0])
        assert rate == pytest.approx(simulation.factors["heart_rate"][i], rel=0.12)


def test_rhythms_differ_as_their_names_say() -> None:
    from modalities.ecg.rhythms import draw_beats

    rhythm = np.repeat(np.arange(4), 200)
    beats = draw_beats(np.random.default_rng(0), rhythm, 5.0)
    gaps = np.diff(beats.peak, axis=1)
    assert gaps.min() > 0.15
    spread = gaps.std(1) / gaps.mean(1)
    sinus, fibrillation, ectopy, flutter = (np.median(spread[rhythm == k]) for k in range(4))
    assert flutter < 0.01 < sinus < 0.06 < fibrillation and ectopy > sinus
    assert beats.early[rhythm == 2].sum(1).min() >= 1 and not beats.early[rhythm != 2].any()
    inside = beats.early & (beats.peak > 0.5) & (beats.peak < 4.7)
    assert inside[rhythm == 2].any(1).all()  # an ectopic beat is always in sight
    assert not (beats.early[:, 1:] & beats.early[:, :-1]).any()
    assert beats.atria[rhythm == 0].all() and not beats.atria[(rhythm == 1) | (rhythm == 3)].any()
    assert beats.peak[:, 0].max() < 0 and beats.peak[:, -1].min() > 5.5


def test_labels_cover_all_classes_and_hide_the_undecidable(simulation: Simulation, parts: dict[str, Data]) -> None:
    rhythm, conduction = simulation.factors["rhythm"], simulation.factors["conduction"]
    assert set(rhythm) == set(range(len(RHYTHMS))) and set(conduction) == {-1, *range(len(CONDUCTIONS))}
    assert set(rhythm[conduction == 1]) == {0, 2}  # a long PR time needs a P wave
    assert set(rhythm[conduction == -1]) == {1, 3}
    for data in parts.values():
        assert data.labels["rhythm"].dtype == torch.int64 and data.labels["heart_rate"].dtype == torch.float32
        assert len(data.labels["rhythm"].unique()) == 4


def test_parts_share_no_patient_and_no_recording(parts: dict[str, Data]) -> None:
    units = [set(parts[part].unit) for part in PARTS]
    assert [len(unit) for unit in units] == [60, 20, 20]
    assert not (units[0] & units[1] or units[0] & units[2] or units[1] & units[2])
    rows = [hashlib.sha256(row.numpy().tobytes()).hexdigest() for part in PARTS for row in parts[part].x]
    assert len(set(rows)) == len(rows) == 300


def test_a_patient_keeps_conduction_and_form() -> None:
    simulation = simulate(40, 4, 500, 100.0, seed=1)
    for patient in range(40):
        conduction = set(simulation.factors["conduction"][simulation.patient == patient].tolist()) - {-1}
        assert len(conduction) <= 1
    # Median absolute profile over leads is more alike within a patient than between patients.
    profile = simulation.clean.max(2) / simulation.clean.max((1, 2))[:, None]
    within = np.abs(profile[0::4] - profile[1::4]).mean()
    between = np.abs(profile[0::4] - np.roll(profile[1::4], 1, 0)).mean()
    assert within < 0.7 * between


def test_same_seed_same_data_other_seed_other_data(parts: dict[str, Data]) -> None:
    again = Small.read(None)
    other = type("Other", (Small,), {"seed": 21}).read(None)
    for part in PARTS:
        assert again[part].fingerprint() == parts[part].fingerprint() != other[part].fingerprint()


def test_three_parts_cost_one_generation() -> None:
    assert Small().data("train") is Small().data("train")


def test_standardised_by_train(parts: dict[str, Data]) -> None:
    raw = simulate(Small.patients, Small.recordings, 500, 100.0, Small.seed)
    train = raw.signal[raw.patient < 60].astype(np.float64)
    mean, std = train.mean((0, 2))[:, None], train.std((0, 2))[:, None]
    for part, rows in (("train", raw.patient < 60), ("test", raw.patient >= 80)):
        expected = np.clip((raw.signal[rows] - mean) / std, -5, 5)
        np.testing.assert_allclose(parts[part].x.numpy(), expected, atol=1e-4)


def test_handmade_features_find_the_rhythm_that_chance_does_not(parts: dict[str, Data]) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    modality = Small()
    features = {p: modality.handmade(parts[p].batch(torch.arange(len(parts[p])))).numpy() for p in ("train", "test")}
    assert features["train"].shape[0] == 180 and np.isfinite(features["train"]).all()
    scale = StandardScaler().fit(features["train"])
    probe = LogisticRegression(C=0.003, max_iter=300)
    probe.fit(scale.transform(features["train"]), parts["train"].labels["rhythm"])
    right = probe.predict(scale.transform(features["test"])) == parts["test"].labels["rhythm"].numpy()
    assert right.mean() > 0.5  # chance .25, and only 180 recordings to learn from
