"""Parts: from clips and labels to Data: copies between parts, and the scale of train."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from jepakit.types import PARTS, Data, DataError, Part
from modalities.image.parts import Images, drop_copies, scale_of


def assemble(name: str, parts: Mapping[Part, Images]) -> dict[Part, Data]:
    """All parts (n, c, t, h, w) as Data with the scale of train, without copies between parts.

    Raises DataError for a part without clips and for a train part that has a constant channel.
    """
    for part in PARTS:
        if not len(parts[part].x):
            raise DataError(f"{name} has no clip in {part}; complete the data folder")
    checked = drop_copies(parts)
    mean, std = (value[..., None] for value in scale_of(checked["train"].x))
    if float(std.min()) == 0:
        raise DataError(f"{name}: a colour channel of train is the same in every pixel; copy the data again")
    return {
        part: Data(
            torch.from_numpy(clips.x),
            {name: torch.from_numpy(column) for name, column in clips.labels.items()},
            clips.unit,
            repairs=clips.repairs,
            scale=(mean, std),
        )
        for part, clips in checked.items()
    }
