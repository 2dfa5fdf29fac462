import numpy as np
import pytest
from PIL import Image

import cmsa
from cmsa.structures import COCO, Box, ClassScores, HeadPose, Keypoints

IMAGE = np.full((300, 400, 3), 128, np.uint8)
PERSON = Keypoints(np.linspace([60, 60], [140, 240], 17), np.ones(17), COCO.names, Box(50, 50, 100, 200))
HEAD = HeadPose(10, 20, 30, Box(250, 50, 80, 80))
THING = ClassScores([0.9, 0.1], ("dog", "cat"), Box(250, 200, 80, 80))


def changed(drawn: np.ndarray, box: Box) -> bool:
    """Whether something is drawn around a box."""
    left, top = int(box.x) - 20, int(box.y) - 25
    return bool((drawn[top : top + int(box.height) + 30, left : left + int(box.width) + 30] != 128).any())


def test_values_of_any_kind_are_drawn_and_the_size_stays():
    before = IMAGE.copy()
    drawn = cmsa.draw(IMAGE, [PERSON, HEAD, THING])
    assert drawn.shape == IMAGE.shape
    assert all(changed(drawn, value.box) for value in (PERSON, HEAD, THING))
    np.testing.assert_array_equal(IMAGE, before)


@pytest.mark.parametrize("value", [PERSON, HEAD, THING])
def test_one_value_needs_no_list_and_pil_will_do(value):
    drawn = cmsa.draw(Image.fromarray(IMAGE), value)
    np.testing.assert_array_equal(drawn, cmsa.draw(IMAGE, [value]))
    assert [changed(drawn, other.box) for other in (PERSON, HEAD, THING)] == [
        other is value for other in (PERSON, HEAD, THING)
    ]


def test_ids_stand_at_the_boxes():
    plain, named, other = (cmsa.draw(IMAGE, [PERSON], ids) for ids in ([None], [7], [8]))
    np.testing.assert_array_equal(plain, cmsa.draw(IMAGE, PERSON))
    assert (named[30:50] != 128).any()
    assert (named != other).any()
    with pytest.raises(ValueError, match="1 values and 2 ids"):
        cmsa.draw(IMAGE, [PERSON], [1, 2])


def test_nobody_is_a_copy():
    drawn = cmsa.draw(IMAGE, [])
    assert drawn is not IMAGE
    np.testing.assert_array_equal(drawn, IMAGE)


def test_a_grey_picture_is_named():
    with pytest.raises(ValueError, match=r"image must be \(H, W, 3\) uint8 and not empty, got \(5, 4\) uint8"):
        cmsa.draw(np.zeros((5, 4), np.uint8), [])
