"""Packing: which cell a free process takes, so that what runs beside each other fits into the memory of its place.

A place is a GPU, several that share a cell, or (None) the memory of this machine. What a cell needs is the peak that
earlier records of its row, else of its modality, had on this kind of device.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmark import estimate
from benchmark.cell import Cell

USUAL = 1536.0  # MiB of a cell that nothing is known of: torch, one data set, one model
CONTEXT = 600.0  # MiB that CUDA itself takes of a GPU for each process, which no peak of torch counts
SHARE = 0.9  # of the free memory that may be planned with: a peak differs from run to run
GROUP = Path("/sys/fs/cgroup")
Place = str | None


@dataclass(frozen=True)
class Packing:
    """needs: MiB by number of the cell, USUAL for any other; room: MiB by place. A place without room takes anything."""

    needs: Mapping[int, float]
    room: Mapping[Place, float]

    def choose(self, waiting: Sequence[int], running: Sequence[int], place: Place) -> int | None:
        """Index of the first of ``waiting`` that fits beside the numbers ``running`` at this place; None: wait until one of
        them ends. Where nothing runs, the first may start whatever it needs: it will never get more."""
        if not waiting:
            return None
        if not running or place not in self.room:
            return 0
        left = self.room[place] - sum(map(self.need, running))
        return next((i for i, number in enumerate(waiting) if self.need(number) <= left), None)

    def need(self, number: int) -> float:
        """MiB of a cell."""
        return self.needs.get(number, USUAL)


def packing(
    cells: Sequence[tuple[int, Cell]], records: Sequence[Mapping[str, Any]], device: str, places: Sequence[str]
) -> Packing:
    """For numbered cells on ``device`` ("cpu", "cuda"), whose GPUs are called ``places`` (several names, with commas)."""
    kind = "peak_device_mib" if places else "peak_rss_mib"
    known: dict[estimate.Row, float] = {}
    needs: dict[int, float] = {}
    for number, cell in cells:
        row = estimate.row(cell)
        if row not in known:
            here = [one for one in estimate.finished(cell, records) if one["cost"].get("device") == device]
            peaks = [one["cost"].get(kind) or 0.0 for one in estimate.alike(cell, here) or here]
            known[row] = max(peaks, default=0.0)
        if known[row]:
            needs[number] = known[row] + (CONTEXT if places else 0.0)
    free = None if places else free_memory()
    return Packing(needs, _gpus(places) if free is None else {None: SHARE * free / 2**20})


def free_memory() -> int | None:
    """Bytes that processes can still take of this machine's memory, or of what a container or a job may have of it; None
    where the system does not say."""
    return min((value for value in (_machine(), _group()) if value is not None), default=None)


def _machine() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return None


def _group() -> int | None:
    """What the control group (version 2) leaves; files in its cache can be thrown out, so they count as free."""
    try:
        limit, used = ((GROUP / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current"))
        kept = dict(line.split() for line in (GROUP / "memory.stat").read_text(encoding="ascii").splitlines())
        return None if limit == "max" else max(0, int(limit) - int(used) + int(kept.get("inactive_file", 0)))
    except (OSError, ValueError):
        return None


def _gpus(places: Sequence[str]) -> dict[Place, float]:
    """Of each place the memory of its smallest GPU. CUDA numbers the GPUs that this process sees from nought."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = [name for name in visible.split(",") if name] if visible is not None else None
    room: dict[Place, float] = {}
    for place in places:
        numbers = [names.index(name) if names else int(name) for name in place.split(",")]
        room[place] = SHARE * min(torch.cuda.get_device_properties(n).total_memory for n in numbers) / 2**20
    return room
