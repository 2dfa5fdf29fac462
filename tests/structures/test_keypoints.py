import json
import pickle

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from cmsa.structures import COCO, Box, Keypoints, keypoint_set

BOX = Box(2, 3, 40, 50)
FINITE = some.floats(-1e4, 1e4)


def person(names=COCO.names, scores=None, **more):
    count = len(names)
    xy = np.stack([np.arange(count) * 1.5, 100 - np.arange(count)], axis=1)
    return Keypoints(xy, np.linspace(0, 1, count) if scores is None else scores, names, BOX, **more)


def test_keypoints_are_checked_and_cannot_be_changed():
    person = Keypoints(np.zeros((17, 2)), np.linspace(0, 1, 17), COCO.names, BOX)
    with pytest.raises(ValueError, match="read-only"):
        person.xy[0, 0] = 1
    with pytest.raises(ValueError, match=r"Keypoints.xy must have shape \(17, 2\), got \(16, 2\)"):
        Keypoints(np.zeros((16, 2)), np.zeros(17), COCO.names, BOX)
    with pytest.raises(ValueError, match=r"Keypoints.scores must be finite"):
        Keypoints(np.zeros((17, 2)), np.full(17, np.nan), COCO.names, BOX)


def test_a_persons_score_is_the_mean_of_what_is_above_a_fifth():
    names = ("a", "b", "c")
    assert Keypoints(np.zeros((3, 2)), [0.2, 0.4, 0.8], names, BOX).score == pytest.approx(0.6)
    assert Keypoints(np.zeros((3, 2)), [0.1, 0.1, 0.2], names, BOX).score == 0


def test_without_a_set_names_tell_it():
    assert person().keypoint_set == COCO
    part = person(("left_eye", "tail", "nose")).keypoint_set
    # COCO joins nose and eye, and knows how well a nose is marked.
    assert part.skeleton == ((2, 0),)
    assert part.sigmas == (0.05, 0.05, 0.026)
    unknown = person(("a", "b")).keypoint_set
    assert (unknown.names, unknown.skeleton) == (("a", "b"), ())


def test_a_set_must_have_the_names():
    cow = keypoint_set(("nose", "tail"), [(0, 1)], category="cow", category_id=21)
    assert person(("nose", "tail"), keypoint_set=cow).keypoint_set is cow
    with pytest.raises(ValueError, match=r"Keypoints.names are \('a', 'b'\), but those of its keypoint_set"):
        person(("a", "b"), keypoint_set=cow)


def test_copies_and_messages_between_processes_keep_all():
    cow = keypoint_set(("nose", "tail"), [(0, 1)], category="cow", category_id=21)
    again = pickle.loads(pickle.dumps(person(("nose", "tail"), keypoint_set=cow)))
    assert again.keypoint_set == cow
    np.testing.assert_array_equal(again.xy, person(("nose", "tail")).xy)


def test_a_coco_result_has_the_categorys_number_and_the_boxs_score_in_it():
    cow = keypoint_set(("nose", "tail"), category="cow", category_id=21)
    entry = person(("nose", "tail"), [0.4, 0.8], keypoint_set=cow).to_coco(7, box_score=0.5)
    assert entry.pop("score") == pytest.approx(0.3)
    assert entry == {
        "image_id": 7,
        "category_id": 21,
        "keypoints": [0.0, 100.0, 0.4, 1.5, 99.0, 0.8],
        "bbox": [2.0, 3.0, 40.0, 50.0],
    }
    assert "image_id" not in person().to_coco()
    json.dumps(person().to_coco())


def test_a_coco_annotation_marks_what_is_sure():
    entry = person(("nose", "tail"), [0.4, 0.8]).to_coco_annotation(7, 3, threshold=0.5)
    assert entry == {
        "id": 3,
        "image_id": 7,
        "category_id": 1,
        "keypoints": [0.0, 0.0, 0.0, 1.5, 99.0, 2.0],
        "num_keypoints": 1,
        "bbox": [2.0, 3.0, 40.0, 50.0],
        "area": pytest.approx(0.53 * 2000),
        "iscrowd": 0,
    }
    json.dumps(entry)


@given(
    arrays.arrays(np.float64, (17, 2), elements=FINITE),
    arrays.arrays(np.float64, 17, elements=some.floats(0, 1)),
    some.tuples(FINITE, FINITE, some.floats(0.1, 1e4), some.floats(0.1, 1e4)),
)
def test_coco_and_back(xy, scores, box):
    found = Keypoints(xy, scores, COCO.names, Box(*box))
    back = Keypoints.from_coco(json.loads(json.dumps(found.to_coco(1))))
    np.testing.assert_array_equal(back.xy, xy)
    np.testing.assert_array_equal(back.scores, scores)
    assert (back.box, back.names, back.keypoint_set) == (found.box, COCO.names, COCO)
    marked = Keypoints.from_coco(found.to_coco_annotation(1, 1))
    np.testing.assert_array_equal(marked.scores, scores > 0.2)
    np.testing.assert_array_equal(marked.xy[scores > 0.2], xy[scores > 0.2])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"keypoints": [0] * 51}, "needs 'bbox', this one has keypoints"),
        ({"bbox": [0, 0, 5, 5]}, "needs 'keypoints', this one has bbox"),
        ({"keypoints": [0] * 50, "bbox": [0, 0, 5, 5]}, r"51 numbers, x, y and score of 17 keypoints, got \(50,\)"),
        ({"keypoints": [0] * 51, "bbox": [0, 0, 5, 0]}, "width and height must be positive"),
    ],
)
def test_wrong_entries_are_told(entry, message):
    with pytest.raises(ValueError, match=message):
        Keypoints.from_coco(entry)


def test_a_row_has_a_column_for_each_number():
    row = person(("nose", "tail"), [0.4, 0.8]).row()
    assert list(row) == [
        *("x", "y", "width", "height", "score"),
        *("nose_x", "nose_y", "nose_score", "tail_x", "tail_y", "tail_score"),
    ]
    assert list(row.values()) == [2, 3, 40, 50, pytest.approx(0.6), 0, 100, 0.4, 1.5, 99, 0.8]


def test_rows_make_a_data_frame():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame([person().row(), person().row()])
    assert frame.shape == (2, 5 + 3 * 17)
    assert all(kind == "float64" for kind in frame.drop(columns=["x", "y", "width", "height"]).dtypes)


def test_a_line_says_how_much_was_found_and_a_table_names_all():
    one = person()
    assert repr(one) == "Keypoints(score 0.62, 13 of 17 found, box x=2 y=3 width=40 height=50)"
    first, *lines = str(one).split("\n")
    assert first == repr(one)
    assert [line.split()[0] for line in lines] == list(COCO.names)
    assert lines[-1].split() == ["right_ankle", "24.0", "84.0", "1.00"]
    long = "a_name_as_no_table_would_have_room_for_in_any_terminal_of_80_columns_which_goes_on"
    assert long in str(person((long, "b")))
