"""What a user gets wrong is told in one line with exit code 2, by every command, before anything is written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cmsa.cli.main import main
from cmsa.models import create_model
from cmsa.models.weights import save_weights

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
}
WRONG = [
    "train digits --optimizer.epochs 0",
    "train digits --optimizer.learning_rate nan",
    "train digits --model.input_size [16]",
    "train digits --devices 0",
    "train digits --devices -1",
    "train digits --limit-batches -1",
    "train digits --threads 0",
    "train digits --max-time tomorrow",
    "train digits --checkpoint-minutes -1",
    "train digits --accelerator tpu",
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
    "models --speed",
    "fly",
    "",
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wrong")
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    save_weights(folder / "good.safetensors", create_model("cmsa_n", "classification", (8, 8), depths=(1, 1, 1)))
    return folder


@pytest.mark.parametrize("line", WRONG)
def test_one_clear_line(
    line: str, files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(files)
    before = {path: path.read_bytes() for path in files.iterdir() if path.is_file()}
    try:
        code = main(line.split())
    except SystemExit as stop:
        code = int(stop.code or 0)
    told = capsys.readouterr()
    assert code == 2, told
    lines = [text for text in told.err.strip().splitlines() if text]
    assert lines, "nothing was said"
    assert "Traceback" not in told.err
    # argparse shows the usage before its line.
    assert len(lines) == 1 or lines[0].startswith("usage:"), told.err
    assert {path: path.read_bytes() for path in files.iterdir() if path.is_file()} == before


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


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out.startswith("cmsa 0.")
