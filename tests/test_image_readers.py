"""Readers of image files: tiny archives, folders and tables written here, and every way in which they can be broken."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from jepakit.types import PARTS, DataError
from modalities.image import cifar, plain, store
from modalities.image.archives import members
from modalities.image.cifar import Cifar10, Cifar10Jpeg, Cifar100
from modalities.image.idx import FashionMnist

TRAIN, TEST = 200, 40


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JEPAKIT_CACHE", str(tmp_path / "cache"))
    for kind in (Cifar10, Cifar100, Cifar10Jpeg):
        monkeypatch.setattr(kind, "rows", (TRAIN, TEST))
    return tmp_path / "cache"


def pixels(n: int, seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def python2(data: np.ndarray, labels: dict[str, list[int]]) -> bytes:
    """What Python 2's cPickle wrote into the archives: protocol 2, text as bytes, numpy's old module name."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(value)) + value

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    rows, columns = data.shape
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + number(0) + b"\x85" + text(b"b") + b"tR"
    array = array.replace(b"\n(cnumpy", b"\nq\x01(cnumpy")
    dtype = b"cnumpy\ndtype\n(" + text(b"u1") + number(0) + number(1) + b"tR("
    dtype += number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    state = b"(" + number(1) + number(rows) + number(columns) + b"\x86" + dtype + b"\x89" + text(data.tobytes()) + b"tb"
    out = b"\x80\x02}q\x00(" + text(b"data") + array + state
    for key, values in labels.items():
        out += text(key.encode()) + b"]q\x02(" + b"".join(b"K" + bytes([value]) for value in values) + b"e"
    return out + text(b"batch_label") + text(b"training batch") + b"u."


def tar(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def cifar10_files() -> tuple[dict[str, bytes], np.ndarray, np.ndarray]:
    x, y = pixels(TRAIN, 1, 3072), np.arange(TRAIN) % 10
    files = {}
    for k in range(5):
        rows = slice(40 * k, 40 * k + 40)
        content = {"data": x[rows], "labels": y[rows].tolist(), "filenames": [f"{k}.png"] * 40}
        files[f"cifar-10-batches-py/data_batch_{k + 1}"] = (
            python2(x[rows], {"labels": y[rows].tolist()}) if k == 0 else pickle.dumps(content, protocol=min(k + 1, 4))
        )
    test = pixels(TEST, 2, 3072)
    files["cifar-10-batches-py/test_batch"] = python2(test, {"labels": (np.arange(TEST) % 10).tolist()})
    return files, x, test


def test_cifar10_from_the_archive_and_from_its_folder(tmp_path: Path) -> None:
    files, x, test = cifar10_files()
    tar(tmp_path / "a" / "image" / "cifar10" / "cifar-10-python.tar.gz", files)
    for name, content in files.items():
        path = tmp_path / "b" / "image" / "cifar10" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    for root in ("a", "b"):
        parts = Cifar10.read(tmp_path / root)
        assert [len(parts[part]) for part in PARTS] == [180, 20, 40]
        assert np.array_equal(parts["test"].x.numpy().reshape(TEST, -1), test)  # red, green, blue planes, row by row
        for part in ("train", "val"):
            rows = np.array([int(unit.removeprefix("train")) for unit in parts[part].unit])
            assert np.array_equal(parts[part].x.numpy().reshape(len(rows), -1), x[rows])
            assert parts[part].labels["label"].tolist() == (rows % 10).tolist()
        assert np.bincount(parts["val"].labels["label"].numpy()).tolist() == [2] * 10
        assert not set(parts["train"].unit) & set(parts["val"].unit)


def test_cifar100_has_both_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cifar100, "rows", (400, 100))
    files = {}
    for name, n in (("train", 400), ("test", 100)):
        fine = np.arange(n) % 100
        content = {"data": pixels(n, n, 3072), "fine_labels": fine.tolist(), "coarse_labels": (fine // 5).tolist()}
        files[f"cifar-100-python/{name}"] = pickle.dumps(content, protocol=2)
    tar(tmp_path / "image" / "cifar100" / "cifar-100-python.tar.gz", files)
    parts = Cifar100.read(tmp_path)
    assert Cifar100.tasks[0].name == "fine" and len(cifar.FINE) == 100 and len(cifar.COARSE) == 20
    fine, coarse = (parts["test"].labels[name] for name in ("fine", "coarse"))
    assert torch.equal(coarse, fine // 5) and len(parts["val"]) == 100


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch executed",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_malicious_file_is_refused_and_not_executed(
    protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps({"data": Evil()}, protocol=protocol)
    with pytest.raises(DataError, match=r"data_batch_1 asks for .*(system|_reconstruct|instruction).*not executed"):
        plain.load(content, "data_batch_1")
    assert not (tmp_path / "executed").exists()
    pickle.loads(content)  # the file does what it says when it is trusted
    assert (tmp_path / "executed").exists()


def test_objects_are_refused_even_of_harmless_classes() -> None:
    for thing in (pytest.approx, Path("x"), np.array([object()], dtype=object), {1, 2}):
        with pytest.raises(DataError):
            plain.load(pickle.dumps({"data": thing}, protocol=2), "f")
    for thing in ([1], "text"):
        with pytest.raises(DataError, match="damaged or is not a CIFAR file"):
            plain.load(pickle.dumps(thing), "f")


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_plain_values_come_back_as_pickle_reads_them(protocol: int) -> None:
    thing = {
        "data": pixels(5, 0, 7), "f": np.asfortranarray(np.arange(12, dtype=np.int64).reshape(3, 4)),
        "n": [1, -3, 70_000, 1 << 40, None, True, 2.5], b"raw": b"\x00\xff", "t": (1, "ü"),
    }  # fmt: skip
    found = plain.load(pickle.dumps(thing, protocol=protocol), "f")
    assert np.array_equal(found["data"], thing["data"]) and np.array_equal(found["f"], thing["f"])
    assert found["n"] == thing["n"] and found["raw"] == b"\x00\xff" and found["t"] == (1, "ü")
    with pytest.raises(DataError, match="damaged"):
        plain.load(pickle.dumps(thing, protocol=protocol)[:-30], "f")


def test_broken_cifar_archives_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="needs a data root; run `make data MODALITY=image DATASET=cifar10`"):
        Cifar10.read(None)
    with pytest.raises(DataError, match="has no folder image/cifar10"):
        Cifar10.read(tmp_path)
    files, *_ = cifar10_files()
    path = tar(tmp_path / "image" / "cifar10" / "cifar-10-python.tar.gz", files)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz is damaged or half-copied"):
        Cifar10.read(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(DataError, match="is empty"):
        Cifar10.read(tmp_path)
    last = files.pop("cifar-10-batches-py/test_batch")
    tar(path, files)
    with pytest.raises(DataError, match="has no file cifar-10-batches-py/test_batch"):
        Cifar10.read(tmp_path)
    wrong = {
        "rows of 3,072 bytes": python2(pixels(TEST, 2, 100), {"labels": [0] * TEST}),
        "one of 10 classes per image": python2(pixels(TEST, 2, 3072), {"labels": [11] * TEST}),
        "no list 'labels'": python2(pixels(TEST, 2, 3072), {"labels": [1] * (TEST - 1)}),
    }
    for sentence, content in wrong.items():
        tar(path, files | {"cifar-10-batches-py/test_batch": content})
        with pytest.raises(DataError, match=sentence):
            Cifar10.read(tmp_path)
    tar(path, files | {"cifar-10-batches-py/test_batch": last})
    monkeypatch.setattr(Cifar10, "rows", (50_000, 10_000))
    with pytest.raises(DataError, match="has 200 images in train, not 50000"):
        Cifar10.read(tmp_path)


def jpeg(image: np.ndarray, kind: str = "JPEG") -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, kind, quality=95)
    return out.getvalue()


def test_an_archive_that_unpacks_to_far_more_than_images_do_is_refused(tmp_path: Path) -> None:
    def packed(*sizes: int) -> Path:
        path = tmp_path / "bomb.tar.gz"
        with tarfile.open(path, "w:gz") as tar:
            for number, size in enumerate(sizes):
                member = tarfile.TarInfo(f"{number}.png")
                member.size = size
                tar.addfile(member, io.BytesIO(bytes(size)))
        return path

    for path in (packed(1 << 22), packed(*[1 << 16] * 64)):  # zeros shrink a thousandfold
        with pytest.raises(DataError, match=r"bomb\.tar\.gz unpacks to far more"):
            list(members(path, "copy it again", lambda name: True))
    noise = np.random.default_rng(0).bytes(1 << 16)
    with tarfile.open(tmp_path / "sound.tar.gz", "w:gz") as tar:
        member = tarfile.TarInfo("a.png")
        member.size = len(noise)
        tar.addfile(member, io.BytesIO(noise))
    assert list(members(tmp_path / "sound.tar.gz", "copy it again", lambda name: True)) == [("a.png", noise)]


def test_the_jpeg_copy_of_cifar10(tmp_path: Path) -> None:
    files = {}
    for part, each in (("train", 20), ("test", 4)):
        for k, label in enumerate(cifar.CLASSES):
            for number in range(each):
                flat = np.full((32, 32, 3), (20 * k, 10 * number, 255 * (part == "test")), dtype=np.uint8)
                files[f"{part}/{label}/{number:04d}.jpg"] = jpeg(flat)
    path = tmp_path / "image" / "cifar10_jpeg" / "cifar10_jpeg.tar.xz"
    tar(path, files | {"train/airplane/notes.txt": b"x", "../../escape.jpg": b"x"}, "w:xz")
    parts = Cifar10Jpeg.read(tmp_path)
    assert [len(parts[part]) for part in PARTS] == [180, 20, 40]
    found = parts["train"].x.float().mean((2, 3))
    assert (found[:, 0] - 20 * parts["train"].labels["label"]).abs().max() < 4 and not (
        tmp_path / "escape.jpg"
    ).exists()
    name = "train/cat/0003.jpg"
    for content, sentence in (
        (jpeg(np.zeros((30, 32, 3), np.uint8)), "cat/0003.jpg in .* has 30 × 32 pixels, not 32 × 32"),
        (files[name][:200], "cat/0003.jpg in .* cannot be read"),
        (b"", "cat/0003.jpg in .* cannot be read"),
    ):
        tar(path, files | {name: content}, "w:xz")
        with pytest.raises(DataError, match=sentence):
            Cifar10Jpeg.read(tmp_path)
    files.pop(name)
    tar(path, files, "w:xz")
    with pytest.raises(DataError, match="has 199 images in train"):
        Cifar10Jpeg.read(tmp_path)


def test_the_cache_is_used_renewed_and_never_trusted(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, calls = tmp_path / "source", []

    def decode() -> dict[str, np.ndarray]:
        calls.append(1)
        return {"x": np.frombuffer(source.read_bytes(), np.uint8)}

    source.write_bytes(b"one")
    for _ in range(2):
        assert store.decoded("toy", [source], decode)["x"].tobytes() == b"one"
    assert len(calls) == 1 and len(list(cache.iterdir())) == 1
    (file,) = cache.iterdir()
    content = bytearray(file.read_bytes())
    content[content.index(b"one")] ^= 1  # a flipped bit
    file.write_bytes(content)
    assert store.decoded("toy", [source], decode)["x"].tobytes() == b"one" and len(calls) == 2
    source.write_bytes(b"three")
    assert store.decoded("toy", [source], decode)["x"].tobytes() == b"three" and len(calls) == 3
    assert len(list(cache.iterdir())) == 1  # the old one is gone
    monkeypatch.setenv("JEPAKIT_CACHE", str(source / "no-folder"))
    assert store.decoded("toy", [source], decode)["x"].tobytes() == b"three" and len(calls) == 4


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def test_fashion_mnist_from_idx_files(tmp_path: Path) -> None:
    folder = tmp_path / "image" / "fashion-mnist"
    folder.mkdir(parents=True)
    x, y = pixels(100, 1, 28, 28), (np.arange(100) % 10).astype(np.uint8)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(x)))
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(y)))
    (folder / "t10k-images-idx3-ubyte").write_bytes(idx(x[:20] ^ 1))
    labels = folder / "t10k-labels-idx1-ubyte"
    with pytest.raises(DataError, match=r"has no file t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte\.gz"):
        FashionMnist.read(tmp_path)
    labels.write_bytes(idx(y[:20]))
    parts = FashionMnist.read(tmp_path)
    assert [len(parts[part]) for part in PARTS] == [90, 10, 20]
    assert np.array_equal(parts["test"].x[:, 0].numpy(), x[:20] ^ 1) and parts["test"].labels["label"][13] == 3
    for content, sentence in (
        (idx(y[:20])[:-1], "shorter than its header"),
        (idx(y[:20]) + b"0", "longer than its header"),
        (idx(x[:20]), "does not begin as an IDX file of 1 axes"),
        (idx(y[:19]), "do not belong together"),
        (idx(y[:20] + 1), "do not belong together .*labels up to 10"),
        (b"", "does not begin"),
    ):
        labels.write_bytes(content)
        with pytest.raises(DataError, match=sentence):
            FashionMnist.read(tmp_path)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(x))[:-200])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz is damaged or half-copied"):
        FashionMnist.read(tmp_path)


def test_the_jpeg_copy_in_the_data_root(data_root: Path) -> None:
    archive = data_root / "image" / "cifar10_jpeg" / "cifar10_jpeg.tar.xz"
    if not archive.is_file():
        pytest.skip("the data root has no image/cifar10_jpeg")
    names = set()
    for name, _ in cifar.members(archive, "", lambda name: name.endswith("/0000.jpg")):
        names.add(name)
    assert names == {f"{part}/{label}/0000.jpg" for part in ("train", "test") for label in cifar.CLASSES}
