"""What is wrong is found before hours of training, by the rules of preparation."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from tiny_faces import write_faces
from tiny_people import write_people

from cmsa.cli.main import main
from cmsa.data.check import check
from cmsa.data.check_report import CheckedPart, CheckReport
from cmsa.data.problems import Problems

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """People to learn from, and the same number in other pictures to validate by."""
    for part, shade in (("train", 0), ("val", 60)):
        write_people(tmp_path / part)
        for path in (tmp_path / part / "images").iterdir():
            pixels = np.asarray(Image.open(path)).copy()
            pixels[:, :4] = shade + 10 * int(path.stem)
            Image.fromarray(pixels).save(path)
    return tmp_path


def look(folder: Path, size: tuple[int, int] | None = (16, 12)) -> CheckReport:
    parts = {
        part: {
            "training": part == "train",
            "annotations": folder / part / "annotations.json",
            "images": folder / part / "images",
        }
        for part in ("train", "val")
    }
    return check("coco", parts, size=size, workers=2)


def change(folder: Path, what: Change) -> None:
    path = folder / "train" / "annotations.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    what(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_nothing_to_mend(folder: Path) -> None:
    report = look(folder)
    assert len(report) == 0
    assert [(part.pictures, part.samples) for part in report.parts.values()] == [(4, 8), (4, 8)]
    assert report.parts["train"].counts["left_ankle"] == 8
    assert not report.parts["train"].odd


def set_first(**entries: Any) -> Change:
    return lambda content: content["annotations"][0].update(entries)


@pytest.mark.parametrize(
    ("what", "told", "which"),
    [
        (set_first(area=0), "area is not above 0", "1"),
        (set_first(bbox=[400, 0, 9, 9]), "box lies outside its picture", "1"),
        (set_first(keypoints=[131.5, 20, 1] * 17), "keypoint that is marked outside of its picture", "images/0.png"),
        (
            lambda content: content["images"][1].update(height=91),
            "picture that cannot be used",
            "1.png: is of 90x130 (HxW), its annotation of 91x130: the labels belong to other pixels",
        ),
        (lambda content: content["images"][2].update(file_name="none.png"), "file of a picture is missing", "none.png"),
        (lambda content: content["annotations"][1].update(id=1), "annotation id repeats", "1"),
    ],
)
def test_faults_are_those_of_preparation(folder: Path, what: Change, told: str, which: str) -> None:
    change(folder, what)
    report = look(folder)
    (found,) = report.parts["train"].problems.wrong.items()
    assert found[0] == told
    assert found[1][0].endswith(which)
    assert len(report) == 1


def test_names_are_shown_whole_in_80_columns() -> None:
    report, part = CheckReport(), "person_keypoints_train2017"
    problems = Problems()
    for number in range(7):
        problems.add("file of a picture is missing", f"a folder/of a long name/train2017/{number:012d}.jpg")
    problems.leave_out("crowd")
    report.add(part, CheckedPart(1, 1, problems))
    console = Console(width=80, file=io.StringIO())
    console.print(report)
    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    first = lines.index(f"mend      {part}: file of a picture is missing: 7")
    assert lines[first + 1] == f"{'':10}a folder/of a long name/train2017/000000000000.jpg"
    assert lines[first + 6 : first + 8] == [f"{'':10}...", f"left out  {part}: crowd: 1"]
    assert lines[-1] == "7 to mend"


def test_an_unreadable_picture(folder: Path) -> None:
    path = folder / "train" / "images" / "3.png"
    path.write_bytes(path.read_bytes()[:200])
    (told,) = look(folder).parts["train"].problems.wrong["picture that cannot be used"]
    assert "3.png: cannot be decoded" in told


def test_categories_must_be_the_same(folder: Path) -> None:
    change(folder, lambda content: content["categories"][0]["keypoints"].__setitem__(0, "snout"))
    ((told, which),) = look(folder).between.wrong.items()
    assert told == "val has other keypoints or classes, or in another order"
    assert which == ["17 against 17: nose, snout"]


def test_a_picture_of_both_parts(folder: Path) -> None:
    """Once more as another file of the same pixels; compressed anew it looks alike."""
    source = Image.open(folder / "train" / "images" / "1.png")
    source.save(folder / "val" / "images" / "2.png", compress_level=0)
    report = look(folder)
    assert report.between.wrong == {"picture of val that is in train too": ["images/2.png = images/1.png"]}
    random = np.random.default_rng(0)
    rough = random.integers(0, 256, (9, 13, 3), dtype=np.uint8).repeat(10, 0).repeat(10, 1)
    Image.fromarray(rough).save(folder / "train" / "images" / "1.png")
    Image.fromarray(rough).save(folder / "val" / "images" / "2.png", format="JPEG", quality=60)
    report = look(folder)
    assert len(report) == 0
    assert report.alike.wrong["picture of val that is in train too"] == ["images/2.png = images/1.png"]


def test_people_of_few_pixels(folder: Path) -> None:
    assert not look(folder, (64, 48)).parts["val"].odd
    ((told, which),) = look(folder, (192, 144)).parts["val"].odd.wrong.items()
    assert told == "region of fewer pixels than half of the network's input"
    assert len(which) == 8


def test_a_box_that_does_not_hold_the_person(folder: Path) -> None:
    change(folder, set_first(bbox=[5, 8, 20, 20]))
    report = look(folder)
    assert len(report) == 0
    assert [*report.parts["train"].odd.wrong] == ["keypoint beyond the crop: the box does not hold the person"]


def test_classes_are_counted(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for part, count in (("train", 3), ("val", 1)):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
            for place in range(count + (name == "dog")):
                pixels = random.integers(0, 256, (12, 10, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / part / name / f"{place}.png")
    parts = {part: {"training": part == "train", "images": tmp_path} for part in ("train", "val")}
    report = check("folder", parts)
    assert [part.counts for part in report.parts.values()] == [{"cat": 3, "dog": 4}, {"cat": 1, "dog": 2}]
    assert len(report) == 0
    same = (tmp_path / "train" / "cat" / "0.png").read_bytes()
    (tmp_path / "train" / "dog" / "0.png").write_bytes(same)
    odd = check("folder", parts).parts["train"].odd.wrong
    assert odd["picture that is there twice"] == ["dog/0.png = cat/0.png"]
    (tmp_path / "val" / "cat" / "0.png").unlink()
    ((told, which),) = check("folder", parts).between.wrong.items()
    assert told.startswith("val has other keypoints or classes")
    assert which == ["1 against 2: cat"]


def test_angles_have_a_range(tmp_path: Path) -> None:
    write_faces(tmp_path / "faces")
    report = check("300w-lp", {"train": {"training": True, "images": tmp_path / "faces"}})
    assert report.parts["train"].counts["yaw"] == "-40° to +40°"


def test_the_command(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "140")
    files = [str(folder / part / "annotations.json") for part in ("train", "val")]
    images = [str(folder / part / "images") for part in ("train", "val")]
    words = ["check", "--annotations", *files, "--images", *images, "--size", "16x12"]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "nothing must be mended" in told
    assert told.count("annotations") >= 2
    change(folder, set_first(area=-1))
    assert main(words) == 1
    told = capsys.readouterr().out
    assert "area is not above 0" in told
    assert "1 to mend" in told
    assert main(["check", "--dataset", "folder", "--images", *images]) == 2
    assert "2 folders were given" in capsys.readouterr().err
    assert main([*words, "--images", images[0], images[1], images[0]]) == 2
    assert main(["check", "--annotations", files[0], files[0], "--images", images[0]]) == 2


def test_a_set_without_a_sample_must_be_mended(tmp_path: Path) -> None:
    annotations, images = write_people(tmp_path, pictures=1)
    content = json.loads(annotations.read_text(encoding="utf-8"))
    annotations.write_text(json.dumps(content | {"annotations": []}), encoding="utf-8")
    report = check("coco", {"own": {"training": True, "annotations": annotations, "images": images}})
    assert len(report) == 1
    assert report.parts["own"].problems.wrong == {"no sample that can be used": ["own"]}


def test_who_is_annotated_twice_is_found(folder: Path) -> None:
    def repeat(content: dict[str, Any]) -> None:
        content["annotations"].append(content["annotations"][0] | {"id": 900})
        content["images"].append(content["images"][1] | {"id": 901})
        theirs = [entry for entry in content["annotations"] if entry["image_id"] == content["images"][1]["id"]]
        content["annotations"].append(theirs[0] | {"id": 902, "image_id": 901, "bbox": [1, 1, 20, 20]})

    first, second = (entry["file_name"] for entry in json.loads(text_of(folder))["images"][:2])
    change(folder, repeat)
    train = look(folder).parts["train"]
    assert train.problems.wrong == {"annotated twice, with the same keypoints": [f"images/{first}", f"images/{second}"]}
    assert train.odd.wrong["picture with more than one id"] == [f"images/{second}"]


def text_of(folder: Path) -> str:
    return (folder / "train" / "annotations.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("category", ["person", 77, None, 1.5])
def test_a_category_that_the_file_does_not_have_is_to_be_mended(folder: Path, category: object) -> None:
    change(folder, lambda content: content["annotations"][0].update(category_id=category))
    report = look(folder)
    assert [name for name in report.parts["train"].problems.wrong] == ["category id is not among the categories"]
    assert report.parts["train"].samples == 7
