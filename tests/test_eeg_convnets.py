"""braindecode's networks as rows: they read the signals, train like ``supervised``, and exist only where installed."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from waves import Waves

import baselines  # noqa: F401 - registers
from jepakit.pretrain import build
from jepakit.registry import methods
from jepakit.types import Size, UsageError
from modalities.eeg.simulated import Simulated

SIZE = Size(16, 1, 2, 8, 1, 2, steps=10)


def test_without_the_extra_there_are_no_such_rows_and_asking_for_one_names_it() -> None:
    hidden = (
        "import sys, importlib.util as u; find = u.find_spec;"
        "u.find_spec = lambda name, *a: None if name == 'braindecode' else find(name, *a);"
        "import baselines; from jepakit.registry import methods;"
        "print(sorted({'shallow', 'eegnet', 'tangent'} & set(methods)));"
        "print(methods['eegnet'].info['family']); methods.ready('eegnet')"
    )
    done = subprocess.run([sys.executable, "-c", hidden], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "['tangent']\nsupervised"
    assert "method 'eegnet' is not installed: it needs braindecode>=1.8; .venv/bin/pip install" in done.stderr


@pytest.mark.parametrize(("name", "width"), [("shallow", 840), ("eegnet", 192)])
def test_the_network_trains_on_the_labels_of_simulated_eeg(name: str, width: int) -> None:
    """Widths by hand: 400 − 25 + 1 = 376 values, (376 − 75) // 15 + 1 = 21 pools of 40 maps; 400 // 4 // 8 = 12 of 16."""
    pytest.importorskip("braindecode")
    modality = Simulated()
    objective = build(name, modality, SIZE, 0)
    batch = modality.data("train").batch(torch.arange(32))
    assert objective.encoder().eval().embed(batch).shape == (32, width)
    objective.train()
    optimizer = torch.optim.AdamW(objective.parameters(), lr=3e-3)
    curve = []
    for _ in range(20):
        loss = objective(batch, 0.0).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        curve.append(float(loss.detach()))
    assert curve[-1] < 0.8 * curve[0]
    assert all(p.grad is not None for p in objective.parameters())


def test_signals_that_are_too_short_are_refused() -> None:
    pytest.importorskip("braindecode")
    with pytest.raises(UsageError, match="use a data set with longer windows"):
        methods["shallow"].make(Waves(grid=(4,)), SIZE)
