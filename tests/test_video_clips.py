"""Video files as people have them: every damage is one sentence that names the file, or is mended and counted."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from jepakit.types import DataError
from modalities.video.clips import Clips, clips, is_video, read_clip, videos
from modalities.video.store import stored

REMEDY = "copy it again"
LEVELS = [30 + 10 * k for k in range(20)]  # grey of the frames: which one is shown can be read off


def encode(
    path: Path,
    levels: Sequence[int] = LEVELS,
    *,
    size: tuple[int, int] = (64, 48),
    codec: str = "mpeg4",
    times: Sequence[int] | None = None,
    form: str | None = None,
) -> Path:
    """A video of grey frames, at 10 frames a second or at ``times`` (tenths of a second); every frame is a key frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"movflags": "+faststart"} if (form or path.suffix[1:]) == "mp4" else {}
    with av.open(str(path), "w", format=form, options=options) as file:
        stream = file.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        stream.codec_context.gop_size = 1
        stream.bit_rate = 4_000_000
        for k, level in enumerate(levels):
            frame = av.VideoFrame.from_ndarray(np.full((size[1], size[0], 3), level, np.uint8), format="rgb24")
            frame.pts, frame.time_base = k if times is None else times[k], Fraction(1, 10)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def shown(path: Path, frames: int) -> tuple[list[int], dict[str, int]]:
    """Which of LEVELS each sampled frame is, and the repairs that were counted."""
    x, repairs = read_clip(path, frames, 16, REMEDY)
    assert x.shape == (3, frames, 16, 16) and x.dtype == np.uint8
    level = x.mean((0, 2, 3))
    at = [int(np.abs(np.array(LEVELS) - one).argmin()) for one in level]
    assert np.abs(level - np.array(LEVELS)[at]).max() < 4
    return at, {kind: count for kind, count in repairs.items() if count}


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        read_clip(path, 8, 16, REMEDY)
    text = str(caught.value)
    assert str(path) in text and text.endswith(REMEDY) and "\n" not in text
    return text


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "mpeg4"), ("a.avi", "mpeg4"), ("a.webm", "libvpx"), ("a.mkv", "mpeg4")]
)
def test_common_formats_are_sampled_in_the_middles_of_equal_stretches(tmp_path: Path, name: str, codec: str) -> None:
    path = encode(tmp_path / name, codec=codec)
    assert shown(path, 20) == (list(range(20)), {})
    assert shown(path, 10) == ([2 * k + 1 for k in range(10)], {})
    assert shown(path, 4) == ([2, 7, 12, 17], {})  # stretches of five frames, their middle ones


def test_a_short_clip_repeats_its_frames(tmp_path: Path) -> None:
    at, repairs = shown(encode(tmp_path / "a.mp4", LEVELS[:3]), 6)
    assert at == [0, 0, 1, 1, 2, 2] and repairs == {"clips_with_frames_repeated": 1}
    at, repairs = shown(encode(tmp_path / "b.mp4", LEVELS[:1]), 4)
    assert at == [0, 0, 0, 0] and repairs == {"clips_with_frames_repeated": 1}


def test_a_variable_frame_rate_is_sampled_by_time(tmp_path: Path) -> None:
    """Ten frames in the first second, then one every second."""
    times = [*range(10), 10, 20, 30]
    at, repairs = shown(encode(tmp_path / "a.mkv", LEVELS[:13], times=times), 4)
    assert repairs == {"clips_of_uneven_rate": 1, "clips_with_frames_repeated": 0} or repairs == {
        "clips_of_uneven_rate": 1
    }
    # 3.25 s in four stretches; their middles are .41, 1.22, 2.03 and 2.84 s.
    assert at == [4, 10, 11, 11]


def test_the_middle_square_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    picture = np.zeros((32, 96, 3), np.uint8)
    picture[:, 32:64] = 200  # black, grey, black side by side
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 32, "yuv420p"
        stream.bit_rate = 4_000_000
        for _ in range(8):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode(None))
    x, _ = read_clip(path, 8, 16, REMEDY)
    assert x[:, :, 1:-1, 1:-1].min() > 150
    assert read_clip(encode(tmp_path / "tall.mp4", size=(32, 64)), 8, 16, REMEDY)[0].shape == (3, 8, 16, 16)


def test_the_suffix_is_not_trusted(tmp_path: Path) -> None:
    path = encode(tmp_path / "a.avi").rename(tmp_path / "a.mp4")
    assert shown(path, 20)[0] == list(range(20))
    assert is_video("x/A.MP4") and is_video("b.webm") and not is_video("._a.mp4") and not is_video("a.txt")
    (tmp_path / "._b.mp4").write_bytes(b"x")
    assert videos(tmp_path) == (path,)


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video at all\n" * 100)
    assert "cannot be read as video" in refusal(text)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    assert "cannot be read as video" in refusal(empty)
    assert "cannot be read as video" in refusal(tmp_path / "absent.mp4")
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w", format="wav") as file:
        stream = file.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        file.mux(stream.encode(frame))
    assert "has no video stream" in refusal(sound)


def test_a_video_without_frames_is_refused(tmp_path: Path) -> None:
    whole = encode(tmp_path / "whole.avi").read_bytes()
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole[: whole.index(b"movi") + 4])  # the header alone
    assert "holds no frame" in refusal(cut) or "cannot be read as video" in refusal(cut)


def test_a_truncated_file_is_mended_and_counted(tmp_path: Path) -> None:
    """The index comes first in the file; the last third of the frames does not come at all."""
    whole = encode(tmp_path / "whole.mp4").read_bytes()
    start = whole.index(b"mdat") + 4
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: start + (len(whole) - start) * 2 // 3])
    at, repairs = shown(cut, 6)
    assert repairs["clips_cut_short"] == 1
    assert at == sorted(at) and at[0] in (0, 1) and 11 <= at[-1] <= 13  # what is left spans the clip
    (tmp_path / "head.mp4").write_bytes(whole[: start // 2])
    refusal(tmp_path / "head.mp4")


def test_corrupt_frames_in_the_middle_are_replaced_and_counted(tmp_path: Path) -> None:
    whole = bytearray(encode(tmp_path / "whole.avi").read_bytes())
    places = [k for k in range(whole.index(b"movi"), len(whole) - 8) if whole[k : k + 4] == b"00dc"][:20]
    for k in places[6:9]:  # frames 6, 7 and 8 lose their headers and what follows
        size = int.from_bytes(whole[k + 4 : k + 8], "little")
        whole[k + 8 : k + 8 + size] = b"\x00" * size
    bad = tmp_path / "bad.avi"
    bad.write_bytes(whole)
    at, repairs = shown(bad, 20)
    assert at == [0, 1, 2, 3, 4, 5, 5, 5, 5, *range(9, 20)] and repairs == {"clips_with_frames_lost": 1}
    for k in places[3:18]:
        size = int.from_bytes(whole[k + 4 : k + 8], "little")
        whole[k + 8 : k + 8 + size] = b"\x00" * size
    bad.write_bytes(whole)
    assert "is damaged" in refusal(bad)


def test_clips_are_decoded_once_and_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JEPAKIT_CACHE", str(tmp_path / "cache"))
    files = tuple(encode(tmp_path / "in" / f"{k}.mp4", LEVELS[k : k + 3]) for k in range(3))

    def found() -> Clips:
        clips.cache_clear()
        return clips(tmp_path / "in", "some", files, 6, 16, REMEDY)

    first = found()
    assert first.path.tolist() == ["0.mp4", "1.mp4", "2.mp4"] and first.x.shape == (3, 3, 6, 16, 16)
    assert first.counted(np.array([0, 2])) == {"clips_with_frames_repeated": 2}
    whole = np.array(first.x)
    with monkeypatch.context() as patched:
        patched.setattr("modalities.video.clips.read_clip", lambda *given: pytest.fail("decoded again"))
        again = found()
    assert (
        isinstance(again.x, np.memmap)
        and np.array_equal(again.x, whole)
        and again.repairs.keys() == first.repairs.keys()
    )
    (kept,) = (tmp_path / "cache").glob("*.clips")
    content = bytearray(kept.read_bytes())
    content[100] ^= 255
    kept.write_bytes(content)  # damaged on disk: decoded anew
    assert np.array_equal(found().x, whole)
    encode(files[1], LEVELS[5:11])  # a changed file: decoded anew, and the old file goes
    assert not np.array_equal(found().x, whole) and len(list((tmp_path / "cache").glob("*.clips"))) == 1
    with pytest.raises(DataError, match="holds no video files"):
        clips(tmp_path / "in", "none", (), 6, 16, REMEDY)


def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("JEPAKIT_CACHE", str(tmp_path / "file"))  # no folder

    def decode(row: int, into: np.ndarray) -> list[int]:
        into[:] = 9
        return [4]

    x, counts = stored("some", [tmp_path / "file"], (2, 2), 1, decode)
    assert x.tolist() == [[[9, 9], [9, 9]]] and counts.tolist() == [[4]]
