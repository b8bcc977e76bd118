"""LUDB: labels against an independent reading of the table and headers, the split, delineation per token."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
import wfdb

from jepakit.registry import datasets
from jepakit.types import PARTS, Data
from modalities.ecg.ludb import AXES, WAVES, Ludb, wave_per_token


@pytest.fixture(scope="module")
def folder(data_root: Path) -> Path:
    if not (data_root / "ecg" / "ludb").is_dir():
        pytest.skip("the data root has no ecg/ludb: make data MODALITY=ecg")
    return data_root / "ecg" / "ludb"


@pytest.fixture(scope="module")
def parts(data_root: Path, folder: Path) -> dict[str, Data]:
    modality = datasets["ecg/ludb"].make(data_root)
    return {part: modality.data(part) for part in PARTS}


def test_shape_split_and_presence_of_every_class(parts: dict[str, Data]) -> None:
    assert [tuple(parts[part].x.shape) for part in PARTS] == [(120, 12, 1000), (30, 12, 1000), (50, 12, 1000)]
    units = [set(parts[part].unit) for part in PARTS]
    assert len(units[0] | units[1] | units[2]) == 200
    for data in parts.values():
        for name, classes in (("hypertrophy", 2), ("sinus_rhythm", 2), ("axis", 4), ("delineation", 4)):
            assert set(data.labels[name].unique().tolist()) - {-1} == set(range(classes)), name
        assert not any(name.startswith("classes_without") for name in data.repairs)


def test_counts_equal_those_published_and_those_of_the_table(folder: Path, parts: dict[str, Data]) -> None:
    labels = {name: torch.cat([parts[part].labels[name] for part in PARTS]) for name in ("sinus_rhythm", "axis")}
    # README of LUDB 1.0.1: sinus rhythm 143; normal 75, left 66, vertical 26, horizontal 20, right 3, none 10.
    assert int(labels["sinus_rhythm"].sum()) == 143
    assert [int((labels["axis"] == k).sum()) for k in range(-1, 4)] == [13, 75, 66, 26, 20]
    with (folder / "ludb.csv").open(newline="") as file:
        rows = {row["ID"].strip(): row for row in csv.DictReader(file)}
    for part in PARTS:
        data = parts[part]
        for i, unit in enumerate(data.unit):
            row = rows[unit]
            assert int(data.labels["hypertrophy"][i]) == (row["Hypertrophies"].strip() != "")
            assert int(data.labels["sinus_rhythm"][i]) == ("Sinus rhythm" in row["Rhythms"])
            axis = int(data.labels["axis"][i])
            assert axis < 0 or AXES[axis] in row["Electric axis of the heart"]


def test_labels_agree_with_the_header_comments(folder: Path, parts: dict[str, Data]) -> None:
    """The diagnoses stand a second time in every .hea file."""
    for part in PARTS:
        for i, unit in enumerate(parts[part].unit):
            comments = "\n".join(wfdb.rdheader(str(folder / "data" / unit)).comments).lower()
            assert int(parts[part].labels["sinus_rhythm"][i]) == ("rhythm: sinus rhythm" in comments), unit


def test_record_is_patient_and_no_row_is_shared(parts: dict[str, Data]) -> None:
    units = [set(parts[part].unit) for part in PARTS]
    assert not (units[0] & units[1] or units[0] & units[2] or units[1] & units[2])
    rows = [row.numpy().tobytes() for part in PARTS for row in parts[part].x]
    assert len(set(rows)) == 200


def test_reading_twice_gives_the_same_fingerprint(data_root: Path, parts: dict[str, Data]) -> None:
    again = Ludb.read(data_root)
    assert all(again[part].fingerprint() == parts[part].fingerprint() for part in PARTS)


def test_resampling_keeps_slow_and_removes_fast(folder: Path, parts: dict[str, Data]) -> None:
    """At 100 Hz the signal is the 500-Hz one without what lies above 50 Hz (affine per lead: compared by correlation)."""
    data = parts["train"]
    for i in (0, 50):
        record = wfdb.rdrecord(str(folder / "data" / data.unit[i])).p_signal
        spectrum = np.fft.rfft(record, axis=0)
        spectrum[np.fft.rfftfreq(5000, 1 / 500) > 45] = 0
        smooth = np.fft.irfft(spectrum, 5000, axis=0)[::5].T
        for lead in range(12):
            mine = data.x[i, lead].numpy()
            inside = (np.abs(mine) < 5) & (np.arange(1000) > 20) & (np.arange(1000) < 980)
            assert np.corrcoef(mine[inside], smooth[lead, inside])[0, 1] > 0.99


def test_windows_carry_their_delineation(data_root: Path, parts: dict[str, Data]) -> None:
    modality = datasets["ecg/ludb"].make(data_root)
    windows = modality.windows(parts["test"])
    assert windows.x.shape == (350, 12, 250) and windows.labels["delineation"].shape == (350, 25)
    whole = parts["test"].labels["delineation"]
    assert torch.equal(windows.labels["delineation"][1], whole[0, 12:37])
    assert torch.equal(windows.x[1], parts["test"].x[0, :, 120:370])
    first, second = parts["test"].unit[:2]
    assert windows.record is not None and windows.record[:8].tolist() == [first] * 7 + [second]
    crop = modality.crop(parts["test"].batch(torch.arange(50)))
    assert crop.x.shape == (50, 12, 250) and crop.labels["delineation"].shape == (50, 25)


def test_qrs_tokens_are_where_lead_two_is_steep(parts: dict[str, Data]) -> None:
    data = parts["train"]
    slope = data.x[:, 1].diff(dim=-1, append=data.x[:, 1, -1:]).abs().unfold(1, 10, 10).amax(-1)
    label = data.labels["delineation"]
    mean = [float(slope[label == code].mean()) for code in range(len(WAVES))]
    assert mean[2] > 3 * max(mean[0], mean[1], mean[3])


def test_rule_of_the_token_label() -> None:
    # Tokens of 50 samples. P 55-95, QRS 140-230 (10 in token 2, 50 in 3, 31 in 4), T 300-330; a lone N at 480.
    where = np.array([55, 70, 95, 140, 180, 230, 300, 315, 330, 480])
    symbols = np.array(["(", "p", ")", "(", "N", ")", "(", "t", ")", "N"])
    label, odd = wave_per_token(where, symbols, 11, 50)
    assert odd == 1
    # Tokens 0 and 1 begin before the first annotation, 9 and 10 end after the last; 10 of 50 samples do not make a QRS.
    assert label.tolist() == [-1, -1, 0, 2, 2, 0, 3, 0, 0, -1, -1]


def test_token_label_edges() -> None:
    label, odd = wave_per_token(np.array([0, 20, 99]), np.array(["(", "N", ")"]), 3, 50)
    assert label.tolist() == [2, 2, -1] and odd == 0
    # 19 of 50 samples are less than 40 %, 20 are enough; of two waves the larger part wins.
    where = np.array([0, 5, 18, 50, 55, 69, 100, 110, 119, 121, 130, 149])
    symbols = np.array(["(", "p", ")", "(", "p", ")", "(", "p", ")", "(", "N", ")"])
    assert wave_per_token(where, symbols, 3, 50)[0].tolist() == [0, 1, 2]
    assert wave_per_token(np.array([], dtype=int), np.array([]), 2, 50)[0].tolist() == [-1, -1]


def test_handmade_features_beat_chance_on_hypertrophy(data_root: Path, parts: dict[str, Data]) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.preprocessing import StandardScaler

    modality = datasets["ecg/ludb"].make(data_root)
    windows = {part: modality.windows(parts[part]) for part in ("train", "test")}
    features = {p: modality.handmade(d.batch(torch.arange(len(d)))).numpy() for p, d in windows.items()}
    scale = StandardScaler().fit(features["train"])
    probe = LogisticRegression(C=0.01, max_iter=100)
    probe.fit(scale.transform(features["train"]), windows["train"].labels["hypertrophy"])
    score = probe.decision_function(scale.transform(features["test"])).reshape(50, -1).mean(1)
    assert roc_auc_score(parts["test"].labels["hypertrophy"], score) > 0.8
