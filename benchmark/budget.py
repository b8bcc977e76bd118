"""Budgets: the presets that fix model size, training length, seeds, data rows and probes of a board, in one place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from jepakit.registry import did_you_mean
from jepakit.types import Size


@dataclass(frozen=True)
class Preset:
    """One budget, the same for every row of a board.

    size: of encoder and predictor; training: overrides of ``jepakit.pretrain.Training``; seeds: how many (0, 1, …);
    limit: most rows kept of each part (None: all); published: whether its boards may be quoted. modalities: fields that are
    otherwise for a modality, whose samples are much larger or smaller than a recording of a few seconds.
    """

    name: str
    size: Size
    training: Mapping[str, Any]
    seeds: int
    about: str
    limit: int | None = None
    probes: tuple[str, ...] = field(default=("linear", "knn"))
    published: bool = True
    modalities: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of(self, modality: str) -> Preset:
        """The budget that the boards of ``modality`` have."""
        return replace(self, **self.modalities.get(modality, {}), modalities={})


def _size(dim: int, depth: int, predictor_dim: int, predictor_depth: int, heads: int = 4) -> Size:
    return Size(dim, depth, heads, predictor_dim, predictor_depth, heads)


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="smoke",
            size=_size(32, 2, 16, 1),
            training={"steps": 15, "batch_size": 32},
            seeds=1,
            limit=300,
            published=False,
            about="does every cell run? under a minute per modality on 2 cores; never quoted",
        ),
        Preset(
            name="quick",
            size=_size(64, 4, 32, 2),
            training={"steps": 450, "batch_size": 64, "lr": 5e-3},
            seeds=3,
            about="the default: 10 to 25 minutes for nine rows and three seeds on 2 cores",
            # 64 tokens an image, and masked prediction passes an untrained encoder after 1,000 updates or more: two blocks
            # afford them.
            modalities={
                "image": {
                    "size": _size(64, 2, 32, 1, heads=2),
                    "training": {"steps": 1500, "batch_size": 32, "lr": 5e-3},
                    "about": "the default: about two hours for twenty rows and three seeds on 2 cores",
                },
                # At 5e-3 masked prediction of EEG and of sound falls to a constant or below the untrained encoder. Chosen
                # on validation at seed 7.
                "eeg": {"training": {"steps": 450, "batch_size": 64, "lr": 1e-3}},
                "audio": {"training": {"steps": 450, "batch_size": 64, "lr": 2e-3}},
                # 128 tokens a clip: as many blocks and steps as for images, 60 to 90 seconds of a core. Rate untuned.
                "video": {
                    "size": _size(64, 2, 32, 1, heads=2),
                    "training": {"steps": 1500, "batch_size": 32, "lr": 3e-3},
                    "about": "the default: about an hour and a half for fifteen rows and three seeds on 2 cores",
                },
                # 256 tokens a volume.
                "volume": {
                    "size": _size(64, 2, 32, 1, heads=2),
                    "training": {"steps": 600, "batch_size": 32, "lr": 2e-3},
                    "about": "the default: about three quarters of an hour for twelve rows and three seeds on 2 cores",
                },
                # At 5e-3 T-JEPA falls to a constant and column MAE below the untrained encoder (validation, seed 7).
                "tabular": {
                    "training": {"steps": 450, "batch_size": 64, "lr": 1e-3},
                    "probes": ("linear", "knn", "gbdt", "flat"),
                    "about": "the default: about 45 minutes for eight tables, eleven rows and three seeds on 2 cores",
                },
                # 256 tokens a scene.
                "lidar": {
                    "size": _size(64, 2, 32, 1, heads=2),
                    "training": {"steps": 450, "batch_size": 32, "lr": 2e-3},
                    "about": "the default: under an hour for fourteen rows and three seeds on 2 cores",
                },
            },
        ),
        Preset(
            name="standard",
            size=_size(96, 4, 48, 3),
            training={"steps": 1500, "batch_size": 64, "lr": 3e-3},
            seeds=3,
            about="a CPU board with more time: under an hour on 2 cores",
        ),
        Preset(
            name="full",
            size=_size(192, 8, 96, 8),
            training={"steps": 10_000, "batch_size": 256},
            seeds=5,
            about="a GPU; the XS encoder of the ECG-JEPA paper, five seeds",
            modalities={
                "image": {
                    "size": _size(128, 6, 64, 4),
                    "training": {"steps": 17_600, "batch_size": 256},
                    "about": "a GPU; the encoder of the published small I-JEPA, 100 epochs of CIFAR-10, five seeds",
                }
            },
        ),
    )
}
DEFAULT = "quick"

# The data sets that a modality runs when none is named, where one table says too little (the word dataset=suite). All are
# embedded; a claim about tables is a claim over all of them (``benchmark.suite``).
SUITES: dict[str, tuple[str, ...]] = {
    "tabular": (
        "made_linear", "made_pairs", "made_shells", "made_steps", "breast_cancer", "wine", "digits", "diabetes",
    ),
}  # fmt: skip
SUITE_WORD = "suite"

# What the rows of a board have in equal measure (the word budget=), and the row that says how much of it.
EQUAL = {
    "samples": "equal samples: every row takes the preset's steps",
    "flops": "equal training FLOPs: every row takes as many steps as the FLOPs of `{reference}` pay for",
    "seconds": "equal seconds of training: every row takes as many steps as fit into the time of `{reference}`",
}
REFERENCE = "mae"
# The override that the plan works out from the word budget= (``benchmark.equal``): it follows from the board, so no person
# types it and it makes neither boards nor rows.
STEPS = "budget.steps"


def about(overrides: str) -> str:
    """What a board whose rows share these overrides (``key=text key=text``) has in equal measure; "" if samples."""
    words = [word.removeprefix("budget=") for word in overrides.split() if word.startswith("budget=")]
    return EQUAL[words[0]].format(reference=REFERENCE) if words and words[0] in EQUAL else ""


def preset(name: str) -> Preset:
    """The preset of that name. Raises UsageError with the nearest known one."""
    try:
        return PRESETS[name]
    except KeyError:
        raise did_you_mean("preset", name, list(PRESETS)) from None
