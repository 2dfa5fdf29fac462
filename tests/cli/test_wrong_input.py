"""What a user gets wrong is told in one line with exit code 2, by every command, before anything is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tiny_classes import class_store

from cmsa.cli.main import main
from cmsa.models import create_model
from cmsa.models.weights import save_weights
from cmsa.structures import COCO

AFTER = ("picture ", "nothing was left out")
FILES = {
    "empty.json": b"",
    "text.json": b"not json",
    "number.json": b"3",
    "binary.json": b"\x80\x81\xff",
    "nan.json": b'[{"image_id": 1, "bbox": [NaN, 0, 1, 1], "score": 1}]',
    "huge.json": b'[{"image_id": 1, "bbox": [0, 0, 9, 9], "score": ' + b"9" * 400 + b"}]",
    "empty.safetensors": b"",
    "text.safetensors": b"not weights",
    "text.pth": b"text\n",
    "empty.pth": b"",
    "broken.onnx": b"x",
    "broken.pt2": b"x",
    "list.yaml": b"[1, 2]",
    "tab.yaml": b"model:\n\tname: cmsa_n",
    "binary.yaml": b"\x80\x81",
    "picture.png": b"not a picture",
    "deep.json": b"[" * 5000 + b"]" * 5000,
    "list.json": b"[1]",
    "object.json": b'{"images": 3}',
    "sigmas.json": b'{"sigmas": "abc"}',
    "no_score.json": b'[{"file_name": "photo.png", "bbox": [1, 2, 30, 30], "score": null}]',
    "boxes.json": b'[{"file_name": "photo.png", "bbox": [1, 2, 30, 30], "score": 0.5}]',
    "other.json": b'[{"file_name": "q.png", "bbox": [1, 2, 30, 30], "score": 0.5}]',
    "zeros.pth": bytes(100),
    "deep.yaml": b"title: " + b"[" * 5000 + b"]" * 5000,
    "nulls.yaml": b'{"model": null, "data": null, "optimizer": {"epochs": null}}',
    "empty_model.yaml": b'{"model": []}',
    # Nine times nine times nine: a value that unfolds to more than any memory holds.
    "bomb.yaml": b"".join(
        b"a%d: &a%d [%s]\n" % (level, level, b",".join([b"*a%d" % (level - 1) if level else b"x"] * 9))
        for level in range(10)
    ),
    "bom.yaml": "title: näher\n".encode("utf-8-sig"),
    "utf16.yaml": "title: näher\n".encode("utf-16"),
}
PERSON = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [5, 5, 30, 30], "area": 400, "keypoints": [10, 10, 2] * 17}
PICTURE = {"id": 1, "file_name": "photo.png", "height": 40, "width": 60}
ANNOTATIONS: dict[str, dict[str, object]] = {
    "people.json": {},
    "text_ids.json": {"images": [PICTURE | {"id": "a"}], "annotations": [PERSON | {"image_id": "a"}]},
    "huge_ids.json": {"images": [PICTURE | {"id": 2**63}], "annotations": [PERSON | {"image_id": 2**63}]},
    "null_ids.json": {"images": [PICTURE | {"id": None}]},
    "huge_size.json": {"images": [PICTURE | {"height": 10**400}]},
    "nulls.json": {"images": [None], "annotations": None, "categories": [None]},
    "skeleton.json": {"categories": [{"id": 1, "name": "person", "keypoints": ["a", "b"], "skeleton": 5}]},
}
DESCRIPTIONS = {
    "newer.safetensors": '{"format": 99}',
    "odd.safetensors": '{"format": 1, "name": "cmsa_n", "task": "pose", "input_size": "ab"}',
    "odd_options.safetensors": '{"format": 1, "name": "cmsa_n", "task": "pose", "input_size": [32, 24], '
    '"options": {"dims": 3}}',
    "deep.safetensors": "[" * 5000 + "]" * 5000,
}
TRAIN = "train digits --data.prepare [] --data.validate [] --data.train [good.crops]"
EVALUATE = "evaluate digits --weights good.safetensors --data.prepare [] --data.validate [good.crops]"
PREPARE = "prepare --for train --images . --out x.crops --annotations"
LABEL = "label photo.png --boxes boxes.json --teacher cmsa_n_pose_32x24 --out l.json"
FILL = "label . --teacher cmsa_n_pose_32x24 --out l.json --fill"
POSE = "predict pose photo.png"
WRONG = [
    "train digits --optimizer.epochs 0",
    "train digits --optimizer.learning_rate nan",
    "train digits --model.input_size [16]",
    "train digits --model.options.foo 3",
    "train digits --model.name cmsa_xxl",
    "train digits --model.init none.safetensors",
    "train digits --devices 0",
    "train digits --devices -1",
    "train digits --limit-batches -1",
    "train digits --threads 0",
    "train digits --max-time tomorrow",
    "train digits --checkpoint-minutes -1",
    "train digits --accelerator tpu",
    "train contest_pose_32x24",
    "train contest_pose_32x24:none",
    "train digits:row",
    "train pose_coco_cmsa_s_32x24 --protocol theirs",
    "train digits --augment.repeats 0",
    "train digits --augment.randaugment 11",
    "train digits --optimizer.learning_rate_rule square",
    "sweep contest_pose_32x24 --rows none",
    "sweep digits --rows digits",
    "benchmark inference --recipes none",
    "train list.yaml",
    "train tab.yaml",
    "train binary.yaml",
    "train nowhere/digits.yaml",
    "train .",
    "evaluate digits --weights text.safetensors --data.prepare []",
    "evaluate digits --weights empty.safetensors --data.prepare []",
    "evaluate digits --weights none --data.prepare []",
    "evaluate digits --weights . --data.prepare []",
    "evaluate digits --weights good.safetensors --data.prepare [] --data.validate [nowhere.crops]",
    "evaluate digits --weights good.safetensors --data.prepare [] --data.validate []",
    "evaluate digits --weights good.safetensors --data.prepare [] --json good.safetensors",
    "evaluate digits",
    "prepare --for train --images . --out x.crops --annotations none.json",
    "prepare --for train --images . --out x.crops --annotations empty.json",
    "prepare --for train --images . --out x.crops --annotations text.json",
    "prepare --for train --images . --out x.crops --annotations number.json",
    "prepare --for train --images . --out x.crops --annotations binary.json",
    "prepare --for train --images . --out x.crops",
    "prepare --for train --images . --out x.crops --size 0x4 --annotations text.json",
    "prepare --for train --images . --out x.crops --size 32 --annotations text.json",
    "prepare --for train --images . --out x.crops --density 0 --annotations text.json",
    "prepare --for train --images . --out x.crops --workers -1 --annotations text.json",
    "prepare --dataset moon --for train --out x.crops",
    "prepare --dataset cifar10 --images . --for train --out x.crops",
    "prepare --dataset parquet --images . --for train --out x.crops",
    "prepare --dataset folder --images none --for train --out x.crops",
    "convert text.pth out.safetensors",
    "convert empty.pth out.safetensors",
    "convert text.safetensors out.safetensors",
    "convert none.pth out.safetensors",
    "convert . out.safetensors",
    "convert good.safetensors out.safetensors",
    "convert good.safetensors good.safetensors",
    "convert text.pth out.safetensors --size 4",
    "export none",
    "export text.safetensors",
    "export good.safetensors --batch 0",
    "export good.safetensors --batch many",
    "export good.safetensors --batch 99999999",
    "export good.safetensors --tolerance -1",
    "export good.safetensors --tolerance nan",
    "export good.safetensors --int8",
    "export good.safetensors --int8 --calibration nowhere.crops",
    "export good.safetensors --size 8x0",
    "export good.safetensors --format tflite",
    "predict pose picture.png --box 1,2,3",
    "predict pose picture.png --box nan,0,1,1",
    "predict pose picture.png --boxes none.json",
    "predict pose picture.png --boxes empty.json",
    "predict pose picture.png --boxes number.json",
    "predict pose picture.png --boxes huge.json",
    "predict pose picture.png --weights text.safetensors",
    "predict pose picture.png --weights good.safetensors",
    "predict classify picture.png --top 0",
    "predict flight picture.png",
    "label picture.png --boxes none.json --teacher good.safetensors --out labels.json",
    "label picture.png --boxes number.json --teacher good.safetensors --out labels.json",
    "label picture.png --boxes nan.json --teacher none.onnx --out labels.json",
    "label picture.png --boxes nan.json --teacher broken.onnx --out labels.json",
    "label picture.png --boxes nan.json --teacher good.safetensors --out nan.json",
    "label picture.png --fill text.json --teacher good.safetensors --out labels.json",
    "benchmark data",
    "benchmark inference --batch 0",
    "benchmark inference --annotations text.json",
    "benchmark accuracy --annotations text.json --images .",
    "benchmark training --rounds -1",
    f"{TRAIN} --model.input_size 16",
    f"{TRAIN} --model.input_size [0,0]",
    f"{TRAIN} --model.input_size [16,16,3]",
    f"{TRAIN} --optimizer.batch_size 0",
    f"{TRAIN} --optimizer.batch_size 1.5",
    f"train digits --optimizer.batch_size {10**20}",
    f"train digits --optimizer.epochs {10**20}",
    f"train digits --data.workers {10**20}",
    "train digits --precision half",
    "sweep digits --precision half",
    "sweep digits --max-time tomorrow",
    f"{TRAIN} --optimizer.epochs 1e400",
    f"{TRAIN} --augment.jitter nan",
    f"{TRAIN} --augment.scale_limits [2,1]",
    f"{TRAIN} --seed -1",
    f"{TRAIN} --seed 99999999999999999999",
    f"{TRAIN} --model.name cmsa_x",
    f"{TRAIN} --model.task dance",
    f"{TRAIN} --model.options {{dims:3}}",
    f"{TRAIN} --model.options {{depths:[1]}}",
    f"{TRAIN} --model.options {{depths:[-1,1,1]}}",
    f"{TRAIN} --model.options {{depths:abc}}",
    f"{TRAIN} --model.options {{dims:[8.5,8,8]}}",
    f"{TRAIN} --model.options {{drop_path_rate:2.0}}",
    f"{TRAIN} --model.options {{drop_path_rate:much}}",
    f"{TRAIN} --loss mse",
    f"{TRAIN} --model.options {{heads:null}}",
    f"{TRAIN} --model.options {{attention:magic}}",
    f"{TRAIN} --model.init none.safetensors",
    f"{TRAIN} --model.init text.safetensors",
    f"{TRAIN} --teacher.weights none.onnx",
    f"{TRAIN} --data.workers -1",
    f"{TRAIN} --data.train [.]",
    f"{TRAIN} --data.train [photo.png]",
    f"{TRAIN} --unknown 3",
    f"{TRAIN} --out photo.png",
    f"{TRAIN} --max-time 99:99",
    f"{TRAIN} --checkpoint-minutes nan",
    f"{TRAIN} --devices two",
    f"{TRAIN} --resume --out nowhere",
    "train bom.yaml --optimizer.epochs 0",
    "train utf16.yaml --optimizer.epochs 0",
    "train bomb.yaml",
    "train deep.yaml",
    "train nulls.yaml",
    "train empty_model.yaml",
    "train photo.png",
    "train [bold].yaml",
    "train [/x].yaml",
    f"{EVALUATE} --device nothing",
    f"{EVALUATE} --exported none.onnx",
    f"{EVALUATE} --exported broken.onnx",
    f"{EVALUATE} --exported broken.pt2",
    f"{EVALUATE} --exported photo.png",
    f"{EVALUATE} --json .",
    f"{EVALUATE} --json good.crops/meta.json",
    f"{EVALUATE} --json photo.png/x.json",
    f"{EVALUATE} --weights newer.safetensors",
    f"{EVALUATE} --weights odd.safetensors",
    f"{EVALUATE} --weights odd_options.safetensors",
    f"{EVALUATE} --weights deep.safetensors",
    "check",
    "check --dataset moon --images .",
    "check --annotations none.json --images .",
    "check --annotations people.json --images photo.png",
    "check --annotations people.json skeleton.json --images . . .",
    "check --annotations people.json people.json --images .",
    "check --dataset folder --images . .",
    "check --annotations people.json --images . --margin fsanet",
    "view good.crops",
    "view nowhere.crops",
    "view photo.png",
    "view text.safetensors",
    "models cmsa_x",
    "view good.crops --seed -1",
    "view good.crops --augment.jitter 1",
    "view digits --count 0",
    "view digits --seed -1",
    "view digits --out sheet.gif",
    "view digits --out .",
    f"{PREPARE} text_ids.json",
    f"{PREPARE} huge_ids.json",
    f"{PREPARE} null_ids.json",
    f"{PREPARE} huge_size.json",
    f"{PREPARE} nulls.json",
    f"{PREPARE} skeleton.json",
    f"{PREPARE} deep.json",
    f"{PREPARE} .",
    f"{PREPARE} people.json --images photo.png",
    f"{PREPARE} people.json --out photo.png",
    f"{PREPARE} people.json --detections number.json",
    f"{PREPARE} people.json --detections deep.json",
    f"{PREPARE} people.json --category cat",
    f"{PREPARE} people.json --keypoints number.json",
    f"{PREPARE} people.json --keypoints sigmas.json",
    f"{PREPARE} people.json --margin fsanet",
    f"{PREPARE} people.json --density nan",
    f"{PREPARE} people.json --size 4096x4096 --density 1000",
    "prepare --dataset 300w-lp --images . --for train --out x.crops",
    "prepare --dataset biwi --images . --for train --out x.crops --boxes none.csv",
    "prepare --dataset folder --images photo.png --for train --out x.crops",
    "convert zeros.pth out.safetensors",
    "convert photo.png out.safetensors",
    "convert good.safetensors .",
    "export good.safetensors --size 4096x4096",
    "train digits --data.prepare [] --data.validate [] --data.train [good.crops] --model.input_size [4096,4096]",
    "export good.safetensors --batch 1.5",
    "export good.safetensors --batch -4",
    "export good.safetensors --batch 1025",
    "export good.safetensors --size 4x4",
    "export good.safetensors --size 8",
    "export good.safetensors --tolerance 0",
    "export good.safetensors --out photo.png",
    "export good.safetensors --int8 --calibration photo.png",
    "export good.safetensors --int8 --calibration good.crops --keep (",
    "export deep.safetensors",
    "export .",
    f"{POSE} --device nothing",
    f"{POSE} --threads 0",
    f"{POSE} --threads 1.5",
    f"{POSE} --batch-size 0",
    f"{POSE} --every 0",
    f"{POSE} --fps 0",
    f"{POSE} --fps nan",
    f"{POSE} --start -1",
    f"{POSE} --end nan",
    f"{POSE} --boxes boxes.json --expand 0",
    f"{POSE} --boxes boxes.json --threshold nan",
    f"{POSE} --boxes boxes.json --min-size -1",
    f"{POSE} --boxes boxes.json --max-people 0",
    f"{POSE} --top 5",
    f"{POSE} --cube",
    f"{POSE} --track",
    f"{POSE} --expand 1.2",
    f"{POSE} --detector motion",
    f"{POSE} --boxes deep.json",
    f"{POSE} --boxes no_score.json",
    f"{POSE} --boxes other.json",
    f"{POSE} --boxes .",
    f"{POSE} --box 1e400,0,1,1",
    f"{POSE} --box 1,2,3,4 --boxes boxes.json",
    f"{POSE} --detector none.onnx",
    f"{POSE} --detector magic",
    f"{POSE} --detector broken.onnx",
    f"{POSE} --detector face:broken.onnx",
    f"{POSE} --detector head:",
    f"{POSE} --detector broken.onnx?score=many",
    f"{POSE} --detector motion?x=1",
    f"{POSE} --out photo.png",
    f"{POSE} --out photo.png/x",
    f"{POSE} --runtime tensorrt",
    f"{POSE} --weights odd.safetensors",
    f"{POSE} --weights .",
    f"{POSE} --resume --out resumed",
    f"{LABEL} --thresholds 2",
    f"{LABEL} --thresholds 0.2 0.1",
    "label photo.png --boxes boxes.json --teacher good.safetensors --out l.json",
    "benchmark accuracy --annotations people.json --images . --weights good.safetensors --sizes 16x12",
    "benchmark inference --threads 1000000",
    f"{POSE} --threads 1025",
    "train digits --threads 1000000",
    f"{PREPARE} people.json --workers 100000",
    "sweep digits --seeds -1",
    f"{LABEL} --agreement nan",
    f"{LABEL} --least 0",
    f"{LABEL} --out photo.png",
    f"{LABEL} --out .",
    f"{LABEL} --teacher cmsa_n_classification_32x32",
    f"{FILL} list.json",
    f"{FILL} object.json",
    f"{FILL} deep.json",
    f"{FILL} none.json",
    "benchmark inference --sizes 0x0",
    "benchmark inference --variants cmsa_x",
    "benchmark training --task dance",
    "benchmark data --annotations none.json --images .",
    "benchmark accuracy --annotations people.json --images . --peer broken.onnx",
    "app --port 99999999",
    "app --threads 0",
    "app --max-megabytes nan",
    "models --speed",
    f"{EVALUATE} --json scores.csv",
    f"{EVALUATE} --json scores",
    f"{EVALUATE} --submit scores.txt",
    f"{EVALUATE} --gallery cases.gif",
    f"{EVALUATE} --gallery photo.png/cases",
    f"{EVALUATE} --samples samples.csv",
    f"{EVALUATE} --pictures confusion.png",
    f"{EVALUATE} --pictures photo.png/confusion",
    f"{EVALUATE} --robustness --out robustness.json",
    f"{LABEL} --out labels.csv",
    "convert zeros.pth out.pth",
    "export good.safetensors --out model.onnx",
    f"{PREPARE} people.json --out store.json",
    f"{POSE} --out results.jsonl",
    f"{TRAIN} --out best.safetensors",
    "sweep digits --out table.csv",
    "benchmark --out benchmark.json",
    "report . --out report.md",
    "view good.crops --out view.webp",
    f"{TRAIN} --data.validate [good.crops]",
    f"{EVALUATE} --data.validate [good.crops,./good.crops]",
    f"{TRAIN} --optimizer.schedule step --optimizer.step_epochs [3,3]",
    "serve classify --weights good.safetensors --threshold 0.5",
    "serve classify --weights good.safetensors --max-people 3",
    "serve classify --weights good.safetensors --detector none --expand 1.2",
    "serve pose --top 3",
    "serve pose --detector head:none",
    "train digits --optimizer 3",
    "sweep digits --set data=a,b",
    "fly",
    "",
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wrong")
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    for name, changes in ANNOTATIONS.items():
        category = {"id": 1, "name": "person", "keypoints": list(COCO.names)}
        content = {"images": [PICTURE], "annotations": [PERSON], "categories": [category]} | changes
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    for name, description in DESCRIPTIONS.items():
        save_file({"tensor": torch.zeros(2)}, folder / name, metadata={"cmsa": description})
    save_weights(folder / "good.safetensors", create_model("cmsa_n", "classification", (8, 8), depths=(1, 1, 1)))
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "photo.png")
    (folder / "resumed").mkdir()
    (folder / "resumed" / "results.jsonl").write_text('{"file": "a.png"}\n[1]\n')
    class_store(folder / "good.crops", "0123456789")
    return folder


@pytest.mark.parametrize("line", WRONG)
def test_one_clear_line(
    line: str, files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(files)
    before = {path: path.read_bytes() for path in files.rglob("*") if path.is_file()}
    try:
        code = main(line.split())
    except SystemExit as stop:
        code = int(stop.code or 0)
    told = capsys.readouterr()
    assert code == 2, told
    lines = [text for text in told.err.strip().splitlines() if text]
    assert lines, "nothing was said"
    assert "Traceback" not in told.err
    # What a line must hold stands before its error, what is wrong with each entry of a data set after it.
    usage = lines[0].startswith("usage:")
    assert usage or lines[0].startswith("cmsa"), told.err
    assert len(lines) == 1 + usage or lines[1].startswith(AFTER), told.err
    assert {path: path.read_bytes() for path in files.rglob("*") if path.is_file()} == before


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cmsa", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | environment)


@pytest.mark.slow
def test_a_terminal_without_these_letters(tmp_path: Path) -> None:
    done = run("models", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert "cmsa_n_pose_32x24" in done.stdout
    told = run("train", "näher.yaml", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert told.returncode == 2
    assert "no recipe 'n?her.yaml'" in told.stderr


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux's own")
def test_output_that_cannot_be_written_is_told() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "cmsa", "models"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr.startswith("cmsa models: ")
    assert done.stderr.endswith("No space left on device\n")
    assert done.stderr.count("\n") == 1
    closed = subprocess.run(["sh", "-c", f"{sys.executable} -m cmsa models >&-"], capture_output=True, check=False)
    assert (closed.returncode, closed.stderr) == (0, b"")


def test_a_folder_that_was_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(SystemExit, match="2"):
        main(["models"])
    told = capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert told.endswith("cmsa: error: the folder that this is run in was removed: change to another one\n")


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.startswith("cmsa 0.")


@pytest.mark.parametrize(
    ("rest", "told"),
    [
        ("--out photo.png/x", "photo.png/x/results.jsonl: cannot be written ("),
        ("--device foo", "device 'foo' cannot be used; PyTorch finds here: cpu"),
        ("--detector face:broken.onnx", "broken.onnx: OpenCV cannot open it as a face detector: it is no YuNet model"),
        ("--detector head:", "head: needs a detector of people behind it"),
        ("--end 0", "end must be later than the start at 0 s, got 0 s"),
        ("--start -1", "start must be 0 seconds or more, got -1"),
    ],
)
def test_errors_of_predict_are_in_our_words(files, capsys, monkeypatch, rest, told):
    monkeypatch.chdir(files)
    assert main([*POSE.split(), *rest.split()]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"cmsa predict: {told}")
    assert "Errno" not in said


def test_a_precision_is_told_with_those_that_there_are(capsys):
    assert main(["train", "digits", "--precision", "half"]) == 2
    told = "precision must be one of 32-true, bf16-mixed, bf16-true, 16-mixed, 16-true, 64-true, got 'half'"
    assert told in capsys.readouterr().err


def test_a_value_that_begins_with_a_minus_gets_a_hint(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["predict", "pose", "photo.png", "--box", "-5,0,20,40"])
    assert stop.value.code == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.endswith("--box: expected one argument; a value that begins with a minus is written --box=-5...")
