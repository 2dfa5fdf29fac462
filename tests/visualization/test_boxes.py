import numpy as np

from cmsa.structures import Box
from cmsa.visualization.boxes import draw_boxes

GREY = 128


def drawn_on(height: int, width: int, box: Box, name: str) -> np.ndarray:
    image = np.full((height, width, 3), GREY, np.uint8)
    return (draw_boxes(image, [box], [name]) != GREY).any(axis=2)


def test_boxes_are_drawn_on_their_edges():
    difference = drawn_on(200, 300, Box(100, 50, 60, 100), "1")
    assert difference[149, 100:160].all()
    assert difference[90:150, 159].all()
    assert not difference[151:].any()
    assert not difference[:, 161:].any()


def test_a_name_stands_above_its_box_or_inside_at_the_border():
    above = drawn_on(200, 300, Box(100, 50, 60, 100), "12")
    assert above[40, 101:110].all()
    assert not above[55, 103:157].any()
    assert drawn_on(200, 300, Box(100, 0, 60, 100), "12")[5, 101:110].all()
    # A name at the right border stays whole.
    inside = drawn_on(200, 300, Box(290, 50, 10, 100), "a long name")
    assert inside[40, 200:299].sum() > 80


def test_without_a_name_there_is_the_box_alone():
    assert not drawn_on(200, 300, Box(100, 50, 60, 100), "")[:49].any()


def test_letters_grow_with_the_box_within_the_picture():
    heights = []
    for side in (40, 400, 2500):
        rows = drawn_on(3000, 4000, Box(1000, 400, side, side), "1").any(axis=1)
        heights.append(400 - int(np.flatnonzero(rows)[0]))
    # 1/90, 1/8 of the box, and 1/45 of the long side; 1.4 letters high.
    np.testing.assert_allclose(heights, [1.4 * 4000 / 90, 1.4 * 50, 1.4 * 4000 / 45], atol=4)
