from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmsa.data.boxes import BoxesError
from cmsa.inference.detectors.given import given_boxes, listed_boxes
from cmsa.structures import Box

SIZE = 240, 320


def xywh(found):
    return [box.xywh for box in found.boxes]


PLACE, SIDE = st.floats(-50, 300), st.floats(1, 300)


@given(st.lists(st.tuples(PLACE, PLACE, SIDE, SIDE), min_size=1, max_size=5))
def test_both_formats_are_the_same_boxes(boxes):
    table = np.array(boxes)
    corners = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:]], axis=1)
    np.testing.assert_allclose(xywh(given_boxes(corners, "xyxy")), table, atol=1e-9)
    np.testing.assert_allclose(xywh(given_boxes(table)), table)


def test_scores_and_classes_come_with_it():
    found = given_boxes(np.array([[1, 2, 30, 40, 0.5, 7], [3, 4, 5, 6, 0.25, 0]]))
    assert (found.scores, found.labels) == ((0.5, 0.25), ("7", "0"))
    assert given_boxes([[1, 2, 30, 40, 0.5]]).scores == (0.5,)
    assert given_boxes([Box(1, 2, 3, 4)]).boxes == (Box(1, 2, 3, 4),)
    assert len(given_boxes(np.zeros((0, 4)))) == len(given_boxes([])) == 0


def test_supervision_s_detections_are_corners():
    found = given_boxes(
        SimpleNamespace(
            xyxy=np.array([[1, 2, 31, 42], [3, 4, 5, 6]]), confidence=np.array([0.5, 1]), class_id=np.array([0, 3])
        )
    )
    assert (xywh(found), found.scores, found.labels) == ([(1, 2, 30, 40), (3, 4, 2, 2)], (0.5, 1.0), ("0", "3"))
    assert given_boxes(SimpleNamespace(xyxy=np.zeros((0, 4)), confidence=None, class_id=None)).boxes == ()
    assert given_boxes(SimpleNamespace(xyxy=np.array([[1, 2, 3, 4]]), confidence=None, class_id=[2])).labels == ("2",)


def test_corners_that_cannot_be_widths_are_told():
    corners = np.array([[100, 150, 230, 200], [10, 20, 60, 90]])
    with pytest.raises(BoxesError, match=r"box 0, \[100, 150, 230, 200\].*leaves the picture of 240x320.*say xyxy"):
        given_boxes(corners, size=SIZE)
    assert len(given_boxes(corners, "xyxy", SIZE)) == 2


def test_boxes_that_reach_beyond_the_picture_are_fine():
    # Its lower right corner would lie outside too if these were corners.
    assert len(given_boxes(np.array([[100, 50, 330, 250]]), size=SIZE)) == 1
    # The second would be a corner left of the first one.
    assert len(given_boxes(np.array([[100, 150, 230, 200], [200, 20, 60, 90]]), size=SIZE)) == 2


@pytest.mark.parametrize(
    ("boxes", "format", "message"),
    [
        ([[1, 2, 3]], "xywh", r"got the shape \(1, 3\)"),
        ([1, 2, 3, 4], "xywh", r"got the shape \(4,\)"),
        ([[1, 2, float("nan"), 4]], "xywh", "box 0.*must be finite"),
        ([[10, 20, 5, 40]], "xyxy", r"box 0, xyxy \[10, 20, 5, 40\]: has no area; as x, y, width, height it is a box"),
        ([[10, 20, 5, 0]], "xywh", "has no area"),
        ([[1, 2, 3, 4]], "cxcywh", "xywh or xyxy, got 'cxcywh'"),
        (["a"], "xywh", "array of numbers"),
        (7, "xywh", "array of numbers"),
    ],
)
def test_what_is_no_box_is_named(boxes, format, message):
    with pytest.raises(BoxesError, match=message):
        given_boxes(boxes, format)


WRONG_VALUES = [
    ([[1, 2, 30, 40, 0.5], [1, 2, 30, 40, 5]], r"box 1, \[1, 2, 30, 40\]: its score, .* must be 0 to 1, got 5"),
    ([[1, 2, 30, 40, -1]], "must be 0 to 1, got -1"),
    ([[1, 2, 30, 40, float("nan")]], "must be 0 to 1, got nan"),
    ([[1, 2, 30, 40, 1, float("inf")]], "its class, the sixth number, must be finite, got inf"),
    ([[0.1, 0.2, 0.12, 0.4], [0, 0, 1, 1]], r"box 0, \[0.1, 0.2, 0.12, 0.4\]: boxes are in pixels, and all numbers"),
]


@pytest.mark.parametrize("read", [given_boxes, listed_boxes])
@pytest.mark.parametrize(("boxes", "told"), WRONG_VALUES)
def test_values_out_of_their_range_are_named(read, boxes, told):
    for given_as in (boxes, np.array(boxes)):
        with pytest.raises(BoxesError, match=told):
            read(given_as)


@pytest.mark.parametrize("read", [given_boxes, listed_boxes])
@pytest.mark.parametrize("kind", [bool, complex, "U4"])
def test_arrays_of_other_things_than_numbers_are_refused(read, kind):
    with pytest.raises(BoxesError, match="array of numbers"):
        read(np.array([[1, 2, 30, 40]]).astype(kind))


def test_tensors_and_object_arrays_of_numbers_are_boxes():
    torch = pytest.importorskip("torch")
    for boxes in (torch.tensor([[1, 2, 30, 40]]), [torch.tensor([1, 2, 30, 40])], np.array([[1, 2, 30, 40]], object)):
        assert listed_boxes(boxes) == [(1, 2, 30, 40)]
        assert xywh(given_boxes(boxes)) == [(1, 2, 30, 40)]


def test_seven_numbers_are_told_whatever_they_stand_in():
    with pytest.raises(BoxesError, match=r"box 0, \[1, 2, 3, 4, 5, 6, 7\]: a box is four numbers, five with .*, got 7"):
        listed_boxes([[1, 2, 3, 4, 5, 6, 7]])


@pytest.mark.parametrize("shape", [(2, 3), (1, 7)])
def test_an_array_of_other_columns_is_no_list_of_unusable_boxes(shape):
    with pytest.raises(BoxesError, match=rf"got the shape \({shape[0]}, {shape[1]}\)"):
        listed_boxes(np.ones(shape))
    assert listed_boxes(np.zeros((0, 4))) == []
