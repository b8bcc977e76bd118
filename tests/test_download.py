"""Download against a local server: good, resumed, damaged, absent."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from jepakit.types import DataError, UsageError
from modalities.download import SOURCES, Source, fetch

FILES = {"100.hea": b"100 2 360 2\n", "100.dat": bytes(range(256)) * 40, "data/1.i": b"wave", "extra/huge.bin": b"no"}


class Server:
    """A folder served on 127.0.0.1 that remembers what was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        server = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                super().do_GET()

            def log_message(self, format: str, *args: object) -> None:
                pass

        handler = functools.partial(Handler, directory=str(folder))
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


def publish(folder: Path) -> Source:
    """Writes the files and their manifest, returns the source that describes them."""
    lines = []
    for name, content in FILES.items():
        path = folder / "toy" / "1.0" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        lines.append(f"{hashlib.sha256(content).hexdigest()} {name}\n")
    (folder / "toy" / "1.0" / "SHA256SUMS.txt").write_text("".join(lines))
    return Source("ecg", "toy", "toy/1.0", ("*.hea", "*.dat", "data/*"), "Toy licence 7", "100.hea, data/1.i", "11 kB")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "served")
    (tmp_path / "served").mkdir()
    yield server
    server.stop()


@pytest.fixture
def source(server: Server) -> Source:
    return publish(server.folder)


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_fetches_what_is_wanted_and_shows_the_licence_first(server: Server, source: Source, tmp_path: Path) -> None:
    console = quiet()
    (done,) = fetch("ecg", tmp_path / "root", server.url, sources=[source], console=console)
    assert done.folder == tmp_path / "root" / "ecg" / "toy" and (done.downloaded, done.kept) == (3, 0)
    assert everything(done.folder) == {"100.hea", "100.dat", "data/1.i", "SHA256SUMS.txt"}
    assert all((done.folder / name).read_bytes() == FILES[name] for name in ("100.hea", "100.dat", "data/1.i"))
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert "Toy licence 7" in lines[1] and not any("/3" in line for line in lines[:2])


def test_a_second_call_downloads_nothing_and_a_third_only_the_gap(
    server: Server, source: Source, tmp_path: Path
) -> None:
    run = functools.partial(fetch, "ecg", tmp_path / "root", server.url, sources=[source], console=quiet())
    (first,) = run()
    server.asked.clear()
    (second,) = run()
    assert (second.downloaded, second.kept) == (0, 3)
    assert server.asked == ["/toy/1.0/SHA256SUMS.txt"]
    (first.folder / "100.dat").write_bytes(b"half")
    (third,) = run()
    assert (third.downloaded, third.kept) == (1, 2)
    assert (first.folder / "100.dat").read_bytes() == FILES["100.dat"]


def test_a_flipped_byte_is_an_error_and_leaves_nothing(server: Server, source: Source, tmp_path: Path) -> None:
    served = server.folder / "toy" / "1.0" / "100.dat"
    served.write_bytes(b"\xff" + served.read_bytes()[1:])
    with pytest.raises(DataError, match=r"100\.dat arrived damaged .* run the same command again"):
        fetch("ecg", tmp_path / "root", server.url, sources=[source], console=quiet())
    left = everything(tmp_path / "root" / "ecg" / "toy")
    assert left == {"100.hea", "data/1.i", "SHA256SUMS.txt"}  # the sound ones are kept for the next attempt


def test_a_damaged_file_does_not_replace_a_kept_one(server: Server, source: Source, tmp_path: Path) -> None:
    folder = tmp_path / "root" / "ecg" / "toy"
    folder.mkdir(parents=True)
    (folder / "100.dat").write_bytes(b"mine")
    (server.folder / "toy" / "1.0" / "100.dat").write_bytes(b"damaged")
    with pytest.raises(DataError, match="arrived damaged"):
        fetch("ecg", tmp_path / "root", server.url, sources=[source], console=quiet())
    assert (folder / "100.dat").read_bytes() == b"mine"


def test_the_manifest_itself_is_pinned_where_its_checksum_is_known(
    server: Server, source: Source, tmp_path: Path
) -> None:
    manifest = (server.folder / "toy" / "1.0" / "SHA256SUMS.txt").read_bytes()
    pinned = replace(source, manifest_sha256=hashlib.sha256(manifest).hexdigest())
    fetch("ecg", tmp_path / "good", server.url, sources=[pinned], console=quiet())
    with pytest.raises(DataError, match=r"SHA256SUMS\.txt arrived damaged"):
        fetch("ecg", tmp_path / "bad", server.url, sources=[replace(source, manifest_sha256="0" * 64)], console=quiet())
    assert everything(tmp_path / "bad") == set()


def test_a_manifest_cannot_write_outside_the_folder(server: Server, source: Source, tmp_path: Path) -> None:
    manifest = server.folder / "toy" / "1.0" / "SHA256SUMS.txt"
    manifest.write_text(f"{'0' * 64} ../../escape.dat\n")
    with pytest.raises(DataError, match="impossible line"):
        fetch("ecg", tmp_path / "root", server.url, sources=[source], console=quiet())


def test_a_file_the_server_lacks_is_named(server: Server, source: Source, tmp_path: Path) -> None:
    (server.folder / "toy" / "1.0" / "100.hea").unlink()
    with pytest.raises(DataError, match=r"100\.hea cannot be fetched \(the server answers 404\)"):
        fetch("ecg", tmp_path / "root", server.url, sources=[source], console=quiet())


def test_without_a_server_one_sentence_says_what_to_put_where(server: Server, source: Source, tmp_path: Path) -> None:
    server.http.server_close()
    with pytest.raises(DataError) as caught:
        fetch("ecg", tmp_path / "root", server.url, sources=[source], console=quiet())
    text = str(caught.value)
    assert str(tmp_path / "root" / "ecg" / "toy") in text and "100.hea, data/1.i" in text and "\n" not in text


def test_unknown_names_get_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"did you mean 'ecg'"):
        fetch("ecgg", tmp_path, console=quiet())
    with pytest.raises(UsageError, match=r"did you mean 'mitbih'"):
        fetch("ecg", tmp_path, dataset="mitbi", console=quiet())


def test_declared_sources_match_the_readers() -> None:
    from jepakit.registry import datasets

    declared = {f"{source.modality}/{source.dataset}" for source in SOURCES}
    images = {"image/cifar10", "image/cifar100", "image/fashion-mnist", "image/imagenette"}
    signals = {"ecg/mitbih", "ecg/ludb", "ecg/ptbxl", "eeg/eegmat", "eeg/physionet-mi"}
    assert declared == signals | images and all(name in datasets for name in declared)


def test_the_pinned_ludb_manifest_is_that_of_the_data(data_root: Path) -> None:
    manifest = data_root / "ecg" / "ludb" / "SHA256SUMS.txt"
    if not manifest.is_file():
        pytest.skip("the data root has no ecg/ludb/SHA256SUMS.txt")
    (ludb,) = [source for source in SOURCES if source.dataset == "ludb"]
    assert hashlib.sha256(manifest.read_bytes()).hexdigest() == ludb.manifest_sha256


def test_sources_without_a_manifest_have_their_checksums_here(server: Server, tmp_path: Path) -> None:
    (server.folder / "a.gz").write_bytes(b"archive")
    md5 = hashlib.md5(b"archive", usedforsecurity=False).hexdigest()
    listed = Source("image", "toy", "", (), "Toy licence 7", "a.gz", "7 B", checksums={"a.gz": f"md5:{md5}"})
    run = functools.partial(fetch, "image", tmp_path / "root", server.url, sources=[listed], console=quiet())
    (done,) = run()
    assert everything(done.folder) == {"a.gz"} and server.asked == ["/a.gz"]
    (again,) = run()
    assert (again.downloaded, again.kept) == (0, 1)
    (server.folder / "a.gz").write_bytes(b"Archive")
    (done.folder / "a.gz").unlink()
    with pytest.raises(DataError, match=r"a\.gz arrived damaged"):
        run()
    assert everything(done.folder) == set()


def test_a_hub_data_set_is_saved_below_the_root_and_not_fetched_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets as hub

    asked = []

    class Saved:
        def save_to_disk(self, folder: Path) -> None:
            folder.mkdir(parents=True)
            (folder / "dataset_dict.json").write_text("{}")

    monkeypatch.setattr(hub, "load_dataset", lambda name: asked.append(name) or Saved())
    for counts in ((1, 0), (0, 1)):
        (done,) = fetch("image", tmp_path, dataset="hub-me--fruit", console=quiet())
        assert (done.downloaded, done.kept) == counts and done.folder == tmp_path / "image" / "hub-me--fruit"
    assert asked == ["me/fruit"]

    def offline(name: str) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(hub, "load_dataset", offline)
    with pytest.raises(DataError, match=r"plums cannot be fetched \(ConnectionError: no route\).*hub-plums by hand"):
        fetch("image", tmp_path, dataset="hub-plums", console=quiet())


def test_command_line_offline_exits_non_zero_with_the_sentence(checkout: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "modalities.download", "ecg", "--dataset", "mitbih"]
    command += ["--data", str(tmp_path / "root"), "--base-url", "http://127.0.0.1:9"]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=120)
    assert done.returncode == 3
    assert "cannot reach http://127.0.0.1:9/mitdb/1.0.0" in done.stderr and "ecg/mitbih by hand" in done.stderr
    assert "Traceback" not in done.stderr and "Licence" in done.stderr
    assert everything(tmp_path) == set()
