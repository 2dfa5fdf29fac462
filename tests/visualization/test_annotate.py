import numpy as np
import pytest

from cmsa.geometry.affine import apply_affine
from cmsa.geometry.crops import crop_affine, extend_to_aspect
from cmsa.structures import COCO, Box, ClassScores, HeadPose, Keypoints
from cmsa.visualization.annotate import annotate
from cmsa.visualization.panel import BACKGROUND

IMAGE = np.full((300, 600, 3), 200, np.uint8)
BOX = Box(100, 50, 64, 64)


def person(box):
    """Keypoints spread over the box, left ones in its right half as when a person faces the camera."""
    across = [0.7 if name.startswith("left") else 0.3 if name.startswith("right") else 0.5 for name in COCO.names]
    down = np.linspace(0.1, 0.9, len(COCO))
    xy = np.stack([box.x + box.width * np.array(across), box.y + box.height * down], axis=1)
    return Keypoints(xy, np.full(len(COCO), 0.9), COCO.names, box)


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


def test_panel_shows_crops_with_visible_pixels_and_the_keypoints_on_them():
    box = Box(300, 100, 120, 300)
    image = np.random.default_rng(0).integers(0, 256, (500, 700, 3), dtype=np.uint8)
    matrix = crop_affine(box.center, extend_to_aspect(box, (32, 24)), (32, 24))
    crop = np.full((32, 24, 3), (200, 30, 160), np.uint8)
    panel = annotate(image, [person(box)], [(crop, matrix)])
    ours = (panel == (200, 30, 160)).all(axis=2)
    assert ours.sum() > 50_000
    rows, columns = np.flatnonzero(ours.any(axis=1)), np.flatnonzero(ours.any(axis=0))
    top, left = rows[0], columns[0]
    height, width = rows[-1] + 1 - top, columns[-1] + 1 - left
    assert height / width == pytest.approx(32 / 24, rel=0.01)
    scale = height / 32
    for x, y in np.rint(scale * (apply_affine(matrix, person(box).xy) + 0.5) - 0.5).astype(int):
        assert not ours[top + y, left + x]
    assert (panel[0] == BACKGROUND).all()


def test_a_crowd_has_as_many_crops_as_fit():
    heads = [HeadPose(0, 0, 0, Box(10 * index, 10, 20 + index, 20)) for index in range(14)]
    crops = [crop((10, 90, 30 + 5 * index), head.box) for index, head in enumerate(heads)]
    shown = shown_of(annotate(IMAGE, heads, crops), 14)
    assert shown == [False] * 12 + [True] * 2
    large = np.full((1500, 2000, 3), 200, np.uint8)
    assert all(shown_of(annotate(large, heads, crops), 14))


def shown_of(panel, count):
    return [bool(columns_of(panel, (10, 90, 30 + 5 * index)).size) for index in range(count)]


def test_each_value_wants_a_crop():
    with pytest.raises(ValueError, match="1 values and 0 crops"):
        annotate(IMAGE, [HeadPose(0, 0, 0, BOX)], [])


def test_a_box_that_is_the_picture_is_not_drawn():
    whole = Box(0, 0, 600, 300)
    for box, framed in ((whole, False), (BOX, True)):
        panel = annotate(IMAGE, [HeadPose(0, 0, 0, box)], [crop((10, 90, 30), box)])
        left, top = 24 + int(box.x), 24 + int(box.y)
        assert (panel[top + 40, left] != 200).any() == framed
