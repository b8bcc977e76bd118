"""AudioModality: what the data sets of sound share: wave tokens, spectrogram tiles, views and hand-made features."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from jepakit.modality import Modality
from jepakit.types import PARTS, Batch, Data, DataError, Part, UsageError
from modalities.audio.clips import Clips, Fill, clips, sounds
from modalities.audio.features import LogMel, usual
from modalities.audio.frontend import Layers, WaveTokenizer
from modalities.audio.spectral import SpectralTokens
from modalities.audio.views import view
from modalities.image.parts import contents
from modalities.signals import SignalModality

WHOLE = "whole"  # the side input under which ``crop`` keeps the recording that ``views`` starts from


class AudioModality(SignalModality):
    """Sound (b, c, t), root mean square about 1. A subclass states the facts and how to ``read`` its parts.

    layers: (width, kernel, stride) of the front end, ``patch`` being the product of its strides; window, frame, bands, tile:
    samples of an analysis window and of a hop, mel bands, and (bands, frames) of a tile, all of the spectrogram; speed: the
    largest change of speed in a view, 0 where a label depends on pitch.
    """

    name: ClassVar[str] = "audio"
    board: ClassVar[tuple[str, ...]] = (
        "wavjepa", "specjepa", "ijepa", "data2vec", "lejepa", "mae", "simclr", "vicreg", "supervised", "random_init",
        "raw_features",
    )  # fmt: skip
    channels: ClassVar[int] = 1
    layers: ClassVar[Layers]
    window: ClassVar[int]
    frame: ClassVar[int]
    bands: ClassVar[int] = 40
    tile: ClassVar[tuple[int, int]]
    speed: ClassVar[float] = 0.0

    def tokenizer(self, dim: int) -> nn.Module:
        return WaveTokenizer(self.layers, self.grid, dim, self.channels)

    def spectral(self) -> SpectralTokens:
        """The same data set as tiles of its log-mel spectrogram."""
        return SpectralTokens(self)

    def channelwise(self) -> Modality:
        raise UsageError(
            f"{self.name}/{self.dataset} has no channels that could be tokens of their own; methods on channel tokens "
            "cannot run on it, name another method"
        )

    def crop(self, batch: Batch) -> Batch:
        """A random stretch of a recording that is longer than the input. The recording goes along as a side input, so that
        two views of it are two stretches."""
        cut = super().crop(batch)
        return batch if cut is batch else replace(cut, extra={**cut.extra, WHOLE: batch.x})

    def views(self, batch: Batch) -> Batch:
        """A stretch of the recording with another loudness, equaliser, noise and (where ``speed`` allows) speed."""
        extra = {name: column for name, column in batch.extra.items() if name != WHOLE}
        return replace(batch, x=view(batch.extra.get(WHOLE, batch.x), self.length, self.speed), extra=extra)

    def handmade(self, batch: Batch) -> Float[Tensor, "b f"]:
        """MFCC in five segments, MFCC and log-mel statistics of the sounding part of the mean over channels."""
        mel = LogMel(self.rate, self.window, self.frame, self.bands).to(batch.x.device)
        return usual(mel(batch.x.mean(1)))


class ClipModality(AudioModality):
    """Data sets made of sound files: decoded, resampled, levelled and fitted to ``stored`` samples, once per process.

    Where a data set has official folds, the class itself is fold 1 and ``modalities.folds`` makes one class for each; all
    folds share the decoded files. folds: how many there are; fold: which part is tested; fold_of: the data set that a fold
    belongs to; question: name of the only task.
    """

    stored: ClassVar[int]
    fill: ClassVar[Fill] = "silence"
    folds: ClassVar[int] = 0
    fold: ClassVar[int] = 1
    fold_of: ClassVar[str | None] = None
    question: ClassVar[str] = "label"

    @classmethod
    @abstractmethod
    def sort(cls, found: Clips, folder: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(part, label, unit) of every file: (n,) names of parts ("" for a file that is left out), codes, and strings."""

    @classmethod
    def listing(cls, folder: Path) -> Sequence[Path]:
        """The files of the data set below its folder."""
        return sounds(folder)

    @classmethod
    def remedy(cls) -> str:
        """What to do when the files are missing or broken."""
        return "copy it again from the source"

    @classmethod
    def folder(cls, root: Path | None) -> Path:
        """The folder of this data set below the data root; DataError when either is missing."""
        place = cls.fold_of or cls.dataset
        name = f"{cls.name}/{place}"
        if root is None:
            raise DataError(
                f"{cls.name}/{cls.dataset} needs a data root; set JEPAKIT_DATA (or --data) to the folder that holds {name}, "
                f"{cls.remedy()}"
            )
        if not (root / cls.name / place).is_dir():
            raise DataError(f"the data root {root} has no folder {name}; {cls.remedy()}")
        return root / cls.name / place

    @classmethod
    def read(cls, root: Path | None) -> dict[Part, Data]:
        folder, name = cls.folder(root), f"{cls.name}/{cls.dataset}"
        shared: type[ClipModality] = (
            cls.__mro__[1] if cls.fold_of else cls
        )  # folds name the same function, so that they share what it lists
        found = clips(
            folder, cls.fold_of or cls.dataset, shared.listing, int(cls.rate), cls.stored, cls.fill, cls.remedy()
        )
        part, label, unit = cls.sort(found, folder)
        rows = {name: np.flatnonzero(part == name) for name in PARTS}
        copies = _copies(found, rows)
        parts: dict[Part, Data] = {}
        for one in PARTS:
            kept = np.setdiff1d(rows[one], copies[one])
            if not len(kept):
                raise DataError(f"{name} has no sound in {one}; complete {folder}, or {cls.remedy()}")
            repairs = found.counted(kept)
            if len(copies[one]):
                repairs["copies_of_a_later_part_dropped"] = len(copies[one])
            x = torch.from_numpy(found.x[kept])[:, None]
            parts[one] = Data(x, {cls.question: torch.from_numpy(label[kept])}, unit[kept], repairs=repairs)
        return parts


def _copies(found: Clips, rows: Mapping[Part, np.ndarray]) -> dict[Part, np.ndarray]:
    """Rows whose samples also occur, bit by bit, in a later part (train < val < test)."""
    hashes = contents(found.x)
    copies: dict[Part, np.ndarray] = {}
    for rank, part in enumerate(PARTS):
        later = np.concatenate([hashes[rows[other]] for other in PARTS[rank + 1 :]] or [hashes[:0]])
        copies[part] = rows[part][np.isin(hashes[rows[part]], later)]
    return copies


def in_turn(group: np.ndarray, folds: int, fold: int) -> np.ndarray:
    """Names of parts by group number (n,) from 1 to ``folds``: group ``fold`` is tested, the next one (in a circle) is for
    validation, the others train."""
    part = np.full(len(group), "train", dtype="<U5")
    part[group == fold] = "test"
    part[group == fold % folds + 1] = "val"
    return part
