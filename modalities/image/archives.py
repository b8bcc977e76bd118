"""Archives: members of a tar file and images of any format, with every damage said in one sentence."""

from __future__ import annotations

import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from jepakit.types import DataError

LARGEST = 1 << 28  # bytes of a member; a batch of CIFAR has 31 million
RATIO = 200  # how many times its own size an archive may unpack to; images hardly shrink


def need(path: Path, remedy: str) -> Path:
    """The path, or a DataError when the file is not there or empty."""
    if not path.is_file():
        raise DataError(f"the file {path} is missing (a half-copied folder?); {remedy}")
    if not path.stat().st_size:
        raise DataError(f"the file {path} is empty; {remedy}")
    return path


def members(archive: Path, remedy: str, wanted: Callable[[str], bool]) -> Iterator[tuple[str, bytes]]:
    """(name, content) of every wanted regular file of a tar archive of any compression, in its order.

    Nothing is written to disk, so names cannot escape anywhere; links and devices are skipped. Raises DataError when the
    archive is damaged, ends too early, or unpacks to more than images do (LARGEST, RATIO).
    """
    total = 0
    try:
        with tarfile.open(need(archive, remedy)) as tar:
            for member in tar:
                total += member.size
                if member.size > LARGEST or total > RATIO * archive.stat().st_size:
                    raise DataError(
                        f"the archive {archive} unpacks to far more than images do ({member.name}); {remedy}"
                    )
                if member.isfile() and wanted(member.name):
                    file = tar.extractfile(member)
                    if file is not None:
                        yield member.name, file.read()
    except (tarfile.TarError, EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        raise DataError(f"the archive {archive} is damaged or half-copied ({error}); {remedy}") from error


def decode(content: bytes | Path, name: str, remedy: str, side: int | None = None, mode: str = "RGB") -> np.ndarray:
    """One image as uint8 (c, h, w). With ``side`` the shorter side becomes ``side`` pixels and the middle square is kept.

    mode: "RGB" or "L"; grey, palette and transparent images are converted. Raises DataError for anything that is no
    whole image.
    """
    try:
        with Image.open(io.BytesIO(content) if isinstance(content, bytes) else content) as image:
            if side is not None:
                image.draft(mode, (2 * side, 2 * side))  # JPEG: decode no more than the resampling needs
            picture = image.convert(mode)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"the image {name} cannot be read ({error}); {remedy}") from error
    if side is not None:
        width, height = picture.size
        short = min(width, height)
        left, top = (width - short) / 2, (height - short) / 2
        box = (left, top, left + short, top + short)
        picture = picture.resize((side, side), Image.Resampling.BICUBIC, box, reducing_gap=2.0)
    array = np.asarray(picture)
    return np.ascontiguousarray(array.transpose(2, 0, 1) if array.ndim == 3 else array[None])
