"""Sleep-EDF and BIDS folders, as small trees that mne writes: epochs and events, parts, damage."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mne
import numpy as np
import pytest
import torch
from heads import noise, raw, write

from jepakit.registry import datasets
from jepakit.types import PARTS, DataError
from modalities.eeg.bids import Bids, bids_data, mains
from modalities.eeg.montage import electrode, places, positions
from modalities.eeg.records import Note
from modalities.eeg.sleep import AROUND, SleepEdf, epochs, hypnogram, part_of


def test_a_derivation_lies_between_its_electrodes() -> None:
    assert [electrode(name) for name in ("EEG Fpz-Cz", "EEG PZ-OZ", "EEG T3-T5", "EOG horizontal")] == [
        "Fpz-Cz", "Pz-Oz", "T7-P7", "EOG horizontal",
    ]  # fmt: skip
    halfway = (places()["fpz"][1] + places()["cz"][1]) / 2
    assert positions(["Fpz-Cz"])[0] == pytest.approx(halfway)
    with pytest.raises(DataError, match="no montage for electrode 'Fpz-horizontal'"):
        positions(["Fpz-horizontal"])


def test_epochs_are_half_minutes_around_sleep() -> None:
    """100 of wake, one of every stage twice, an unscored one inside, 80 of wake, unscored to the end of the tape."""
    notes = [Note(0, 3000, "Sleep stage W")]
    notes += [Note(3000 + 60 * k, 60, f"Sleep stage {name}") for k, name in enumerate(("1", "2", "3", "4", "R"))]
    notes += [Note(3300, 30, "Movement time"), Note(3330, 30, "Sleep stage 2"), Note(3360, 2400, "Sleep stage W")]
    notes.append(Note(5760, 9000, "Sleep stage ?"))
    start, stage, unscored = epochs(notes)
    asleep = [1, 1, 2, 2, 3, 3, 3, 3, 4, 4, 2]
    assert stage.tolist() == [0] * AROUND + asleep + [0] * AROUND
    assert start[0] == 3000 - 30 * AROUND and start[AROUND] == 3000 and start[AROUND + 10] == 3330
    assert unscored == 1


def test_a_night_without_sleep_has_no_epoch() -> None:
    assert [len(one) for one in epochs([Note(0, 3000, "Sleep stage W")])[:2]] == [0, 0]


def test_every_fifth_person_is_tested() -> None:
    assert [part_of(subject) for subject in range(6)] == ["train", "train", "train", "val", "test", "train"]


@pytest.fixture(scope="module")
def cassette(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three people (one with two nights) of 4.5 minutes at 100 Hz, two derivations and an eye channel."""
    root = tmp_path_factory.mktemp("cassette")
    folder = root / "eeg" / "sleep-edf" / "sleep-cassette"
    made = raw(noise(3, 100 * 270), 100.0, ["EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal"])
    first = write(folder / "SC4001E0-PSG.edf", made)
    stages = ["W", "1", "2", "3", "?", "4", "R", "W", "W", "W"]  # the last one lies behind the end
    said = mne.Annotations([30.0 * k for k in range(10)], [30.0] * 10, [f"Sleep stage {stage}" for stage in stages])
    for night, scorer in (("SC4001E", "C"), ("SC4002E", "C"), ("SC4031E", "H"), ("SC4041E", "J")):
        if night != "SC4001E":
            shutil.copy(first, folder / f"{night}0-PSG.edf")
        long = raw(noise(1, 100 * 300), 100.0, ["EEG Fpz-Cz"])
        long.set_annotations(said)
        write(folder / f"{night}{scorer}-Hypnogram.edf", long)
    return root


def test_nights_are_cut_into_scored_epochs(cassette: Path) -> None:
    modality = datasets["eeg/sleep-edf"].make(cassette)
    assert modality.grid == (2, 15)
    parts = {part: modality.data(part) for part in PARTS}
    assert [sorted(set(parts[part].unit)) for part in PARTS] == [["SC400"], ["SC403"], ["SC404"]]
    assert parts["train"].x.shape == (16, 2, 3000) and parts["test"].x.shape == (8, 2, 3000)
    assert parts["test"].labels["stage"].tolist() == [0, 1, 2, 3, 3, 4, 0, 0]
    assert parts["test"].repairs == {"unscored_epochs_dropped": 1, "epochs_cut_off_dropped": 1}
    x = parts["test"].x.float()
    assert not np.allclose(x[0], x[1]) and 0.5 < float(x.std()) < 2
    tokens = modality.tokenizer(8)(parts["test"].batch(torch.arange(2)))
    assert tokens.x.shape == (2, 30, 8)


def test_a_night_without_its_hypnogram_is_named(cassette: Path, tmp_path: Path) -> None:
    shutil.copytree(cassette / "eeg", tmp_path / "eeg")
    (tmp_path / "eeg" / "sleep-edf" / "sleep-cassette" / "SC4031EH-Hypnogram.edf").unlink()
    with pytest.raises(DataError, match=r"SC4031E0-PSG\.edf has 0 hypnograms SC4031…-Hypnogram\.edf beside it"):
        SleepEdf.read(tmp_path)


def test_a_foreign_stage_and_a_broken_hypnogram_are_named(tmp_path: Path) -> None:
    long = raw(noise(1, 1000), 100.0, ["EEG Fpz-Cz"], [(0.0, 5.0, "Sleep stage 7")])
    with pytest.raises(DataError, match="'Sleep stage 7', which is no sleep stage"):
        hypnogram(write(tmp_path / "SC4001EC-Hypnogram.edf", long))
    broken = tmp_path / "SC4002EC-Hypnogram.edf"
    broken.write_bytes(b"no edf at all")
    with pytest.raises(DataError, match="holds no sleep stage"):
        hypnogram(broken)
    with pytest.raises(DataError, match="cannot be read"):
        hypnogram(tmp_path / "SC4003EC-Hypnogram.edf")


NAMES = ("Fp1", "F3", "C3", "Cz", "C4", "O1")


def study(root: Path, people: int = 5, split: bool = False) -> Path:
    """``people`` with two runs of four events; the first person's cap has one electrode more, the last one's one less."""
    folder = root / "eeg" / "study"
    for person in range(1, people + 1):
        names = [*NAMES, "O2"] if person == 1 else NAMES[:-1] if person == people else NAMES
        for run in (1, 2):
            stem = f"sub-{person:02d}_task-hands_run-{run}"
            place = folder / f"sub-{person:02d}" / "eeg"
            write(place / f"{stem}_eeg.edf", raw(noise(len(names), 125 * 20, seed=person), 125.0, names))
            rows = [("0.0", "left"), ("5.0", "right"), ("9.0", "n/a"), ("12.0", "left"), ("18.5", "right")]
            text = "onset\tduration\ttrial_type\n" + "".join(f"{onset}\t4\t{kind}\n" for onset, kind in rows)
            (place / f"{stem}_events.tsv").write_text(text)
    lines = ["participant_id\tsplit"] if split else ["participant_id\tage"]
    kinds = ["train", "train", "val", "test", "test"]
    lines += [f"sub-{k + 1:02d}\t{kinds[k % 5] if split else 30}" for k in range(people)]
    (folder / "participants.tsv").write_text("\n".join(lines) + "\n")
    return root


def test_a_bids_folder_is_a_data_set(tmp_path: Path) -> None:
    root = study(tmp_path, split=True)
    rest = root / "eeg" / "study" / "sub-01" / "eeg" / "sub-01_task-rest_eeg.edf"
    write(rest, raw(noise(len(NAMES), 125 * 5), 125.0, NAMES))  # no events beside it
    modality = datasets["eeg/bids-study"].make(root)
    assert isinstance(modality, Bids)
    assert modality.electrodes == ("Fp1", "F3", "C3", "Cz", "C4") and modality.grid == (5, 2)
    assert modality.tasks[0].classes == ("left", "right")
    parts = {part: modality.data(part) for part in PARTS}
    assert [sorted(set(parts[part].unit)) for part in PARTS] == [["sub-01", "sub-02"], ["sub-03"], ["sub-04", "sub-05"]]
    assert parts["val"].labels["trial_type"].tolist() == [0, 1, 0] * 2
    assert parts["val"].repairs == {"trials_cut_off_dropped": 2}
    assert parts["train"].x.shape == (12, 5, 400)
    assert parts["train"].repairs == {"trials_cut_off_dropped": 4, "recordings_without_events_skipped": 1}


def test_drawn_parts_keep_people_apart(tmp_path: Path) -> None:
    parts = bids_data("study").read(study(tmp_path))
    people = [set(parts[part].unit) for part in PARTS]
    assert [len(one) for one in people] == [3, 1, 1] and len(set.union(*people)) == 5


def test_the_nearest_sidecar_states_the_mains(tmp_path: Path) -> None:
    folder = study(tmp_path) / "eeg" / "study"
    path = folder / "sub-01" / "eeg" / "sub-01_task-hands_run-1_eeg.edf"
    assert mains(path, folder) == 50.0
    (folder / "task-hands_eeg.json").write_text(json.dumps({"PowerLineFrequency": 60}))
    assert mains(path, folder) == 60.0
    path.with_suffix(".json").write_text(json.dumps({"PowerLineFrequency": "n/a"}))
    assert mains(path, folder) == 60.0
    path.with_suffix(".json").write_text("[")
    with pytest.raises(DataError, match="no readable JSON object"):
        mains(path, folder)


def test_bids_faults_are_named(tmp_path: Path) -> None:
    root = study(tmp_path, split=True)
    folder = root / "eeg" / "study"
    people = folder / "participants.tsv"
    people.write_text(people.read_text().replace("sub-03\tval", "sub-03\tvalidation"))
    with pytest.raises(DataError, match="split 'validation' for sub-03; say train, val or test"):
        bids_data("study").read(root)
    table = folder / "sub-02" / "eeg" / "sub-02_task-hands_run-1_events.tsv"
    table.write_text("onset\tduration\n0\t4\n")
    shutil.copytree(root / "eeg" / "study", root / "eeg" / "other")
    with pytest.raises(DataError, match="no column 'trial_type'"):
        datasets["eeg/bids-other"].make(root)
    with pytest.raises(DataError, match="has no folder eeg/none"):
        datasets["eeg/bids-none"].make(root)
    shutil.copytree(root / "eeg" / "other", root / "eeg" / "third")
    (root / "eeg" / "third" / "sub-02" / "eeg" / table.name).write_text("onset\ttrial_type\nsoon\tleft\n")
    with pytest.raises(DataError, match="onset 'soon', which is no number"):
        datasets["eeg/bids-third"].make(root)
