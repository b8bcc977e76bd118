"""Readers of pictures, sounds and electrodes, with sound little files for each; readers.py has the table of all."""

from __future__ import annotations

import functools
import gzip
import io
import pickle
import tarfile
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import wfdb
from fuzz import Files, Reader
from heads import noise, raw, write
from PIL import Image
from test_image_readers import idx, python2

from modalities.audio.clips import Clips, read_clip
from modalities.audio.esc import Esc50
from modalities.audio.folders import SpeechCommands
from modalities.ecg import ptbxl
from modalities.ecg.ludb import assign, diagnoses
from modalities.ecg.records import ordered, read_annotations, read_record
from modalities.eeg import bids
from modalities.eeg.montage import TEN_TWENTY
from modalities.eeg.records import Cleaning, read_recording
from modalities.eeg.sleep import epochs, hypnogram
from modalities.image import archives, plain
from modalities.image.cifar import Cifar10
from modalities.image.idx import read_idx

REMEDY = "copy it again"
RANDOM = np.random.default_rng


def content(make: Callable[[Path], object], *names: str) -> Callable[[], Files]:
    """The files that ``make`` writes into a folder: all of them, or those named."""

    @functools.cache
    def files() -> Files:
        with tempfile.TemporaryDirectory() as home, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            make(Path(home))
            found = {
                p.relative_to(home).as_posix(): p.read_bytes() for p in sorted(Path(home).rglob("*")) if p.is_file()
            }
        return {name: found[name] for name in names} if names else found

    return files


def first(folder: Path, *suffixes: str) -> Path:
    return next(path for path in sorted(folder.rglob("*")) if path.suffix in suffixes)


# --- pictures --------------------------------------------------------------------------------------------------------


def picture(side: int = 20, seed: int = 0) -> Image.Image:
    return Image.fromarray(RANDOM(seed).integers(0, 255, (side, side + 4, 3), dtype=np.uint8))


def pictures(folder: Path) -> None:
    for kind in ("png", "jpg", "gif", "webp", "tif", "bmp"):
        picture().save(folder / f"a.{kind}")


def image_of(kind: str) -> Reader:
    def read(folder: Path) -> np.ndarray:
        path = folder / f"a.{kind}"
        return archives.decode(path, str(path), REMEDY, 16)

    return Reader(f"image/{kind}", content(pictures, f"a.{kind}"), read)


def tars(mode: str) -> Reader:
    def make(folder: Path) -> None:
        with tarfile.open(folder / "a.tar", mode) as tar:  # type: ignore[call-overload]
            for number in range(3):
                out = io.BytesIO()
                picture(8, number).save(out, "png")
                info = tarfile.TarInfo(f"train/cat/{number}.png")
                info.size = len(out.getvalue())
                tar.addfile(info, io.BytesIO(out.getvalue()))

    def read(folder: Path) -> list[np.ndarray]:
        found = archives.members(folder / "a.tar", REMEDY, lambda name: name.endswith(".png"))
        return [archives.decode(held, f"{name} in a.tar", REMEDY, 8) for name, held in found]

    return Reader(f"image/tar {mode[2:] or 'plain'}", content(make), read)


def cifar() -> Reader:
    x, y = RANDOM(0).integers(0, 256, (3, 3072), dtype=np.uint8), [1, 2, 3]

    def make(folder: Path) -> None:
        (folder / "batch1").write_bytes(python2(x, {"labels": y}))
        for protocol in (2, 4):
            (folder / f"batch{protocol}").write_bytes(pickle.dumps({"data": x, "labels": y}, protocol=protocol))

    def read(folder: Path) -> list[dict[str, np.ndarray]]:
        paths = sorted(folder.glob("batch*"))
        return [Cifar10._batch(plain.load(path.read_bytes(), path.name), path.name) for path in paths]

    return Reader("image/cifar", content(make), read)


def idx_files() -> Reader:
    def make(folder: Path) -> None:
        (folder / "images.gz").write_bytes(gzip.compress(idx(RANDOM(0).integers(0, 255, (9, 6, 6), dtype=np.uint8))))
        (folder / "labels").write_bytes(idx(np.arange(9, dtype=np.uint8)))

    return Reader(
        "image/idx",
        content(make),
        lambda folder: [read_idx(folder, "images", 3, REMEDY), read_idx(folder, "labels", 1, REMEDY)],
    )


# --- sound -----------------------------------------------------------------------------------------------------------


def sound_of(kind: str, **options: Any) -> Reader:
    def make(folder: Path) -> None:
        soundfile.write(folder / f"a.{kind}", RANDOM(0).normal(0, 0.1, (1600, 2)).astype(np.float32), 8000, **options)

    return Reader(f"audio/{kind}", content(make), lambda folder: read_clip(folder / f"a.{kind}", REMEDY)[0])


def esc50() -> Reader:
    def make(folder: Path) -> None:
        rows = [f"{k % 5 + 1}-{k}-A-{k}.wav,{k % 5 + 1},{k},dog,False,{k},A" for k in range(50)]
        (folder / "meta").mkdir()
        (folder / "meta" / "esc50.csv").write_text(
            "\n".join(["filename,fold,target,category,esc10,src_file,take", *rows])
        )

    def read(folder: Path) -> list[np.ndarray]:
        names = np.array([f"audio/{k % 5 + 1}-{k}-A-{k}.wav" for k in range(50)])
        return list(Esc50.sort(Clips(np.zeros((50, 1)), names, {}), folder))

    return Reader("audio/esc50.csv", content(make), read)


def speech() -> Reader:
    names = [f"{word}/{k}_nohash_0.wav" for word in ("yes", "no") for k in range(6)]

    def make(folder: Path) -> None:
        (folder / "validation_list.txt").write_text("yes/1_nohash_0.wav\nno/1_nohash_0.wav\n")
        (folder / "testing_list.txt").write_text("yes/2_nohash_0.wav\nno/2_nohash_0.wav\n")
        for name in names:
            path = folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"")

    def read(folder: Path) -> list[np.ndarray]:
        return list(SpeechCommands.sort(Clips(np.zeros((len(names), 1)), np.array(names), {}), folder))

    return Reader("audio/lists", content(make), read, ("validation_list.txt", "testing_list.txt"))


# --- electrodes ------------------------------------------------------------------------------------------------------

NOTES = [(0.0, 30.0, "Sleep stage W"), (30.0, 60.0, "Sleep stage 2"), (90.0, 30.0, "Sleep stage R")]


def scalp_of(suffix: str) -> Reader:
    def make(folder: Path) -> None:
        write(folder / f"a{suffix}", raw(noise(19, 1000), notes=[(1.0, 1.0, "T1")]))

    def read(folder: Path) -> np.ndarray:
        return read_recording(folder / f"a{suffix}", TEN_TWENTY, Cleaning()).signal

    return Reader(f"eeg/{suffix[-3:]}", content(make, f"a{suffix}"), read)


def nights() -> Reader:
    def make(folder: Path) -> None:
        write(folder / "SC4001EC-Hypnogram.edf", raw(noise(1, 13000), names=["x"], notes=NOTES))

    return Reader(
        "eeg/hypnogram", content(make), lambda folder: list(epochs(hypnogram(folder / "SC4001EC-Hypnogram.edf")))
    )


def bids_tables() -> Reader:
    def make(folder: Path) -> None:
        own = folder / "sub-1" / "eeg"
        own.mkdir(parents=True)
        (own / "sub-1_task-x_eeg.json").write_text('{"PowerLineFrequency": 60}')
        (own / "sub-1_task-x_events.tsv").write_text("onset\tduration\ttrial_type\n1.0\t0\tgo\n3.5\t0\tstop\n")
        people = "".join(f"sub-{k}\t{part}\n" for k, part in ((1, "train"), (2, "val"), (3, "test")))
        (folder / "participants.tsv").write_text("participant_id\tsplit\n" + people)

    def read(folder: Path) -> list[Any]:
        path = folder / "sub-1" / "eeg" / "sub-1_task-x_eeg.edf"
        known = bids.Recording(np.ones((4, 1000)) * np.arange(1000.0), 100.0, bids.events(path), {})
        kinds = {note.text: code for code, note in enumerate(known.notes)}
        parts = bids.parts_of(folder, ["sub-1", "sub-2", "sub-3"])
        assert set(parts.values()) <= {"train", "val", "test"}
        return [*bids.after_cues(known, kinds, 200), np.array(bids.mains(path, folder))]

    return Reader("eeg/bids tables", content(make), read)


def heart() -> Reader:
    def make(folder: Path) -> None:
        signal = RANDOM(0).normal(0, 0.5, (2000, 2))
        wfdb.wrsamp(
            "100", 360, ["mV"] * 2, ["MLII", "V1"], signal, fmt=["212"] * 2, adc_gain=[200.0] * 2, baseline=[0] * 2,
            write_dir=str(folder),
        )  # fmt: skip
        wfdb.wrann("100", "atr", np.arange(100, 1900, 100), ["N"] * 18, write_dir=str(folder))

    def read(folder: Path) -> list[np.ndarray]:
        found = read_record(folder / "100")
        return [
            np.nan_to_num(ordered(found, ("MLII", "V1"), folder / "100")),
            np.array(found.rate),
            read_annotations(folder / "100", "atr")[0],
        ]

    return Reader("ecg/wfdb", content(make), read)


def ludb() -> Reader:
    def make(folder: Path) -> None:
        rows = "\n".join(f'{k},"F\n",51,Sinus rhythm,Electric axis of the heart: normal,' for k in range(1, 25))
        (folder / "ludb.csv").write_text("ID,Sex,Age,Rhythms,Electric axis of the heart,Hypertrophies\n" + rows)

    def read(folder: Path) -> np.ndarray:
        found = diagnoses(folder / "ludb.csv")
        return np.array([list(assign(found)), found["axis"]])

    return Reader("ecg/ludb.csv", content(make), read)


def ptb() -> Reader:
    def make(folder: Path) -> None:
        kinds = "".join(f"{name},1.0,,{form},NORM,NORM\n" for name, form in (("NORM", ""), ("MI", "1.0"), ("STTC", "")))
        (folder / "scp_statements.csv").write_text(
            ",diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass\n" + kinds
        )
        rows = "".join(
            f"{k},{k}.0,\"{{'NORM': 100.0}}\",{k % 10 + 1},records100/{k}_lr,records500/{k}_hr\n" for k in range(1, 21)
        )
        (folder / "ptbxl_database.csv").write_text(
            "ecg_id,patient_id,scp_codes,strat_fold,filename_lr,filename_hr\n" + rows
        )

    def read(folder: Path) -> list[np.ndarray]:
        kinds = ptbxl.read_statements(folder / "scp_statements.csv")
        found = ptbxl.read_table(folder / "ptbxl_database.csv")
        ptbxl.part_of(found["strat_fold"])
        unit = found["patient_id"].astype(int).astype(str).to_numpy(dtype=str)
        return [
            unit,
            np.nan_to_num(ptbxl.multi_hot([list(cell) for cell in found["scp_codes"]], kinds, "superdiagnostic")),
        ]

    return Reader("ecg/ptbxl tables", content(make), read)
