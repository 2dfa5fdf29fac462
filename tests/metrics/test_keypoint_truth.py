import json
from pathlib import Path

import numpy as np
import pytest
from tiny_people import people_store, write_people

from cmsa.data.store import CropStore, StoreError
from cmsa.metrics.keypoint_truth import KeypointTruth


@pytest.fixture
def store(tmp_path: Path) -> CropStore:
    write_people(tmp_path)
    return people_store(tmp_path, "val.crops", training=False)


def as_before(store: CropStore) -> CropStore:
    """The same store as the earlier version would have written it."""
    meta = json.loads((store.folder / "meta.json").read_text(encoding="utf-8"))
    meta["format"] = 1
    del meta["meta"]["keypoints"]
    (store.folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")
    (store.folder / "truth.npz").unlink()
    (store.folder / "stamps.npy").unlink()
    return CropStore.open(store.folder)


def test_a_store_keeps_whom_the_score_counts(store: CropStore, tmp_path: Path) -> None:
    (tmp_path / "annotations.json").write_text("changed since", encoding="utf-8")
    truth = KeypointTruth.of_store(store)
    assert truth.counted.sum() == 8
    assert truth.pictures.tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(truth.keypoints, store.labels["keypoints"], atol=1e-4)


def test_a_store_of_the_earlier_version_reads_its_annotations(store: CropStore, tmp_path: Path) -> None:
    truth = KeypointTruth.of_store(store)
    old = as_before(store)
    np.testing.assert_array_equal(KeypointTruth.of_store(old).keypoints, truth.keypoints)
    assert old.keypoint_set().sigma_source == "COCO"
    (tmp_path / "annotations.json").unlink()
    with pytest.raises(StoreError, match=r"earlier version.*annotations\.json is not there; delete the store and prep"):
        KeypointTruth.of_store(old)


def test_detections_in_pictures_that_nobody_annotated(store: CropStore, tmp_path: Path) -> None:
    content = json.loads((tmp_path / "annotations.json").read_text(encoding="utf-8"))
    del content["annotations"]
    (tmp_path / "annotations.json").write_text(json.dumps(content), encoding="utf-8")
    found = [{"image_id": 1, "category_id": 1, "bbox": [5, 8, 45, 60], "score": 1}]
    (tmp_path / "found.json").write_text(json.dumps(found), encoding="utf-8")
    listed = people_store(tmp_path, "test.crops", training=False, detections=tmp_path / "found.json")
    with pytest.raises(StoreError, match="had no annotations, so there is nothing to score by"):
        KeypointTruth.of_store(listed)


def test_pictures_may_be_drawn_more_than_once(store: CropStore) -> None:
    truth = KeypointTruth.of_store(store)
    drawn = truth.drawn([3, 3, 1])
    assert drawn.image_id.tolist() == [0, 0, 1, 1, 2, 2]
    assert drawn.pictures.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(drawn.keypoints[:2], drawn.keypoints[2:4])
    np.testing.assert_array_equal(drawn.keypoints[4:], truth.keypoints[truth.image_id == 1])
    assert truth.drawn([]).keypoints.shape == (0, 17, 3)
