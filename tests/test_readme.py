"""Every command and every Python line that the README shows is run here, in the order it is shown."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cmsa.structures import COCO

ROOT = Path(__file__).resolve().parents[1]
BLOCKS = re.findall(r"```(bash|python)\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
COMMANDS = [line.split(" #")[0].strip() for kind, block in BLOCKS if kind == "bash" for line in block.splitlines()]
SHORTER = {
    # The whole recipe would take days; nothing else is changed.
    "cmsa train": "--limit-batches 1 --optimizer.epochs 1 --optimizer.batch_size 2 --accelerator cpu --threads 1",
    # What the packages are is the resolver's business; that this one builds is ours.
    "pip install": "--dry-run --no-deps --no-build-isolation",
}


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with all that the README needs: the photos, a video, COCO's layout, a released checkpoint."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "examples").symlink_to(ROOT / "examples")
    random = np.random.default_rng(0)
    for split in ("train2017", "val2017"):
        pictures = folder / "coco" / split
        pictures.mkdir(parents=True)
        images, annotations = [], []
        for number in range(1, 5):
            noise = random.integers(0, 255, (90, 120, 3), dtype=np.uint8)
            cv2.imwrite(str(pictures / f"{number:012d}.jpg"), noise)
            images.append({"id": number, "file_name": f"{number:012d}.jpg", "height": 90, "width": 120})
            points = np.column_stack([random.uniform(20, 100, 17), random.uniform(10, 80, 17), np.full(17, 2)])
            annotations.append(
                {
                    "id": number,
                    "image_id": number,
                    "category_id": 1,
                    "bbox": [15, 5, 90, 80],
                    "area": 5000.0,
                    "iscrowd": 0,
                    "num_keypoints": 17,
                    "keypoints": points.ravel().tolist(),
                }
            )
        category = {"id": 1, "name": "person", "keypoints": list(COCO.names), "skeleton": []}
        content = {"images": images, "annotations": annotations, "categories": [category]}
        (folder / "coco" / "annotations").mkdir(exist_ok=True)
        (folder / "coco" / "annotations" / f"person_keypoints_{split}.json").write_text(json.dumps(content))
    door = cv2.VideoWriter(str(folder / "door.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, (160, 120))
    for number in range(20):
        frame = np.full((120, 160, 3), 60, np.uint8)
        frame[40:100, 4 * number : 4 * number + 20] = 230
        door.write(frame)
    door.release()
    released = load_file(next((ROOT / "tests" / "models" / "data").glob("*.safetensors")))
    # Inputs and expected outputs lie beside the checkpoint's tensors, under names without a dot.
    tensors = {key: value for key, value in released.items() if "." in key}
    torch.save(tensors, folder / "released.pth")
    return folder


def test_the_readme_shows_commands_and_python():
    assert {kind for kind, _ in BLOCKS} == {"bash", "python"}
    assert {"make demo", "make test"} <= set(COMMANDS)


@pytest.mark.slow
def test_every_command_runs(workplace):
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for command in filter(None, COMMANDS):
        if command.startswith("make"):
            continue
        more = next((words for start, words in SHORTER.items() if command.startswith(start)), "")
        where = ROOT if command.startswith("pip") else workplace
        done = subprocess.run(
            [*shlex.split(command), *shlex.split(more)], cwd=where, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command} {more}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert json.loads((workplace / "scores.json").read_text())["flip_test"] is True
    assert (workplace / "out" / "pose" / "annotated" / "park.jpg").is_file()


@pytest.mark.slow
def test_make_demo_draws_the_photos():
    if not (ROOT / ".venv" / "installed").is_file():
        pytest.skip("not installed by make: the demo would install first")
    pairs = {
        ROOT / "out" / "demo" / task / "annotated" / f"{name}.jpg": ROOT / "examples" / folder / f"{name}.jpg"
        for task, folder, name in (
            ("pose", "people", "park"),
            ("heads", "people", "photographer"),
            ("things", "things", "rocket"),
        )
    }
    for picture in pairs:
        picture.unlink(missing_ok=True)
    subprocess.run(["make", "demo"], cwd=ROOT, check=True, capture_output=True)
    for picture, photo in pairs.items():
        # The crops stand beside the photo.
        assert cv2.imread(str(picture)).shape[1] > cv2.imread(str(photo)).shape[1]


def test_make_test_is_what_continuous_integration_runs():
    assert "make test" in (ROOT / ".ci" / "run").read_text()


@pytest.mark.slow
def test_every_python_block_runs(workplace, monkeypatch, capsys):
    monkeypatch.chdir(workplace)
    for kind, block in BLOCKS:
        if kind == "python":
            exec(compile(block, "README.md", "exec"), {})
    assert "left_knee" in capsys.readouterr().out
