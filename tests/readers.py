"""Every reader of foreign files with sound little files for it: the table that the fuzzers go through."""

from __future__ import annotations

import functools
import gzip
import io
import json
import pickle
import tarfile
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pandas as pd
import soundfile
import torch
import wfdb
from fuzz import Files, Reader
from heads import noise, raw, write
from PIL import Image
from test_image_readers import idx, python2
from test_video_clips import encode
from torch import nn

from benchmark import features, record
from benchmark.cache import Cache
from benchmark.predictions import Store
from jepakit.registry import datasets
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
from modalities.lidar import kitti, neon
from modalities.lidar.files import read_las, read_points
from modalities.lidar.ign import IgnBuildings, chips
from modalities.tabular.files import Adult, Arrays
from modalities.video import clips as video
from modalities.video import fight, folders

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


# --- video -----------------------------------------------------------------------------------------------------------


def video_of(kind: str, codec: str) -> Reader:
    def make(folder: Path) -> None:
        encode(folder / f"a.{kind}", [30 + 10 * k for k in range(12)], codec=codec, size=(32, 32))

    return Reader(
        f"video/{kind}", content(make), lambda folder: video.read_clip(folder / f"a.{kind}", 4, 16, REMEDY)[0]
    )


def fights() -> Reader:
    def make(folder: Path) -> None:
        rows = "".join(f"fight/{k}.mp4,{k % 2},{'train' if k < 4 else 'val'},{k}x\n" for k in range(8))
        (folder / "index.csv").write_text("path,label,split,source_video\n" + rows)

    def read(folder: Path) -> list[np.ndarray]:
        rows = fight.table(folder / "index.csv", REMEDY)
        inside = [(folder / row["path"]).resolve().is_relative_to(folder.resolve()) for row in rows]
        assert all(inside)
        return [np.array([int(row["label"]) for row in rows])]

    return Reader("video/index.csv", content(make), read)


def lists() -> Reader:
    """UCF101's lists; the same videos with the JSON files of Something-Something."""

    def make(folder: Path) -> None:
        for name in ("trainlist01.txt", "testlist01.txt"):
            names = [
                f"{kind}/v_g0{k}_c1.avi" for kind in ("run", "jump") for k in ((1, 2) if "train" in name else (3, 4))
            ]
            (folder / "ucf").mkdir(exist_ok=True)
            (folder / "ucf" / name).write_text("".join(f"{one} 1\n" for one in names))
            for one in names:
                (folder / "ucf" / one).parent.mkdir(exist_ok=True)
                (folder / "ucf" / one).write_bytes(b"")
        (folder / "some").mkdir()
        for name, numbers in (("train", range(6)), ("validation", range(6, 9))):
            said = [{"id": str(k), "template": f"[something] {k % 2}"} for k in numbers]
            (folder / "some" / f"{name}.json").write_text(json.dumps(said))
            for k in numbers:
                (folder / "some" / f"{k}.webm").write_bytes(b"")

    def read(folder: Path) -> list[str]:
        found = [one for place in ("ucf", "some") for one in folders.FolderModality.listing(folder / place)]
        assert all(one.path.resolve().is_relative_to(folder.resolve()) for one in found)
        return [one.label for one in found]

    changed = ("ucf/trainlist01.txt", "ucf/testlist01.txt", "some/train.json", "some/validation.json")
    return Reader("video/lists", content(make), read, changed)


# --- clouds ----------------------------------------------------------------------------------------------------------


def points_in(rows: int = 300) -> np.ndarray:
    random = RANDOM(0)
    return np.stack([random.uniform(4, 40, rows), random.uniform(-8, 8, rows), random.uniform(-1.7, 1, rows),
                     random.uniform(0, 1, rows)], 1).astype("<f4")  # fmt: skip


def las_of(suffix: str) -> Reader:
    def make(folder: Path) -> None:
        cloud = laspy.create(point_format=1, file_version="1.2")
        cloud.header.scales = [0.01, 0.01, 0.01]
        found = points_in().astype(np.float64)
        cloud.x, cloud.y, cloud.z = found[:, :3].T
        cloud.intensity = (found[:, 3] * 1000).astype(np.uint16)
        cloud.classification = np.where(found[:, 2] > 0, 6, 2).astype(np.uint8)
        cloud.write(folder / f"a.{suffix}")

    def read(folder: Path) -> list[Any]:
        return list(chips(*read_las(folder / f"a.{suffix}", REMEDY), IgnBuildings.raster))

    return Reader(f"lidar/{suffix}", content(make), read)


def frame() -> Reader:
    def make(folder: Path) -> None:
        for name in ("velodyne", "calib", "label_2"):
            (folder / name).mkdir()
        (folder / "velodyne" / "0.bin").write_bytes(points_in().tobytes())
        (folder / "calib" / "0.txt").write_text(
            "P2: 700 0 600 0 0 700 180 0 0 0 1 0\nR0_rect: 1 0 0 0 1 0 0 0 1\n"
            "Tr_velo_to_cam: 0 -1 0 0 0 0 -1 0 1 0 0 0\n"
        )
        (folder / "label_2" / "0.txt").write_text("Car 0 0 0 0 0 50 50 1.5 1.6 4 1 1.7 10 0.1\n" * 3)

    def read(folder: Path) -> list[Any]:
        data = kitti.Kitti.part([kitti.read_frame(folder, "0")], ["0"], 0)
        return [data.x, data.labels["segment"], data.labels["cars"], data.extra["boxes"]]

    return Reader("lidar/kitti", content(make), read)


def sweeps() -> Reader:
    def make(folder: Path) -> None:
        names = [f"{part}/{k}.bin" for part in ("train", "val", "test") for k in range(2)]
        own = folder / "lidar" / "folder-x"
        for name in names:
            (own / name).parent.mkdir(parents=True, exist_ok=True)
            (own / name).write_bytes(points_in(40).tobytes())
        (own / "labels.csv").write_text("file,class\n" + "".join(f"{name},{k % 2}\n" for k, name in enumerate(names)))

    def read(folder: Path) -> list[torch.Tensor]:
        found = datasets["lidar/folder-x"].make(folder).read(folder)
        return [one for data in found.values() for one in (data.x, *data.labels.values())]

    return Reader("lidar/sweeps", content(make), read)


def crowns() -> Reader:
    def make(folder: Path) -> None:
        (folder / "LAS").mkdir()
        (folder / "LAS" / "A.las").write_bytes(las_of("las").files()["a.las"])
        rows = "".join(
            f"OSBS,A,Pinus,{k}.5,{k % 5},10.5 -5.5;30.5 -5.5;30.5 5.5;10.5 5.5;10.5 -5.5\n" for k in range(10)
        )
        (folder / "crowns.csv").write_text("site,plot,genus4,height,fold,crown_xy\n" + rows)

    def read(folder: Path) -> list[Any]:
        rows, clouds = neon._crowns(folder)
        return [np.array([int(row["fold"]) for row in rows]), *clouds, np.array([float(row["height"]) for row in rows])]

    return Reader("lidar/crowns.csv", content(make), read, ("crowns.csv",))


def plain_points() -> Reader:
    def make(folder: Path) -> None:
        (folder / "a.bin").write_bytes(points_in().tobytes())

    return Reader("lidar/bin", content(make), lambda folder: read_points(folder / "a.bin", REMEDY), finite=False)


# --- tables ----------------------------------------------------------------------------------------------------------


def table(rows: int = 60) -> pd.DataFrame:
    random = RANDOM(0)
    return pd.DataFrame(
        {"size": random.normal(0, 1, rows).round(3), "age": random.integers(0, 9, rows),
         "town": random.choice(["Ghent", "Bruges"], rows), "target": random.choice(["yes", "no"], rows)}
    )  # fmt: skip


def own_table(kind: str) -> Reader:
    def make(folder: Path) -> None:
        own = folder / "tabular" / "class-x"
        own.mkdir(parents=True)
        frame = table()
        frame.to_csv(own / "table.csv", index=False) if kind == "csv" else frame.to_parquet(own / "table.parquet")

    def read(folder: Path) -> list[torch.Tensor]:
        parts = datasets["tabular/class-x"].make(folder).table().parts
        return [one for data in parts.values() for one in (data.x, *data.labels.values())]

    return Reader(f"tabular/{kind}", content(make), read)


def adult() -> Reader:
    def make(folder: Path) -> None:
        own = folder / "tabular" / "adult"
        own.mkdir(parents=True)
        for name, dot in (("adult.data", ""), ("adult.test", ".")):
            rows = [f"{20 + k + len(dot)}, Private, {k * 7}, HS-grad, 9, Never, Sales, Own, White, {'FM'[k % 2]}, 0, {k % 3}, 40, "
                    f"Peru, {'<=50K' if k % 5 in (0, 3) else '>50K'}{dot}" for k in range(60)]  # fmt: skip
            (own / name).write_text("\n".join(rows))

    def read(folder: Path) -> list[torch.Tensor]:
        return [data.x for data in Adult(folder).table().parts.values()]

    return Reader("tabular/adult", content(make), read)


def arrays() -> Reader:
    def make(folder: Path) -> None:
        np.save(folder / "N_train.npy", RANDOM(0).normal(0, 1, (40, 3)).astype(np.float32))
        np.save(folder / "y_train.npy", np.arange(40) % 2)

    def read(folder: Path) -> np.ndarray:
        found = Arrays.part.__func__(datasets["tabular/jannis_subset"].make, folder, "train")
        return np.nan_to_num(found.to_numpy(dtype=np.float64))

    return Reader("tabular/npy", content(make), read)


# --- what runs leave behind ------------------------------------------------------------------------------------------

RECORD: dict[str, Any] = {
    "schema": 1, "key": "00ff", "identity": {}, "modality": "toy", "dataset": "toy", "method": "toy-ae", "family": "jepa",
    "paper": "x", "augmentation": "none", "preset": "quick", "seed": 0, "overrides": {}, "variant": "", "status": "ok",
    "reason": None, "diagnostics": {}, "history": [], "cost": {}, "data": {}, "training": {}, "versions": {}, "created": "",
    "scores": [{"task": "kind", "kind": "class", "probe": "linear", "metric": "macro_f1", "value": 0.5, "val": 0.5,
                "chosen": {}, "headline": True, "nuisance": False}],
}  # fmt: skip
STORED = {"kind.label": np.arange(6) % 3, "kind.unit": np.arange(6), "kind.linear.pred": np.eye(6)[:, :3]}


def records() -> Reader:
    def read(folder: Path) -> list[Any]:
        found = record.load_all(folder)
        kept = Store(folder, {one["key"]: one for one in [RECORD]}).run("00ff", "kind", "linear")
        return [[one["seed"] for one in found], kept]

    return Reader("benchmark/record", content(lambda folder: record.save(folder, RECORD, STORED)), read, finite=False)


def caches() -> Reader:
    def make(folder: Path) -> None:
        torch.manual_seed(0)
        cache = Cache(folder)
        cache.save_encoder("00ff", nn.Linear(3, 2), {"cost": {}})
        parts = {"train": features.Features(np.ones((4, 2), dtype=np.float32))}
        features.save(cache.features / "00ff.npz", parts)

    def read(folder: Path) -> list[Any]:
        cache, encoder = Cache(folder), nn.Linear(3, 2)
        facts, fits = cache.facts("00ff"), cache.load_encoder("00ff", encoder)
        assert facts is None or isinstance(facts, dict)
        assert fits in (True, False)
        return [cache.load_features("00ff", {}, False) and 1]

    return Reader("benchmark/cache", content(make), read, finite=False)


READERS: tuple[Reader, ...] = (
    *map(image_of, ("png", "jpg", "gif", "webp", "tif", "bmp")), tars("w:"), tars("w:gz"), tars("w:xz"), cifar(), idx_files(),
    sound_of("wav"), sound_of("flac"), sound_of("ogg", format="OGG", subtype="VORBIS"), sound_of("mp3"), sound_of("aiff"),
    esc50(), speech(), scalp_of(".edf"), scalp_of("_raw.fif"), nights(), bids_tables(), heart(), ludb(), ptb(),
    video_of("mp4", "mpeg4"), video_of("avi", "mpeg4"), video_of("webm", "libvpx"), video_of("mkv", "mpeg4"), fights(), lists(),
    plain_points(), las_of("las"), las_of("laz"), frame(), sweeps(), crowns(), own_table("csv"), own_table("parquet"), adult(),
    arrays(), records(), caches(),
)  # fmt: skip
