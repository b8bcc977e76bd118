"""LiDAR data sets: tokens keep to their own cells, views move points as they say, readers name every damage."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from jepakit.registry import datasets
from jepakit.types import Batch, DataError, UsageError
from modalities.lidar import kitti
from modalities.lidar.files import read_las, read_points
from modalities.lidar.neon import clip
from modalities.lidar.pillars import PillarTokenizer
from modalities.lidar.scenes import Scenes
from modalities.lidar.simulated import within
from modalities.lidar.views import FAR

MODALITY = Scenes()
FIXTURE = Path(os.environ.get("JEPAKIT_DATA", "data")) / "lidar" / "argoverse_kitti_fixture" / "training"


def batch(rows: int = 3, points: int = 400, real: int = 350) -> Batch:
    random = torch.Generator().manual_seed(0)
    x = torch.rand(rows, points, 4, generator=random) * torch.tensor([51.0, 51.0, 3.0, 1.0]) - torch.tensor(
        [25.5, 25.5, 0, 0]
    )
    x[:, real:] = torch.tensor([FAR, 0, 0, 0])
    return Batch(x, {}, {"points": torch.full((rows,), real), "occupied": MODALITY.raster.occupied(x)})


def token_of(points: torch.Tensor) -> torch.Tensor:
    return ((points[..., 0] + 25.6) // 3.2 * 16 + (points[..., 1] + 25.6) // 3.2).long()


def test_occupied_cells_and_patches_are_those_of_a_loop() -> None:
    some = batch()
    wanted = torch.zeros(3, 256, 16, 3)
    for row in range(3):
        by_cell: dict[tuple[int, int], list[float]] = {}
        for x, y, z, _ in some.x[row, :350].tolist():
            by_cell.setdefault((int((x + 25.6) / 0.8), int((y + 25.6) / 0.8)), []).append(z)
        for (i, j), z in by_cell.items():
            values = torch.tensor([np.log1p(len(z)), np.mean(z), max(z)])
            wanted[row, i // 4 * 16 + j // 4, i % 4 * 4 + j % 4] = values
    torch.testing.assert_close(MODALITY.patches(some), wanted.flatten(2))
    assert torch.equal(some.extra["occupied"], (wanted[..., 0] > 0).any(-1))
    cells = MODALITY.cells(some)
    assert cells.shape == (3, 64, 64, 5) and torch.allclose(cells[..., 0].sum((1, 2)), torch.tensor(350.0))


def test_points_of_other_tokens_do_not_reach_a_token() -> None:
    torch.manual_seed(0)
    tokenizer, some = PillarTokenizer(MODALITY.raster, 3.0, 32), batch()
    torch.nn.init.normal_(tokenizer.empty)
    at = token_of(some.x[:, :350])
    moved = some.x.clone()
    other = at != at[0, 0]
    moved[:, :350][other] += torch.tensor([0.0, 0.0, 1.0, 0.1])
    before, after = tokenizer(some).x, tokenizer(Batch(moved)).x
    same = torch.isclose(before[0], after[0], atol=1e-6).all(-1)
    assert same[at[0, 0]] and not same[at[0][other[0]]].any()
    assert torch.equal(same, (torch.bincount(at[0][other[0]], minlength=256) == 0))
    order = torch.randperm(400)
    torch.testing.assert_close(tokenizer(Batch(some.x[:, order])).x, before)  # a cloud is a set


def test_the_gradient_of_cells_is_that_of_the_largest_value() -> None:
    """Against autograd through a loop over cells."""
    torch.manual_seed(0)
    tokenizer, some = PillarTokenizer(MODALITY.raster, 3.0, 8), batch(1, 60, 60)
    some.x[0, :30, :2] *= 0.05  # several points in a cell
    points = torch.randn(1, 60, 16, requires_grad=True)
    cell = MODALITY.raster.index(some.x)
    weight = torch.randn(1, 4096, 16)
    (tokenizer.pile(points, cell) * weight).sum().backward()
    found, points.grad = points.grad, None
    total = sum((points[0, cell[0] == c].amax(0) * weight[0, c]).sum() for c in cell[0].unique())
    total.backward()  # type: ignore[union-attr]
    torch.testing.assert_close(found, points.grad)
    vacant = torch.ones(4096).index_fill(0, cell[0], 0.0)
    torch.testing.assert_close(tokenizer.empty.grad, vacant @ weight[0])


def test_a_view_turns_mirrors_and_scales_as_it_reports() -> None:
    some = batch(4)
    some.x[:, :350, :2] *= 0.5  # nothing leaves the plan
    torch.manual_seed(1)
    view = MODALITY.views(some)
    turn, mirror, scale, drop = view.extra["action"].unbind(1)
    assert view.extra["action"].abs().max() <= 1 and set(mirror.tolist()) <= {0.0, 1.0}
    for row in range(4):
        number = int(view.extra["points"][row])
        assert abs(number - 350 * (1 - 0.3 * float(drop[row]))) < 25
        angle, factor = float(turn[row]) * np.pi / 4, 1 + 0.05 * float(scale[row])
        x, y = some.x[row, :350, 0].numpy(), some.x[row, :350, 1].numpy() * (1 - 2 * float(mirror[row]))
        wanted = factor * np.stack([np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y], 1)
        got = view.x[row, :number, :2].numpy()
        assert (np.linalg.norm(wanted[:, None] - got[None], axis=-1).min(0) < 0.12).all()
        assert (view.x[row, number:, 0] == FAR).all()
    assert torch.equal(view.extra["occupied"], MODALITY.raster.occupied(view.x))
    with pytest.raises(UsageError, match="points"):
        MODALITY.intensity(some)


def test_hand_made_features_are_finite_of_an_empty_cloud() -> None:
    nothing = Batch(torch.tensor([FAR, 0, 0, 0]).expand(2, 10, 4))
    assert MODALITY.handmade(nothing).isfinite().all() and MODALITY.tokenizer(16)(nothing).x.isfinite().all()
    assert not MODALITY.raster.occupied(nothing.x).any()


# x forward, y left, z up → camera x right, y down, z forward, 0.27 m behind and 0.08 m below the sensor
CALIBRATION = "R0_rect: 1 0 0 0 1 0 0 0 1\nTr_velo_to_cam: 0 -1 0 0 0 0 -1 -0.08 1 0 0 -0.27\n"
BOXES = np.array([[1, 10.0, 2.0, -0.9, 4.5, 1.9, 1.6, 0.3], [2, 7.0, -3.0, -0.8, 0.6, 0.6, 1.75, -1.2]])
POINTS = np.array([[10.0, 2.0, -0.9, 0.5], [10.5, 2.1, -1.0, 0.4], [9.5, 1.9, -0.5, 0.3], [7.0, -3.0, -0.8, 0.2]])


def write(folder: Path, points: np.ndarray = POINTS, boxes: np.ndarray = BOXES, frames: int = 5) -> Path:
    """A tree in KITTI's layout."""
    for name in ("velodyne", "label_2", "calib"):
        (folder / "training" / name).mkdir(parents=True)
    lines = ["DontCare -1 -1 -10 0 0 10 10 -1 -1 -1 -1000 -1000 -1000 -10"]
    for code, x, y, z, l, w, h, yaw in boxes:  # noqa: E741
        place = (-y, -z - 0.08 + h / 2, x - 0.27)
        numbers = (0, 0, 0, 0, 0, 0, 0, h, w, l, *place, -yaw - np.pi / 2)
        lines.append(f"{('Van', 'Car', 'Pedestrian', 'Cyclist')[int(code)]} " + " ".join(f"{n:.9f}" for n in numbers))
    for k in range(frames):
        (folder / "training" / "velodyne" / f"{k:06d}.bin").write_bytes(points.astype("<f4").tobytes())
        (folder / "training" / "calib" / f"{k:06d}.txt").write_text(CALIBRATION)
        (folder / "training" / "label_2" / f"{k:06d}.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_kitti_reads_back_what_was_written(tmp_path: Path) -> None:
    points, boxes = kitti.read_frame(write(tmp_path) / "training", "000000")
    lifted = np.array([0, 0, kitti.MOUNT, 0])
    assert np.array_equal(points, POINTS.astype("<f4").astype(float) + lifted)
    boxes[:, 3] -= kitti.MOUNT
    np.testing.assert_allclose(boxes, BOXES, atol=1e-8)
    behind = np.vstack([BOXES, [1, -8.0, 0.0, -0.9, 4.0, 1.8, 1.5, 0.0]])
    read = kitti.read_frame(write(tmp_path / "more", boxes=behind) / "training", "000001")
    part = kitti.Kitti.part([read], ["a"], 0)
    assert part.repairs == {
        "boxes_outside_dropped": 1,
        "boxes_hardly_hit_dropped": 1,
    }  # one behind, one person of one point
    assert part.labels["cars"].tolist() == [1.0]
    assert abs(float(part.labels["nearest"][0]) - np.hypot(10, 2)) < 1e-3
    assert sorted(part.labels["segment"][0].unique().tolist()) == [-1, 1, 2]
    assert kitti.frames(tmp_path / "more")["test"] == ["000004"]


def test_kitti_keeps_what_the_camera_sees(tmp_path: Path) -> None:
    folder = write(tmp_path, np.vstack([POINTS, [-10, 0, 0, 0], [1.0, 20.0, 0, 0]])) / "training"
    text = "P2: 700 0 600 0 0 700 180 0 0 0 1 0\n" + CALIBRATION
    (folder / "calib" / "000000.txt").write_text(text)
    points, _ = kitti.read_frame(folder, "000000")
    assert len(points) == 4 and len(kitti.read_frame(folder, "000001")[0]) == 6


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("velodyne/000000.bin", b"123", "ends too early"),
        ("velodyne/000000.bin", b"", "empty file"),
        ("velodyne/000000.bin", None, "cannot be read"),
        ("calib/000000.txt", None, "missing beside its cloud"),
        ("calib/000000.txt", b"R0_rect: 1 0 0\n", "lacks R0_rect"),
        ("calib/000000.txt", b"R0_rect: a\n", "no numbers"),
        ("label_2/000000.txt", b"Car 0 0\n", "no label of fifteen fields"),
        ("label_2/000000.txt", b"\xff\xfe", "no text"),
    ],
)
def test_kitti_names_every_damage(tmp_path: Path, file: str, content: bytes | None, words: str) -> None:
    folder = write(tmp_path) / "training"
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    with pytest.raises(DataError, match=words) as error:
        kitti.read_frame(folder, "000000")
    assert "000000" in str(error.value)


def test_kitti_refuses_labels_without_clouds_and_lists_of_unknown_frames(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "ImageSets").mkdir()
    (folder / "ImageSets" / "train.txt").write_text("000000\n000001\n000002\n")
    (folder / "ImageSets" / "val.txt").write_text("000003\n")
    assert kitti.frames(folder) == {"train": ["000000", "000001"], "val": ["000002"], "test": ["000003"]}
    (folder / "ImageSets" / "val.txt").write_text("000009\n")
    with pytest.raises(DataError, match="000009"):
        kitti.frames(folder)
    (folder / "training" / "velodyne" / "000002.bin").unlink()
    with pytest.raises(DataError, match="label file 000002"):
        kitti.frames(folder)


def test_a_folder_of_sweeps_in_both_layouts(tmp_path: Path) -> None:
    folder = tmp_path / "lidar" / "folder-drive"
    rows = ["file,class"]
    for part in ("train", "val", "test"):
        (folder / part).mkdir(parents=True)
        for k in range(4):
            five = np.tile(np.array([k + 1.0, 2, -1.8, 51, 7]), (6, 1))
            name = f"{k}.pcd.bin" if k % 2 else f"{k}.bin"
            (folder / part / name).write_bytes((five if k % 2 else five[:, :4]).astype("<f4").tobytes())
            rows.append(f"{part}/{name},{'ab'[k // 2]}")
    kind = datasets["lidar/folder-drive"].make
    assert kind(tmp_path).tasks == ()
    (folder / "labels.csv").write_text("\n".join(rows))
    data = kind(tmp_path).data("val")
    assert data.labels["class"].tolist() == [0, 1, 0, 1] or data.labels["class"].tolist() == [0, 0, 1, 1]
    assert data.x[:, 0, 0].tolist() == [100, 200, 300, 400] and data.x[0, 0].tolist() == [100, 200, 0, 51]
    assert data.extra["points"].tolist() == [6, 6, 6, 6]
    (folder / "labels.csv").write_text("name\nx")
    with pytest.raises(DataError, match="columns"):
        kind(tmp_path)
    shutil.rmtree(folder / "val")
    (folder / "labels.csv").unlink()
    with pytest.raises(DataError, match=r"has no \.bin file"):
        kind(tmp_path).read(tmp_path)


def test_a_crown_is_clipped_around_its_middle_above_the_ground() -> None:
    points = np.array(
        [[10, 10, 105, 500], [12, 11, 108, 2000], [19, 10, 104, 1], [10, 12, 100, 1], [11, 11, 999, 1]], float
    )
    classes = np.array([5, 5, 5, 2, 7])
    outline = np.array([[9.0, 9.0], [13.0, 9.0], [13.0, 13.0], [9.0, 13.0]])
    wanted = [[-1, -1, 5, 0.5], [1, 0, 8, 1.0], [-1, 1, 0, 0.001]]
    np.testing.assert_allclose(clip(points, classes, outline), wanted)


def test_what_is_no_cloud_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.las").write_bytes(b"LASF" + bytes(20))
    with pytest.raises(DataError, match=r"a\.las"):
        read_las(tmp_path / "a.las", "copy it again")
    with pytest.raises(DataError, match="missing"):
        read_las(tmp_path / "b.las", "copy it again")
    with pytest.raises(DataError, match="20 bytes"):
        (tmp_path / "c.pcd.bin").write_bytes(bytes(16))
        read_points(tmp_path / "c.pcd.bin", "copy it again")
    for name in ("kitti", "idtrees_neon", "ign_building_bev"):
        with pytest.raises(DataError, match="no folder"):
            datasets[f"lidar/{name}"].make(tmp_path).data("train")


@pytest.mark.skipif(not FIXTURE.is_dir(), reason="the frames are not below the data root")
@pytest.mark.parametrize(("name", "known"), [("000000", 46), ("000001", 47), ("000002", 50)])
def test_boxes_of_real_frames_hold_the_points_that_they_held_elsewhere(name: str, known: int) -> None:
    """Known: boxes with five points or more as counted when the frames were chosen; points on faces may fall either way."""
    calibration = kitti.read_calibration(FIXTURE / "calib" / f"{name}.txt")
    boxes = kitti.read_boxes(FIXTURE / "label_2" / f"{name}.txt", calibration)
    points = read_points(FIXTURE / "velodyne" / f"{name}.bin", "copy it again", 4)
    assert len(points) > 85_000
    assert abs(sum(int(within(points, box, 0.0).sum() >= 5) for box in boxes) - known) <= 1
