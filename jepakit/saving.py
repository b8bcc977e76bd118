"""Saving: checkpoints that are whole or not there, with a checksum beside them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins import TorchCheckpointIO


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write beside the file, flush to disk, then rename: a killed run never leaves half a checkpoint.

    ``<name>.sha256`` holds the checksum of the new file and, below, that of the one before it: whichever of them a killed
    run leaves is known.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft, listed = (path.with_name(f".{path.name}{end}.{os.getpid()}.tmp") for end in ("", ".sha256"))
        try:
            with draft.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            with draft.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
            sums = path.with_name(f"{path.name}.sha256")
            before = sums.read_text(encoding="ascii").split()[:1] if sums.is_file() else []
            with listed.open("w", encoding="ascii") as file:
                file.write("\n".join([found, *before]) + "\n")
                file.flush()
                os.fsync(file.fileno())
            os.replace(listed, sums)
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
            listed.unlink(missing_ok=True)
