from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tiny_people import SIZE, TINY, tiny_weights, write_people

from cmsa.cli.main import main
from cmsa.models import create_model, save_weights


@pytest.fixture
def teacher(tmp_path: Path) -> Path:
    return tiny_weights(tmp_path / "teacher.safetensors")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Photos, and boxes of the people in them."""
    annotations, _ = write_people(tmp_path, pictures=2)
    content = json.loads(annotations.read_text())
    names = {image["id"]: image["file_name"] for image in content["images"]}
    boxes = [
        {"file_name": names[a["image_id"]], "category_id": 1, "bbox": a["bbox"], "score": 1.0}
        for a in content["annotations"]
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    return tmp_path


def test_labels_of_a_folder_are_annotations(folder, teacher, capsys):
    out = folder / "labels" / "people.json"
    arguments = ["label", str(folder / "images"), "--boxes", str(folder / "boxes.json"), "--teacher", str(teacher)]
    # The teacher knows nothing, and is not asked to.
    assert main([*arguments, "--thresholds", "0", "--least", "1", "--out", str(out)]) == 0
    content = json.loads(out.read_text())
    assert len(content["images"]) == 2
    assert len(content["annotations"]) == 4
    assert all(len(person["keypoints"]) == 51 for person in content["annotations"])
    assert "4 people in 2 photos" in capsys.readouterr().out


def test_one_is_not_told_as_many(folder, teacher, capsys):
    boxes = json.loads((folder / "boxes.json").read_text())[:1]
    (folder / "one.json").write_text(json.dumps(boxes))
    photo, out = folder / "images" / boxes[0]["file_name"], folder / "one-labelled.json"
    arguments = ["label", str(photo), "--boxes", str(folder / "one.json"), "--teacher", str(teacher)]
    assert main([*arguments, "--thresholds", "0", "--least", "1", "--out", str(out)]) == 0
    assert "1 person in 1 photo, " in capsys.readouterr().out
    store = folder / "one.crops"
    arguments = ["prepare", "--for", "train", "--annotations", str(out), "--images", str(photo.parent)]
    assert main([*arguments, "--out", str(store)]) == 0
    assert f"{store}: 1 crop, " in capsys.readouterr().out


def test_nobody_is_labelled_where_the_teacher_is_unsure(folder, teacher, capsys):
    out = folder / "people.json"
    arguments = ["label", str(folder / "images"), "--boxes", str(folder / "boxes.json"), "--teacher", str(teacher)]
    assert main([*arguments, "--thresholds", "0.99", "--out", str(out)]) == 1
    said = capsys.readouterr()
    assert f"0 people in 2 photos; {out} is not written" in said.out
    assert not out.exists()
    assert "0 keypoints, 8 are asked for" in said.err


def test_without_a_photo_earlier_labels_stay(folder, teacher, capsys):
    out = folder / "people.json"
    out.write_text("earlier")
    arguments = ["--boxes", str(folder / "boxes.json"), "--teacher", str(teacher), "--out", str(out)]
    assert main(["label", str(folder / "none"), *arguments]) == 2
    assert "none: there is no such file or folder" in capsys.readouterr().err
    assert main(["label", str(folder / "images"), *arguments, "--thresholds", "0.99"]) == 1
    assert out.read_text() == "earlier"


def test_a_teacher_that_says_no_numbers_is_told(folder, capsys):
    model = create_model("cmsa_n", "pose", SIZE, **TINY)
    with torch.no_grad():
        for value in model.head.parameters():
            value.fill_(torch.nan)
    save_weights(folder / "nan.safetensors", model)
    with torch.no_grad():
        for value in model.head.parameters():
            value.fill_(torch.finfo(torch.float32).max)
    save_weights(folder / "huge.safetensors", model)
    arguments = [
        "label",
        str(folder / "images"),
        "--boxes",
        str(folder / "boxes.json"),
        "--out",
        str(folder / "x.json"),
    ]
    assert main([*arguments, "--teacher", str(folder / "nan.safetensors")]) == 2
    assert "nan.safetensors: its tensors do not fit CMSA, of " in (told := capsys.readouterr().err)
    assert " not finite: head." in told
    assert main([*arguments, "--teacher", str(folder / "huge.safetensors")]) == 2
    assert "huge.safetensors: what the network says is not finite" in capsys.readouterr().err


def test_a_missing_teacher_is_named(folder, capsys):
    arguments = ["label", str(folder / "images"), "--boxes", str(folder / "boxes.json"), "--teacher", "no/such.onnx"]
    assert main([*arguments, "--out", str(folder / "x.json")]) == 2
    assert "such.onnx" in capsys.readouterr().err


def test_filling_in_takes_the_people_of_annotations(folder, teacher, capsys):
    content = json.loads((folder / "annotations.json").read_text())
    for person in content["annotations"]:
        person["keypoints"][:3] = [0, 0, 0]
    (folder / "holes.json").write_text(json.dumps(content))
    out = folder / "filled.json"
    arguments = ["label", str(folder / "images"), "--fill", str(folder / "holes.json"), "--teacher", str(teacher)]
    assert main([*arguments, "--thresholds", "0", "--out", str(out)]) == 0
    assert "4 keypoints of 4 people filled in" in capsys.readouterr().out
    assert all(person["keypoints"][2] == 1 for person in json.loads(out.read_text())["annotations"])
    assert main([*arguments, str(folder), "--out", str(out)]) == 2
    content["annotations"][0]["keypoints"][3] = float("inf")
    (folder / "holes.json").write_text(json.dumps(content))
    assert main([*arguments, "--out", str(out)]) == 1
    assert "annotations[0]: has no image_id, or no list of numbers as keypoints" in capsys.readouterr().err
