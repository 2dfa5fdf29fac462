import numpy as np
import pytest

from cmsa.structures import Box, HeadPose
from cmsa.visualization.head_pose import DOWN_COLOR, NOSE_COLOR, SIDE_COLOR, draw_axes, draw_cube
from cmsa.visualization.panel import Color, Picture

# A picture wider than tall, the box off its middle.
HEIGHT, WIDTH = 200, 300
BOX = Box(120, 50, 101, 81)
CENTER = np.array([170.0, 90.0])


def blank() -> Picture:
    return np.full((HEIGHT, WIDTH, 3), 128, np.uint8)


def direction(picture: Picture, color: Color) -> np.ndarray:
    """From the box's centre to the mean of the pixels of one colour, (x, y)."""
    rows, columns = np.nonzero((picture == color).all(axis=2))
    assert len(rows) > 0
    return np.array([columns.mean(), rows.mean()]) - CENTER


def axes(yaw: float, pitch: float, roll: float) -> Picture:
    return draw_axes(blank(), [HeadPose(yaw, pitch, roll, BOX)], readable_side=0)


@pytest.mark.parametrize(
    ("angles", "toward"),
    [((40, 0, 0), (-1, 0)), ((-40, 0, 0), (1, 0)), ((0, 40, 0), (0, -1)), ((0, -40, 0), (0, 1))],
)
def test_nose_goes_left_for_yaw_and_up_for_pitch(angles: tuple[float, ...], toward: tuple[int, int]) -> None:
    x, y = direction(axes(*angles), NOSE_COLOR)
    along, across = x * toward[0] + y * toward[1], x * toward[1] + y * toward[0]
    assert along > 10
    assert abs(across) < 2


def test_positive_roll_turns_clockwise() -> None:
    picture = axes(0, 0, 30)
    side, down = direction(picture, SIDE_COLOR), direction(picture, DOWN_COLOR)
    assert side[0] > 10
    assert side[1] > 5
    assert down[0] < -5
    assert down[1] > 10


def test_axis_length_and_place() -> None:
    changed = (axes(90, 0, 0) == NOSE_COLOR).all(axis=2)
    rows, columns = np.nonzero(changed)
    # 0.6 of the longer side to the left, and the disc at the tip.
    assert columns.min() == pytest.approx(170 - 0.6 * 101 - 3, abs=1.5)
    assert rows.mean() == pytest.approx(90, abs=0.5)


def front_face(yaw: float, pitch: float) -> np.ndarray:
    return direction(draw_cube(blank(), [HeadPose(yaw, pitch, 0, BOX)], readable_side=0), NOSE_COLOR)


def test_cube_turns_its_front_face_with_the_nose() -> None:
    assert front_face(40, 0)[0] < -10
    assert front_face(0, 40)[1] < -10
    assert np.abs(front_face(0, 0)).max() < 2


@pytest.mark.parametrize("draw", [draw_axes, draw_cube])
def test_picture_is_not_changed_and_small_ones_are_enlarged(draw: object) -> None:
    assert callable(draw)
    picture = np.full((20, 30, 3), 128, np.uint8)
    drawn = draw(picture, [HeadPose(10, 20, 30, Box(5, 5, 12, 10))], readable_side=100)
    assert drawn.shape == (80, 120, 3)
    assert (picture == 128).all()
    assert (draw(picture, [], readable_side=0) == picture).all()


def test_heads_far_outside_leave_the_picture_alone() -> None:
    drawn = draw_axes(blank(), [HeadPose(10, 20, 30, Box(1e9, 1e9, 10, 10))], readable_side=0)
    assert (drawn == 128).all()


def test_a_grey_picture_is_named() -> None:
    with pytest.raises(ValueError, match="image must be"):
        draw_axes(np.zeros((5, 5), np.uint8), [])
