import numpy as np
import pytest

from cmsa.structures import COCO, Box, Keypoints, keypoint_set
from cmsa.visualization.keypoints import draw_keypoints, line_width

GREY = 128


def picture(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), GREY, np.uint8)


def person(box: Box, scores: float | np.ndarray = 0.9) -> Keypoints:
    """Keypoints spread over the box, left ones in its right half as when a person faces the camera."""
    across = [0.7 if name.startswith("left") else 0.3 if name.startswith("right") else 0.5 for name in COCO.names]
    down = np.linspace(0.1, 0.9, len(COCO))
    xy = np.stack([box.x + box.width * np.array(across), box.y + box.height * down], axis=1)
    return Keypoints(xy, np.broadcast_to(scores, len(COCO)), COCO.names, box)


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (before != after).any(axis=2)


def test_skeleton_is_drawn_at_the_keypoints_and_nowhere_far_from_the_person():
    image, box = picture(500, 700), Box(400, 100, 120, 300)
    drawn = draw_keypoints(image, [person(box)])
    difference = changed(image, drawn)
    for x, y in np.rint(person(box).xy).astype(int):
        assert difference[y, x]
    outside = np.ones_like(difference)
    outside[100:400, 400:520] = False
    assert not difference[outside].any()
    assert (image == GREY).all()


def test_sides_have_their_own_colours():
    box = Box(100, 50, 200, 400)
    drawn = draw_keypoints(picture(500, 500), [person(box)])
    wrist = {side: COCO.names.index(f"{side}_wrist") for side in ("left", "right")}
    elbow = {side: COCO.names.index(f"{side}_elbow") for side in ("left", "right")}
    xy = person(box).xy
    middle = {side: np.rint((xy[wrist[side]] + xy[elbow[side]]) / 2).astype(int) for side in wrist}
    left, right = (drawn[middle[side][1], middle[side][0]].astype(int) for side in ("left", "right"))
    assert left[0] > left[2] + 100
    assert right[2] > right[0] + 100


def test_keypoints_below_the_threshold_are_left_out():
    image, box = picture(500, 500), Box(100, 50, 200, 400)
    scores = np.full(len(COCO), 0.9)
    # The nose is the highest point here, so that no line between other keypoints crosses it.
    scores[COCO.names.index("nose")] = 0.1
    drawn = draw_keypoints(image, [person(box, scores)], threshold=0.2)
    x, y = np.rint(person(box).xy[COCO.names.index("nose")]).astype(int)
    assert not changed(image, drawn)[y, x]
    assert not changed(image, draw_keypoints(image, [person(box, 0.1)])).any()


def test_lines_grow_with_the_person():
    image = picture(900, 900)
    small, large = (
        changed(image, draw_keypoints(image, [person(Box(10, 10, side, side))])).sum() for side in (200, 800)
    )
    # Four times the box: lines four times as long and wide.
    assert 10 < large / small < 22


def test_small_pictures_are_enlarged_by_a_whole_factor():
    image, box = picture(60, 40), Box(5, 5, 30, 50)
    drawn = draw_keypoints(image, [person(box)])
    assert drawn.shape == (480, 320, 3)
    for x, y in np.rint(8 * (person(box).xy + 0.5) - 0.5).astype(int):
        assert changed(picture(480, 320), drawn)[y, x]
    assert draw_keypoints(image, [person(box)], readable_side=0).shape == (60, 40, 3)


def test_nobody_leaves_the_picture_as_it_was():
    image = picture(500, 300)
    drawn = draw_keypoints(image, [])
    np.testing.assert_array_equal(drawn, image)
    assert drawn is not image


def test_keypoints_far_outside_do_not_wrap_into_the_picture():
    image = picture(500, 500)
    far = Keypoints(np.full((17, 2), 1e12), np.ones(17), COCO.names, Box(0, 0, 10, 10))
    np.testing.assert_array_equal(draw_keypoints(image, [far]), image)


def test_a_part_of_the_keypoints_will_do():
    xy = np.array([[100.0, 100.0], [300.0, 300.0], [400.0, 100.0]])
    three = Keypoints(xy, np.ones(3), ("left_wrist", "left_elbow", "tail"), Box(50, 50, 400, 400))
    image = picture(500, 500)
    difference = changed(image, draw_keypoints(image, [three]))
    assert difference[200, 200]
    assert difference[100, 400]
    assert not difference[200, 350]


def test_wrong_pictures_are_named():
    with pytest.raises(ValueError, match=r"image must be \(H, W, 3\) uint8 and not empty, got \(5, 4\) uint8"):
        draw_keypoints(np.zeros((5, 4), np.uint8), [])


def test_each_person_has_the_lines_of_its_own_set():
    names, xy = ("a", "b", "c"), np.array([[50.0, 50], [450, 50], [250, 400]])
    box = Box(10, 10, 480, 480)
    joined, loose = (
        Keypoints(xy, np.ones(3), names, box, keypoint_set(names, lines)) for lines in ([(0, 1), (0, 2)], [])
    )
    image = picture(500, 500)
    assert changed(image, draw_keypoints(image, [joined]))[50, 250]
    assert not changed(image, draw_keypoints(image, [loose]))[50, 250]
    # One picture may hold people of two sets.
    aside = Keypoints(xy * [1, 0.5], np.ones(3), COCO.names[:3], box)
    assert changed(image, draw_keypoints(image, [loose, aside]))[25, 250]


@pytest.mark.parametrize(
    ("person_side", "picture_side", "width"),
    [
        (400, 640, 5),  # 1.2 % of the person
        (150, 4000, 5),  # small in a large picture: 1/800 of that
        (60, 4000, 2),  # but 4 % of the person
        (8000, 4000, 50),  # and 1/80 of the picture
        (30, 120, 1),
    ],
)
def test_lines_fit_the_person_and_the_picture(person_side, picture_side, width):
    assert line_width(person_side, picture_side) == width
