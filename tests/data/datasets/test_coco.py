from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from cmsa.data.crops import CropSpec
from cmsa.data.datasets.coco import CocoError, CocoPeople, load_people, load_truth
from cmsa.data.samples import sources_of
from cmsa.data.store_writer import build_store
from cmsa.geometry.affine import apply_affine
from cmsa.structures import COCO, KeypointSet

HEIGHT, WIDTH = 60, 90
KEYPOINTS = [value for index in range(17) for value in (10.0 + index, 20.0 + 2 * index, 2)]


def annotation(identity: int, **changes: Any) -> dict[str, Any]:
    entry = {"id": identity, "image_id": 7, "category_id": 1, "iscrowd": 0, "area": 500.0}
    return entry | {"bbox": [8.0, 18.0, 22.0, 38.0], "keypoints": KEYPOINTS} | changes


class Folder:
    """A data set in COCO's layout: pictures 7 and 8, of 60 x 90 (HxW) and 90 x 60."""

    def __init__(self, root: Path) -> None:
        self.annotations, self.images = root / "annotations" / "person_keypoints_val2017.json", root / "val2017"
        self.annotations.parent.mkdir()
        self.images.mkdir()
        Image.new("RGB", (WIDTH, HEIGHT), "white").save(self.images / "000007.jpg")
        Image.new("RGB", (HEIGHT, WIDTH), "white").save(self.images / "000008.jpg")
        self.content: dict[str, Any] = {
            "images": [
                {"id": 7, "file_name": "000007.jpg", "height": HEIGHT, "width": WIDTH},
                {"id": 8, "file_name": "000008.jpg", "height": WIDTH, "width": HEIGHT},
            ],
            "annotations": [annotation(1)],
            "categories": [{"id": 1, "name": "person", "keypoints": list(COCO.names)}],
        }

    def load(self, detections: Any = None, **options: Any) -> CocoPeople:
        self.annotations.write_text(json.dumps(self.content))
        if detections is not None:
            options["detections"] = self.annotations.with_name("detections.json")
            options["detections"].write_text(json.dumps(detections))
        return load_people(self.annotations, self.images, **options)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_an_annotation_becomes_a_person(folder: Folder) -> None:
    people = folder.load()
    assert people.box_source == "ground truth"
    assert len(people) == 1
    person = people.people[0]
    assert (person.image_id, person.annotation_id, person.area, person.score) == (7, 1, 500.0, 1.0)
    assert person.file == folder.images / "000007.jpg"
    assert person.box.xywh == (8, 18, 22, 38)
    assert person.keypoints is not None
    np.testing.assert_array_equal(person.keypoints.ravel(), KEYPOINTS)
    assert len(people.problems) == 0
    assert str(people.problems) == "nothing was left out"


def test_boxes_are_clipped_to_pictures_that_are_not_square(folder: Folder) -> None:
    box = [-5, -6, 200, 300]
    folder.content["annotations"] = [annotation(1, bbox=box), annotation(2, bbox=box, image_id=8)]
    boxes = [person.box.xywh for person in folder.load().people]
    assert boxes == [(0, 0, WIDTH, HEIGHT), (0, 0, HEIGHT, WIDTH)]


def test_the_protocol_leaves_out_crowds_unmarked_people_and_other_categories(folder: Folder) -> None:
    unmarked = [value if index % 3 < 2 else 0 for index, value in enumerate(KEYPOINTS)]
    folder.content["categories"].append({"id": 18, "name": "dog"})
    folder.content["annotations"] += [
        annotation(2, iscrowd=1, keypoints=[0] * 51),
        annotation(3, keypoints=unmarked),
        annotation(4, category_id=18),
    ]
    people = folder.load()
    assert [person.annotation_id for person in people.people] == [1]
    assert len(people.problems) == 0
    assert people.problems.left_out == {
        "crowd": 1,
        "person without a marked keypoint": 1,
        "another category than 1": 1,
    }


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"area": 0}, "area is not above 0"),
        ({"area": -3.0}, "area is not above 0"),
        ({"area": float("nan")}, "area is not a finite number"),
        ({"area": None}, "area is not a finite number"),
        ({"image_id": 12345}, "picture id is not among the pictures"),
        ({"image_id": [7]}, "picture id is not among the pictures"),
        ({"keypoints": KEYPOINTS[:-3]}, "keypoints is not a list of 51 numbers"),
        ({"keypoints": None}, "keypoints is not a list of 51 numbers"),
        ({"keypoints": [float("nan"), *KEYPOINTS[1:]]}, "keypoints has an entry that is no finite number"),
        ({"keypoints": ["1", *KEYPOINTS[1:]]}, "keypoints has an entry that is no finite number"),
        ({"keypoints": [True, *KEYPOINTS[1:]]}, "keypoints has an entry that is no finite number"),
        ({"keypoints": [1e300, *KEYPOINTS[1:]]}, "keypoint is more than 10,000,000 pixels away"),
        ({"image_id": True}, "picture id is not among the pictures"),
        ({"keypoints": [*KEYPOINTS[:-1], 5]}, "visibility of a keypoint is not 0, 1 or 2"),
        ({"bbox": [1, 2, 3]}, "bbox is not a list of 4 numbers"),
        ({"bbox": [1, 2, float("inf"), 4]}, "bbox has an entry that is no finite number"),
        ({"bbox": [1, 2, 0, 0]}, "box has no area"),
        ({"bbox": [0.1, 0.2, 0.5, 0.4]}, "box is within a pixel, as one in shares of the picture is"),
        ({"bbox": [WIDTH, 2, 5, 5]}, "box lies outside its picture"),
        ({"id": 1}, "annotation id repeats"),
    ],
)
def test_what_is_wrong_with_an_annotation_is_listed_and_the_rest_is_read(
    folder: Folder, changes: dict[str, Any], kind: str
) -> None:
    entry = annotation(9, **changes)
    folder.content["annotations"] += [entry, annotation(10)]
    people = folder.load()
    assert [person.annotation_id for person in people.people] == [1, 10]
    assert people.problems.wrong == {kind: [str(entry["id"])]}
    assert f"{kind}: 1 ({entry['id']})" in str(people.problems)


def test_entries_without_an_id_are_listed_by_their_place(folder: Folder) -> None:
    nameless = annotation(2)
    del nameless["id"]
    folder.content["annotations"] += ["text", nameless]
    problems = folder.load().problems
    assert problems.wrong == {
        "entry is not an object": ["annotations[1]"],
        "annotation without an id": ["annotations[2]"],
    }


def test_pictures_that_cannot_be_used_are_listed_once(folder: Folder) -> None:
    folder.content["images"] += [
        {"id": 9, "file_name": "lost.jpg", "height": HEIGHT, "width": WIDTH},
        {"id": 8, "file_name": "000008.jpg", "height": 5, "width": 5},
        {"id": 10, "file_name": "000008.jpg", "height": 0, "width": 5},
        {"id": 11},
    ]
    folder.content["annotations"] += [annotation(2, image_id=9), annotation(3, image_id=9), annotation(4, image_id=8)]
    people = folder.load()
    assert [person.annotation_id for person in people.people] == [1, 4]
    assert people.problems.wrong == {
        "file of a picture is missing": ["lost.jpg"],
        "picture id repeats": ["8"],
        "picture of no size": ["10"],
        "picture without id, file_name, height or width": ["images[5]"],
    }
    assert people.problems.left_out == {"person of a picture whose file is missing, who counts as missed": 2}
    # As in COCO's own evaluation, which does not know which files are there.
    assert people.truth["image_id"].tolist() == [7, 9, 9, 8]
    assert people.truth["pictures"].tolist() == [7, 8, 9]


def test_the_truth_holds_what_the_score_counts_and_ignores(folder: Folder) -> None:
    unmarked = [value if index % 3 < 2 else 0 for index, value in enumerate(KEYPOINTS)]
    folder.content["annotations"] = [
        annotation(1, bbox=[-5, 2, 200, 8], keypoints=KEYPOINTS, num_keypoints=0),
        annotation(2, iscrowd=1, keypoints=None, area=None, bbox=[1, 2, 3, 4]),
        annotation(3, keypoints=unmarked, iscrowd=None),
        annotation(3),
        annotation(4, keypoints=None),
        annotation(5, image_id=8, area=10**400),
    ]
    truth = folder.load().truth
    assert truth["image_id"].tolist() == [7, 7, 7]
    assert truth["crowd"].tolist() == [False, True, False]
    assert truth["box"].tolist() == [[-5, 2, 200, 8], [1, 2, 3, 4], [8, 18, 22, 38]]
    assert truth["area"].tolist() == [500, 12, 500]
    np.testing.assert_array_equal(truth["keypoints"][0].ravel(), KEYPOINTS)
    assert truth["keypoints"].dtype == np.float64
    assert truth["pictures"].tolist() == [7, 8]
    np.testing.assert_array_equal(load_truth(folder.annotations)["keypoints"], truth["keypoints"])
    found = folder.load([{"image_id": 8, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}])
    np.testing.assert_array_equal(found.truth["keypoints"], truth["keypoints"])
    assert found.problems.wrong == folder.load().problems.wrong


def test_ids_that_no_64_bits_hold_are_listed(folder: Folder) -> None:
    folder.content["images"].append({"id": 2**63, "file_name": "000007.jpg", "height": 5, "width": 5})
    folder.content["annotations"] += [annotation(2**70), annotation(2, image_id=2**63)]
    assert folder.load().problems.wrong == {
        "picture id is not a whole number of 64 bits": ["images[2]"],
        "annotation without an id": [str(2**70)],
        "picture id is not among the pictures": ["2"],
    }


def test_a_set_of_four_points_with_a_category_of_its_own(folder: Folder) -> None:
    cow = {"id": 7, "name": "cow", "keypoints": ["nose", "tail", "L_ear", "R_ear"], "skeleton": [[1, 2], [3, 4]]}
    folder.content["categories"] = [{"id": 3, "name": "bicycle"}, cow]
    folder.content["annotations"] = [annotation(1, category_id=7, keypoints=[9, 9, 2] * 4), annotation(2)]
    found = folder.load()
    assert [person.annotation_id for person in found.people] == [1]
    points = found.keypoint_set
    assert (points.category, points.category_id, points.flip_pairs) == ("cow", 7, ((2, 3),))
    assert points.skeleton == ((0, 1), (2, 3))
    assert (points.torso, points.upper_body) == (None, ())
    cow["skeleton"] = [[0, 1]]
    with pytest.raises(CocoError, match=r"'skeleton' of category 'cow' must be pairs of numbers from 1 to 4, got"):
        folder.load()
    assert folder.load(changes={"skeleton": [["nose", "tail"]]}).keypoint_set.skeleton == ((0, 1),)
    with pytest.raises(CocoError, match=r"category 'cow': keypoints: torso names 'neck', but there are nose, tail"):
        folder.load(changes={"skeleton": [], "torso": ["neck", "tail"]})
    cow["keypoints"] = ["nose", "nose", "L_ear", "R_ear"]
    cow["skeleton"] = []
    with pytest.raises(CocoError, match="must differ from each other"):
        folder.load()


def test_file_names_may_hold_a_folder(folder: Folder) -> None:
    folder.content["images"][0]["file_name"] = "val2017/000007.jpg"
    folder.images = folder.images.parent
    assert folder.load().people[0].file.is_file()


def test_long_lists_are_shortened_in_the_table(folder: Folder) -> None:
    folder.content["annotations"] = [annotation(identity, area=0) for identity in range(2000)]
    people = folder.load()
    assert len(people) == 0
    console = Console(width=100)
    with console.capture() as printed:
        console.print(people.problems)
    assert " ".join(printed.get().split()) == "left out area is not above 0: 2,000 0 1 2 3 4 ..."


def test_detections_bring_boxes_and_scores(folder: Folder) -> None:
    detections = [
        {"image_id": 8, "category_id": 1, "bbox": [-2.0, 5.0, 30.0, 50.0], "score": 0.75},
        {"image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.9},
        {"image_id": 99, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.9},
        {"image_id": 7, "category_id": 1, "bbox": [1, 2, 0, 0], "score": 0.9},
        {"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4]},
        {"image_id": 7, "category_id": 1, "bbox": [500, 2, 3, 4], "score": 0.1},
    ]
    people = folder.load(detections)
    assert people.box_source == "detections"
    assert len(people) == 1
    person = people.people[0]
    assert (person.image_id, person.annotation_id, person.score, person.area) == (8, 0, 0.75, 1500.0)
    assert person.box.xywh == (-2, 5, 30, 50)
    assert person.keypoints is None
    assert people.problems.wrong == {
        "picture id is not among the pictures": ["[2]"],
        "box has no area": ["[3]"],
        "score is not a finite number": ["[4]"],
        "box lies outside its picture": ["[5]"],
    }


def test_no_detection_at_all_is_an_empty_set(folder: Folder) -> None:
    people = folder.load([])
    assert len(people) == 0
    assert people.box_source == "detections"
    assert sources_of(people.samples(), CropSpec.for_evaluation((32, 24))) == []


def test_detections_need_no_keypoint_names_as_in_the_list_of_test_pictures(folder: Folder) -> None:
    folder.content["categories"] = [{"id": 2, "name": "bicycle"}, {"id": 1, "name": "person"}]
    del folder.content["annotations"]
    assert len(folder.load([{"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}])) == 1


def test_other_keypoint_sets(folder: Folder) -> None:
    folder.content["categories"].append({"id": 5, "name": "hand", "keypoints": ["wrist", "tip"], "skeleton": [[1, 2]]})
    folder.content["annotations"].append(annotation(2, category_id=5, keypoints=[1, 2, 2, 3, 4, 1]))
    people = folder.load(category="hand", changes={"sigmas": [0.1, 0.2]})
    assert [person.annotation_id for person in people.people] == [2]
    hand = KeypointSet(("wrist", "tip"), (), (0.1, 0.2), ((0, 1),), (), category="hand", category_id=5)
    assert people.keypoint_set == hand
    assert folder.load(category="person").keypoint_set == COCO
    with pytest.raises(CocoError, match=r"2 categories have keypoints, choose one with --category: person, hand"):
        folder.load()
    with pytest.raises(CocoError, match=r"no entry named 'foot' with keypoints, found person, hand"):
        folder.load(category="foot")


def test_categories_of_one_name_are_told_by_their_ids(folder: Folder) -> None:
    folder.content["categories"].append({"id": 5, "name": "person", "keypoints": ["wrist", "tip"]})
    told = r"val2017\.json: the categories with the ids 1 and 5 have one name, 'person', so that none can be chosen"
    for category in (None, "person"):
        with pytest.raises(CocoError, match=told):
            folder.load(category=category)
    folder.content["categories"].append({"id": 6, "name": "hand", "keypoints": ["wrist", "tip"]})
    with pytest.raises(
        CocoError, match=r"3 categories have keypoints, choose one with --category: person, person, hand"
    ):
        folder.load()
    with pytest.raises(CocoError, match=told):
        folder.load(category="person")


def test_people_are_grouped_by_picture_with_labels_in_the_picture(folder: Folder) -> None:
    folder.content["annotations"] = [annotation(1), annotation(2, image_id=8), annotation(3, bbox=[1, 2, 4, 8])]
    sources = sources_of(folder.load().samples(), CropSpec.for_evaluation((32, 24)))
    assert [source.image.name for source in sources] == ["000007.jpg", "000008.jpg"]
    first = sources[0]
    np.testing.assert_allclose(first.centers, [[8 + 21 / 2, 18 + 37 / 2], [1 + 3 / 2, 2 + 7 / 2]])
    np.testing.assert_allclose(first.extents, [[22, 38], [4, 8]])
    assert first.labels["keypoints"].shape == (2, 17, 3)
    assert first.labels["keypoints"].dtype == np.float32
    np.testing.assert_array_equal(first.labels["box"], [[8, 18, 22, 38], [1, 2, 4, 8]])
    np.testing.assert_array_equal(first.labels["annotation_id"], [1, 3])
    np.testing.assert_array_equal(first.labels["image_id"], [7, 7])
    np.testing.assert_array_equal(first.labels["area"], [500, 500])
    np.testing.assert_array_equal(first.labels["score"], [1, 1])


def test_the_centre_is_that_of_the_protocol(folder: Folder) -> None:
    people = folder.load()
    for convention, shift in (("pixel", 0), ("udp", 0), ("hrnet", 0.5)):
        spec = CropSpec.for_evaluation((32, 24), convention=convention)  # type: ignore[arg-type]
        np.testing.assert_allclose(sources_of(people.samples(), spec)[0].centers, [[18.5 + shift, 36.5 + shift]])


def test_from_the_folder_to_the_store(folder: Folder, tmp_path: Path) -> None:
    folder.content["annotations"] += [annotation(2, image_id=8)]
    spec = CropSpec.for_evaluation((32, 24))
    detections = [{"image_id": 7, "category_id": 1, "bbox": [8.0, 18.0, 22.0, 38.0], "score": 0.5}]
    marked = build_store(tmp_path / "gt.crops", sources_of(folder.load().samples(), spec), spec, progress=False)
    found = build_store(
        tmp_path / "dt.crops", sources_of(folder.load(detections).samples(), spec), spec, progress=False
    )
    assert marked.read([0, 1])["keypoints"].shape == (2, 17, 3)
    np.testing.assert_array_equal(found.labels["keypoints"], np.zeros((1, 17, 3)))
    np.testing.assert_array_equal(found.crops[0], marked.crops[0])
    # The box's centre is the crop's.
    np.testing.assert_allclose(
        apply_affine(marked.labels["matrix"][0], np.array([18.5, 36.5])), [11.5, 15.5], atol=1e-9
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"val2017\.json: is not JSON"),
        ('{"images": [], "images": []}', r"val2017\.json: the key 'images' stands twice"),
        ("[]", r"val2017\.json: must hold an object with 'images'"),
        ("{}", r"val2017\.json: 'categories' must be a list, got nothing"),
        ('{"categories": 3}', r"'categories' must be a list, got int"),
        ('{"categories": [{"id": 1, "name": "cat"}]}', r"'categories' has no entry with keypoints, found cat"),
        (json.dumps({"categories": [{"id": 1, "name": "person"}]}), r"'images' must be a list"),
    ],
)
def test_files_that_are_not_coco_are_named(folder: Folder, text: str, message: str) -> None:
    folder.annotations.write_text(text)
    with pytest.raises(CocoError, match=message):
        load_people(folder.annotations, folder.images)


def test_missing_files_and_folders_are_named(folder: Folder, tmp_path: Path) -> None:
    with pytest.raises(CocoError, match=r"absent\.json: cannot be read \(No such file"):
        load_people(tmp_path / "absent.json", folder.images)
    folder.load()
    with pytest.raises(CocoError, match=r"train2017: there is no such folder"):
        load_people(folder.annotations, tmp_path / "train2017")
    with pytest.raises(CocoError, match=r"annotations: holds none of the 2 pictures of .*val2017\.json"):
        load_people(folder.annotations, folder.annotations.parent)
    with pytest.raises(CocoError, match=r"detections\.json: must hold a list of detections"):
        folder.load({"annotations": []})


@pytest.mark.shared
def test_real_annotations(shared: Path) -> None:
    people = load_people(
        shared / "data/coco-mini/annotations/person_keypoints_val2017.json", shared / "data/coco-mini/val2017"
    )
    assert len(people) == 49
    assert len(people.problems) == 0
    assert people.problems.left_out == {"person without a marked keypoint": 40, "crowd": 1}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_annotations_in_other_encodings(encoding: str, folder: Folder) -> None:
    folder.annotations.write_bytes(json.dumps(folder.content).encode(encoding))
    assert len(load_people(folder.annotations, folder.images)) == 1


@pytest.mark.parametrize("written", [str, float])
@pytest.mark.parametrize("keys", [("id",), ("id", "image_id", "category_id")])
def test_ids_written_as_text_or_floats_are_the_numbers(
    written: Callable[[int], object], keys: tuple[str, ...], folder: Folder
) -> None:
    for entries in folder.content.values():
        for entry in entries:
            entry |= {key: written(entry[key]) for key in keys if key in entry}
    detection = {"image_id": 8, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}
    detection |= {key: written(detection[key]) for key in keys if key in detection}
    people = folder.load()
    assert [(person.image_id, person.annotation_id) for person in people.people] == [(7, 1)]
    assert people.truth["image_id"].tolist() == [7]
    assert people.truth["pictures"].tolist() == [7, 8]
    assert people.keypoint_set.category_id == 1
    assert [person.image_id for person in folder.load([detection]).people] == [8]


def test_a_picture_id_between_two_numbers_is_neither(folder: Folder) -> None:
    folder.content["images"][0]["id"] = 7.5
    assert folder.load([]).problems.wrong == {
        "picture id is not a whole number of 64 bits": ["images[0]"],
        "picture id is not among the pictures": ["1"],
    }


@pytest.mark.parametrize(
    ("changes", "left"),
    [
        ({"num_keypoints": 0}, 1),
        ({"num_keypoints": None}, 1),
        ({"iscrowd": None}, 1),
        ({"keypoints": None}, 0),
        ({"area": 10**400}, 0),
        ({"bbox": [1, 2, 3]}, 0),
        ({"image_id": "7"}, 1),
        ({"image_id": 7.5}, 0),
        ({"image_id": "seven"}, 0),
        ({"category_id": 1.0}, 1),
        ({"iscrowd": "0"}, 0),
        ({"iscrowd": False}, 1),
    ],
)
def test_one_odd_entry_is_read_or_listed_alike_for_crops_and_score(
    changes: dict[str, Any], left: int, folder: Folder
) -> None:
    folder.content["annotations"] = [annotation(1) | changes, annotation(2, image_id=8)]
    people = folder.load()
    assert len(people) == left + 1
    assert len(people.truth["image_id"]) == left + 1
    assert len(people.problems) == 1 - left


def test_a_name_that_no_file_can_have_costs_that_picture_only(folder: Folder) -> None:
    names = ["x" * 5000, "\0", "\ud800"]
    folder.content["images"] += [
        {"id": 9 + place, "file_name": name, "height": 5, "width": 5} for place, name in enumerate(names)
    ]
    folder.content["images"].append({"id": 99, "file_name": "a", "height": 10**400, "width": 5})
    people = folder.load()
    assert len(people) == 1
    assert len(people.problems.wrong["file of a picture is missing"]) == len(names)
    assert people.problems.wrong["picture of more than 1,000,000 pixels along a side"] == ["99"]
