"""EEGMAT: folds, labels, standardisation, and the real recordings of the data root."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from heads import noise, raw, write

from jepakit.registry import datasets
from jepakit.types import PARTS, DataError, UsageError
from modalities.eeg import eegmat
from modalities.eeg.eegmat import EegMat, split
from modalities.eeg.montage import TEN_TWENTY

OLD = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}
CHANNELS = [OLD.get(name, name) for name in TEN_TWENTY]  # as the files call them


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 people, 25 s of rest and 17 s of task each; every recording has its own offset and gain."""
    folder = tmp_path_factory.mktemp("eegmat")
    first = folder / "eeg" / "eegmat" / "Subject00_1.edf"
    for kind, samples in ((1, 2500), (2, 1700)):
        signal = np.concatenate([noise(19, samples, seed=kind), 100 * noise(1, samples, seed=9)])
        write(
            first.with_name(f"Subject00_{kind}.edf"),
            raw(kind * 3 * signal + 20 * kind, names=[*(f"EEG {name}" for name in CHANNELS), "ECG ECG"]),
        )
    for subject in range(1, 36):
        for kind in (1, 2):
            shutil.copy(first.with_name(f"Subject00_{kind}.edf"), first.with_name(f"Subject{subject:02d}_{kind}.edf"))
    return folder


def test_six_folds_test_everybody_once_and_the_single_split_is_the_last() -> None:
    tested = [subject for fold in range(1, 7) for subject in split(fold)["test"]]
    assert sorted(tested) == list(range(36))
    for fold in range(1, 7):
        members = [set(split(fold)[part]) for part in PARTS]
        assert [len(one) for one in members] == [24, 6, 6] and len(set.union(*members)) == 36
    assert split(6) == {"train": tuple(range(24)), "val": tuple(range(24, 30)), "test": tuple(range(30, 36))}


def test_folds_are_registered_as_a_family() -> None:
    kind = datasets["eeg/eegmat-fold2"].make
    assert kind is datasets["eeg/eegmat-fold2"].make
    assert (kind.fold_of, kind.fold, kind.folds, kind.dataset) == ("eegmat", 2, 6, "eegmat-fold2")
    assert (
        EegMat.folds == 6 and not hasattr(EegMat, "fold_of") and EegMat.fold == 6
    )  # the single split tests the last six
    assert datasets["eeg/eegmat-fold2"].source == datasets["eeg/eegmat"].source
    for wrong in ("0", "7", "x"):
        with pytest.raises(UsageError, match="has no fold"):
            datasets[f"eeg/eegmat-fold{wrong}"]


def test_recordings_are_decoded_once_for_all_folds(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    real = eegmat.read_recording
    monkeypatch.setattr(eegmat, "read_recording", lambda path, *more: read.append(path.name) or real(path, *more))
    eegmat._recordings.cache_clear()
    tested = []
    for fold in (1, 2):
        modality = datasets[f"eeg/eegmat-fold{fold}"].make(root)
        tested.append(set(modality.data("test").unit))
        assert modality.data("train").x.shape == (24 * 5, 19, 800)  # 3 stretches of rest, 2 of task
    assert len(read) == 72 == len(set(read))
    assert tested[0] == {f"s{k:02d}" for k in range(6)} and tested[1] == {f"s{k:02d}" for k in range(6, 12)}


def test_every_recording_is_standardised_by_itself(root: Path) -> None:
    """Rest and task differ in gain and offset by construction: nothing of it is left."""
    modality = EegMat(root)
    data = modality.windows(modality.data("train"))
    assert data.x.shape == (24 * 10, 19, 400) and data.record is None
    label = data.labels["condition"]
    assert label.float().mean() == pytest.approx(0.4)
    spread = [data.x[label == kind].std() for kind in (0, 1)]
    assert spread[0] / spread[1] == pytest.approx(1.0, abs=0.1)
    assert data.x.mean((0, 2)).abs().max() < 0.2


def test_missing_and_short_files_are_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs a data root"):
        EegMat.read(None)
    with pytest.raises(DataError, match="has no folder eeg/eegmat"):
        EegMat.read(tmp_path)
    shutil.copytree(root / "eeg", tmp_path / "eeg")
    (tmp_path / "eeg" / "eegmat" / "Subject07_2.edf").unlink()
    with pytest.raises(DataError, match=r"no Subject07_2.edf \(1 of 72 missing\)"):
        EegMat.read(tmp_path)
    names = [f"EEG {name}" for name in CHANNELS]
    write(tmp_path / "eeg" / "eegmat" / "Subject07_2.edf", raw(noise(19, 700), names=names))
    with pytest.raises(DataError, match="shorter than a stretch"):
        EegMat.read(tmp_path)


def test_the_real_recordings_are_sound(data_root: Path) -> None:
    modality = EegMat(data_root)
    sizes = {part: len(modality.windows(modality.data(part))) for part in PARTS}
    # 36 people, 15 stretches of rest (one of ten) and 7 of task, two windows each
    assert sum(sizes.values()) == 2 * (35 * 15 + 10 + 36 * 7)
    for part in PARTS:
        data = modality.data(part)
        assert data.repairs == {} and torch.isfinite(data.x).all() and data.x.shape[1:] == (19, 800)
        assert len(set(data.unit)) == {"train": 24, "val": 6, "test": 6}[part]
        assert 0.8 < float(data.x.std()) < 1.4
