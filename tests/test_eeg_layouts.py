"""Official layouts of EEG data sets, as small trees that mne writes: motor imagery and TUAB."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from heads import noise, raw, write

from jepakit.types import PARTS, DataError
from modalities.eeg.montage import TEN_TWENTY
from modalities.eeg.motor import CUES, PhysionetMi
from modalities.eeg.tuab import Tuab


class FewImagine(PhysionetMi):
    subjects: ClassVar[dict] = {"train": (1, 2, 88), "val": (71,), "test": (90,)}


class ShortAbnormal(Tuab):
    skip = 2
    keep = 20


@pytest.fixture(scope="module")
def imagery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four people, six runs, at 160 Hz with dots in the names; T1 is followed by T2, and the last trial is cut off."""
    root = tmp_path_factory.mktemp("imagery")
    notes = [(0.0, 4.0, "T0"), (4.0, 4.0, "T1"), (9.0, 4.0, "T2"), (14.0, 1.0, "T1")]
    made = raw(noise(20, 160 * 16), 160.0, [*(f"{name.capitalize()}." for name in TEN_TWENTY), "Iz.."], notes)
    first = write(root / "one.edf", made)
    for person in (1, 2, 71, 90):
        folder = root / "eeg" / "physionet-mi" / f"S{person:03d}"
        folder.mkdir(parents=True)
        for run in CUES:
            shutil.copy(first, folder / f"S{person:03d}R{run:02d}.edf")
    return root


def test_imagery_is_cut_after_its_cues(imagery: Path) -> None:
    parts = FewImagine.read(imagery)
    for part, people in (("train", ["S001", "S002"]), ("val", ["S071"]), ("test", ["S090"])):
        data = parts[part]
        assert data.x.shape == (12 * len(people), 19, 400) and sorted(set(data.unit)) == people and data.record is None
        assert data.labels["movement"].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3] * len(people)
        assert data.repairs == {"trials_cut_off_dropped": 6 * len(people)}
    assert not np.allclose(parts["train"].x[0], parts["train"].x[1])


def test_a_missing_run_is_named(imagery: Path, tmp_path: Path) -> None:
    shutil.copytree(imagery / "eeg", tmp_path / "eeg")
    (tmp_path / "eeg" / "physionet-mi" / "S071" / "S071R10.edf").unlink()
    with pytest.raises(DataError, match=r"S071R10\.edf is missing"):
        FewImagine.read(tmp_path)


def corpus(root: Path) -> Path:
    """Ten train patients (two recordings of the first) and two of evaluation; 24 s at 125 Hz, one train recording short."""
    names = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}
    channels = [f"EEG {names.get(name, name).upper()}-REF" for name in TEN_TWENTY]
    first = write(root / "one.edf", raw(noise(19, 125 * 24), 125.0, channels))
    short = write(root / "short.edf", raw(noise(19, 125 * 12), 125.0, channels))
    for number in range(12):
        kind, label = "train" if number < 10 else "eval", ("normal", "abnormal")[number % 2]
        folder = root / "eeg" / "tuab" / "edf" / kind / label / "01_tcp_ar"
        folder.mkdir(parents=True, exist_ok=True)
        for session in range(2 if number == 0 else 1):
            shutil.copy(short if number == 3 else first, folder / f"aaaaaa{number:02d}_s{session:03d}_t000.edf")
    return root


def test_tuab_is_judged_by_recording_and_split_by_patient(tmp_path: Path) -> None:
    modality = ShortAbnormal(corpus(tmp_path))
    parts = {part: modality.data(part) for part in PARTS}
    people = {part: set(parts[part].unit) for part in PARTS}
    assert sum(len(one) for one in people.values()) == len(set.union(*people.values()))
    assert people["test"] == {"aaaaaa10", "aaaaaa11"}
    assert sum(len(parts[part]) for part in PARTS) == 12  # 13 recordings, one of them too short
    assert sum(parts[part].repairs.get("short_recordings_dropped", 0) for part in PARTS) == 1
    test = modality.windows(parts["test"])
    assert test.x.shape == (4, 19, 1000) and test.record is not None
    assert test.record.tolist() == ["aaaaaa10_s000_t000"] * 2 + ["aaaaaa11_s000_t000"] * 2
    assert test.labels["abnormal"].tolist() == [0, 0, 1, 1]


def test_a_patient_on_both_sides_is_refused(tmp_path: Path) -> None:
    folder = corpus(tmp_path) / "eeg" / "tuab" / "edf"
    (path,) = (folder / "eval" / "normal").rglob("*.edf")
    path.rename(path.with_name("aaaaaa04_s009_t000.edf"))
    with pytest.raises(DataError, match="patient aaaaaa04 in train and in eval"):
        ShortAbnormal.read(tmp_path)
    shutil.rmtree(folder / "eval" / "abnormal")
    with pytest.raises(DataError, match="abnormal holds no recording"):
        ShortAbnormal.read(tmp_path)
