"""Frame controls: ``supervised`` on one frame, and on frames whose order is lost: what labels need neither motion nor order.

Kept: encoder, batches, steps, optimiser and labels of ``supervised``; every frame is replaced by the middle one
(``single_frame``), or the frames are sorted by a key of their content (``shuffled``), in training and when probed.
Differs: not a paper. The rows learn from labels because that is the strongest reader that the budget affords: what they
cannot tell, no pre-trained encoder tells from the same frames, so a row that is not clearly above them has used no motion.
Tests: test_video_controls.py, test_contracts.py.
"""

from baselines.supervised import Supervised
from jepakit.frames import Change, Frames, still, unordered
from jepakit.modality import Modality
from jepakit.recipe import vit
from jepakit.registry import methods
from jepakit.types import Size


def register(name: str, paper: str, change: Change) -> None:
    """The row of one change."""

    @methods.register(
        name,
        family="supervised",
        paper=paper,
        augmentation="none",
        training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)},
        space={"train.warmup": (0.02, 0.4, "log")},
    )
    def control(modality: Modality, size: Size) -> Supervised:
        """End-to-end training on whole-sample labels, from changed frames."""
        return Supervised(Frames(vit(modality, size), modality, change), modality)


register("single_frame", "control: the middle frame only, with labels", still)
register("shuffled", "control: frames without their order, with labels", unordered)
