from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from cmsa.data.datasets.biwi import FACE_SIZE, ColorCamera, biwi_angles, load_biwi
from cmsa.data.datasets.faces import HeadPoseDataError

CALIBRATION = """517.679 0 320
0 517.679 240.5
0 0 1

0 0 0 0

0.999947 0.00432361 0.00929419
-0.00446314 0.999877 0.0150443
-0.009228 -0.015085 0.999844

-24.0198 5.8896 -13.2308

640 480
"""
# Turned by 30° about the camera's vertical axis, then 10° about its horizontal one.
POSE = """0.8660254 0.0000000 0.5000000
0.0868241 0.9848078 -0.1503837
-0.4924039 0.1736482 0.8528685

-9.5 42.0 910.0
"""


def write_frame(sequence: Path, number: int, pose: str = POSE, suffix: str = "png") -> None:
    sequence.mkdir(parents=True, exist_ok=True)
    (sequence / "rgb.cal").write_text(CALIBRATION)
    (sequence / f"frame_{number:05d}_pose.txt").write_text(pose)
    Image.new("RGB", (640, 480)).save(sequence / f"frame_{number:05d}_rgb.{suffix}")


def numbers(matrix: np.ndarray, center: str = "0 0 900") -> str:
    return "\n".join(" ".join(map(str, row)) for row in matrix.tolist()) + "\n\n" + center + "\n"


def hopenet_angles(rotation: np.ndarray) -> tuple[float, ...]:
    """The field's formula (PROTOCOLS), on the transposed matrix."""
    r = rotation.T
    roll = -np.arctan2(r[1, 0], r[0, 0])
    yaw = -np.arctan2(-r[2, 0], np.sqrt(r[2, 1] ** 2 + r[2, 2] ** 2))
    pitch = np.arctan2(r[2, 1], r[2, 2])
    return tuple(np.degrees((yaw, pitch, roll)))


def test_golden_frame(tmp_path: Path) -> None:
    write_frame(tmp_path / "hpdb" / "01", 3)
    faces = load_biwi(tmp_path)
    (face,) = faces.faces
    assert face.name == "01/frame_00003"
    assert face.file == tmp_path / "hpdb" / "01" / "frame_00003_rgb.png"
    np.testing.assert_allclose(face.angles, (30, -10, 0), atol=1e-4)
    # By hand: the colour camera sees the head at (-24.88, 61.62, 896.05) mm.
    assert face.box.center == pytest.approx(
        (320 - 517.679 * 24.88 / 896.05, 240.5 + 517.679 * 61.62 / 896.05), abs=0.05
    )
    assert face.box.width == face.box.height == pytest.approx(FACE_SIZE * 517.679 / 896.05, abs=0.01)
    assert str(faces).startswith("1 faces, boxes from projected head centres")


@pytest.mark.parametrize(
    ("axis", "degrees", "angles"),
    [
        # BIWI's frame: x right, y down, z away. The nose points along -z at rest, so that turning from z to x
        # (positive about y) takes it to the left, turning from y to z (positive about x) takes it down.
        ("y", 20, (20, 0, 0)),
        ("x", 20, (0, -20, 0)),
        ("z", 20, (0, 0, 20)),
    ],
)
def test_signs(axis: str, degrees: float, angles: tuple[float, ...]) -> None:
    rotation = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
    np.testing.assert_allclose(biwi_angles(rotation), angles, atol=1e-9)
    # Seen directly: where the nose goes in the picture.
    nose = rotation @ (0, 0, -1)
    assert np.sign(np.round(nose[0], 9)) == -np.sign(angles[0])
    assert np.sign(np.round(nose[1], 9)) == -np.sign(angles[1])


@given(st.floats(-89, 89), st.floats(-179, 179), st.floats(-179, 179))
def test_angles_are_those_of_the_fields_formula(a: float, b: float, c: float) -> None:
    rotation = Rotation.from_euler("XYZ", (b, a, c), degrees=True).as_matrix()
    np.testing.assert_allclose(biwi_angles(rotation), hopenet_angles(rotation), atol=1e-9)


def test_layouts_and_order(tmp_path: Path) -> None:
    write_frame(tmp_path / "02", 4, suffix="jpg")
    write_frame(tmp_path / "01", 12)
    write_frame(tmp_path / "01", 5)
    (tmp_path / "01.obj").write_text("the head's mesh")
    (tmp_path / "01" / "frame_00005_depth.bin").write_bytes(b"depth")
    faces = load_biwi(tmp_path)
    assert [face.name for face in faces.faces] == ["01/frame_00005", "01/frame_00012", "02/frame_00004"]
    assert len(faces.problems) == 0


def test_given_boxes(tmp_path: Path) -> None:
    for number in (3, 4, 5):
        write_frame(tmp_path / "01", number)
    (tmp_path / "01" / "rgb.cal").unlink()
    boxes = tmp_path / "boxes.csv"
    boxes.write_text(
        "frame,x,y,width,height\n01/frame_00003,200,100,120,150\n01/frame_00005,1,2,0,4\n09/frame_00001,1,2,3,4\n"
    )
    faces = load_biwi(tmp_path, boxes=boxes)
    assert [face.box.xywh for face in faces.faces] == [(200, 100, 120, 150)]
    assert faces.box_source == str(boxes)
    assert faces.problems.left_out == {"frame without a box": 2}
    assert faces.problems.wrong == {
        "box is not four numbers with an area": ["01/frame_00005"],
        "box of a frame that is not there": ["09/frame_00001"],
    }


def test_missing_partners_are_listed(tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write_frame(tmp_path / "01", number)
    (tmp_path / "01" / "frame_00001_pose.txt").unlink()
    (tmp_path / "01" / "frame_00002_rgb.png").unlink()
    faces = load_biwi(tmp_path)
    assert len(faces) == 1
    assert faces.problems.wrong == {
        "picture without its pose.txt": ["01/frame_00001"],
        "pose.txt without its picture": ["01/frame_00002"],
    }


@pytest.mark.parametrize(
    ("pose", "kind"),
    [
        ("1 0 0 0 1 0", "pose.txt does not hold 12 finite numbers"),
        (POSE.replace("910.0", "nan"), "pose.txt does not hold 12 finite numbers"),
        ("head", "pose.txt cannot be read"),
        (numbers(2 * np.eye(3)), "matrix is not a rotation"),
        (numbers(np.diag([1, 1, -1])), "matrix is not a rotation"),
        (numbers(np.eye(3), "0 0 -900"), "head centre lies behind the camera"),
        (numbers(np.eye(3), "5000 0 900"), "face box lies outside its picture"),
    ],
)
def test_a_wrong_pose_is_listed(tmp_path: Path, pose: str, kind: str) -> None:
    write_frame(tmp_path / "01", 1)
    write_frame(tmp_path / "01", 2, pose)
    faces = load_biwi(tmp_path)
    assert len(faces) == 1
    assert faces.problems.wrong == {kind: ["01/frame_00002"]}


def test_large_angles_are_left_out(tmp_path: Path) -> None:
    write_frame(tmp_path / "01", 1)
    write_frame(tmp_path / "01", 2, numbers(Rotation.from_euler("z", 120, degrees=True).as_matrix()))
    assert load_biwi(tmp_path).problems.left_out == {"angle beyond ±99°": 1}


def test_a_sequence_without_calibration_is_listed(tmp_path: Path) -> None:
    write_frame(tmp_path / "01", 1)
    write_frame(tmp_path / "02", 1)
    for damage in ("517.679 0 320", "not a calibration"):
        (tmp_path / "02" / "rgb.cal").write_text(damage)
        faces = load_biwi(tmp_path)
        assert len(faces) == 1
        assert faces.problems.wrong == {"rgb.cal is missing or damaged": ["02"]}
        assert faces.problems.left_out == {"frame of a sequence without calibration": 1}


def test_color_camera_reads_every_part(tmp_path: Path) -> None:
    path = tmp_path / "rgb.cal"
    path.write_text(CALIBRATION)
    camera = ColorCamera.read(path)
    assert camera.intrinsics[1].tolist() == [0, 517.679, 240.5]
    assert camera.rotation[2].tolist() == [-0.009228, -0.015085, 0.999844]
    assert camera.translation.tolist() == [-24.0198, 5.8896, -13.2308]


def test_unusable_input_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HeadPoseDataError, match="there is no such folder"):
        load_biwi(tmp_path / "nowhere")
    with pytest.raises(HeadPoseDataError, match="holds no usable pair"):
        load_biwi(tmp_path)
    write_frame(tmp_path / "01", 1)
    with pytest.raises(HeadPoseDataError, match="cannot be read"):
        load_biwi(tmp_path, boxes=tmp_path / "nothing.csv")
    (tmp_path / "wrong.csv").write_text("name,left\n")
    with pytest.raises(HeadPoseDataError, match="its header must be frame,x,y,width,height"):
        load_biwi(tmp_path, boxes=tmp_path / "wrong.csv")
