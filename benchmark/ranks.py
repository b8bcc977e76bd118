"""Ranks: the processes that pre-train one cell together (``--devices 2``). This process is the first; the others are
started here with the cell's spec, run the training loop and nothing else, and end with it.

Only pre-training is shared: what is watched, saved, extracted and probed belongs to the first rank. A rank that dies ends
the others, at once on gloo and within ten minutes on NCCL, and the cell becomes a row with status ``error`` that the same
command tries again from its last checkpoint.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from benchmark import CHECKOUT, plugin, signals, slurm, spec
from benchmark.atomic import write_bytes
from benchmark.cell import Cell
from benchmark.subset import limited
from jepakit import pretrain
from jepakit.modality import Modality
from jepakit.ranks import SILENCE, Team
from jepakit.registry import datasets
from jepakit.types import UsageError

WATCHES = 10  # how often features are looked at during pre-training
CHECKPOINTS = 10
GRACE = 10.0  # seconds that the other ranks have to end by themselves


def often(steps: int, times: int) -> int:
    """After how many steps something is done that is done so many times in all; all ranks must agree on it."""
    return max(1, steps // times)


class RankDied(Exception):
    """One of the processes that train a cell ended before the others."""


@contextmanager
def together(cell: Cell, modality: Modality, folder: Path, device: str, devices: int) -> Iterator[Team | None]:
    """The first rank of ``devices``, the others running; None for one device. ``folder``: of the run, with its checkpoint.

    Raises UsageError where the batch cannot be shared equally, RankDied where another rank ended early.
    """
    if devices == 1:
        yield None
        return
    if cell.training.batch_size % devices:
        raise UsageError(
            f"a batch of {cell.training.batch_size} rows cannot be shared by {devices} devices; choose a multiple as "
            "train.batch_size"
        )
    team = Team(0, devices, folder / f"meet-{uuid.uuid4().hex}", SILENCE)
    said = folder / "spec.json"
    write_bytes(said, spec.text(cell).encode())
    words = [sys.executable, "-m", "benchmark.ranks", str(said), "--meet", str(team.meet), "--world", str(devices)]
    words += ["--device", device, *(["--data", str(modality.root)] if modality.root else [])]
    words += [word for path in plugin.loaded() for word in ("--plugin", str(path))]
    others = [_start([*words, "--rank", str(index)], folder / f"rank-{index}.log") for index in range(1, devices)]
    try:
        _await(team, others)
        with team.joined(device):
            yield team
    except Exception as error:
        dead = {
            index: told
            for index, other in enumerate(others, 1)
            if (told := _death(other, folder / f"rank-{index}.log"))
        }
        if not dead:
            raise
        raise RankDied("; ".join(f"rank {index} of {devices} {told}" for index, told in dead.items())) from error
    finally:
        for other in others:
            with suppress(subprocess.TimeoutExpired):
                other.wait(GRACE)
            other.kill()
            other.wait()
        for path in (team.meet, *(_ready(team, index) for index in range(1, devices))):
            path.unlink(missing_ok=True)


def _ready(team: Team, index: int) -> Path:
    """A file that a rank writes when it has read its cell and its data and goes to meet the others."""
    return team.meet.with_name(f"{team.meet.name}-{index}")


def _await(team: Team, others: Sequence[subprocess.Popen[bytes]]) -> None:
    """Return when every rank is ready: who has joined waits for all others, and would not hear that one of them has died.

    Raises TimeoutError where one never will be."""
    limit = time.monotonic() + team.silence
    while missing := [index for index in range(1, team.world) if not _ready(team, index).exists()]:
        if time.monotonic() > limit or any(others[index - 1].poll() is not None for index in missing):
            raise TimeoutError(f"rank {missing[0]} of {team.world} did not become ready within {team.silence:g} s")
        time.sleep(0.05)


def _start(words: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """A rank whose warnings and last words go to a file: nobody empties a pipe while it trains."""
    with log.open("wb") as file:
        return subprocess.Popen(words, cwd=CHECKOUT, stdout=subprocess.DEVNULL, stderr=file)


def _death(other: subprocess.Popen[bytes], log: Path) -> str | None:
    """How a rank ended, None where it ended well or runs."""
    with suppress(subprocess.TimeoutExpired):
        code = other.wait(1.0)
        if code == 0:
            return None
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:] or [""]
        return f"died of signal {-code}" if code < 0 else f"ended with exit code {code}: {last[0][:200]}"
    return None


def main(words: Sequence[str] | None = None) -> int:
    """One of the other ranks."""
    parser = argparse.ArgumentParser("benchmark.ranks", description=__doc__)
    parser.add_argument("spec", type=Path)
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--world", type=int, required=True)
    parser.add_argument("--meet", type=Path, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--plugin", type=Path, action="append", default=[])
    asked = parser.parse_args(words)
    plugin.everything(asked.plugin)
    cell = spec.read(asked.spec)
    if asked.device == "cpu":
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
    modality = limited(datasets[cell.name].make(asked.data), cell.limit)
    objective = pretrain.build(cell.method, modality, cell.size, cell.seed, dict(cell.settings))
    team = Team(asked.rank, asked.world, asked.meet)
    try:
        _ready(team, team.index).touch()
        with slurm.unseen(), team.joined(asked.device):
            pretrain.fit(
                objective, modality, cell.training, seed=cell.seed, folder=asked.spec.parent, device=asked.device,
                checkpoint_every=often(cell.training.steps, CHECKPOINTS), watch_every=often(cell.training.steps, WATCHES),
                team=team,
            )  # fmt: skip
    except KeyboardInterrupt as stop:
        return signals.exit_code(signals.reason(stop))
    return 0


if __name__ == "__main__":
    sys.exit(main())
