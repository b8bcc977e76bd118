"""Cost: parameters, peak memory, hardware and versions, as they enter a record; FLOPs are counted in ``flops``."""

from __future__ import annotations

import platform
import resource
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import nn

import jepakit

LIBRARIES = ("torch", "pytorch-lightning", "timm", "numpy", "scikit-learn", "scipy")


def parameters_m(module: nn.Module, *, trained: bool = False) -> float:
    """Parameters in millions, each shared one counted once; ``trained``: only those that get a gradient."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trained) / 1e6


def reset_peak_rss() -> None:
    """Start the peak anew, so that a cell is not charged for its predecessors (Linux; elsewhere the process peak)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak_rss_mib() -> float:
    """Peak resident memory in MiB since ``reset_peak_rss``."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)


def hardware(device: str) -> str:
    """Model of the processor or accelerator behind ``device``, as seconds can only be compared within one.

    A processor's name alone is a family's ("AMD EPYC"); with its model and the instructions that torch chose, it tells
    where two runs of one key may end in other bits.
    """
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("\n\n")[0].splitlines()
    except OSError:
        lines = []
    known = {
        name.strip().lower(): " ".join(value.split()) for name, _, value in (line.partition(":") for line in lines)
    }
    name = known.get("model name") or platform.processor() or platform.machine()
    places = [f"{part} {known[key]}" for part, key in (("family", "cpu family"), ("model", "model")) if known.get(key)]
    return f"{name} ({', '.join([*places, torch.backends.cpu.get_cpu_capability()])})"


def versions() -> dict[str, str]:
    """Versions of Python, of this suite and of the libraries that compute."""
    found = {"python": platform.python_version(), "jepakit": jepakit.__version__}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
