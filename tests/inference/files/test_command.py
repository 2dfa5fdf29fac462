import io
import json
import os
import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from safetensors.torch import save_file

from cmsa.inference.detectors import Selection
from cmsa.inference.files import predict_files
from cmsa.inference.streams import Reading
from cmsa.models.create import create_model
from cmsa.models.weights import read_weights, save_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A weights file of a small random model for each task."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for task, size in (("pose", (32, 24)), ("head_pose", (32, 32)), ("classification", (32, 32))):
        save_weights(folder / f"{task}.safetensors", create_model("cmsa_n", task, size, dims=(16, 16, 16)))
    return folder


@pytest.fixture
def photos(tmp_path):
    """A folder of three pictures and a damaged one; one has a name that is not ASCII."""
    folder = tmp_path / "photos"
    (folder / "weiß").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    for name in ("a.png", "b.png", "weiß/木.png"):
        Image.fromarray(pixels).save(folder / name)
    (folder / "bad.jpg").write_bytes(b"no picture")
    return folder


class Shown:
    """What the command prints."""

    def __init__(self):
        self.out, self.err = io.StringIO(), io.StringIO()

    def consoles(self):
        consoles = {"console": Console(file=self.out, width=300), "errors": Console(file=self.err, width=300)}
        return consoles | {"runtime": "torch"}


@pytest.fixture
def shown():
    return Shown()


def boxes_file(folder, entries):
    path = folder / "boxes.json"
    path.write_text(json.dumps(entries))
    return path


def results(out, name="keypoints.json"):
    return json.loads((out / name).read_text(encoding="utf-8"))


def test_folder_with_a_bad_file(weights, photos, tmp_path, shown):
    out = tmp_path / "out"
    options = {"weights": weights / "pose.safetensors", "out": out, "save_pictures": "png"}
    code = predict_files("pose", [photos], **options, **shown.consoles())
    assert code == 1
    records = results(out)
    assert [record["file_name"] for record in records] == [
        (photos / name).as_posix() for name in ("a.png", "b.png", "weiß/木.png")
    ]
    assert [record["image_id"] for record in records] == [1, 2, 3]
    assert records[0]["bbox"] == [0, 0, 90, 60]
    for name in ("a.png", "b.png", "weiß/木.png"):
        with Image.open(out / "annotated" / name) as picture:
            assert picture.width > 560
    printed = shown.out.getvalue()
    assert "3 of 4 done, 3 predictions" in printed
    assert f"{photos / 'bad.jpg'}: cannot be decoded" in printed
    assert printed.count(str(photos / "bad.jpg")) == 1
    assert shown.err.getvalue() == ""
    assert not list(tmp_path.rglob("*.partial"))


def test_boxes_of_a_file_bring_ids_and_scores(weights, photos, tmp_path, shown):
    boxes = boxes_file(
        tmp_path,
        [
            {"file_name": "b.png", "image_id": 1, "bbox": [1, 2, 30, 40], "score": 0.5},
            {"file_name": "b.png", "image_id": 1, "bbox": [1, 2, 0, 0], "score": 0.25},
            {"file_name": "b.png", "image_id": 1, "bbox": [40, 2, 30, 40]},
            {"file_name": "weiß/木.png", "image_id": 77, "bbox": [-5, 2, 30, 40]},
        ],
    )
    out, options = tmp_path / "out", {"weights": weights / "pose.safetensors", "boxes": boxes, "save_pictures": "jpg"}
    inputs = [photos / "a.png", photos / "b.png", photos / "weiß"]
    assert predict_files("pose", inputs, out=out, **options, **shown.consoles()) == 1
    records = results(out)
    assert [(record["image_id"], record["bbox"]) for record in records] == [
        (1, [1, 2, 30, 40]),
        (1, [40, 2, 30, 40]),
        (77, [-5, 2, 30, 40]),
    ]
    printed = shown.out.getvalue()
    assert "3 of 3 done" in printed
    assert re.search(rf"^without a box  1\n {{15}}{photos / 'a.png'}$", printed, re.MULTILINE)
    assert f"{photos / 'b.png'}, box 1: box (1.0, 2.0, 0.0, 0.0): width and height must be positive" in printed
    assert (out / "annotated" / "a.jpg").is_file()
    # Its own results are a boxes file again.
    again = options | {"boxes": out / "keypoints.json"}
    assert predict_files("pose", inputs, out=tmp_path / "again", **again, **shown.consoles()) == 0
    assert [record["keypoints"] for record in results(tmp_path / "again")] == [
        record["keypoints"] for record in records
    ]


def test_running_ids_stay_clear_of_the_files(weights, photos, tmp_path, shown):
    boxes = boxes_file(tmp_path, [{"file_name": "b.png", "image_id": 1, "bbox": [1, 2, 30, 40]}])
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "b.png").write_bytes((photos / "b.png").read_bytes())
    out, options = tmp_path / "out", {"weights": weights / "pose.safetensors", "boxes": boxes, "save_pictures": "jpg"}
    assert predict_files("pose", [photos / "b.png", copy], out=out, **options, **shown.consoles()) == 0
    assert [record["image_id"] for record in results(out)] == [1, 2]
    assert sorted(path.name for path in (out / "annotated").iterdir()) == ["b-2.jpg", "b.jpg"]


@pytest.mark.parametrize("cube", [False, True])
def test_head_pose_of_one_box(weights, photos, tmp_path, shown, cube):
    options = {"weights": weights / "head_pose.safetensors", "box": (10, 10, 30, 30), "cube": cube}
    assert predict_files("head-pose", [photos / "a.png"], out=tmp_path / "out", **options, **shown.consoles()) == 0
    (record,) = results(tmp_path / "out", "head_pose.json")
    assert record["bbox"] == [10, 10, 30, 30]
    assert len((tmp_path / "out" / "head_pose.csv").read_text().splitlines()) == 2
    assert "°" in shown.out.getvalue()


def test_several_boxes_for_every_picture(weights, photos, tmp_path, shown):
    options = {"weights": weights / "pose.safetensors", "box": [(10, 10, 30, 30), (0, 0, 20, 40)]}
    inputs = [photos / "a.png", photos / "b.png"]
    assert predict_files("pose", inputs, out=tmp_path / "out", **options, **shown.consoles()) == 0
    assert [record["bbox"] for record in results(tmp_path / "out")] == [[10, 10, 30, 30], [0, 0, 20, 40]] * 2


def test_classes_keep_top(weights, photos, tmp_path, shown):
    options = {"weights": weights / "classification.safetensors", "top": 3}
    assert predict_files("classify", [photos / "a.png"], out=tmp_path / "out", **options, **shown.consoles()) == 0
    (record,) = results(tmp_path / "out", "classes.json")
    assert len(record["classes"]) == 3
    assert len((tmp_path / "out" / "classes.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        ("dance", {}, "no task 'dance'; there are pose, head-pose, classify"),
        ("pose", {"box": (1, 2, 3, 4), "boxes": "boxes.json"}, "not two of them"),
        ("pose", {"boxes": "missing.json"}, "missing.json: cannot be read"),
        ("pose", {"weights": "missing.safetensors"}, "no weights 'missing.safetensors'"),
        ("pose", {"top": 0}, "top and batch size must be at least 1, got 0 and 32"),
        ("classify", {}, "they are for pose, not for classification"),
    ],
)
def test_wrong_arguments_are_said_before_anything_is_written(weights, photos, tmp_path, shown, task, options, message):
    options = {"weights": weights / "pose.safetensors"} | options
    assert predict_files(task, [photos], out=tmp_path / "out", **options, **shown.consoles()) == 2
    assert message in shown.err.getvalue()
    assert shown.err.getvalue().count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_weights_whose_names_are_not_their_classes_are_named(weights, photos, tmp_path, shown):
    tensors, description = read_weights(weights / "classification.safetensors")
    metadata = replace(description, names=("cup", "cat")).to_metadata()
    save_file(tensors, tmp_path / "two.safetensors", metadata=metadata)
    options = {"weights": tmp_path / "two.safetensors", "out": tmp_path / "out"}
    assert predict_files("classify", [photos], **options, **shown.consoles()) == 2
    assert re.search(r"two\.safetensors: there are \d+ classes, and names for 2", shown.err.getvalue())


def test_boxes_of_other_pictures_are_an_error(weights, photos, tmp_path, shown):
    boxes = boxes_file(tmp_path, [{"file_name": "z.png", "bbox": [1, 2, 30, 40]}])
    options = {"weights": weights / "pose.safetensors", "boxes": boxes, "out": tmp_path / "out"}
    assert predict_files("pose", [photos], **options, **shown.consoles()) == 2
    assert "names none of the 4 pictures, but z.png" in shown.err.getvalue()


def test_nothing_done_keeps_earlier_results(weights, photos, tmp_path, shown):
    out, options = tmp_path / "out", {"weights": weights / "pose.safetensors"}
    assert predict_files("pose", [photos / "a.png"], out=out, **options, **shown.consoles()) == 0
    before = results(out)
    assert predict_files("pose", [photos / "bad.jpg"], out=out, **options, **shown.consoles()) == 2
    assert predict_files("pose", [tmp_path / "gone"], out=out, **options, **shown.consoles()) == 2
    assert "gone: there is no such file or folder" in shown.out.getvalue()
    assert f"nothing was done; {tmp_path / 'gone'}: there is no such file or folder" in shown.err.getvalue()
    assert results(out) == before


def test_a_second_run_does_not_predict_the_first_one_s_pictures(weights, photos, tmp_path, shown):
    options = {"weights": weights / "pose.safetensors", "out": photos}
    for _ in range(2):
        predict_files("pose", [photos], **options, **shown.consoles())
        assert len(results(photos)) == 3


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_what_is_done_is_kept_when_the_run_ends_early(weights, photos, tmp_path, shown, monkeypatch, error):
    from cmsa.inference.jsonl import ResultLines

    write = ResultLines.write

    def interrupted(lines, record):
        if lines.lines == 1:
            raise error("no space left")
        write(lines, record)

    monkeypatch.setattr(ResultLines, "write", interrupted)
    options = {"weights": weights / "pose.safetensors", "out": tmp_path / "out"}
    if error is KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            predict_files("pose", [photos], **options, **shown.consoles())
    else:
        assert predict_files("pose", [photos], **options, **shown.consoles()) == 2
        assert "results cannot be written (no space left)" in shown.err.getvalue()
    assert [record["file_name"] for record in results(tmp_path / "out")] == [(photos / "a.png").as_posix()]
    assert "1 of 4 done" in shown.out.getvalue()
    # The next run goes on with the others.
    monkeypatch.setattr(ResultLines, "write", write)
    assert predict_files("pose", [photos], resume=True, **options, **shown.consoles()) == 1
    assert "2 of 4 done, 1 before" in shown.out.getvalue()
    records = results(tmp_path / "out")
    assert [record["image_id"] for record in records] == [1, 2, 3]
    assert [record["file_name"] for record in records] == [
        (photos / name).as_posix() for name in ("a.png", "b.png", "weiß/木.png")
    ]


def test_other_weights_do_not_go_on_with_a_run(weights, photos, tmp_path, shown):
    out, other = tmp_path / "out", tmp_path / "other.safetensors"
    torch.manual_seed(1)
    save_weights(other, create_model("cmsa_n", "pose", (32, 24), dims=(16, 16, 16)))
    options = {"weights": weights / "pose.safetensors", "out": out}
    assert predict_files("pose", [photos / "a.png"], **options, **shown.consoles()) == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert json.loads(before["results.run.json"])["flip_test"] is False
    boxes = boxes_file(tmp_path, [{"file_name": "b.png", "bbox": [5, 5, 40, 40], "score": 1}])
    for another in ({"weights": other}, {"flip_test": True}, {"boxes": boxes}):
        assert predict_files("pose", [photos], resume=True, **options | another, **shown.consoles()) == 2
    assert f"is of a run that differs in --weights (there {weights / 'pose.safetensors'}, " in shown.err.getvalue()
    assert "differs in --flip-test (there False, now True); go on with those of that run" in shown.err.getvalue()
    assert "differs in --boxes (there False, now True)" in shown.err.getvalue()
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    # Begun anew, each keeps its own.
    assert predict_files("pose", [photos / "a.png"], **options | {"weights": other}, **shown.consoles()) == 0
    assert (out / "results-2.run.json").read_bytes() == before["results.run.json"]
    assert json.loads((out / "results.run.json").read_text())["weights"]["name"] == str(other)


def test_results_of_a_former_version_are_gone_on_with(weights, photos, tmp_path, shown):
    out = tmp_path / "out"
    options = {"weights": weights / "pose.safetensors", "out": out}
    assert predict_files("pose", [photos / "a.png"], **options, **shown.consoles()) == 0
    kept = (out / "results.run.json").read_bytes()
    (out / "results.run.json").unlink()
    assert predict_files("pose", [photos / "a.png"], resume=True, **options, **shown.consoles()) == 0
    assert not (out / "results.run.json").exists(), "nothing was added"
    assert predict_files("pose", [photos / "b.png"], resume=True, **options, **shown.consoles()) == 0
    assert "results.jsonl: does not say by which weights and options it began" in shown.err.getvalue()
    assert (out / "results.run.json").read_bytes() == kept
    assert [Path(record["file_name"]).name for record in results(out)] == ["a.png", "b.png"]


def test_a_picture_that_cannot_be_drawn_is_predicted_all_the_same(weights, photos, tmp_path, shown, monkeypatch):
    from cmsa.tasks.pose.task import PoseTask

    def burnt(*arguments, **options):
        raise ValueError("no ink")

    monkeypatch.setattr(PoseTask, "draw", burnt)
    options = {"weights": weights / "pose.safetensors", "out": tmp_path / "out", "save_pictures": "jpg"}
    assert predict_files("pose", [photos / "a.png"], **options, **shown.consoles()) == 1
    assert "a.png: cannot be drawn (no ink)" in shown.out.getvalue()
    assert len(results(tmp_path / "out")) == 1


def test_a_disk_that_is_full_for_pictures_ends_the_run(weights, photos, tmp_path, shown, monkeypatch):
    from cmsa.inference.files import drawing

    def full(picture, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(drawing, "save_picture", full)
    options = {"weights": weights / "pose.safetensors", "out": tmp_path / "out", "save_pictures": "jpg"}
    assert predict_files("pose", [photos], **options, **shown.consoles()) == 2
    assert "No space left on device" in shown.err.getvalue()
    assert len(results(tmp_path / "out")) >= 1


def test_whole_pictures_are_said_to_be(weights, photos, tmp_path, shown):
    options = {"weights": weights / "pose.safetensors", "out": tmp_path / "out"}
    assert predict_files("pose", [photos / "a.png"], **options, **shown.consoles()) == 0
    assert "1 taken as one person: no boxes were given and no detector" in shown.out.getvalue()
    assert '"detector": "whole picture"' in (tmp_path / "out" / "results.jsonl").read_text()


def test_names_are_whole_in_a_narrow_terminal(weights, photos, tmp_path, shown):
    long = photos / ("a_rather_long_name_of_a_picture_" * 4 + ".png")
    (photos / "a.png").rename(long)
    options = {"weights": weights / "pose.safetensors", "out": tmp_path / "out"}
    consoles = shown.consoles() | {"console": Console(file=shown.out, width=40)}
    assert predict_files("pose", [long, photos / "b.png", photos / "bad.jpg"], **options, **consoles) == 1
    lines = shown.out.getvalue().splitlines()
    assert lines[0].split() == ["box", "score", "keypoints", "above", "0.2", "picture"]
    assert lines[1].startswith("0 0 90 60  0.")
    assert lines[1].endswith(f"  {long}")
    assert lines[2].endswith(f"  {photos / 'b.png'}")
    assert f"results        {tmp_path / 'out' / 'results.jsonl'}" in lines
    assert any(line.startswith(f"               {photos / 'bad.jpg'}: cannot be decoded") for line in lines)
    assert not any(line.endswith(" ") for line in lines)


def test_quiet_says_nothing(weights, photos, tmp_path, shown):
    options = {"weights": weights / "pose.safetensors", "out": tmp_path / "out", "quiet": True}
    assert predict_files("pose", [photos], **options, **shown.consoles()) == 1
    assert shown.out.getvalue() == shown.err.getvalue() == ""


@pytest.fixture
def walk(tmp_path):
    """A second of a bright block that walks before a wall."""
    path = tmp_path / "walk.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (160, 120))
    for number in range(25):
        frame = np.full((120, 160, 3), 60, np.uint8)
        if number >= 5:
            frame[40:100, 2 * number : 2 * number + 20] = 230
        writer.write(frame)
    writer.release()
    return path


def test_a_video_to_tracks_a_video_and_pictures(weights, walk, tmp_path, shown):
    options = {"weights": weights / "pose.safetensors", "out": tmp_path / "out", "detector": "motion"}
    made = {"smooth": True, "save_video": True, "save_pictures": "jpg", "reading": Reading(every=2)}
    assert predict_files("pose", [walk], **options, **made, **shown.consoles()) == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / "results.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(0, 25, 2))
    assert [len(line["predictions"]) for line in lines] == [0] * 3 + [1] * 10
    assert {line["predictions"][0]["id"] for line in lines[3:]} == {1}
    assert "13 done, 10 predictions" in shown.out.getvalue()
    assert re.match(r"id  box +score .*\n1   \d", shown.out.getvalue())
    video = cv2.VideoCapture(str(tmp_path / "out" / "annotated" / "walk.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 13
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(12.5)
    assert video.get(cv2.CAP_PROP_FRAME_WIDTH) == 160
    pictures = sorted(path.name for path in (tmp_path / "out" / "annotated" / "walk").iterdir())
    assert pictures == [f"{number:06d}.jpg" for number in range(0, 25, 2)]


def test_what_is_wrong_in_a_video_is_told_by_its_frame(weights, walk, tmp_path, shown, monkeypatch):
    from cmsa.tasks.pose.task import PoseTask

    draw = PoseTask.draw

    def burnt(task, picture, values, *arguments, **options):
        if values and values[0].box.x > 46:
            raise ValueError("no ink")
        return draw(task, picture, values, *arguments, **options)

    monkeypatch.setattr(PoseTask, "draw", burnt)
    options = {"weights": weights / "pose.safetensors", "out": tmp_path / "out", "detector": "motion"}
    assert predict_files("pose", [walk], **options, save_pictures="jpg", **shown.consoles()) == 1
    printed = shown.out.getvalue()
    assert "walk.mp4, frame 24 at 0.96 s: cannot be drawn (no ink)" in printed
    assert re.search(r"^12 \d+ \d+ \d+ .*walk\.mp4, frame 6 at 0\.24 s$", printed, re.MULTILINE)
    empty = re.search(r"^without a box  5$((?:\n {15}.*)+)", printed, re.MULTILINE)
    assert empty[1].split("\n")[1:3] == [f"{'':15}{walk}, frame {n} at 0.0{4 * n} s" for n in range(2)]


def test_a_start_behind_the_end_is_told(weights, walk, tmp_path, shown):
    options = {"weights": weights / "pose.safetensors", "out": tmp_path / "out", "detector": "motion"}
    assert predict_files("pose", [walk], **options, reading=Reading(start=99), **shown.consoles()) == 2
    assert "no picture and no frame came" in shown.err.getvalue()


def test_a_video_goes_on_where_it_was_stopped(weights, walk, tmp_path, shown):
    options = {"weights": weights / "pose.safetensors", "out": tmp_path / "out", "box": (10, 10, 40, 60)}
    assert predict_files("pose", [walk], **options, **shown.consoles()) == 0
    path = tmp_path / "out" / "results.jsonl"
    whole = path.read_text()
    everything = results(tmp_path / "out")
    path.write_text(whole[: len(whole) // 2])
    assert predict_files("pose", [walk], resume=True, **options, **shown.consoles()) == 0
    assert [json.loads(line)["frame"] for line in path.read_text().splitlines()] == list(range(25))
    keys = "image_id", "file_name", "frame", "time", "bbox", "score"
    for record, other in zip(results(tmp_path / "out"), everything, strict=True):
        assert {key: record[key] for key in keys} == {key: other[key] for key in keys}


def test_a_killed_run_s_video_is_told_to_be_lost(weights, walk, tmp_path, shown):
    options = {"weights": weights / "pose.safetensors", "out": tmp_path / "out", "box": (10, 10, 40, 60)}
    assert predict_files("pose", [walk], save_video=True, **options, **shown.consoles()) == 0
    # As kill -9 leaves it.
    drawn, path = tmp_path / "out" / "annotated", tmp_path / "out" / "results.jsonl"
    (drawn / "walk.mp4").rename(drawn / "walk.partial.mp4")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:10]))
    assert shown.err.getvalue() == ""
    assert predict_files("pose", [walk], save_video=True, resume=True, **options, **shown.consoles()) == 0
    told = shown.err.getvalue()
    assert "what the earlier run did is not drawn again; a video goes on in another file" in told
    assert f"{drawn / 'walk.partial.mp4'}: the earlier run did not close it, so it does not play" in told
    video = cv2.VideoCapture(str(drawn / "walk.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 15


def test_a_selection_counts(weights, photos, tmp_path, shown):
    boxes = boxes_file(
        tmp_path,
        [{"file_name": "a.png", "bbox": [1, 2, side, 40], "score": score} for side, score in ((5, 0.9), (6, 0.1))],
    )
    options = {"weights": weights / "pose.safetensors", "boxes": boxes, "selection": Selection(score=0.5)}
    assert predict_files("pose", [photos / "a.png"], out=tmp_path / "out", **options, **shown.consoles()) == 0
    assert [record["bbox"] for record in results(tmp_path / "out")] == [[1, 2, 5, 40]]


def test_odd_names_cost_the_others_nothing(weights, photos, tmp_path, shown):
    """Names that are no UTF-8, as long as a file system allows, like markup, links that lead nowhere or to one's own
    folder."""
    long = "b" * 250 + ".png"
    (photos / "b.png").rename(photos / long)
    os.rename(os.fsencode(photos / "a.png"), os.fsencode(photos) + b"/caf\xe9.png")
    (photos / "weiß" / "木.png").rename(photos / "weiß" / "[bold]木[.png")
    (photos / "loop.png").symlink_to("loop.png")
    (photos / "link.png").symlink_to(long)
    (photos / "weiß" / "up").symlink_to(photos / "weiß")
    options = {"weights": weights / "pose.safetensors", "out": tmp_path / "out", "save_pictures": "jpg"}
    assert predict_files("pose", [photos], **options, **shown.consoles()) == 1
    names = [record["file_name"].rpartition("/")[2] for record in results(tmp_path / "out")]
    assert names == [long, "caf\\xe9.png", "link.png", "[bold]木[.png"]
    assert len(list((tmp_path / "out" / "annotated").rglob("*.jpg"))) == 4
    printed = shown.out.getvalue()
    assert "weiß/up: leads to the same folder as" in printed
    assert "loop.png: cannot be read (Too many levels of symbolic links)" in printed


def test_progress_counts_on_a_terminal(weights, photos, tmp_path, shown):
    errors = Console(file=shown.err, force_terminal=True, width=200)
    consoles = shown.consoles() | {"errors": errors}
    options = {"weights": weights / "pose.safetensors", "out": tmp_path / "out"}
    predict_files("pose", [photos / "a.png", photos / "b.png"], **options, **consoles)
    assert "2/2" in shown.err.getvalue()
