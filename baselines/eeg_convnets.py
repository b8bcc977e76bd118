"""The field's own small networks (braindecode's ShallowFBCSPNet and EEGNet), trained on the labels with the board's budget.

Source: Schirrmeister et al. 2017, arXiv 1703.05051; Lawhern et al. 2018, arXiv 1611.08024; braindecode.
Kept: the architectures with braindecode's constants, batches, steps and optimiser of the board.
Differs: as ``supervised`` (labels of all tasks that are no nuisance, one linear head each, no early stopping) on what
enters the network's own classifier; filters have braindecode's lengths in samples, whatever the sampling rate; probed on
the same features.
Published: OpenEEGBench, three seeds, trained from scratch: arithmetic .77 .74 .69 (Shallow), .50 .52 .60 (EEGNet).
Tests: test_eeg_convnets.py, test_contracts.py.

The rows run where braindecode is installed.
"""

import importlib
import warnings

import torch
from jaxtyping import Float
from torch import Tensor, nn

from baselines.supervised import Supervised
from jepakit.channels import Channels
from jepakit.modality import Modality
from jepakit.registry import methods
from jepakit.types import Batch, Size, UsageError

ROWS = {
    "shallow": ("ShallowFBCSPNet", "Schirrmeister et al. 2017, arXiv 1703.05051"),
    "eegnet": ("EEGNet", "Lawhern et al. 2018, arXiv 1611.08024"),
}


class ConvNet(Channels):
    """A braindecode model up to its classifier, on the signals of the channels."""

    def __init__(self, modality: Modality, kind: str) -> None:
        """Raises UsageError for signals that are too short for the network's filters."""
        super().__init__(modality)
        shown = self.signals(modality.crop(modality.data("train").batch(torch.zeros(2, dtype=torch.long))))
        channels, samples = shown.shape[1:]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            models = importlib.import_module("braindecode.models")  # takes seconds: only who runs the row waits
            try:
                self.model: nn.Module = getattr(models, kind)(n_chans=channels, n_outputs=2, n_times=samples)
                self.model.final_layer = nn.Flatten()
                with torch.no_grad():
                    self.dim = int(self.model.eval()(shown).shape[1])
            except (ValueError, RuntimeError) as error:
                raise UsageError(
                    f"{kind} cannot read {channels} channels of {samples} samples ({error}); use a data set with longer "
                    "windows"
                ) from None

    def embed(self, batch: Batch) -> Float[Tensor, "b d"]:
        features: Float[Tensor, "b d"] = self.model(self.signals(batch))
        return features


def register(name: str, kind: str, paper: str) -> None:
    """The row of one network."""

    @methods.register(
        name,
        family="supervised",
        paper=paper,
        augmentation="none",
        training={"weight_decay": (0.05, 0.05), "betas": (0.9, 0.999)},
        space={"train.warmup": (0.02, 0.4, "log")},
        extra="braindecode>=1.8",
    )
    def convnet(modality: Modality, size: Size) -> Supervised:
        """End-to-end training on whole-sample labels."""
        return Supervised(ConvNet(modality, kind), modality)


for _name, (_kind, _paper) in ROWS.items():
    register(_name, _kind, _paper)
