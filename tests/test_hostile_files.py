"""Files that mean harm: payloads, bombs and lies, each refused in a sentence; a marker file shows that nothing ran."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from guard import watched

from benchmark.cache import Cache
from benchmark.predictions import Store
from jepakit.types import DataError, UsageError
from modalities.audio.clips import read_clip
from modalities.eeg.montage import TEN_TWENTY
from modalities.eeg.records import Cleaning, read_recording
from modalities.image import plain
from modalities.image.archives import decode, members
from modalities.image.idx import read_idx

REMEDY = "copy it again"


class Evil:
    """Makes the file ``executed`` where it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def array_of_objects(path: Path) -> None:
    np.save(path, np.array([Evil()], dtype=object), allow_pickle=True)


def read_cifar(path: Path) -> object:
    return plain.load(path.read_bytes(), path.name)


def read_features(path: Path) -> object:
    from benchmark.features import load

    return load(path)


def npz(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, **{"train.pooled": np.array([Evil()], dtype=object)})


PAYLOADS: dict[str, tuple[Callable[[Path], object], Callable[[Path], object]]] = {
    "cifar": (lambda path: path.write_bytes(pickle.dumps({"data": Evil()})), read_cifar),
    "features": (npz, read_features),
}


@pytest.mark.parametrize("name", PAYLOADS)
def test_a_payload_is_not_executed(name: str, tmp_path: Path) -> None:
    write, read = PAYLOADS[name]
    path = tmp_path / "payload.npz"
    write(path)
    with watched(tmp_path) as outside, pytest.raises(UsageError, match=r"payload\.npz"):
        read(path)
    assert not (tmp_path / "executed").exists() and not outside


def test_a_payload_in_predictions_encoders_and_checkpoints_is_not_executed(tmp_path: Path) -> None:
    folder = tmp_path / "records" / "toy" / "toy" / "m"
    folder.mkdir(parents=True)
    with (folder / "00ff.npz").open("wb") as file:
        np.savez(file, **{"kind.label": np.array([Evil()], dtype=object)})
    record = {"modality": "toy", "dataset": "toy", "method": "m"}
    with pytest.warns(UserWarning, match=r"00ff\.npz are not readable"):
        assert Store(tmp_path, {"00ff": record}).run("00ff", "kind", "linear") is None
    cache = Cache(tmp_path)
    cache.encoders.mkdir(parents=True)
    (cache.encoders / "00ff.safetensors").write_bytes(pickle.dumps(Evil()))
    assert not cache.load_encoder("00ff", torch.nn.Linear(2, 2))
    torch.save({"state_dict": Evil()}, tmp_path / "last.ckpt")
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert not (tmp_path / "executed").exists()


def test_links_devices_and_names_that_climb_write_nothing(tmp_path: Path) -> None:
    archive = tmp_path / "in" / "a.tar"
    archive.parent.mkdir()
    with tarfile.open(archive, "w") as tar:
        for name, kind in (
            ("link", tarfile.SYMTYPE),
            ("hard", tarfile.LNKTYPE),
            ("null", tarfile.CHRTYPE),
            ("pipe", tarfile.FIFOTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            tar.addfile(info)
        for name in ("../../climbs", "/absolute", "a\u202e.png", "CON"):
            info = tarfile.TarInfo(name)
            info.size = 1
            tar.addfile(info, io.BytesIO(b"x"))
    with watched(archive.parent) as outside:
        found = dict(members(archive, REMEDY, lambda name: True))
    assert set(found) == {"../../climbs", "/absolute", "a\u202e.png", "CON"} and not outside
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.tar", "in"]


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\x00" * 99)) + chunk(b"IEND", b"")
    )


def bomb_idx(path: Path) -> object:
    path.write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", *[2**32 - 1] * 3) + b"x")
    return read_idx(path.parent, path.name, 3, REMEDY)


def bomb_wav(path: Path) -> object:
    size = 2**31 - 1
    body = (
        b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
        + b"data"
        + struct.pack("<I", size)
        + b"\0" * 8
    )
    path.write_bytes(b"RIFF" + struct.pack("<I", size) + body)
    return read_clip(path, REMEDY)


def bomb_edf(path: Path) -> object:
    head = f"{'0':<8}{'x':<80}{'x':<80}01.01.2000.00.00{512:<8}{'':<44}{99999999:<8}{1:<8}{1:<4}"[:256]
    path.write_bytes(
        (
            head + f"{'EEG':<16}{'':<80}{'uV':<8}{-100:<8}{100:<8}{-32768:<8}{32767:<8}{'':<80}{99999999:<8}{'':<32}"
        ).encode()
    )
    return read_recording(path, TEN_TWENTY, Cleaning())


def bomb_png(path: Path) -> object:
    path.write_bytes(png(60_000, 60_000))
    return decode(path, str(path), REMEDY, 32)


@pytest.mark.parametrize("bomb", [bomb_idx, bomb_wav, bomb_edf, bomb_png])
def test_a_header_that_lies_is_told_from_a_large_file(bomb: Callable[[Path], object], tmp_path: Path) -> None:
    path = tmp_path / {"bomb_wav": "a.wav", "bomb_edf": "a.edf"}.get(bomb.__name__, "a.dat")
    before = torch.tensor(0)  # numpy and torch are loaded: what follows is the reader's
    with pytest.raises(DataError, match=path.name):
        bomb(path)
    assert not before


def test_a_lying_npy_header_asks_for_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.zeros(4))
    path.write_bytes(path.read_bytes().replace(b"(4,), }", b"(9999999999999,), }").replace(b"      \n", b"\n", 1))
    with pytest.raises((ValueError, MemoryError)):
        np.load(path, allow_pickle=False, mmap_mode="r")
