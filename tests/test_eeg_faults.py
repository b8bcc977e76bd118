"""Damaged EEG files: each is mended and counted, or ends in one sentence that names the file and the remedy."""

from __future__ import annotations

from pathlib import Path

import mne
import numpy as np
import pytest
from heads import noise, raw, write

from jepakit.types import DataError
from modalities.eeg.montage import TEN_TWENTY, electrode, positions
from modalities.eeg.records import Cleaning, Note, Recording, clean, read_recording

SAMPLES = 2000
CLEANING = Cleaning()


def read(path: Path) -> Recording:
    return read_recording(path, TEN_TWENTY, CLEANING)


def message(path: Path) -> str:
    """The one sentence of reading the file."""
    with pytest.raises(DataError) as caught:
        read(path)
    text = str(caught.value)
    assert "\n" not in text and not text.endswith(".") and str(path) in text
    return text


def test_a_sound_file_needs_no_repair_in_either_format(tmp_path: Path) -> None:
    signal = noise(19, SAMPLES)
    edf = read(write(tmp_path / "a.edf", raw(signal)))
    fif = read(write(tmp_path / "a_raw.fif", raw(signal)))
    assert edf.repairs == fif.repairs == {} and edf.rate == 100.0
    assert edf.signal.shape == (19, SAMPLES) and edf.signal.dtype == np.float32
    np.testing.assert_allclose(edf.signal, fif.signal, atol=0.05)  # 16 bits
    np.testing.assert_allclose(edf.signal.mean(0), 0, atol=1e-3)  # average reference
    inside = slice(400, -400)  # slow drift and what is above 45 Hz are gone, the rest stays
    wanted = mne.filter.filter_data(signal.astype(float), 100.0, 0.5, 45.0, verbose="error")
    wanted -= wanted.mean(0)
    assert np.corrcoef(edf.signal[3, inside], wanted[3, inside])[0, 1] > 0.99


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("EEG Fp1", "Fp1"), ("EEG T3-REF", "T7"), ("EEG FP2-LE", "Fp2"), ("Fc5..", "FC5"), ("cz", "Cz"), ("T6", "P8"),
        ("EEG Fpz-0", "Fpz"), ("Fp1-F7", "Fp1-F7"), ("ECG ECG", "ECG ECG"), ("EEG A2-A1", "A2"), ("EEG O1-A2", "O1"),
    ],
)  # fmt: skip
def test_names_of_the_field_are_known(written: str, place: str) -> None:
    assert electrode(written) == place


def test_places_are_in_centimetres_and_symmetric() -> None:
    """Right, front, up: known places of the 10-20 system, and a name without one."""
    place = dict(zip(TEN_TWENTY, positions(TEN_TWENTY)))
    assert place["C4"][0] > 5 > -5 > place["C3"][0]
    assert place["Fz"][1] > 4 and place["O1"][1] < -7 and place["Cz"][2] == max(p[2] for p in place.values())
    assert all(6 < np.linalg.norm(p) < 14 for p in place.values())
    for left, right in (("F3", "F4"), ("O1", "O2"), ("T7", "T8")):
        np.testing.assert_allclose(place[left] * [-1, 1, 1], place[right], atol=0.4)
    with pytest.raises(DataError, match="no montage for electrode 'E17'"):
        positions(["Cz", "E17"])


def test_renamed_and_shuffled_channels_are_put_in_order(tmp_path: Path) -> None:
    signal = noise(19, SAMPLES)
    old = {"T7": "T3", "T8": "T4", "P7": "T5", "P8": "T6"}
    names = [f"EEG {old.get(name, name).upper()}-REF" for name in TEN_TWENTY]
    order = np.random.default_rng(0).permutation(19)
    shuffled = raw(signal[order], names=[names[k] for k in order])
    found = read(write(tmp_path / "renamed.edf", shuffled))
    plain = read(write(tmp_path / "plain.edf", raw(signal)))
    np.testing.assert_allclose(found.signal, plain.signal, atol=1e-4)
    assert found.repairs == {}


def test_a_missing_and_a_flat_channel_are_interpolated_and_counted(tmp_path: Path) -> None:
    signal = noise(19, SAMPLES)
    signal[5] = 3.0
    names = [name for name in TEN_TWENTY if name != "Cz"]
    kept = [row for row, name in enumerate(TEN_TWENTY) if name != "Cz"]
    found = read(write(tmp_path / "gap_raw.fif", raw(signal[kept], names=names)))
    assert found.repairs == {"electrodes_interpolated": 2}
    assert found.signal.shape == (19, SAMPLES) and np.isfinite(found.signal).all()
    for row in (5, TEN_TWENTY.index("Cz")):
        assert found.signal[row].std() > 0.5


def test_too_many_missing_or_flat_channels_are_refused(tmp_path: Path) -> None:
    signal = noise(19, SAMPLES)
    text = message(write(tmp_path / "three_raw.fif", raw(signal[3:], names=TEN_TWENTY[3:])))
    assert "no channel Fp1" in text and "rename them" in text
    signal[[2, 7, 9]] = 0.0
    assert "flat in channel F3" in message(write(tmp_path / "flat_raw.fif", raw(signal)))


def test_a_file_without_any_montage_is_refused(tmp_path: Path) -> None:
    text = message(write(tmp_path / "numbers_raw.fif", raw(noise(19, SAMPLES), names=[f"E{k}" for k in range(19)])))
    assert "no channel Fp1" in text and "E0, E1" in text


def test_bipolar_channels_are_no_electrodes(tmp_path: Path) -> None:
    names = [f"{name}-Cz" for name in TEN_TWENTY[:-2]]
    assert "no channel" in message(write(tmp_path / "bipolar_raw.fif", raw(noise(17, SAMPLES), names=names)))


def test_equal_duplicates_are_dropped_and_unequal_ones_refused(tmp_path: Path) -> None:
    signal = noise(19, SAMPLES)
    names = [*TEN_TWENTY, "EEG Fz-REF"]
    twice = np.concatenate([signal, signal[[TEN_TWENTY.index("Fz")]]])
    found = read(write(tmp_path / "twice_raw.fif", raw(twice, names=names)))
    assert found.repairs == {"duplicated_channels_dropped": 1}
    twice[-1] += noise(1, SAMPLES, seed=1)[0]
    assert "two channels of electrode Fz" in message(write(tmp_path / "clash_raw.fif", raw(twice, names=names)))


@pytest.mark.parametrize("factor", [1e6, 1e-6])
def test_volts_taken_for_microvolts_are_seen_by_their_size(factor: float, tmp_path: Path) -> None:
    text = message(write(tmp_path / "unit_raw.fif", raw(factor * noise(19, SAMPLES))))
    assert "no scalp gives" in text and "unit" in text


@pytest.mark.parametrize("suffix", [".edf", "_raw.fif"])
def test_annotations_are_read_and_those_outside_the_file_are_counted(suffix: str, tmp_path: Path) -> None:
    notes = [(2.0, 1.5, "T1"), (5.0, 0.5, "T2"), (900.0, 1.0, "late")]
    made = raw(noise(19, SAMPLES), notes=notes[:2])
    if suffix == ".edf":  # neither writer lets an annotation past the end: as a broken device would store it
        path = write(tmp_path / f"notes{suffix}", made)
        content = path.read_bytes()
        assert content.count(b"+5\x150.5\x14T2") == 1
        path.write_bytes(content.replace(b"+5\x150.5\x14T2", b"+950\x152\x14T2"))  # of the same length
        found = read(path)
        assert found.repairs == {"annotations_outside_dropped": 1}
        assert [note.text for note in found.notes] == ["T1"]
    else:
        found = read(write(tmp_path / f"notes{suffix}", made))
        assert found.repairs == {} and found.notes == (Note(2.0, 1.5, "T1"), Note(5.0, 0.5, "T2"))


def test_missing_truncated_and_foreign_files_are_named(tmp_path: Path) -> None:
    assert "is missing" in message(tmp_path / "absent.edf")
    path = write(tmp_path / "short.edf", raw(noise(19, SAMPLES)))
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])
    assert "truncated" in message(path)
    path.write_bytes(b"0       " + b" " * 100)
    assert "cannot be read" in message(path)


def test_slow_recordings_are_refused_and_fast_ones_resampled(tmp_path: Path) -> None:
    path = tmp_path / "x.edf"
    with pytest.raises(DataError, match="sampled at 64 Hz"):
        clean(noise(19, SAMPLES), 64.0, CLEANING, path)
    clock = np.arange(6000) / 250
    x = 10 * np.sin(2 * np.pi * 10 * clock) + 30 * np.sin(2 * np.pi * 50 * clock) + 200.0
    both = clean(np.stack([x, np.zeros_like(x)]), 250.0, Cleaning(reference=False), path)
    assert both.shape == (2, 2400)
    power = np.abs(np.fft.rfft(both[0, 400:2000])) ** 2
    where = np.fft.rfftfreq(1600, 0.01)
    assert where[power.argmax()] == pytest.approx(10.0)
    assert power[np.abs(where - 50) < 1].sum() < 1e-3 * power.sum() and power[where < 0.3].sum() < 1e-3 * power.sum()


def test_nan_samples_are_interpolated_and_counted(tmp_path: Path) -> None:
    signal = noise(19, SAMPLES)
    signal[4, 700:710] = np.nan
    found = read(write(tmp_path / "nan_raw.fif", raw(signal)))
    assert found.repairs == {"nan_samples_interpolated": 10} and np.isfinite(found.signal).all()
