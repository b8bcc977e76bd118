"""Clips: video files as the same number of small square frames; every damage is named, or mended and counted.

Frames are taken by their time stamps, one from the middle of each of ``frames`` equal stretches of the clip, so that a
variable frame rate changes nothing. A frame is scaled until its short side fits and its middle square is kept.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from av.video.frame import VideoFrame

from jepakit.types import DataError
from modalities.video.store import stored

SUFFIXES = (".mp4", ".avi", ".webm", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".gif")
LARGEST = 8192  # pixels of a side; more is no video but a damaged header
LONGEST = 200_000  # frames, an hour or two; longer is no clip
LOST = 0.5  # share of the stretches of a clip whose frames may be lost before it is refused


@dataclass(frozen=True)
class Clips:
    """Decoded files. x: (n, 3, t, side, side) uint8; path: (n,) below the data folder; repairs: by kind, how many in each
    file."""

    x: np.ndarray
    path: np.ndarray
    repairs: dict[str, np.ndarray]

    def counted(self, rows: np.ndarray) -> dict[str, int]:
        """The repairs of ``rows``, without zeros."""
        counts = {kind: int(column[rows].sum()) for kind, column in self.repairs.items()}
        return {kind: count for kind, count in counts.items() if count}


REPAIRS = (
    "clips_cut_short", "clips_with_frames_lost", "clips_of_uneven_rate", "clips_without_time_stamps",
    "clips_with_frames_repeated",
)  # fmt: skip


def is_video(name: str) -> bool:
    """Whether the name says video; hidden files (``._x.mp4`` of some archivers) are none."""
    return name.lower().endswith(SUFFIXES) and not name.rpartition("/")[2].startswith(".")


def videos(folder: Path) -> tuple[Path, ...]:
    """Every video file below ``folder``, by path."""
    return tuple(path for path in sorted(folder.rglob("*")) if path.is_file() and is_video(path.name))


def read_clip(path: Path, frames: int, side: int, remedy: str) -> tuple[np.ndarray, dict[str, int]]:
    """One file as (3, frames, side, side) uint8, and what was mended, by the kinds of REPAIRS.

    The suffix is not trusted: the content says what the container is. Frames that cannot be decoded are replaced by the
    last good one before them (at the start: the first after them). Raises DataError for what is no video, has no video
    stream or no frame, claims an impossible size, or has lost more than half of its frames.
    """
    try:
        with av.open(str(path), metadata_errors="ignore") as file:
            if not file.streams.video:
                raise DataError(f"{path} has no video stream; {remedy}")
            claimed = file.streams.video[0]
            if claimed.codec_context is None:
                raise DataError(f"no decoder here reads the video stream of {path}; {remedy}")
            if not 0 < claimed.width <= LARGEST or not 0 < claimed.height <= LARGEST:
                raise DataError(f"the header of {path} claims {claimed.width} × {claimed.height} pixels; {remedy}")
            times, promised = _times(file), int(claimed.frames)
        if not times:
            raise DataError(f"{path} holds no frame; {remedy}")
        if len(times) > LONGEST:
            raise DataError(f"{path} has more than {LONGEST:,} frames; cut it into clips, or {remedy}")
        repairs = dict.fromkeys(REPAIRS, 0)
        stamped = all(time is not None for time in times)
        repairs["clips_without_time_stamps"] = int(not stamped)
        stamps = sorted(time for time in times if time is not None) if stamped else list(range(len(times)))
        gaps = np.diff(stamps)
        repairs["clips_of_uneven_rate"] = int(len(gaps) > 0 and gaps.max() > 1.5 * max(1.0, float(np.median(gaps))))
        repairs["clips_cut_short"] = int(promised > len(times) + 1)
        repairs["clips_with_frames_repeated"] = int(len(times) < frames)
        wanted = _wanted(stamps, frames)
        x = np.empty((3, frames, side, side), dtype=np.uint8)
        lost = _fill(x, path, wanted, stamped)
    except FFmpegError as error:
        raise DataError(f"the file {path} cannot be read as video ({_said(error)}); {remedy}") from error
    if lost > LOST * frames:
        raise DataError(f"{path} is damaged: {lost} of {frames} sampled frames cannot be decoded; {remedy}")
    repairs["clips_with_frames_lost"] = int(lost > 0)
    return x, repairs


def _said(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__


def _times(file: av.container.InputContainer) -> list[int | None]:
    """The time stamp of every packet with content, without decoding any; what is behind a break in the file is left out."""
    times: list[int | None] = []
    with contextlib.suppress(FFmpegError):  # a truncated file ends in the middle of a packet
        for packet in file.demux(file.streams.video[0]):
            if packet.size and not packet.is_discard and len(times) <= LONGEST:
                times.append(packet.pts)
    return times


def _wanted(stamps: Sequence[int], frames: int) -> list[int]:
    """The stamps that are shown in the middles of equal stretches: the last one at or before each.

    The last frame is shown for as long as frames are on average.
    """
    each = (stamps[-1] - stamps[0]) / max(1, len(stamps) - 1) if len(stamps) > 1 else 1.0
    span = stamps[-1] - stamps[0] + each
    middles = stamps[0] + span * (np.arange(frames) + 0.5) / frames
    at = np.searchsorted(np.asarray(stamps, dtype=np.float64), middles + 1e-9, side="right") - 1
    return [stamps[k] for k in np.maximum(at, 0)]


def _decoded(path: Path) -> Iterator[VideoFrame]:
    """All frames that can be decoded, in order of presentation; a broken packet costs its own frames only."""
    with av.open(str(path), metadata_errors="ignore") as file:
        stream = file.streams.video[0]
        packets = iter(file.demux(stream))
        while True:
            try:
                packet = next(packets)
            except (StopIteration, FFmpegError):
                break
            try:
                yield from packet.decode()
            except FFmpegError:
                continue
        with contextlib.suppress(FFmpegError, EOFError):
            yield from stream.codec_context.decode(None)  # what the decoder still holds after a break


def _fill(x: np.ndarray, path: Path, wanted: list[int], stamped: bool) -> int:
    """The wanted frames into ``x``; returns how many of them are lost and replaced by a neighbour in time."""
    found: dict[int, np.ndarray] = {}
    asked = set(wanted)
    latest: tuple[int, VideoFrame] | None = None
    damaged: set[int] = set()
    for number, frame in enumerate(_decoded(path)):
        time = number if not stamped or frame.pts is None else frame.pts
        for missed in sorted(one for one in asked if one < time and (latest is None or one > latest[0])):
            damaged.add(missed)  # it should have come by now
            found[missed] = square(frame if latest is None else latest[1], x.shape[-1])
        if time in asked:
            found[time] = square(frame, x.shape[-1])
        latest = (time, frame)
    for missed in asked - found.keys():
        damaged.add(missed)
        if latest is None:
            raise av.error.InvalidDataError(0, "no frame can be decoded", str(path))
        found[missed] = square(latest[1], x.shape[-1])
    for k, time in enumerate(wanted):
        x[:, k] = found[time]
    return sum(time in damaged for time in wanted)


def square(frame: VideoFrame, side: int) -> np.ndarray:
    """The middle square of a frame as (3, side, side) uint8 RGB."""
    scale = side / min(frame.width, frame.height)
    width, height = max(side, round(frame.width * scale)), max(side, round(frame.height * scale))
    small = frame.reformat(width=width, height=height, format="rgb24", interpolation="AREA").to_ndarray()
    top, left = (height - side) // 2, (width - side) // 2
    return np.ascontiguousarray(small[top : top + side, left : left + side].transpose(2, 0, 1))


@functools.lru_cache(maxsize=2)
def clips(folder: Path, name: str, files: tuple[Path, ...], frames: int, side: int, remedy: str) -> Clips:
    """Every one of ``files`` below ``folder``, decoded once and kept in the user's cache, from where they are mapped into
    memory: all folds of a data set share them. Raises DataError where there is no file."""
    if not files:
        raise DataError(f"{folder} holds no video files; {remedy}")

    def decode(row: int, into: np.ndarray) -> list[int]:
        into[:], repairs = read_clip(files[row], frames, side, remedy)
        return [repairs[kind] for kind in REPAIRS]

    # A decoder's settings are part of the name, so that data sets over the same files do not replace each other's.
    shape = (3, frames, side, side)
    x, counts = stored(f"video-{name}-{frames}-{side}", files, shape, len(REPAIRS), decode)
    paths = np.array([path.relative_to(folder).as_posix() for path in files], dtype=str)
    return Clips(x, paths, {kind: counts[:, k] for k, kind in enumerate(REPAIRS)})
