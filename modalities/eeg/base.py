"""EegModality: what the EEG data sets share: electrode tokens, windows, views, band power and the scale of train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor, nn

from jepakit.modality import Modality
from jepakit.types import Batch, Data, DataError, Part
from modalities.eeg.features import band_power
from modalities.eeg.montage import TEN_TWENTY, positions
from modalities.eeg.tokens import ElectrodeTokenizer
from modalities.eeg.views import view
from modalities.signals import ChannelTokens, SignalModality

CLIP = 15.0  # robust standard deviations (the masking study of spec 6)
LOOKED_AT = 4_000_000  # samples of a channel
NORMAL = 1.349  # quartile distance of a normal distribution of variance 1


class EegModality(SignalModality):
    """An EEG data set: subclasses add ``dataset``, ``card``, ``tasks`` and ``read``.

    One token per electrode and ``patch`` samples, grid (electrodes, stretches); ``Tokens.pos`` is the electrode's place in
    centimetres (right, front, up) and the number of the stretch, so that maskers know who is whose neighbour. Stored
    recordings may be longer than ``length``: windows of them do not overlap.
    """

    name: ClassVar[str] = "eeg"
    board = (
        "eeg-jepa", "sjepa", "eeg-vjepa", "ijepa", "lejepa", "mae", "simclr", "vicreg", "supervised", "random_init",
        "raw_features", "tangent", "moments",
    )  # fmt: skip
    electrodes: ClassVar[tuple[str, ...]] = TEN_TWENTY
    channels: ClassVar[int] = len(TEN_TWENTY)

    def __init__(self, root: Path | None = None) -> None:
        super().__init__(root)
        self.grid = (self.channels, self.length // self.patch)

    def tokenizer(self, dim: int) -> nn.Module:
        return ElectrodeTokenizer(positions(self.electrodes), self.patch, self.grid[1], self.rate, dim)

    @property
    def patch_values(self) -> int:
        return self.patch

    def patches(self, batch: Batch) -> Float[Tensor, "b n e"]:
        """(b, electrodes · stretches, patch)."""
        return batch.x.unfold(2, self.patch, self.patch).flatten(1, 2)

    def windows(self, data: Data) -> Data:
        """Windows of ``length`` side by side; ``record`` stays as it is: absent where every window is judged alone."""
        each = self._checked(data.x) // self.length
        if each == 1:
            return data if data.x.shape[-1] == self.length else replace(data, x=data.x[..., : self.length])
        return Data(
            data.x.unfold(2, self.length, self.length).transpose(1, 2).flatten(0, 1),
            {name: column.repeat_interleave(each, 0) for name, column in data.labels.items()},
            np.repeat(data.unit, each),
            None if data.record is None else np.repeat(data.record, each),
            {name: column.repeat_interleave(each, 0) for name, column in data.extra.items()},
            data.repairs,
        )

    def channelwise(self) -> Modality:
        """The same tokens with the number of the electrode instead of its place."""
        return ChannelTokens(self)

    def views(self, batch: Batch) -> Batch:
        return batch.with_x(view(batch.x, self.rate))

    def handmade(self, batch: Batch) -> Float[Tensor, "b f"]:
        """Log band power of every electrode."""
        return band_power(batch.x, self.rate)

    @classmethod
    def folder(cls, root: Path | None) -> Path:
        """The folder of this data set below the data root; DataError when either is missing."""
        name = f"{cls.name}/{cls.stored()}"
        if root is None:
            raise DataError(
                f"{name} needs a data root; set JEPAKIT_DATA (or --data) to the folder that holds {name}: {cls.remedy()}"
            )
        folder = Path(root) / cls.name / cls.stored()
        if not folder.is_dir():
            raise DataError(
                f"the data root {root} has no folder {name}; {cls.remedy()}, or set JEPAKIT_DATA (or --data) to the folder "
                "that holds it"
            )
        return folder

    @classmethod
    def stored(cls) -> str:
        """The name of the folder below ``<root>/eeg``."""
        return cls.dataset

    @classmethod
    def remedy(cls) -> str:
        """What a person does when files are missing."""
        return "put its files there"


def robust(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and robust standard deviation (quartile distance / 1.349) per channel of (c, t), each (c, 1)."""
    low, middle, high = np.quantile(x, [0.25, 0.5, 0.75], axis=1)
    return middle[:, None], np.maximum((high - low) / NORMAL, 1e-12)[:, None]


def scale(parts: Mapping[Part, np.ndarray]) -> dict[Part, np.ndarray]:
    """Every part (n, c, t) by the per-channel median and robust deviation of *train*, clipped to ±15, float32, in place.

    Of a large part every k-th row is looked at: quantiles of a million samples are as good as those of a billion.
    """
    train = parts["train"]
    step = max(1, len(train) * train.shape[2] // LOOKED_AT)
    middle, spread = robust(train[::step].transpose(1, 0, 2).reshape(train.shape[1], -1))
    scaled: dict[Part, np.ndarray] = {}
    for part, x in parts.items():
        x = np.asarray(x, dtype=np.float32)
        x -= middle.astype(np.float32)
        x /= spread.astype(np.float32)
        scaled[part] = np.clip(x, -CLIP, CLIP, out=x)
    return scaled
