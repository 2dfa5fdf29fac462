"""Whatever a file holds, its reader gives values or one of the errors that it names, in little memory and time."""

from __future__ import annotations

import csv
import io
import json
import pickle
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from damage import HOSTILE, damaged_bytes, damaged_json, damaged_value
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limited import under_limits
from PIL import Image
from tiny_people import TINY, write_people

from cmsa.data.boxes import BoxesError, DetectionFile, usable_boxes
from cmsa.data.datasets.biwi import load_biwi
from cmsa.data.datasets.cifar import read_cifar, read_parquet
from cmsa.data.datasets.class_images import ClassDataError, ClassImages
from cmsa.data.datasets.coco import CocoError, load_people, read_coco
from cmsa.data.datasets.faces import HeadPoseDataError
from cmsa.data.datasets.faces_300w_lp import load_300w_lp
from cmsa.data.image import ImageError, picture_size, read_image
from cmsa.data.prepare import prepare
from cmsa.data.store import CropStore, StoreError
from cmsa.inference.jsonl import ResultLines, ResultsError, read_results
from cmsa.models import create_model, load_released, load_weights
from cmsa.models.description import KEY, Description
from cmsa.models.released_format import ReleasedFormatError, read_released
from cmsa.models.weights import read_description, save_weights
from cmsa.structures.keypoint_set import KeypointSetError
from cmsa.training.recipe import load_recipe
from cmsa.training.recipe_files import SHIPPED

RELEASED = Path(__file__).parents[1] / "models" / "data" / "released_case.safetensors"
MEGABYTES, LONGEST = 2000, 10.0
"""Of memory beside what the tests have, and of CPU seconds for one file."""

Damage = Callable[[bytes, Random], bytes]


@dataclass(frozen=True)
class Reader:
    """How a good file is made in a folder, how it is damaged, how it is read, and what reading may raise."""

    make: Callable[[Path], Path]
    read: Callable[[Path], object]
    errors: tuple[type[Exception], ...]
    damage: Damage = damaged_bytes


def picture(name: str, mode: str = "RGB", **options: Any) -> Reader:
    def make(folder: Path) -> Path:
        pixels = np.random.default_rng(0).integers(0, 256, (13, 21, 3), dtype=np.uint8)
        kind = Image.fromarray(pixels).convert("L").convert(mode) if mode.startswith("I") else None
        (kind or Image.fromarray(pixels).convert(mode)).save(folder / name, **options)
        return folder / name

    def read(path: Path) -> None:
        with suppress(ImageError):
            picture_size(path)
        pixels = read_image(path)
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3

    return Reader(make, read, (ImageError,))


def people(folder: Path) -> Path:
    return write_people(folder, 2)[0]


def read_people(path: Path) -> None:
    found = load_people(path, path.parent / "images")
    assert len(list(found.samples())) == len(found)
    assert np.isfinite(found.truth["keypoints"]).all()


def read_people_with_keypoints(path: Path) -> None:
    folder = path.parent
    read_coco(training=True, annotations=folder / "annotations.json", images=folder / "images", keypoints=path)


def keypoint_changes(folder: Path) -> Path:
    people(folder)
    changes = {
        "flip_pairs": [["left_eye", "right_eye"], [3, 4]],
        "sigmas": {"nose": 0.03},
        "skeleton": [[0, 1], ["nose", 2]],
        "upper_body": [0, 1, 2],
        "torso": [5, 12],
    }
    (folder / "keypoints.json").write_text(json.dumps(changes))
    return folder / "keypoints.json"


def detections(folder: Path) -> Path:
    entries = [
        {"image_id": 7, "file_name": "a/7.jpg", "bbox": [1, 2, 30.5, 40], "score": 0.5, "category_id": 1},
        {"image_id": 8, "bbox": [1, 2, 3, 4], "score": 1},
    ]
    (folder / "boxes.json").write_text(json.dumps(entries))
    return folder / "boxes.json"


def read_detections(path: Path) -> None:
    file = DetectionFile.read(path, 1)
    for found in file.pictures.values():
        usable_boxes(found.boxes, 50, 60)
    file.find("a/7.jpg")
    file.named()


def face(folder: Path) -> Path:
    from scipy.io import savemat

    points = np.random.default_rng(0).uniform(10, 60, (2, 68))
    savemat(folder / "face.mat", {"Pose_Para": np.array([[0.1, 0.2, 0.3, 1, 2, 3, 4]]), "pt2d": points})
    Image.new("RGB", (100, 90)).save(folder / "face.jpg")
    return folder / "face.mat"


def damaged_mat(content: bytes, random: Random) -> bytes:
    """Bytes, or the arrays of the file."""
    from scipy.io import loadmat, savemat

    if random.random() < 0.5:
        return damaged_bytes(content, random)
    arrays = {key: value for key, value in loadmat(io.BytesIO(content)).items() if not key.startswith("__")}
    key = random.choice(list(arrays))
    strange: list[Any] = ["text", 1, [], np.full((2, 5), np.nan), np.full((2, 2), [[-1e308, 1e308]]), {"a": 1}]
    arrays[key] = random.choice([*strange, np.array([[1j, 2j]]), arrays[key].T, np.zeros((2, 0)), np.ones((2, 3, 4))])
    file = io.BytesIO()
    savemat(file, arrays)
    return file.getvalue()


def biwi_pose(folder: Path) -> Path:
    (folder / "01").mkdir()
    calibration = "500 0 320\n0 500 240\n0 0 1\n\n0 0 0 0\n\n1 0 0\n0 1 0\n0 0 1\n\n0 0 0\n\n640 480\n"
    (folder / "01" / "rgb.cal").write_text(calibration)
    Image.new("RGB", (64, 48)).save(folder / "01" / "frame_00003_rgb.png")
    (folder / "01" / "frame_00003_pose.txt").write_text("1 0 0\n0 1 0\n0 0 1\n\n-280 -210 500\n")
    return folder / "01" / "frame_00003_pose.txt"


def biwi_calibration(folder: Path) -> Path:
    return biwi_pose(folder).with_name("rgb.cal")


def biwi_boxes(folder: Path) -> Path:
    biwi_pose(folder)
    with (folder / "boxes.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["frame", "x", "y", "width", "height"], ["01/frame_00003", 1, 2, 30, 40.5]])
    return folder / "boxes.csv"


def archive(folder: Path) -> Path:
    """CIFAR-10's test part."""
    data = np.random.default_rng(0).integers(0, 256, (3, 3072), dtype=np.uint8)
    (folder / "test_batch").write_bytes(pickle.dumps({b"data": data, b"labels": [0, 1, 1]}, protocol=2))
    (folder / "batches.meta").write_bytes(pickle.dumps({b"label_names": [b"cat", b"dog"]}, protocol=2))
    return folder / "test_batch"


def damaged_pickle(content: bytes, random: Random) -> bytes:
    """Bytes, or an entry."""
    if random.random() < 0.5:
        return damaged_bytes(content, random)
    entries: dict[bytes, Any] = pickle.loads(content)
    key = random.choice(list(entries))
    entries[key] = random.choice([*HOSTILE, [2**70], ["a"], [1.5], [[0], [1], [2]], [[0], 1], np.zeros((3, 4))])
    if random.random() < 0.2:
        del entries[key]
    return pickle.dumps(random.choice([entries, entries, entries, [entries]]), protocol=2)


def table(folder: Path) -> Path:
    write_table(folder / "test-0.parquet", [0, 1, 1])
    return folder / "test-0.parquet"


def write_table(target: Any, labels: list[Any], images: Any = None) -> None:
    import pyarrow
    import pyarrow.parquet

    cells = images if images is not None else [{"bytes": encoded(value)} for value in range(len(labels))]
    columns = pyarrow.table({"img": cells, "label": labels})
    pyarrow.parquet.write_table(columns, target)


def encoded(value: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (4, 4), (value, value, value)).save(file, "PNG")
    return file.getvalue()


def damaged_table(content: bytes, random: Random) -> bytes:
    """Bytes, or a column."""
    if random.random() < 0.6:
        return damaged_bytes(content, random)
    file = io.BytesIO()
    labels: list[list[Any]] = [[], [None], [-1, 0], [2**62], [1.5], ["a", "b"], [True], [b"x"], [[0]], [{"a": 1}]]
    cells: list[list[Any] | None] = [None, [b"x"], [{"bytes": None}], [{"path": "a"}], ["text"], [3], [None]]
    chosen, images = random.choice(labels), random.choice(cells)
    write_table(file, chosen, None if images is None else images * len(chosen))
    return file.getvalue()


def read_table(path: Path) -> ClassImages:
    return read_parquet(path.parent, training=False)


def weights(folder: Path) -> Path:
    torch.manual_seed(0)
    save_weights(folder / "w.safetensors", create_model("cmsa_n", "classification", (16, 12), num_classes=3, **TINY))
    return folder / "w.safetensors"


def damaged_weights(content: bytes, random: Random) -> bytes:
    """Bytes, an entry of the header, or of the description in it."""
    length = int.from_bytes(content[:8], "little")
    header, tensors = json.loads(content[8 : 8 + length]), content[8 + length :]
    choice = random.random()
    if choice < 0.3:
        return damaged_bytes(content, random)
    if choice < 0.5:
        header = damaged_value(header, random)
    else:
        header["__metadata__"][KEY] = damaged_json(header["__metadata__"][KEY].encode(), random).decode("latin-1")
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + tensors


def read_all_weights(path: Path) -> None:
    found: Description = read_description(path)
    assert len(found.mean) == 3
    load_weights(path)


def recipe(folder: Path) -> Path:
    text = (SHIPPED / "digits.yaml").read_text(encoding="utf-8")
    (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    return folder / "recipe.yaml"


def damaged_recipe(content: bytes, random: Random) -> bytes:
    """Bytes, or entries."""
    if random.random() < 0.4:
        return damaged_bytes(content, random)
    return json.dumps(damaged_value(yaml.safe_load(content), random)).encode()


def checkpoint(folder: Path) -> Path:
    torch.save({"state_dict": read_released(RELEASED), "epoch": 3}, folder / "released.pth")
    return folder / "released.pth"


def damaged_checkpoint(content: bytes, random: Random) -> bytes:
    """Bytes of the archive, bytes of the pickle in it, or tensors."""
    choice = random.random()
    if choice < 0.3:
        return damaged_bytes(content, random)
    file = io.BytesIO()
    if choice < 0.6:
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
            for name in old.namelist():
                part = old.read(name)
                new.writestr(name, damaged_bytes(part, random) if name.endswith("data.pkl") else part)
        return file.getvalue()
    state: dict[Any, Any] = torch.load(io.BytesIO(content), weights_only=True)["state_dict"]
    # What tells the structure lies in the first block of each stage.
    telling = [name for name in state if "trains_block0" in name or name.startswith("stem.")]
    for name in random.sample(telling, 2):
        value = state.pop(name)
        flat = value.flatten()
        shapes = [flat, flat[:0], flat[:1], value[None], value.sum(), torch.cat([flat, flat])]
        strange = [*shapes, value.bool(), value.cfloat(), value.to_sparse(), None, 3, "text", [1], {}]
        state[random.choice([name, name, name.replace("0", "7"), 5])] = random.choice(strange)
    torch.save(random.choice([state, {"state_dict": state}, {"model": state}, [state]]), file)
    return file.getvalue()


def results(folder: Path) -> Path:
    person = {"bbox": [1, 2, 3, 4], "keypoints": [1.0, 2.0, 1] * 17, "score": 0.5}
    lines = [
        {"file": "a.jpg", "image_id": 1, "predictions": [person]},
        {"file": "b.mp4", "frame": 3, "predictions": []},
    ]
    (folder / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder / "results.jsonl"


def damaged_results(content: bytes, random: Random) -> bytes:
    """Bytes, or the values of a line."""
    if random.random() < 0.3:
        return damaged_bytes(content, random)
    return b"".join(
        json.dumps(damaged_value(json.loads(line), random)).encode() + b"\n" for line in content.splitlines()
    )


def read_lines(path: Path) -> None:
    for _ in read_results(path):
        pass
    with ResultLines(path, resume=True) as lines:
        lines.write({"file": "c.jpg"})


def store(folder: Path, part: str) -> Path:
    people(folder)
    options = {"annotations": folder / "annotations.json", "images": folder / "images", "size": (16, 12)}
    prepare("coco", folder / "s.crops", training=False, progress=False, **options)
    return folder / "s.crops" / part


def store_reader(part: str, damage: Damage) -> Reader:
    return Reader(lambda folder: store(folder, part), read_store, (StoreError, KeypointSetError), damage)


def read_store(path: Path) -> None:
    found = CropStore.open(path.parent)
    found.keypoint_set()
    found.read(slice(0, 2))


READERS = {
    "png": picture("a.png"),
    "png of 16 bits": picture("a.png", "I;16"),
    "png with a palette": picture("a.png", "P"),
    "jpeg": picture("a.jpg", exif=Image.Exif()),
    "progressive jpeg in CMYK": picture("a.jpg", "CMYK", progressive=True),
    "gif": picture("a.gif", "P"),
    "bmp": picture("a.bmp"),
    "tiff": picture("a.tif", compression="tiff_lzw"),
    "webp": picture("a.webp"),
    "ppm": picture("a.ppm"),
    "coco annotations": Reader(people, read_people, (CocoError,), damaged_json),
    "keypoints of a set": Reader(keypoint_changes, read_people_with_keypoints, (CocoError,), damaged_json),
    "detections": Reader(detections, read_detections, (BoxesError,), damaged_json),
    "mat": Reader(face, lambda path: load_300w_lp(path.parent), (HeadPoseDataError,), damaged_mat),
    "biwi pose": Reader(biwi_pose, lambda path: load_biwi(path.parents[1]), (HeadPoseDataError,)),
    "biwi calibration": Reader(biwi_calibration, lambda path: load_biwi(path.parents[1]), (HeadPoseDataError,)),
    "biwi boxes": Reader(biwi_boxes, lambda path: load_biwi(path.parent, boxes=path), (HeadPoseDataError,)),
    "cifar pickle": Reader(
        archive, lambda path: read_cifar(path.parent, "cifar10", training=False), (ClassDataError,), damaged_pickle
    ),
    "parquet": Reader(table, read_table, (ClassDataError,), damaged_table),
    "weights": Reader(weights, read_all_weights, (ValueError,), damaged_weights),
    "recipe": Reader(recipe, lambda path: load_recipe(str(path)), (ValueError,), damaged_recipe),
    "released checkpoint": Reader(checkpoint, load_released, (ReleasedFormatError,), damaged_checkpoint),
    "results": Reader(results, read_lines, (ResultsError,), damaged_results),
    "store's description": store_reader("meta.json", damaged_json),
    "store's labels": store_reader("labels.npz", damaged_bytes),
    "store's crops": store_reader("crops.npy", damaged_bytes),
}


def fuzz(reader: Reader, folder: Path, examples: int, *, always_the_same: bool = True) -> None:
    good = reader.make(folder)
    reader.read(good)
    content = good.read_bytes()

    @settings(
        max_examples=examples,
        derandomize=always_the_same,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**64 - 1))
    def wrong_files_are_told(seed: int) -> None:
        # A new file: what is mapped into memory must not change under its reader.
        good.unlink(missing_ok=True)
        good.write_bytes(reader.damage(content, Random(seed)))
        start = time.process_time()
        try:
            reader.read(good)
            told = None
        except MemoryError:
            told = "not enough memory"
        except reader.errors as error:
            told = str(error)
        assert told != "", "the error says nothing"
        assert time.process_time() - start < LONGEST

    wrong_files_are_told()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_only_the_named_errors_come_out(name: str, tmp_path: Path) -> None:
    under_limits(lambda: fuzz(READERS[name], tmp_path, 20), megabytes=MEGABYTES, seconds=60)


@pytest.mark.exhaustive
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_only_the_named_errors_come_out_of_many(name: str, tmp_path: Path) -> None:
    under_limits(lambda: fuzz(READERS[name], tmp_path, 1500, always_the_same=False), megabytes=MEGABYTES, seconds=1200)


def test_the_search_finds_an_error_that_is_not_named(tmp_path: Path) -> None:
    def read(path: Path) -> None:
        int(path.read_bytes() == b"good" or {}["missing"])

    careless = Reader(lambda folder: write(folder / "file", b"good"), read, (ValueError,))
    with pytest.raises(AssertionError, match="KeyError"):
        under_limits(lambda: fuzz(careless, tmp_path, 20), megabytes=MEGABYTES, seconds=60)


def test_the_limits_hold() -> None:
    with pytest.raises(AssertionError, match="MemoryError"):
        under_limits(allocate, megabytes=100, seconds=10)
    with pytest.raises(AssertionError, match="ended with -"):
        under_limits(forever, megabytes=100, seconds=1)


def allocate() -> None:
    bytearray(10**9)


def forever() -> None:
    while True:
        pass


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
