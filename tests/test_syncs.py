"""No step waits for the device: source inspection of everything a forward runs through; on a GPU see test_contracts.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmark.contracts.syncs import ALLOWED, waits

ROOT = Path(__file__).resolve().parents[1]
# What a step does not run through: the loop around it, names, types, and what is only done when a method is built.
OUTSIDE = {"__init__.py", "pretrain.py", "ranks.py", "registry.py", "randomness.py", "modality.py"}
FILES = sorted(
    path for folder in ("jepakit", "baselines") for path in (ROOT / folder).rglob("*.py") if path.name not in OUTSIDE
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_forward_waits_for_the_device(path: Path) -> None:
    found = [one for one in waits(path.read_text(encoding="utf-8")) if (path.name, one.function) not in ALLOWED]
    assert not found, "\n".join(f"{path.name}:{one.line} {one.function}: {one.text}" for one in found)


def test_every_exception_is_still_needed() -> None:
    found = {(path.name, one.function) for path in FILES for one in waits(path.read_text(encoding="utf-8"))}
    assert set(ALLOWED) <= found, f"remove {set(ALLOWED) - found} from ALLOWED"


PLANTED = {
    "x.sum().item()": "def forward(self, x: Tensor):\n    return x.sum().item()",
    "float(loss)": "def forward(self, batch: Batch):\n    loss = batch.x.mean()\n    return float(loss)",
    "x.cpu()": 'def forward(self, x: Float[Tensor, "b n"]):\n    return x.cpu()',
    "index.tolist()": "def forward(self, x: Tensor):\n    index = x.argmax(1)\n    return [x[i] for i in index.tolist()]",
    "bool(done)": "def forward(self, x: Tensor):\n    done = (x > 0).all()\n    return bool(done)",
    "torch.nonzero(x)": "def forward(self, x: Tensor):\n    return torch.nonzero(x)",
    "x[mask]": "def forward(self, x: Tensor):\n    mask = x > 0\n    return x[mask]",
    "x[~seen]": 'def forward(self, x: Tensor, seen: Bool[Tensor, "b"]):\n    return x[~seen]',
    "x[:, x[0] > 1]": "def forward(self, x: Tensor):\n    return x[:, x[0] > 1]",
    "(x > 0).any()": "def forward(self, x: Tensor):\n    if (x > 0).any():\n        return x",
    "x.isnan().any()": "def forward(self, x: Tensor):\n    while not x.isnan().any():\n        x = x + 1",
    "torch.where(x > 0)": "def forward(self, x: Tensor):\n    return torch.where(x > 0)",
    "x.to('cpu')": "def forward(self, x: Tensor):\n    return x.to('cpu')",
    "int(n)": "def forward(self, x: Tensor):\n    n = torch.bincount(x).max()\n    return x[: int(n)]",
    "torch.tensor([1.0], device=x.device)": "def f(x: Tensor):\n    return x + torch.tensor([1.0], device=x.device)",
}  # fmt: skip


@pytest.mark.parametrize("text", PLANTED)
def test_a_planted_wait_is_found(text: str) -> None:
    source = PLANTED[text]
    assert text in [one.text for one in waits(source)]
    method = "class Masker:\n" + "\n".join("    " + line for line in source.splitlines())
    assert text in [one.text for one in waits(method)], "not found inside a class"


@pytest.mark.parametrize(
    "source",
    [
        "def forward(self, x: Tensor, keep: float):\n    return x[:, : int(keep * x.shape[1])]",
        "def forward(self, x: Tensor | None):\n    return 0 if x is None else x",
        "def forward(self, x: Tensor):\n    order = x.argsort(1)\n    return x[order[:, :2]]",
        "def forward(self, x: Tensor):\n    return torch.where(x > 0, x, 0)",
        "def forward(self, x: Tensor):\n    if x.ndim == 3 and len(x) > 2:\n        return x.mean()",
        "def __init__(self, x: Tensor):\n    self.scale = float(x.std())",
    ],
)
def test_host_values_are_no_waits(source: str) -> None:
    assert waits(source) == []
