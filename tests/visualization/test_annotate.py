import numpy as np
import pytest

from cmsa.geometry.crops import crop_affine
from cmsa.structures import COCO, Box, ClassScores, HeadPose, Keypoints
from cmsa.visualization.annotate import annotate
from cmsa.visualization.panel import BACKGROUND

IMAGE = np.full((300, 600, 3), 200, np.uint8)
BOX = Box(100, 50, 64, 64)


def crop(color, box=BOX, size=(32, 32)):
    return np.full((*size, 3), color, np.uint8), crop_affine(box.center, (box.width, box.height), size)


def columns_of(panel, color):
    return np.flatnonzero((panel == color).all(axis=2).any(axis=0))


def test_nobody_is_the_picture_alone():
    panel = annotate(IMAGE, [], [])
    assert (panel == 200).all(axis=2).sum() == 300 * 600
    assert (panel[0] == BACKGROUND).all()


def test_person_has_a_crop_at_right():
    person = Keypoints(np.full((17, 2), 120.0), np.ones(17), COCO.names, BOX)
    panel = annotate(IMAGE, [person], [crop((10, 90, 30), size=(32, 24))])
    assert columns_of(panel, (10, 90, 30))[0] > 600


@pytest.mark.parametrize("cube", [False, True])
def test_head_is_drawn_in_the_picture_and_in_its_crop(cube):
    panel = annotate(IMAGE, [HeadPose(30, 0, 0, BOX)], [crop((10, 90, 30))], cube=cube)
    green = columns_of(panel, (10, 90, 30))
    # Blue, of the nose axis or of the cube's face in front; thin lines are blended with what is behind them.
    blue = np.flatnonzero((panel[..., 2].astype(int) - panel[..., 0] > 80).any(axis=0))
    assert green[0] > 600
    inside = blue[blue < 600]
    assert inside.size
    assert (blue > green[0]).any()
    if not cube:
        # The nose of a positive yaw points to the left of the box's centre, in the margin of 24 pixels.
        assert inside.min() < 24 + BOX.center[0] - 10
        middle = (green[0] + green[-1]) / 2
        assert blue[blue > green[0]].min() < middle - 20


def test_class_of_a_thumbnail_is_drawn_without_a_second_copy():
    scores = ClassScores([0.9, 0.1], ("cat", "dog"), Box(0, 0, 32, 32))
    small = np.full((32, 32, 3), (10, 90, 30), np.uint8)
    panel = annotate(small, [scores], [(small, crop_affine((15.5, 15.5), (32, 32), (32, 32)))])
    assert (panel == (10, 90, 30)).all(axis=2).sum() == 320 * 320


def test_classes_of_boxes_stand_beside_the_picture():
    scores = [ClassScores([0.9, 0.1], ("cat", "dog"), Box(x, 20, 64, 64)) for x in (10, 200)]
    panel = annotate(IMAGE, scores, [crop((10, 90, 30)), crop((200, 90, 30))], top=2)
    assert columns_of(panel, (10, 90, 30))[0] > 600
    assert columns_of(panel, (200, 90, 30))[0] > 600


def test_only_the_twelve_largest_have_a_crop():
    heads = [HeadPose(0, 0, 0, Box(10 * index, 10, 20 + index, 20)) for index in range(14)]
    crops = [crop((10, 90, 30 + 5 * index), head.box) for index, head in enumerate(heads)]
    panel = annotate(IMAGE, heads, crops)
    shown = [bool(columns_of(panel, (10, 90, 30 + 5 * index)).size) for index in range(14)]
    assert shown == [False] * 2 + [True] * 12
