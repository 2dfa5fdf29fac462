from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmsa.app.boxes import MOST, box_at, box_between, boxes_of_rows, rows_of_boxes
from cmsa.data.boxes import BoxesError
from cmsa.structures import Box

SIZE = 90, 120
tenths, sides = (st.integers(least, 800).map(lambda number: number / 10) for least in (1, 10))


@given(st.lists(st.tuples(tenths, tenths, sides, sides), max_size=MOST))
def test_a_table_of_boxes_gives_the_boxes(numbers):
    boxes = tuple(Box(*four) for four in numbers)
    assert boxes_of_rows(rows_of_boxes(boxes), SIZE) == boxes


def test_empty_rows_are_left_out_and_text_is_read():
    rows = [[None, None, None, None], ["", " ", "", ""], ["3", "4", "50", 6.5], [math.nan] * 4]
    assert boxes_of_rows(rows, SIZE) == (Box(3, 4, 50, 6.5),)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([[1, 2, 3, 4], [1, 2, None, 4]], "row 2 of the boxes: needs four numbers, x, y, width, height"),
        ([[1, 2, "wide", 4]], "row 1 of the boxes: needs four numbers"),
        ([[1, 2, 3, 0]], "row 1 of the boxes: .*positive"),
        ([[1, 2, 3, math.inf]], "row 1 of the boxes: .*finite"),
        ([[200, 2, 3, 4]], "row 1 of the boxes: .*outside the picture of 90x120"),
        ([[1, 2, 3, 4]] * (MOST + 1), "21 boxes: at most 20"),
    ],
)
def test_what_is_wrong_with_a_row_is_told(rows, words):
    with pytest.raises(BoxesError, match=words):
        boxes_of_rows(rows, SIZE)


@pytest.mark.parametrize(("first", "second"), [((10, 20), (39, 29)), ((39, 29), (10, 20)), ((10, 29), (39, 20))])
def test_two_opposite_corners_are_a_box(first, second):
    assert box_between(first, second) == Box(10, 20, 30, 10)


def test_corners_on_each_other_are_no_box():
    with pytest.raises(BoxesError, match="too near"):
        box_between((10, 20), (10, 40))


def test_a_click_finds_the_smallest_box_there():
    boxes = [Box(0, 0, 100, 80), Box(10, 10, 20, 20), Box(200, 0, 5, 5)]
    assert box_at(boxes, (12, 12)) == 1
    assert box_at(boxes, (50, 50)) == 0
    assert box_at(boxes, (29, 29)) == 1
    assert box_at(boxes, (30, 30)) == 0
    assert box_at(boxes, (150, 50)) is None
