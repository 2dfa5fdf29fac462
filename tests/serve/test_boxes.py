from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmsa.serve.boxes import boxes_schema, read_boxes
from cmsa.serve.refusal import Refusal

WHOLE = st.integers(0, 50)


@given(st.lists(st.tuples(WHOLE, WHOLE, st.integers(1, 60), st.integers(1, 60)), max_size=5))
def test_both_layouts_give_the_same_boxes(boxes):
    corners = [[x, y, x + width, y + height] for x, y, width, height in boxes]
    size = 200, 300
    found = read_boxes(json.dumps({"xywh": boxes}), 5).of_picture(*size)
    assert [box.xywh for box in found.boxes] == [tuple(map(float, box)) for box in boxes]
    assert read_boxes(json.dumps({"xyxy": corners}), 5).of_picture(*size).boxes == found.boxes
    assert found.scores == (1.0,) * len(boxes)
    assert found.source == "given"


def test_a_fifth_number_is_the_score():
    found = read_boxes('{"xywh": [[1, 2, 3, 4, 0.25], [1, 2, 3, 5, 1]]}', 5).of_picture(20, 30)
    np.testing.assert_array_equal(found.scores, [0.25, 1])


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("", "boxes", "is not JSON"),
        ("[[1, 2, 3, 4]]", "boxes", r"must name their layout: .*xywh.*xyxy.*got \[\[1, 2"),
        ('{"xywh": [], "xyxy": []}', "boxes", "must name their layout"),
        ('{"cxcywh": []}', "boxes", "must name their layout"),
        ('{"xywh": [[1, 2, 3, 4]], "xywh": []}', "boxes", "the key 'xywh' stands twice"),
        ('{"xywh": {}}', "boxes.xywh", "must be a list of boxes"),
        ('{"xyxy": [[1, 2, 3, 4], [1, 2, 3]]}', "boxes.xyxy[1]", "must be four numbers left, top, right, bottom"),
        ('{"xywh": [[1, 2, 3, "4"]]}', "boxes.xywh[0]", 'must be numbers, got "4"'),
        ('{"xywh": [[1, 2, 3, true]]}', "boxes.xywh[0]", "must be numbers, got true"),
        ('{"xywh": [[1, 2, 3, null]]}', "boxes.xywh[0]", "must be numbers, got null"),
        ('{"xywh": [[1, 2, 3, NaN]]}', "boxes", "JSON has no NaN"),
        ('{"xywh": [[1, 2, 3, 1e999]]}', "boxes.xywh[0]", "must lie within 1e\\+06 pixels"),
        ('{"xywh": [[1, 2, 3, 2000000]]}', "boxes.xywh[0]", "must lie within 1e\\+06 pixels"),
        ('{"xywh": [[1, 2, 3, 1' + "0" * 300 + "]]}", "boxes.xywh[0]", "must lie within"),
        ('{"xywh": [[1, 2, 3, 4, 1.5]]}', "boxes.xywh[0]", "the score must be 0 to 1, got 1.5"),
        ('{"xywh": [[1, 2, 3, 4], [1, 2, 3, 4, 1]]}', "boxes.xywh[1]", "some boxes have a score"),
        (json.dumps({"xywh": [[1, 2, 3, 4]] * 6}), "boxes.xywh", "6 boxes are more than the 5 that are taken"),
        ("[" * 1100, "boxes", "is nested too deeply|is not JSON"),
        (" " * 5000, "boxes", "5000 letters are more than 5 boxes need"),
    ],
)
def test_others_are_refused_where_they_are_wrong(text, where, words):
    with pytest.raises(Refusal, match=words) as told:
        read_boxes(text, 5)
    assert (told.value.status, told.value.where) == (422, where)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"xyxy": [[1, 2, 13, 14], [10, 2, 3, 14]]}', r"box 1.*has no area; as x, y, width, height it is a box"),
        ('{"xywh": [[1, 2, 0, 4]]}', "box 0.*has no area"),
        ('{"xywh": [[15, 25, 19, 29]]}', "say xyxy if they are corners"),
    ],
)
def test_the_layout_that_was_named_is_doubted(text, words):
    with pytest.raises(Refusal, match=words) as told:
        read_boxes(text, 5).of_picture(30, 20)
    assert told.value.status == 422


@given(st.text(max_size=200))
def test_any_text_is_boxes_or_refused(text):
    try:
        read_boxes(text, 5)
    except Refusal as error:
        where = error.where
        return_code = error.status
    else:
        where, return_code = "boxes", 422
    assert where is not None
    assert where.startswith("boxes")
    assert return_code == 422


def test_the_schema_says_how_many():
    assert {
        layout["properties"][name]["maxItems"] for layout in boxes_schema(7)["oneOf"] for name in layout["properties"]
    } == {7}
