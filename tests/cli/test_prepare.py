"""``cmsa prepare`` tells what it left out, whatever the data set."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_faces import write_faces
from tiny_people import write_people

from cmsa.cli.main import main
from cmsa.cli.prepare import make_missing
from cmsa.data.image import read_image
from cmsa.data.store import CropStore, StoreError, partial_folder

PREPARE = ["prepare", "--for", "evaluate", "--size", "16x12"]


def shown(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says, its lines joined: a table breaks long names."""
    assert main(arguments) == 0
    return " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("kind", ["people", "classes"])
def test_a_broken_picture_is_named_and_counted(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the store is there already."""
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.chdir(tmp_path)
    if kind == "people":
        write_people(tmp_path, pictures=1, each=1)
        content = json.loads((tmp_path / "annotations.json").read_text(encoding="utf-8"))
        for number in range(1, 110):
            Image.open(tmp_path / "images" / "0.png").save(tmp_path / "images" / f"{number}.png")
            content["images"].append(content["images"][0] | {"id": number + 1, "file_name": f"{number}.png"})
            content["annotations"].append(content["annotations"][0] | {"id": number + 1, "image_id": number + 1})
        (tmp_path / "annotations.json").write_text(json.dumps(content), encoding="utf-8")
        (tmp_path / "images" / "7.png").write_bytes(b"no picture")
        data = ["--annotations", "annotations.json", "--images", "images"]
    else:
        for name in ("cup", "sp\x1b[31moon"):
            (tmp_path / "set" / name).mkdir(parents=True)
            for number in range(60):
                Image.new("L", (20, 30), number).save(tmp_path / "set" / name / f"{number}.png")
        (tmp_path / "set" / "sp\x1b[31moon" / "7.png").write_bytes(b"no picture")
        data = ["--dataset", "folder", "--images", "set"]
    arguments = [*PREPARE, *data, "--out", "s.crops"]
    if kind == "classes":
        arguments[2] = "train"
    for _ in range(2):
        told = shown(arguments, capsys)
        assert "picture that cannot be used" in told
        assert "7.png: cannot be decoded" in told
        assert f"s.crops: {len(CropStore.open(tmp_path / 's.crops'))} crops" in told
        assert "\x1b" not in told
    assert len(CropStore.open(tmp_path / "s.crops")) == (109 if kind == "people" else 119)


def test_where_boxes_came_from_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_people(tmp_path, pictures=2)
    data = ["--annotations", "annotations.json", "--images", "images"]
    assert "own.crops: 4 crops, boxes from ground truth" in shown([*PREPARE, *data, "--out", "own.crops"], capsys)
    entries = [{"image_id": 2, "category_id": 1, "bbox": [30, 20, 30, 40], "score": 0.75}]
    (tmp_path / "found.json").write_text(json.dumps(entries), encoding="utf-8")
    found = shown([*PREPARE, *data, "--detections", "found.json", "--out", "found.crops"], capsys)
    assert "found.crops: 1 crop, boxes from detections" in found


def test_how_many_heads_are_kept_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Angles beyond ±99°, and frames whose face no detector found."""
    from scipy.io import loadmat, savemat

    monkeypatch.chdir(tmp_path)
    write_faces(tmp_path / "faces", 3)
    content = loadmat(tmp_path / "faces" / "face1.mat")
    savemat(tmp_path / "faces" / "face1.mat", {"Pose_Para": np.full((1, 7), 1.8), "pt2d": content["pt2d"]})
    told = shown([*PREPARE, "--dataset", "aflw2000", "--images", "faces", "--out", "s.crops"], capsys)
    assert "left out angle beyond ±99°: 1" in told
    assert "s.crops: 2 crops, boxes from landmarks" in told
    frames = tmp_path / "biwi" / "01"
    frames.mkdir(parents=True)
    for number in (3, 4, 5):
        Image.new("RGB", (64, 48), (number, 0, 0)).save(frames / f"frame_{number:05}_rgb.png")
        (frames / f"frame_{number:05}_pose.txt").write_text("1 0 0 \n0 1 0 \n0 0 1 \n\n0 0 900\n")
    (tmp_path / "boxes.csv").write_text("frame,x,y,width,height\n01/frame_00003,20,10,12,15\n")
    arguments = [*PREPARE, "--dataset", "biwi", "--images", "biwi", "--boxes", "boxes.csv", "--out", "b.crops"]
    told = shown(arguments, capsys)
    assert "left out frame without a box: 2" in told
    assert "b.crops: 1 crop, boxes from boxes.csv" in told


@pytest.mark.parametrize("turned", [False, True])
def test_annotated_pictures_are_turned_only_where_their_annotation_is(turned: bool, tmp_path: Path) -> None:
    """Labels commonly belong to the pixels as they are stored: a square picture is never turned, any other one where
    only that gives the annotated size."""
    annotations, images = write_people(tmp_path, pictures=2, each=1)
    content = json.loads(annotations.read_text(encoding="utf-8"))
    pixels = np.random.default_rng(0).integers(0, 256, (90, 130, 3), dtype=np.uint8)
    square = pixels[:90, :90]
    for name, picture in (("0.png", pixels), ("1.png", square)):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.fromarray(picture).save(images / name, exif=exif)
    content["images"][1] |= {"width": 90, "height": 90}
    if turned:
        content["images"][0] |= {"width": 90, "height": 130}
    for entry in content["annotations"]:
        entry["bbox"] = [30, 20, 30, 40]
    annotations.write_text(json.dumps(content), encoding="utf-8")
    arguments = [*PREPARE, "--annotations", str(annotations), "--images", str(images), "--out", str(tmp_path / "s")]
    assert main(arguments) == 0
    store = CropStore.open(tmp_path / "s")
    from cmsa.data.crops import cut_crop

    kept = [np.rot90(pixels, -1) if turned else pixels, square]
    for row, picture in enumerate(kept):
        expected = cut_crop(np.ascontiguousarray(picture), store.labels["matrix"][row], (16, 12))
        np.testing.assert_array_equal(store.crops[row], expected)
    # A photo that nobody annotated is turned as it is shown.
    np.testing.assert_array_equal(read_image(images / "1.png"), np.rot90(square, -1))


def test_heads_are_annotated_in_the_pixels_as_stored(tmp_path: Path) -> None:
    faces = write_faces(tmp_path / "faces", 1)
    pixels = np.random.default_rng(0).integers(0, 256, (80, 80, 3), dtype=np.uint8)
    (faces / "face0.jpg").unlink()
    stores = []
    for orientation in (1, 3):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(pixels).save(faces / "face0.jpg", exif=exif)
        out = tmp_path / f"{orientation}.crops"
        assert main([*PREPARE, "--dataset", "aflw2000", "--images", str(faces), "--out", str(out)]) == 0
        stores.append(CropStore.open(out).crops)
    np.testing.assert_array_equal(*stores)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("--dataset 'digits --for train", "No closing quotation"),
        ("--datset digits --for train --out a.crops", "unrecognized arguments: --datset digits"),
        ("--help", "the following arguments are required: --out, --for"),
        ("--dataset digits --for train", "the following arguments are required: --out"),
    ],
)
def test_a_line_of_a_recipe_that_prepares_nothing_is_named(line: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape(f"data.prepare: {line}: {told}")):
        make_missing([line], [str(tmp_path / "a.crops")])


def test_a_store_that_no_line_makes_is_told_before_others_are_made(tmp_path: Path) -> None:
    made, other = tmp_path / "a.crops", tmp_path / "b.crops"
    line = f"--dataset digits --for train --out {made}"
    with pytest.raises(StoreError, match=r"b\.crops: there is no crop store; prepare one first"):
        make_missing([line], [str(made), str(other)])
    partial_folder(other).mkdir()
    with pytest.raises(StoreError, match=r"b\.crops: its preparation was interrupted; prepare it again"):
        make_missing([line], [str(made), str(other)])
    assert not made.exists()
