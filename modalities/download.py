"""Download: one fetcher for every modality's open data: licence notice, checksums, resume, progress.

    python -m modalities.download ecg [mitbih] [--data ROOT]

Every source is a folder on a server with a SHA256SUMS manifest, or a few files whose checksums stand here. A file whose
checksum matches is not fetched again, a file that arrives damaged is not kept. Only data are fetched: manifests often
list an older README or licence text. ``image hub-<name>`` saves a data set of the hub.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

import pooch
import requests
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jepakit.registry import did_you_mean
from jepakit.types import DataError, UsageError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}")
WORKERS = 4  # connections at a time: the files are small, the server is a public service


@dataclass(frozen=True)
class Source:
    """Where one data set lives: server folder, manifest, which of its files are wanted, licence.

    path: folder below ``base_url``; files: patterns of wanted manifest entries; manifest_sha256: the manifest's own
    checksum where it is known (else only the transport vouches for it); size: for the notice. checksums: instead of a
    manifest, "md5:…" or "sha256:…" by file name.
    """

    modality: str
    dataset: str
    path: str
    files: tuple[str, ...]
    licence: str
    layout: str
    size: str
    manifest_sha256: str | None = None
    base_url: str = "https://physionet.org/files"
    manifest: str = "SHA256SUMS.txt"
    checksums: Mapping[str, str] = field(default_factory=dict)


SOURCES = (
    Source(
        "ecg",
        "mitbih",
        "mitdb/1.0.0",
        ("[12][0-9][0-9].hea", "[12][0-9][0-9].dat", "[12][0-9][0-9].atr"),
        "Open Data Commons Attribution License v1.0: cite Moody & Mark 2001 and Goldberger et al. 2000",
        "100.hea, 100.dat, 100.atr … 234.atr",
        "100 MB",
    ),
    Source(
        "ecg",
        "ludb",
        "ludb/1.0.1",
        ("ludb.csv", "data/*"),
        "Open Data Commons Attribution License v1.0: cite Kalyakulina et al. 2020 and Goldberger et al. 2000",
        "ludb.csv, data/1.hea, data/1.dat, data/1.i … data/200.v6",
        "34 MB",
        manifest_sha256="cccef1f3529519db8f26a333c97a6872a7d0e3e5c64a1448b76b161fd87fb75f",
    ),
    Source(
        "ecg",
        "ptbxl",
        "ptb-xl/1.0.3",
        ("ptbxl_database.csv", "scp_statements.csv", "records100/*"),
        "Creative Commons Attribution 4.0: cite Wagner et al. 2020 and Goldberger et al. 2000",
        "ptbxl_database.csv, scp_statements.csv, records100/00000/00001_lr.hea, records100/00000/00001_lr.dat …",
        "550 MB in 43,600 files",
    ),
    Source(
        "eeg",
        "eegmat",
        "eegmat/1.0.0",
        ("Subject[0-9][0-9]_[12].edf", "subject-info.csv"),
        "Open Data Commons Attribution License v1.0: cite Zyma et al. 2019 and Goldberger et al. 2000",
        "Subject00_1.edf, Subject00_2.edf … Subject35_2.edf",
        "175 MB",
    ),
    Source(
        "eeg",
        "physionet-mi",
        "eegmmidb/1.0.0",
        tuple(f"S[01][0-9][0-9]/S[01][0-9][0-9]R{run:02d}.edf" for run in (4, 6, 8, 10, 12, 14)),
        "Open Data Commons Attribution License v1.0: cite Schalk et al. 2004 and Goldberger et al. 2000",
        "S001/S001R04.edf … S109/S109R14.edf",
        "1.6 GB",
    ),
    # The image archives have no manifest; their authors (or, for Imagenette, torchvision) publish MD5 sums.
    Source(
        "image",
        "cifar10",
        "~kriz",
        (),
        "none stated; research use with citation is the custom: cite Krizhevsky 2009",
        "cifar-10-python.tar.gz",
        "163 MB",
        base_url="https://www.cs.toronto.edu",
        checksums={"cifar-10-python.tar.gz": "md5:c58f30108f718f92721af3b95e74349a"},
    ),
    Source(
        "image",
        "cifar100",
        "~kriz",
        (),
        "none stated; research use with citation is the custom: cite Krizhevsky 2009",
        "cifar-100-python.tar.gz",
        "161 MB",
        base_url="https://www.cs.toronto.edu",
        checksums={"cifar-100-python.tar.gz": "md5:eb9058c3a382ffc7106e4002c42a8d85"},
    ),
    Source(
        "image",
        "fashion-mnist",
        "",
        (),
        "MIT: cite Xiao, Rasul & Vollgraf 2017",
        "train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz, t10k-labels-idx1-ubyte.gz",
        "30 MB",
        base_url="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        checksums={
            "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
    Source(
        "image",
        "imagenette",
        "fast-ai-imageclas",
        (),
        "Apache-2.0 (the selection); the pictures keep ImageNet's terms, research use: cite Russakovsky et al. 2015",
        "imagenette2-160.tgz",
        "99 MB",
        base_url="https://s3.amazonaws.com",
        checksums={"imagenette2-160.tgz": "md5:e793b78cc4c9e9a4ccc0c1155377a412"},
    ),
)


@dataclass(frozen=True)
class Fetched:
    """What one call did: the folder, how many files came over the wire and how many were there already."""

    folder: Path
    downloaded: int
    kept: int


class Damaged(DataError):
    """A file that arrived with another checksum than the listed one."""


def fetch(
    modality: str,
    root: Path,
    base_url: str | None = None,
    *,
    dataset: str | None = None,
    sources: Sequence[Source] = SOURCES,
    console: Console | None = None,
) -> list[Fetched]:
    """Fetches the data sets of ``modality`` (or only ``dataset``) into ``root/<modality>/<dataset>/``.

    ``base_url`` replaces the server (a mirror with the same folders). Raises DataError when the server cannot be reached
    (the sentence says what to put where by hand), lacks a file, or delivers a damaged one; UsageError for unknown names.
    """
    chosen = [source for source in sources if source.modality == modality]
    if not chosen:
        raise did_you_mean("downloadable modality", modality, sorted({source.modality for source in sources}))
    if dataset is not None and modality == "image" and dataset.startswith("hub-"):
        return [_fetch_hub(dataset, Path(root), console or Console(stderr=True))]
    if dataset is not None:
        known = [source.dataset for source in chosen]
        chosen = [source for source in chosen if source.dataset == dataset]
        if not chosen:
            raise did_you_mean(f"downloadable {modality} data set", dataset, known)
    console = console or Console(stderr=True)
    return [_fetch_one(source, Path(root), base_url, console) for source in chosen]


def _fetch_hub(dataset: str, root: Path, console: Console) -> Fetched:
    """A data set of the hub, whose own client checks what it fetches."""
    from modalities.image import hub

    if not NAME.fullmatch(dataset):  # it becomes a folder
        raise UsageError(f"{dataset!r} is no name of a data set; write a hub name with -- for its slash")
    folder = root / "image" / dataset
    if folder.is_dir() and any(folder.iterdir()):
        return Fetched(folder, 0, sum(path.is_file() for path in folder.rglob("*")))
    name = dataset.removeprefix("hub-")
    page = f"https://huggingface.co/datasets/{name.replace('--', '/')}"
    console.print(f"image/{dataset} from {page}\nLicence: see that page.", highlight=False)
    hub.fetch(name, folder)
    return Fetched(folder, sum(path.is_file() for path in folder.rglob("*")), 0)


def _fetch_one(source: Source, root: Path, base_url: str | None, console: Console) -> Fetched:
    folder = root / source.modality / source.dataset
    url = f"{(base_url or source.base_url).rstrip('/')}/{source.path}".rstrip("/")
    console.print(f"{source.modality}/{source.dataset} ({source.size}) from {url}", highlight=False)
    console.print(f"Licence: {source.licence}.", highlight=False)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot create {folder} ({error.strerror}); choose a writable folder with --data") from error
    wanted = dict(source.checksums)
    if not wanted:  # the manifest is fetched anew each time, so that a repaired source is noticed
        pinned = None if source.manifest_sha256 is None else f"sha256:{source.manifest_sha256}"
        _get(source, folder, url, source.manifest, pinned)
        wanted = _read_manifest(folder / source.manifest, source)
    missing = [name for name, checksum in wanted.items() if not _matches(folder / name, checksum)]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    stop = threading.Event()
    damaged: list[DataError] = []
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(WORKERS) as pool:
        bar = progress.add_task(f"{source.modality}/{source.dataset}", total=len(wanted))
        progress.advance(bar, len(wanted) - len(missing))

        def one(name: str) -> None:
            if stop.is_set():
                return
            try:
                _get(source, folder, url, name, wanted[name])
            except Damaged as error:  # the others are still worth having
                damaged.append(error)
            progress.advance(bar)

        try:
            for _ in pool.map(one, missing):
                pass
        finally:  # after the first failure, or Ctrl-C, the files still waiting are not begun
            stop.set()
    if damaged:
        raise damaged[0]
    return Fetched(folder, len(missing), len(wanted) - len(missing))


def _get(source: Source, folder: Path, url: str, name: str, checksum: str | None) -> None:
    """One file through a temporary file in its own folder; in place only when its checksum is right."""
    target = folder / name
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        downloader = pooch.HTTPDownloader(timeout=30, headers={"User-Agent": "jepakit"})
        pooch.core.stream_download(f"{url}/{name}", target, checksum, downloader)
    except requests.HTTPError as error:
        status = error.response.status_code if error.response is not None else "an error"
        raise DataError(f"{url}/{name} cannot be fetched (the server answers {status}); try again later") from error
    except requests.RequestException as error:
        raise DataError(
            f"cannot reach {url}; without a network, put the files ({source.layout}) into {folder} by hand"
        ) from error
    except ValueError as error:
        raise Damaged(
            f"{name} arrived damaged from {url} (its checksum is not the listed one) and was not kept; run the same "
            "command again"
        ) from error
    except OSError as error:
        raise DataError(f"cannot write {target} ({error.strerror}); free space or choose another --data") from error


def _matches(path: Path, checksum: str) -> bool:
    algorithm, _, value = checksum.partition(":")
    return path.is_file() and pooch.file_hash(str(path), alg=algorithm) == value


def _read_manifest(file: Path, source: Source) -> dict[str, str]:
    """Wanted file names → "sha256:…". Names that would leave the folder are refused."""
    wanted = {}
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        checksum, _, name = line.strip().partition(" ")
        name = name.lstrip(" *")
        if not any(fnmatch(name, pattern) for pattern in source.files):
            continue
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or len(checksum) != 64:
            raise DataError(f"the manifest {file} has an impossible line '{line.strip()}'; delete it and fetch again")
        wanted[name] = f"sha256:{checksum.lower()}"
    if not wanted:
        raise DataError(f"the manifest {file} lists none of the files of {source.dataset}; delete it and fetch again")
    return wanted


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status: 0, or 3 after one sentence on what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m modalities.download", description="Fetch the open data sets.")
    parser.add_argument("modality", help="ecg or image")
    parser.add_argument("--data", type=Path, help="data root (default: $JEPAKIT_DATA, else ./data)")
    parser.add_argument("dataset", nargs="?", help="only this data set")
    parser.add_argument("--dataset", dest="named", help="the same, as an option")
    parser.add_argument("--base-url", help="a mirror with the same folders")
    chosen = parser.parse_args(arguments)
    console = Console(stderr=True)
    root = chosen.data or Path(os.environ.get("JEPAKIT_DATA") or "data")
    try:
        only = chosen.named or chosen.dataset
        for done in fetch(chosen.modality, root, chosen.base_url, dataset=only, console=console):
            console.print(f"{done.folder}: {done.downloaded} files fetched, {done.kept} already there.", soft_wrap=True)
    except UsageError as error:
        console.print(str(error), style="red", soft_wrap=True, markup=False, highlight=False)
        return 3
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on from here", style="yellow")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
