import json
from pathlib import Path

import numpy as np
import pytest
from tiny_faces import write_faces
from tiny_people import people_store, write_people

from cmsa.data.datasets.coco import CocoError
from cmsa.data.datasets.faces import HeadPoseDataError
from cmsa.data.prepare import prepare_faces
from cmsa.geometry.crops import apply_affine


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_people(tmp_path, pictures=2)
    return tmp_path


def test_stores_of_people(folder: Path) -> None:
    evaluation = people_store(folder, "val.crops", training=False)
    assert evaluation.spec.size == evaluation.spec.store_size == (16, 12)
    assert evaluation.crops.shape == (4, 16, 12, 3)
    assert evaluation.meta["task"] == "pose"
    assert evaluation.meta["box_source"] == "ground truth"
    assert evaluation.meta["annotations"] == str((folder / "annotations.json").resolve())
    training = people_store(folder, "train.crops", training=True)
    assert training.spec.density == 1.5
    assert training.crops.shape == (4, 41, 41, 3)
    # The box of 45x60 has the crop's aspect; 1.25 of its width is 12 pixels of the crop.
    matrix = evaluation.labels["matrix"][0]
    assert matrix[0, 0] == pytest.approx(12 / (45 * 1.25))
    x, y, width, height = evaluation.labels["box"][0]
    np.testing.assert_allclose(apply_affine(matrix, np.array([x + (width - 1) / 2, y + (height - 1) / 2])), (5.5, 7.5))


def test_detections_replace_the_annotated_boxes(folder: Path) -> None:
    detections = folder / "detections.json"
    entries = [{"image_id": 2, "category_id": 1, "bbox": [30, 20, 30, 40], "score": 0.75}]
    detections.write_text(json.dumps(entries), encoding="utf-8")
    store = people_store(folder, "detected.crops", training=False, detections=detections)
    assert len(store) == 1
    assert store.meta["box_source"] == "detections"
    assert store.labels["score"].tolist() == [0.75]
    assert (store.labels["keypoints"] == 0).all()


def test_a_file_that_is_no_annotation_is_named(folder: Path) -> None:
    (folder / "annotations.json").write_text("[]", encoding="utf-8")
    with pytest.raises(CocoError, match=r"annotations\.json"):
        people_store(folder, "val.crops", training=False)


def test_faces_with_a_margin(tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces")
    options = {"size": (32, 32), "progress": False}
    store = prepare_faces("aflw2000", faces, tmp_path / "val.crops", training=False, **options)
    assert {key: store.meta[key] for key in ("task", "data", "box_source", "margin")} == {
        "task": "head_pose",
        "data": "aflw2000",
        "box_source": "landmarks",
        "margin": "fsanet",
    }
    assert store.crops.shape == (8, 32, 32, 3)
    # The face is 40 wide; with 0.6 on both sides its region is 88.
    assert store.labels["matrix"][0, 0, 0] == pytest.approx(32 / 88)
    np.testing.assert_allclose(store.labels["angles"][0], [-40, np.degrees(0.1), np.degrees(-0.05)], rtol=1e-5)
    training = prepare_faces("300w-lp", faces, tmp_path / "train.crops", training=True, margin="none", **options)
    # Without margin, kept at 1.5 times the density.
    assert training.labels["matrix"][0, 0, 0] == pytest.approx(1.5 * 32 / 40)
    assert training.meta["margin"] == "none"
    assert min(training.spec.store_size) >= 1.5 * 32 * 1.35 * 2**0.5 - 1


def test_wrong_arguments_of_faces_are_named(tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces", 1)
    options = {"size": (32, 32), "training": False, "progress": False}
    with pytest.raises(ValueError, match="face margin 'wide': must be one of"):
        prepare_faces("300w-lp", faces, tmp_path / "x.crops", margin="wide", **options)
    with pytest.raises(ValueError, match="no layout of faces 'wflw'; there are 300w-lp, aflw2000, biwi"):
        prepare_faces("wflw", faces, tmp_path / "x.crops", **options)
    with pytest.raises(ValueError, match="boxes from a file are for biwi"):
        prepare_faces("300w-lp", faces, tmp_path / "x.crops", boxes=tmp_path / "boxes.csv", **options)
    with pytest.raises(HeadPoseDataError, match="there is no such folder"):
        prepare_faces("biwi", tmp_path / "none", tmp_path / "x.crops", **options)
