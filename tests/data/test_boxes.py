import json
import math

import numpy as np
import pytest

from cmsa.data.boxes import BoxesError, DetectionFile, list_boxes, usable_boxes
from cmsa.structures import Box


def write(folder, entries, name="boxes.json"):
    path = folder / name
    path.write_text(entries if isinstance(entries, str) else json.dumps(entries), encoding="utf-8")
    return path


def entry(name, bbox, **more):
    return {"file_name": name, "image_id": 7, "bbox": bbox} | more


def test_usable_boxes_keep_their_places_and_numbers():
    usable, reasons = usable_boxes([Box(1, 2, 3, 4), np.array([5, 6, 7, 8]), (-3, -4, 10, 10.5)], 50, 40)
    assert reasons == {}
    assert {place: box.xywh for place, box in usable.items()} == {
        0: (1, 2, 3, 4),
        1: (5, 6, 7, 8),
        2: (-3, -4, 10, 10.5),
    }


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((3, 3, 0, 0), "width and height must be positive"),
        ((3, 3, -2, 5), "width and height must be positive"),
        ((3, math.nan, 2, 5), "every number must be finite"),
        ((3, 3, math.inf, 5), "every number must be finite"),
        ((41, 3, 5, 5), r"outside the picture of 50x40 \(HxW\)"),
        ((3, 45, 5, 5), None),
        ((1, 2, 3), "must be four numbers"),
        ((1, 2, 3, 4, 0.9), "must be four numbers"),
        ("box", "must be four numbers"),
        (None, "must be four numbers"),
        ({"x": 1}, "must be four numbers"),
        ((1e-9, 1e-9, 1e-9, 1e-9), "width and height must be 1 to 1,000,000 pixels"),
        ((5, 5, 0.12, 30), r"box \(5.0, 5.0, 0.12, 30.0\): width and height must be 1 to 1,000,000 pixels"),
        ((5, 5, 30, 0.12), "width and height must be 1 to 1,000,000 pixels"),
        ((230.3 - 229.3, 1, 230.3 - 229.3, 0.9999999), None),
        ((-1e300, -1e300, 2e300, 2e300), "width and height must be 1 to 1,000,000 pixels"),
        ((1, 2, True, 4), "must be four numbers"),
        (("1", "2", "3", "4"), "must be four numbers"),
        ((1, 2, 3 + 1j, 4), "must be four numbers"),
        ((1, 2, 10**400, 4), "must be four numbers"),
    ],
)
def test_bad_box_is_named_and_its_neighbours_stay(box, reason):
    usable, reasons = usable_boxes([(0, 0, 10, 10), box, (5, 5, 10, 10)], 50, 40)
    if reason is None:
        assert list(usable) == [0, 1, 2]
        return
    assert list(usable) == [0, 2]
    assert list(reasons) == [1]
    with pytest.raises(ValueError, match=reason):
        raise ValueError(reasons[1])


@pytest.mark.parametrize("given", [[1, 2, 3, 4], (1.0, 2.0, 3.0, 4.0), np.array([1, 2, 3, 4]), Box(1, 2, 3, 4)])
def test_single_box_is_a_list_of_one(given):
    assert len(list_boxes(given)) == 1


@pytest.mark.parametrize("given", [[], np.zeros((0, 4)), ()])
def test_no_boxes_are_an_empty_list(given):
    assert list_boxes(given) == []


@pytest.mark.parametrize("kind", [bool, complex, "U4", "M8[s]"])
def test_an_array_of_other_things_than_numbers_is_an_error(kind):
    with pytest.raises(BoxesError, match=r"boxes are an array of numbers, got .* of the shape \(1, 4\)"):
        list_boxes(np.ones((1, 4)).astype(kind))
    with pytest.raises(BoxesError, match=r"of the shape \(\)"):
        list_boxes(np.array(5))


def test_four_boxes_are_not_one():
    assert len(list_boxes([[1, 2, 3, 4]] * 4)) == 4
    assert len(list_boxes([Box(1, 2, 3, 4)] * 4)) == 4
    assert len(list_boxes(np.ones((4, 4)))) == 4


@pytest.mark.parametrize("given", [3, {"bbox": [1, 2, 3, 4]}, b"1234"])
def test_other_kinds_of_boxes_are_an_error(given):
    with pytest.raises(BoxesError, match=f"got {type(given).__name__}"):
        list_boxes(given)


def test_pictures_are_found_by_the_end_of_their_path(tmp_path):
    file = DetectionFile.read(
        write(tmp_path, [entry("park.jpg", [1, 1, 1, 1]), entry("b/park.jpg", [2, 2, 2, 2], image_id=8, score=0.5)])
    )
    assert file.find("/photos/park.jpg").boxes == [[1, 1, 1, 1]]
    # The longer name is the better one.
    assert file.find("/photos/b/park.jpg").boxes == [[2, 2, 2, 2]]
    assert file.find("/photos/b/park.jpg").scores == [0.5]
    assert file.find("/photos/b/park.jpg").image_id == 8
    assert file.find("/photos/carpark.jpg") is None
    assert file.image_ids == {7, 8}


def test_relative_paths_and_dots_are_followed(tmp_path, monkeypatch):
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "b")
    file = DetectionFile.read(write(tmp_path, [entry("./b/park.jpg", [1, 1, 1, 1])]))
    assert file.find("park.jpg") is not None
    assert file.find("../b/park.jpg") is not None
    assert file.find("../park.jpg") is None


def test_accented_names_match_however_they_are_written(tmp_path):
    file = DetectionFile.read(write(tmp_path, [entry("caf\u00e9.jpg", [1, 1, 1, 1])]))
    assert file.find("/photos/cafe\u0301.jpg") is not None


def test_pictures_without_a_name_are_found_by_coco_s_file_names(tmp_path):
    file = DetectionFile.read(write(tmp_path, [{"image_id": 139, "bbox": [1, 2, 3, 4], "score": 0.25}]))
    for name in ("000000000139.jpg", "COCO_val2014_000000000139.jpg", "139.png"):
        assert file.find(f"/photos/{name}").boxes == [[1, 2, 3, 4]]
    assert file.find("park139.jpg") is None


def test_a_named_picture_is_not_found_by_its_id(tmp_path):
    assert DetectionFile.read(write(tmp_path, [entry("park.jpg", [1, 1, 1, 1])])).find("7.jpg") is None


def test_other_categories_are_left_out(tmp_path):
    path = write(tmp_path, [entry("a.jpg", [1, 1, 1, 1], category_id=3), entry("a.jpg", [2, 2, 2, 2], category_id=1)])
    assert DetectionFile.read(path, category=1).find("a.jpg").boxes == [[2, 2, 2, 2]]
    assert len(DetectionFile.read(path).find("a.jpg").boxes) == 2
    with pytest.raises(BoxesError, match="no detection of category 5, found only 1, 3"):
        DetectionFile.read(path, category=5)


def test_the_only_picture(tmp_path):
    assert DetectionFile.read(write(tmp_path, [entry("a.jpg", [1, 1, 1, 1])])).only().boxes == [[1, 1, 1, 1]]
    assert DetectionFile.read(write(tmp_path, [])).only().boxes == []
    several = DetectionFile.read(write(tmp_path, [entry(name, [1, 1, 1, 1]) for name in ("a.jpg", "b.jpg")]))
    with pytest.raises(BoxesError, match=r"names 2 pictures \(a.jpg, b.jpg\)"):
        several.only()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ('[{"file_name": "a.jpg", "bbox": [1, 1, 1, 1], "bbox": []}]', "the key 'bbox' stands twice .*\"a.jpg\""),
        ({"images": []}, "must hold a list of detections, got dict"),
        ([[1, 2, 3, 4]], "entry 0 is not an object"),
        ([entry("a.jpg", [1, 1, 1, 1]), {"bbox": [1, 2, 3, 4]}], "entry 1: has neither a file_name"),
        ([entry("a.jpg", [1, 1, 1, 1], score="high")], "entry 0: score must be a number, got 'high'"),
        ('[{"file_name": "a.jpg", "bbox": [1, 1, 1, 1], "score": NaN}]', "entry 0: score must be a number, got nan"),
    ],
)
def test_unusable_file_is_named_with_the_entry(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(BoxesError, match=message) as caught:
        DetectionFile.read(path)
    assert str(caught.value).startswith(str(path))


def test_missing_file_is_named(tmp_path):
    with pytest.raises(BoxesError, match=r"nothing.json: cannot be read \(No such file"):
        DetectionFile.read(tmp_path / "nothing.json")
