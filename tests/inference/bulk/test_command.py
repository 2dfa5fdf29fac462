"""Rows and files of a run in shards are those of a plain run; the workers are in this process, one after the other."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cmsa.cli.main import main
from cmsa.inference.bulk import Plan, command, predict_on_ray
from cmsa.inference.bulk.on_ray import LostShardsError
from cmsa.inference.bulk.shards import Shard
from cmsa.inference.bulk.worker import ShardWorker
from cmsa.inference.detectors import Selection
from cmsa.inference.files import predict_files

BOXES = {"boxes": "boxes.json", "selection": Selection(score=0.1, expansion=1.1)}
POSE = {"weights": "pose.safetensors", "runtime": "torch", "threads": 1, "batch_size": 4}


class Workers:
    """Stands in for Ray: does what it is given, and is stopped before the shard of a number."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.stop: tuple[int, BaseException] | None = None

    def __call__(self, plan: Plan, shards: list[Shard], *, folder: Path, home: Path, **_: Any) -> Iterator[Shard]:
        worker = ShardWorker(plan, folder, home)
        for shard in reversed(shards):
            if self.stop is not None and shard.number == self.stop[0]:
                raise self.stop[1]
            worker.predict(shard)
            self.done.append(shard.number)
            yield shard


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch, home: Path) -> Workers:
    monkeypatch.chdir(home)
    workers = Workers()
    monkeypatch.setattr(command, "run_on_ray", workers)
    monkeypatch.setattr(command, "require", lambda extra, purpose: None)
    return workers


def plain(task: str, inputs: list[str], out: Path, **options: Any) -> int:
    silent = Console(file=io.StringIO())
    return predict_files(task, inputs, out=out, console=silent, errors=silent, **options)


def in_shards(task: str, inputs: list[str], out: Path, told: io.StringIO | None = None, **options: Any) -> int:
    run = {name: options.pop(name) for name in ("resume", "shard_size", "workers", "quiet") if name in options}
    consoles = {"console": Console(file=io.StringIO()), "errors": Console(file=told or io.StringIO(), width=300)}
    return predict_on_ray(Plan(task, **options), inputs, out=out, **{"shard_size": 8, **run, **consoles})


FILES = ["keypoints.csv", "keypoints.json", "results.jsonl", "results.run.json"]


def same(first: Path, second: Path, *names: str) -> bool:
    return all((first / name).read_bytes() == (second / name).read_bytes() for name in ("results.jsonl", *names))


@pytest.mark.parametrize("options", [POSE, POSE | BOXES | {"flip_test": True}], ids=["whole", "boxes"])
def test_rows_and_files_are_those_of_a_plain_run(options: dict[str, Any], workers: Workers, tmp_path: Path) -> None:
    inputs = ["photos", "nothing.jpg"]
    assert plain("pose", inputs, tmp_path / "plain", **options) == 1
    assert in_shards("pose", inputs, tmp_path / "bulk", **options) == 1
    assert workers.done == [5, 4, 3, 2, 1, 0]
    assert same(tmp_path / "plain", tmp_path / "bulk", *FILES)
    assert sorted(path.name for path in (tmp_path / "bulk").iterdir()) == FILES


def test_tables_are_those_of_a_plain_run(workers: Workers, tmp_path: Path) -> None:
    options = POSE | {"weights": "classification.safetensors", "top": 2, "box": ((5.0, 5.0, 40.0, 40.0),)}
    assert plain("classify", ["photos"], tmp_path / "plain", **options) == 1
    assert in_shards("classify", ["photos"], tmp_path / "bulk", **options) == 1
    assert same(tmp_path / "plain", tmp_path / "bulk", "classes.json", "classes.csv")


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("No space left on device")])
def test_a_run_that_was_cut_goes_on(error: BaseException, workers: Workers, tmp_path: Path) -> None:
    plain("pose", ["photos"], tmp_path / "plain", **POSE)
    workers.stop, told = (2, error), io.StringIO()
    if isinstance(error, KeyboardInterrupt):
        with pytest.raises(KeyboardInterrupt):
            in_shards("pose", ["photos"], tmp_path / "bulk", told, **POSE)
        assert "2 of 5 shards are in " in told.getvalue()
    else:
        assert in_shards("pose", ["photos"], tmp_path / "bulk", told, **POSE) == 2
    assert not (tmp_path / "bulk" / "results.jsonl").exists()
    assert in_shards("pose", ["photos"], tmp_path / "bulk", told, **POSE) == 2
    assert "--resume goes on with it" in told.getvalue()
    assert in_shards("pose", ["photos"], tmp_path / "bulk", told, resume=True, **POSE | {"flip_test": True}) == 2
    assert "of another run, which differs in flip_test (there False, now True)" in told.getvalue()
    workers.stop = None
    assert in_shards("pose", ["photos"], tmp_path / "bulk", told, resume=True, **POSE) == 1
    assert workers.done == [4, 3, 2, 1, 0]
    assert same(tmp_path / "plain", tmp_path / "bulk", *FILES[:2])


def test_a_finished_run_takes_what_is_new(workers: Workers, tmp_path: Path) -> None:
    first, second = "photos/00*.png", "photos/01*.png"
    out, told = tmp_path / "bulk", io.StringIO()
    assert in_shards("pose", [first], out, **POSE) == 1
    assert in_shards("pose", [first], out, resume=True, **POSE) == 0
    assert workers.done == [1, 0]
    assert in_shards("pose", [first, second], out, resume=True, **POSE) == 0
    assert plain("pose", [first, second], tmp_path / "plain", **POSE) == 1
    assert same(tmp_path / "plain", out, "keypoints.json")
    assert in_shards("pose", ["photos"], out, told, resume=True, **POSE | {"flip_test": True}) == 2
    assert "results.jsonl: is of a run that differs in --flip-test (there False, now True)" in told.getvalue()
    assert plain("pose", [first, second], out, resume=True, **POSE) == 0, "with or without Ray"
    assert in_shards("pose", [first], out, told, **POSE) == 1
    assert "is now results-2.jsonl" in told.getvalue()
    assert len((out / "results.jsonl").read_text().splitlines()) == 10
    assert len((out / "results-2.jsonl").read_text().splitlines()) == 20


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (["photos"], {"boxes": "boxes.json", "box": ((0, 0, 9, 9),)}, "not two of them"),
        (["photos"], {"detector": "motion"}, "motion compares each picture with those before it"),
        (["photos"], {"top": 3}, "--top is for tasks that give classes"),
        (["photos"], {"selection": Selection(score=0.5)}, "--threshold is for boxes of a detector"),
        (["photos/007.png"], {"boxes": "boxes.json"}, "boxes.json: names none of the 1 pictures, but"),
        (["photos"], {"weights": "classification.safetensors"}, "they are for classification, not for pose"),
        (["door.mp4"], {}, "door.mp4: is a video, and this engine predicts pictures only"),
        (["photos"], {"boxes": "nowhere.json"}, "nowhere.json"),
    ],
)
def test_what_cannot_be_is_refused_before_any_worker_starts(
    inputs: list[str], options: dict[str, Any], message: str, workers: Workers, home: Path, tmp_path: Path
) -> None:
    (home / "door.mp4").touch()
    told = io.StringIO()
    assert in_shards("pose", inputs, tmp_path / "bulk", told, **(POSE | options)) == 2
    assert message in told.getvalue()
    assert workers.done == []
    assert not (tmp_path / "bulk" / "shards").exists()


def test_shards_that_end_workers_are_named(workers: Workers, tmp_path: Path) -> None:
    shard = Shard(0, 0, 8)
    workers.stop, told = (0, LostShardsError([shard])), io.StringIO()
    assert in_shards("pose", ["photos"], tmp_path / "bulk", told, **POSE) == 2
    assert "shard 0 ended every worker that took it: photos/000.png ... photos/007.png" in told.getvalue()


def test_what_ray_says_is_told(workers: Workers, tmp_path: Path) -> None:
    workers.stop, told = (3, RuntimeError("Ray is gone (no answer)")), io.StringIO()
    assert in_shards("pose", ["photos"], tmp_path / "bulk", told, **POSE) == 2
    assert "cmsa predict: Ray is gone (no answer)" in told.getvalue()
    assert (tmp_path / "bulk" / "shards" / "00000004.jsonl").exists()


def test_no_picture_is_told(workers: Workers, tmp_path: Path) -> None:
    told = io.StringIO()
    assert in_shards("pose", ["nothing.jpg"], tmp_path / "bulk", told, **POSE) == 2
    assert json.loads((tmp_path / "bulk" / "results.jsonl").read_text())["file"] == "nothing.jpg"


OPTIONS = [
    *("--save-pictures", "--save-video", "--track", "--smooth", "--cube", "--drop"),
    *("--every=2", "--fps=5", "--start=1", "--end=9", "--give-up=9"),
]


@pytest.mark.parametrize("option", OPTIONS)
def test_options_that_cannot_apply_are_refused_by_name(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "pose", "photos", "--engine", "ray", option]) == 2
    assert f"cmsa predict: {option.partition('=')[0]}: --engine ray predicts" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--workers", "--shard-size"])
def test_options_of_ray_are_for_ray(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "pose", "photos", option, "2"]) == 2
    assert f"cmsa predict: {option} is for --engine ray" in capsys.readouterr().err


def test_without_ray_its_extra_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("cmsa.guidance.extras.find_spec", lambda name: None)
    assert main(["predict", "pose", "photos", "--engine", "ray"]) == 2
    assert "--engine ray needs ray, not installed here: pip install 'cmsa[scale]'" in capsys.readouterr().err


def test_another_version_on_a_worker_is_told(home: Path, tmp_path: Path) -> None:
    worker = ShardWorker(Plan("pose", version="0.0.1"), tmp_path, home)
    with pytest.raises(ValueError, match=r"cmsa is 0\.0\.1 where the run began and"):
        worker.predict(Shard(0, 0, 1))
