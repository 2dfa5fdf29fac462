from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from cmsa.data.datasets.faces import Faces, HeadPoseDataError
from cmsa.data.datasets.faces_300w_lp import load_300w_lp, load_aflw2000

# A profile of the true files: 450 x 450 pictures, seven numbers of pose, 68 landmarks.
POSE = np.array([-0.17453293, 0.61086524, 0.08726646, 91.2, 188.0, -66.7, 9.6e-4])  # pitch -10°, yaw 35°, roll 5°


def landmarks() -> np.ndarray:
    """2 x 68 float32 between (20, 30) and (70, 75)."""
    generator = np.random.default_rng(0)
    points = generator.uniform((25, 35), (65, 70), (68, 2)).T
    points[:, 0], points[:, 1] = (20, 75), (70, 30)
    return points.astype(np.float32)


def write_pair(folder: Path, name: str, picture: bool = True, **changes: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    content = {"Pose_Para": POSE[None], "pt2d": landmarks(), "Color_Para": np.ones((1, 7))} | changes
    savemat(folder / f"{name}.mat", {key: value for key, value in content.items() if value is not None})
    if picture:
        Image.new("RGB", (100, 90)).save(folder / f"{name}.jpg")


def faces_of(folder: Path, **changes: Any) -> Faces:
    """A folder with one good pair and one that was changed."""
    write_pair(folder, "good")
    write_pair(folder, "changed", **changes)
    return load_300w_lp(folder)


def test_golden_300w_lp(tmp_path: Path) -> None:
    write_pair(tmp_path / "AFW", "AFW_134212_1_0")
    faces = load_300w_lp(tmp_path)
    (face,) = faces.faces
    assert face.name == "AFW/AFW_134212_1_0"
    assert face.file == tmp_path / "AFW" / "AFW_134212_1_0.jpg"
    # Yaw, pitch, roll in degrees; the file has pitch, yaw, roll in radians.
    np.testing.assert_allclose(face.angles, (35, -10, 5), atol=1e-5)
    assert face.box.xywh == pytest.approx((20, 30, 50, 45))
    assert faces.box_source == "landmarks"
    assert str(faces) == "1 faces, boxes from landmarks\nnothing was left out"


def test_golden_aflw2000_masks_missing_landmarks(tmp_path: Path) -> None:
    points = landmarks()[:, :21]
    points[:, 5] = -1
    points[0, 6] = -1
    write_pair(tmp_path, "image00002", pt2d=points)
    (face,) = load_aflw2000(tmp_path).faces
    assert face.name == "image00002"
    assert face.box.xywh == pytest.approx((20, 30, 50, 45))


def test_landmarks_outside_the_picture_still_count(tmp_path: Path) -> None:
    points = landmarks()
    points[:, 3] = (-12, 40)
    write_pair(tmp_path, "a", pt2d=points)
    assert load_300w_lp(tmp_path).faces[0].box.xywh == pytest.approx((-12, 30, 82, 45))


def test_layout_of_300w_lp(tmp_path: Path) -> None:
    for folder in ("AFW", "AFW_Flip", "HELEN", "HELEN_Flip"):
        write_pair(tmp_path / folder, "x_1")
    # The archive's own extras, which are no faces.
    write_pair(tmp_path / "landmarks" / "AFW", "x_1_pts", picture=False)
    write_pair(tmp_path / "Code" / "Mex", "Model_Shape", picture=False)
    faces = load_300w_lp(tmp_path)
    assert [face.name for face in faces.faces] == ["AFW/x_1", "AFW_Flip/x_1", "HELEN/x_1", "HELEN_Flip/x_1"]
    assert len(faces.problems) == 0
    assert [face.name for face in load_300w_lp(tmp_path, flips=False).faces] == ["AFW/x_1", "HELEN/x_1"]


def test_missing_partners_are_listed(tmp_path: Path) -> None:
    write_pair(tmp_path / "a", "good")
    write_pair(tmp_path / "a", "alone", picture=False)
    write_pair(tmp_path / "b", "bare")
    (tmp_path / "b" / "bare.mat").unlink()
    faces = load_300w_lp(tmp_path)
    assert len(faces) == 1
    assert faces.problems.wrong == {"picture without its .mat": ["b/bare"], ".mat without its picture": ["a/alone"]}


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(("degrees", "kept"), [(98.9, True), (-98.9, True), (99.1, False), (-130, False)])
def test_large_angles_are_dropped_and_counted(tmp_path: Path, place: int, degrees: float, kept: bool) -> None:
    pose = POSE.copy()
    pose[place] = np.radians(degrees)
    faces = faces_of(tmp_path, Pose_Para=pose[None])
    assert len(faces) == 1 + kept
    assert faces.problems.left_out == ({} if kept else {"angle beyond ±99°": 1})
    assert len(faces.problems) == 0


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"Pose_Para": None}, ".mat without Pose_Para"),
        ({"Pose_Para": np.array([[np.nan, 0, 0]])}, "angle is not finite"),
        ({"Pose_Para": np.array([[0.1, 0.2]])}, "Pose_Para has fewer than 3 numbers"),
        ({"Pose_Para": "yes"}, "Pose_Para is not numbers"),
        ({"pt2d": None}, ".mat without pt2d"),
        ({"pt2d": landmarks().T}, "pt2d is not 2 x N"),
        ({"pt2d": np.full((2, 21), -1.0)}, "landmarks span no area"),
        ({"pt2d": np.full((2, 21), 40.0)}, "landmarks span no area"),
        ({"pt2d": landmarks() + 500}, "face box lies outside its picture"),
    ],
)
def test_a_wrong_annotation_is_listed(tmp_path: Path, changes: dict[str, Any], kind: str) -> None:
    faces = faces_of(tmp_path, **changes)
    assert [face.name for face in faces.faces] == ["good"]
    assert faces.problems.wrong == {kind: ["changed"]}


@pytest.mark.parametrize(("suffix", "kind"), [(".mat", ".mat cannot be read"), (".jpg", "picture cannot be read")])
def test_damaged_files_are_listed(tmp_path: Path, suffix: str, kind: str) -> None:
    write_pair(tmp_path, "good")
    write_pair(tmp_path, "bad")
    for damage in (b"", b"not what it says"):
        (tmp_path / f"bad{suffix}").write_bytes(damage)
        assert load_300w_lp(tmp_path).problems.wrong == {kind: ["bad"]}


def test_grey_pictures_are_read(tmp_path: Path) -> None:
    write_pair(tmp_path, "grey")
    Image.new("L", (100, 90)).save(tmp_path / "grey.jpg")
    assert len(load_300w_lp(tmp_path)) == 1


def test_an_unusable_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HeadPoseDataError, match="there is no such folder"):
        load_300w_lp(tmp_path / "nowhere")
    with pytest.raises(HeadPoseDataError, match=r"holds no usable pair of NAME\.jpg and NAME\.mat"):
        load_300w_lp(tmp_path)
    write_pair(tmp_path, "only", Pose_Para=None)
    with pytest.raises(HeadPoseDataError, match=r"\.mat without Pose_Para: 1 \(only\)"):
        load_300w_lp(tmp_path)


@pytest.mark.shared
def test_real_faces(shared: Path) -> None:
    faces = load_300w_lp(shared / "data" / "ytfaces-headpose" / "test")
    assert len(faces) == 318
    assert len(faces.problems) == 0
    yaw, pitch, roll = np.array([face.angles for face in faces.faces]).T
    assert 5 < yaw.std() < 25
    assert 2 < pitch.std() < 25
    assert 2 < roll.std() < 15
