"""Surveillance camera fights (Aktı et al. 2019): clips of two seconds, fight or none; one split, five folds by source.

What a scene looks like tells almost nothing; what moves does.
"""

from __future__ import annotations

import csv
import functools
from pathlib import Path
from typing import ClassVar

import numpy as np

from jepakit.registry import datasets
from jepakit.types import PARTS, Card, Data, DataError, Part, Task
from modalities.folds import one_fold
from modalities.image.parts import Images
from modalities.image.views import Policy
from modalities.video.base import VideoModality
from modalities.video.clips import clips
from modalities.video.parts import assemble

# Source videos by fold: scikit-learn's StratifiedGroupKFold(5, shuffle=True, random_state=0) over the clips whose source is
# known, written down so that no version of it changes the folds.
FOLDS = tuple(
    tuple(line.split())
    for line in (
        "06YeBB51WxI DVi04Mxaz60 DXybks-LsLo F4V_a3bNYQ4 IZjLv7alWTk YgaHtncRJ5A hBxGTZQExtI tf_X7GtOGyE",
        "8-cqrFXPEtY 8VqTmuq4HcI L-xyzcwCDCA PTy2vx8Ejas _XCysP1Ok3k jQeOqXpcKqg lUXfWnnCxyY s-jW4cyavW0 uss1EmwHVYQ "
        "xCh8elUs3Lc",
        "7q6KJoSgxmY FZDDNtcaBcw OK56kxE8H9c P-A3ujCib6Q SXMe0yMz6TI Zf0N39iRlYo d2xXLU4JKwI f8D5VFeTLK4 v4dhdnsxiX4 "
        "y8Ye7z26Q-s",
        "-9z5dwsPS-c N8omcR8KP94 V726w0IKCp4 Wq0BuA8GM84 dVi_8-NHquo g0x9-0pOuhw lmfaDmCCRoY sZ8MoyrE3s4 yudUno5SgdY",
        "3uO1UUh5C-U BpargJW29Wo FbnMdS3FAVI KSybYlMepTE No36fPv4zUw Wwu20e9pfxg gZDH9kWucNM",
    )
)
UNKNOWN = "unlisted"  # the source of 28 clips without a fight is not told: they always train
CCTV = Policy(scale=(0.4, 1.0), flip=0.5, brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1, grey=0.2)


@datasets.register("video/surveillance_fight")
class SurveillanceFight(VideoModality):
    """16 frames of 64 × 64 that span a clip; the single split is the column ``split`` of index.csv."""

    dataset: ClassVar[str] = "surveillance_fight"
    card: ClassVar[Card] = Card(
        title="Surveillance Camera Fight Dataset, 300 clips of two seconds",
        licence="MIT (the collection); the clips were cut from YouTube videos, whose rights are not settled by it",
        source="https://github.com/seymanurakti/fight-detection-surv-dataset",
        citation="Aktı, Tataroğlu & Ekenel 2019, IPTA, arXiv 2002.04355",
        unit="source video",
        notes="Real violence between real people: for tests of methods, not for deployment. Fold k tests the k-th group of "
        "source videos, validates on the next and trains on the others; the 28 clips of unknown source always train. "
        "The single split has 51 test clips, about ±7 points: read the folds.",
    )
    side: ClassVar[int] = 64
    patch: ClassVar[int] = 16
    policy: ClassVar[Policy] = CCTV
    crop_scale: ClassVar[tuple[float, float] | None] = (0.4, 1.0)
    folds: ClassVar[int] = len(FOLDS)
    fold: ClassVar[int] = 0  # the single split
    fold_of: ClassVar[str | None] = None
    tasks = (Task("fight", "class", "balanced_accuracy", ("no fight", "fight")),)

    @classmethod
    def remedy(cls) -> str:
        return "put index.csv and the folders fight and noFight there"

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        folder = cls.folder(root)
        rows = table(folder / "index.csv", cls.remedy())
        files = tuple(folder / row["path"] for row in rows)
        missing = [path for path in files if not path.is_file()]
        if missing:
            raise DataError(
                f"{folder} lacks {missing[0].relative_to(folder)}, which index.csv lists "
                f"({len(missing)} of {len(files)} missing); {cls.remedy()}"
            )
        found = clips(folder, "surveillance_fight", files, cls.frames, cls.side, cls.remedy())
        source = np.array([row["source_video"] for row in rows])
        part = split(source, cls.fold) if cls.fold else np.array([row["split"] for row in rows])
        label = np.array([int(row["label"]) for row in rows], dtype=np.int64)
        parts: dict[Part, Images] = {}
        for one in PARTS:
            at = np.flatnonzero(part == one)
            parts[one] = Images(found.x[at], {"fight": label[at]}, source[at], found.counted(at))
        return assemble(f"{cls.name}/{cls.dataset}", parts)


def table(path: Path, remedy: str) -> list[dict[str, str]]:
    """The rows of index.csv. Raises DataError for a file that is none, a bad label or part, and a source in two parts."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read ({error}); {remedy}") from error
    home: dict[str, str] = {}
    for number, row in enumerate(rows, 2):
        if not row.get("path") or "\0" in row["path"]:
            raise DataError(f"line {number} of {path} names no clip; {remedy}")
        if row.get("label") not in {"0", "1"} or row.get("split") not in PARTS or not row.get("source_video"):
            raise DataError(f"line {number} of {path} has no label 0 or 1, part or source video; {remedy}")
        if home.setdefault(row["source_video"], row["split"]) != row["split"]:
            raise DataError(f"{path} puts source video {row['source_video']} into two parts; {remedy}")
    return rows


def split(source: np.ndarray, fold: int) -> np.ndarray:
    """Names of parts (n,) by source video: fold k is tested, the next one (in a circle) validates, the others train.

    Raises DataError for a source that no fold knows.
    """
    place = {video: number for number, videos in enumerate(FOLDS, 1) for video in videos} | {UNKNOWN: 0}
    foreign = sorted(set(source.tolist()) - place.keys())
    if foreign:
        raise DataError(
            f"no fold holds source video {foreign[0]}; use the index.csv of the data set as it was published"
        )
    number = np.array([place[video] for video in source.tolist()])
    part = np.full(len(source), "train", dtype="<U5")
    part[number == fold] = "test"
    part[number == fold % len(FOLDS) + 1] = "val"
    return part


@datasets.register_family("video/surveillance_fight-fold")
@functools.cache
def fight_fold(number: str) -> type[SurveillanceFight]:
    """The class of ``video/surveillance_fight-fold<k>``: the k-th group of source videos is tested."""
    return one_fold(SurveillanceFight, number)
