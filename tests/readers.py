"""Every reader of foreign files with sound little files for it: the table that the fuzzers go through."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import pandas as pd
import torch
from fuzz import Reader
from readers_signals import (
    RANDOM,
    REMEDY,
    bids_tables,
    cifar,
    content,
    esc50,
    heart,
    idx_files,
    image_of,
    ludb,
    nights,
    ptb,
    scalp_of,
    sound_of,
    speech,
    tars,
)
from test_video_clips import encode
from torch import nn

from benchmark import features, record
from benchmark.cache import Cache
from benchmark.predictions import Store
from jepakit.registry import datasets
from modalities.lidar import kitti, neon
from modalities.lidar.files import read_las, read_points
from modalities.lidar.ign import IgnBuildings, chips
from modalities.tabular.files import Adult, Arrays
from modalities.video import clips as video
from modalities.video import fight, folders

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
        # Written by one thread: a pool of threads of this process would be missing in the children that read it.
        cloud.write(folder / f"a.{suffix}", laz_backend=laspy.LazBackend.Lazrs)

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
            rows = [f"{20 + k + len(dot)}, Private, {k * 7}, HS-grad, 9, Never, Sales, Own, White, {'FM'[k % 2]}, 0, "
                    f"{k % 3}, 40, Peru, {'<=50K' if k % 5 in (0, 3) else '>50K'}{dot}" for k in range(60)]  # fmt: skip
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
    *map(image_of, ("png", "jpg", "gif", "webp", "tif", "bmp")), tars("w:"), tars("w:gz"), tars("w:xz"), cifar(),
    idx_files(), sound_of("wav"), sound_of("flac"), sound_of("ogg", format="OGG", subtype="VORBIS"), sound_of("mp3"),
    sound_of("aiff"), esc50(), speech(), scalp_of(".edf"), scalp_of("_raw.fif"), nights(), bids_tables(), heart(), ludb(),
    ptb(), video_of("mp4", "mpeg4"), video_of("avi", "mpeg4"), video_of("webm", "libvpx"), video_of("mkv", "mpeg4"),
    fights(), lists(), plain_points(), las_of("las"), las_of("laz"), frame(), sweeps(), crowns(), own_table("csv"),
    own_table("parquet"), adult(), arrays(), records(), caches(),
)  # fmt: skip
