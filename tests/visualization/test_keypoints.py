import numpy as np
import pytest

from cmsa.geometry.affine import apply_affine
from cmsa.geometry.crops import crop_affine, extend_to_aspect
from cmsa.structures import COCO, Box, ClassScores, Keypoints
from cmsa.visualization.keypoints import draw_boxes, draw_class_scores, draw_crop_panel, draw_keypoints
from cmsa.visualization.panel import BACKGROUND, enlarge

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
    assert draw_crop_panel(image, [], [], []).shape[0] > 500


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


def test_panel_shows_crops_with_visible_pixels_and_the_keypoints_on_them():
    box = Box(300, 100, 120, 300)
    image = np.random.default_rng(0).integers(0, 256, (500, 700, 3), dtype=np.uint8)
    matrix = crop_affine(box.center, extend_to_aspect(box, (32, 24)), (32, 24))
    crop = np.full((32, 24, 3), (200, 30, 160), np.uint8)
    panel = draw_crop_panel(image, [person(box)], [crop], [matrix])
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


def test_panel_of_a_crowd_shows_the_twelve_largest():
    image = picture(400, 600)
    people = [person(Box(10 + index, 10, 20 + index, 60)) for index in range(14)]
    crops = [np.full((32, 24, 3), (index, 255, 0), np.uint8) for index in range(14)]
    matrices = [crop_affine(one.box.center, (100, 100), (32, 24)) for one in people]
    panel = draw_crop_panel(image, people, crops, matrices)
    shown = [index for index in range(14) if (panel == (index, 255, 0)).all(axis=2).sum() > 500]
    assert shown == list(range(2, 14))


def test_panel_wants_a_crop_for_each_person():
    with pytest.raises(ValueError, match="1 people, 0 crops, 0 matrices"):
        draw_crop_panel(picture(10, 10), [person(Box(0, 0, 5, 5))], [], [])


def test_boxes_are_drawn_on_their_edges():
    image = picture(200, 300)
    difference = changed(image, draw_boxes(image, [Box(100, 50, 60, 100)], ["1"]))
    assert difference[149, 100:160].all()
    assert difference[90:150, 159].all()
    assert not difference[151:].any()
    assert not difference[:, 161:].any()


def test_bars_are_as_long_as_the_probabilities():
    scores = ClassScores(np.array([0.25, 0.75]), ("cat", "dog"), Box(0, 0, 32, 32))
    drawn = draw_class_scores(picture(32, 20), scores)
    assert (drawn[24 + 1, 24 + 1] == GREY).all()
    saturated = drawn[..., 2].astype(int) - drawn[..., 0] > 100
    lengths = sorted(set(saturated.sum(axis=1)) - {0})
    assert lengths == [65, 195]


def test_wrong_pictures_are_named():
    with pytest.raises(ValueError, match=r"image must be \(H, W, 3\) uint8 and not empty, got \(5, 4\) uint8"):
        draw_keypoints(np.zeros((5, 4), np.uint8), [])
    with pytest.raises(ValueError, match="float64"):
        draw_class_scores(np.zeros((5, 4, 3)), ClassScores(np.ones(1), ("cat",), Box(0, 0, 1, 1)))


def test_enlarged_pixels_are_squares():
    crop = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    large, factor = enlarge(crop, 10)
    assert factor == 3
    assert large.shape == (6, 9, 3)
    np.testing.assert_array_equal(large[1::3, 1::3], crop)
    np.testing.assert_array_equal(large[::3, 2::3], crop)
