"""The name of a machine in a record: fine enough that two processors whose last bits differ have two names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from benchmark import cost


def test_processors_of_one_name_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    def proc(model: int) -> Any:
        first = f"processor\t: 0\nmodel name\t: AMD  EPYC\ncpu family\t: 25\nmodel\t\t: {model}\n"
        text = f"{first}\nprocessor\t: 1\nmodel\t\t: 99\n"
        return lambda self, **_: text

    capability = torch.backends.cpu.get_cpu_capability()
    for model in (1, 17):
        monkeypatch.setattr(Path, "read_text", proc(model))
        assert cost.hardware("cpu") == f"AMD EPYC (family 25, model {model}, {capability})"


def test_without_the_file_there_is_still_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(self: Path, **_: Any) -> str:
        raise FileNotFoundError(self)

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert cost.hardware("cpu").startswith("arm64 (")
