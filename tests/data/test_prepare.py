import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_classes import write_cifar10, write_parquet
from tiny_faces import write_faces
from tiny_people import people_store, write_people

from cmsa.data.crops import cut_crop
from cmsa.data.datasets.coco import CocoError
from cmsa.data.datasets.faces import HeadPoseDataError
from cmsa.data.image import read_image
from cmsa.data.prepare import prepare
from cmsa.data.store import StoreError
from cmsa.geometry.affine import apply_affine

SIZE = (32, 32)


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
    store = prepare("aflw2000", tmp_path / "val.crops", images=faces, training=False, **options)
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
    training = prepare("300w-lp", tmp_path / "train.crops", images=faces, training=True, margin="none", **options)
    # Without margin, kept at 1.5 times the density.
    assert training.labels["matrix"][0, 0, 0] == pytest.approx(1.5 * 32 / 40)
    assert training.meta["margin"] == "none"
    assert min(training.spec.store_size) >= 1.5 * 32 * 1.35 * 2**0.5 - 1


def test_wrong_arguments_of_faces_are_named(tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces", 1)
    options = {"size": (32, 32), "training": False, "progress": False}
    with pytest.raises(ValueError, match="face margin 'wide': must be one of"):
        prepare("300w-lp", tmp_path / "x.crops", images=faces, margin="wide", **options)
    with pytest.raises(ValueError, match="no data set 'wflw'; there are coco, 300w-lp, aflw2000, biwi, "):
        prepare("wflw", tmp_path / "x.crops", images=faces, **options)
    with pytest.raises(
        ValueError, match="--boxes means nothing for --dataset 300w-lp, which takes --images, --margin, --no-flips"
    ):
        prepare("300w-lp", tmp_path / "x.crops", images=faces, boxes=tmp_path / "boxes.csv", **options)
    with pytest.raises(HeadPoseDataError, match="there is no such folder"):
        prepare("biwi", tmp_path / "x.crops", images=tmp_path / "none", **options)
    with pytest.raises(ValueError, match="--images is required for --dataset biwi"):
        prepare("biwi", tmp_path / "x.crops", **options)


def test_a_store_keeps_the_very_pixels(tmp_path: Path) -> None:
    images = write_cifar10(tmp_path)
    store = prepare("cifar10", tmp_path / "train.crops", images=tmp_path, progress=False, size=SIZE, training=True)
    np.testing.assert_array_equal(store.crops, images[:10])
    assert store.labels["label"].tolist() == [0, 9, 1, 8, 2, 7, 3, 6, 4, 5]
    np.testing.assert_allclose(store.labels["matrix"][3], [[1, 0, 0], [0, 1, 0]], atol=1e-12)
    assert store.meta["task"] == "classification"
    assert store.meta["classes"][9] == "class 9"
    assert store.spec.size == store.spec.store_size == SIZE
    assert not (tmp_path / "train.crops.partial").exists()
    # Prepared again it is the same store; from other images it is refused.
    prepare("cifar10", tmp_path / "train.crops", images=tmp_path, progress=False, size=SIZE, training=True)
    with pytest.raises(StoreError, match=r"train\.crops: was made from other sources"):
        prepare("cifar10", tmp_path / "train.crops", images=tmp_path, progress=False, size=SIZE, training=False)


def test_other_sizes_are_resized_but_never_stretched(tmp_path: Path) -> None:
    images = write_parquet(tmp_path / "set")
    small = prepare(
        "parquet", tmp_path / "small.crops", images=tmp_path / "set", progress=False, size=(16, 16), training=False
    )
    expected = images[4].reshape(16, 2, 16, 2, 3).mean(axis=(1, 3))
    assert np.abs(small.crops[0] - expected).max() <= 1
    tall = prepare(
        "parquet", tmp_path / "tall.crops", images=tmp_path / "set", progress=False, size=(48, 32), training=False
    )
    np.testing.assert_array_equal(tall.crops[0, 8:40], images[4])
    assert not tall.crops[0, [0, 7, 40, 47]].any()


def test_folders_of_pictures_of_any_size(tmp_path: Path) -> None:
    for part, name, size, grey in (
        ("train", "dark", (40, 20), 30),
        ("train", "light", (10, 10), 220),
        ("val", "dark", (64, 64), 31),
    ):
        folder = tmp_path / "set" / part / name
        folder.mkdir(parents=True)
        Image.new("L", size, grey).save(folder / "a.png")
    options = {"size": (16, 16), "progress": False}
    store = prepare("folder", tmp_path / "train.crops", images=tmp_path / "set", training=True, **options)
    assert store.meta["classes"] == ["dark", "light"]
    assert store.labels["label"].tolist() == [0, 1]
    # 40 x 20 pixels fill the width, with black above and below.
    assert (store.crops[0, 5:11, 1:-1] == 30).all()
    assert (store.crops[0, [0, 2, 13, 15]] == 0).all()
    assert (store.crops[1, 1:-1, 1:-1] == 220).all()
    test = prepare("folder", tmp_path / "val.crops", images=tmp_path / "set", training=False, **options)
    assert test.crops[0, 8, 8].tolist() == [31, 31, 31]


def test_digits_and_wrong_arguments(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    store = prepare("digits", tmp_path / "digits.crops", images=None, progress=False, size=(16, 16), training=False)
    assert store.crops.shape == (359, 16, 16, 3)
    assert "held-out fifth" in store.meta["data"]
    with pytest.raises(ValueError, match="--images is required for --dataset cifar10"):
        prepare("cifar10", tmp_path / "x.crops", images=None, progress=False, size=SIZE, training=True)
    with pytest.raises(ValueError, match="no data set 'svhn'"):
        prepare("svhn", tmp_path / "x.crops", images=tmp_path, progress=False, size=SIZE, training=True)


def test_a_store_turns_pictures_as_predictions_do(tmp_path: Path) -> None:
    picture = np.zeros((30, 30, 3), np.uint8)
    picture[:15] = 255
    image = Image.fromarray(picture)
    exif = image.getexif()
    exif[0x0112] = 3
    (tmp_path / "set" / "a").mkdir(parents=True)
    image.save(tmp_path / "set" / "a" / "0.png", exif=exif)
    store = prepare("folder", tmp_path / "t.crops", images=tmp_path / "set", size=SIZE, training=True, progress=False)
    spec = store.spec
    matrix = spec.base_matrix((14.5, 14.5), (30, 30))
    seen = cut_crop(read_image(tmp_path / "set" / "a" / "0.png"), matrix, spec.size)
    np.testing.assert_array_equal(store.crops[0], seen)
    assert store.crops[0, :14].max() == 0
