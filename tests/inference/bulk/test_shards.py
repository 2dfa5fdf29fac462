"""Inputs cut into shards, and rows that are there whole or not at all."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmsa.inference.bulk.shards import Shard, ShardFolder
from cmsa.inference.jsonl import ResultsError
from cmsa.inference.streams import Notice, Source, SourceFinder, public_name

RUN = {"task": "pose", "box": ((1.0, 2.0, 3.0, 4.0),)}


def pictures(*names: str) -> list[Source | Notice]:
    return [Source("picture", name, public_name(name), Path()) for name in names]


def rows(items: list[Source | Notice]) -> list[dict[str, object]]:
    return [{"file": item.source if isinstance(item, Notice) else item.name} for item in items]


PATHS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8)
ITEMS = st.lists(
    st.one_of(PATHS.map(lambda path: pictures(path)[0]), st.builds(Notice, PATHS, PATHS)), min_size=0, max_size=12
)


@given(items=ITEMS, size=st.integers(1, 5))
def test_shards_are_the_inputs_in_order(
    items: list[Source | Notice], size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = ShardFolder(tmp_path_factory.mktemp("run") / "shards")
    shards = folder.begin(items, size, RUN)
    assert [item for shard in shards for item in folder.inputs(shard)] == items
    assert [shard.number for shard in shards] == list(range(-(-len(items) // size)))
    assert all(shard.count == size for shard in shards[:-1])


def test_a_name_of_other_bytes_than_utf_8_comes_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"photo\xe9\n.jpg")
    folder = ShardFolder(tmp_path / "shards")
    (shard,) = folder.begin(pictures(name), 4, RUN)
    (item,) = folder.inputs(shard)
    assert isinstance(item, Source)
    assert item.target == name
    assert item.name == "photo\\xe9\n.jpg"


def test_rows_are_there_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = ShardFolder(tmp_path / "shards")
    first, second = folder.begin(items := pictures("a", "b", "c"), 2, RUN)

    def torn() -> Iterator[dict[str, object]]:
        yield {"file": "a"}
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        folder.write(first, torn())
    with pytest.raises(ValueError, match="shard 0: 1 rows of 2 inputs"):
        folder.write(first, rows(items[:1]))
    assert not folder.file(first).exists()
    folder.write(first, rows(items[:2]))
    folder.write(first, rows(items[:2]))  # by a worker that was thought dead
    folder.write(second, rows(items[2:]))
    assert [row["file"] for shard in (first, second) for _, row in folder.rows(shard)] == ["a", "b", "c"]
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "00000000.jsonl",
        "00000001.jsonl",
        "inputs.jsonl",
        "run.json",
    ]


def test_rows_of_other_inputs_are_not_taken(tmp_path: Path) -> None:
    folder = ShardFolder(tmp_path / "shards")
    (shard,) = folder.begin(pictures("a", "b"), 2, RUN)
    folder.file(shard).write_text('{"file": "a"}\n{"file": "a"}\n')
    with pytest.raises(ResultsError, match=r"00000000.jsonl: has not one row for each of its 2 inputs"):
        list(folder.rows(shard))


def test_a_run_that_is_there_is_gone_on_with_if_it_is_the_same(tmp_path: Path) -> None:
    folder = ShardFolder(tmp_path / "shards")
    items = pictures("a", "b", "c")
    shards = folder.begin(items, 2, RUN)
    folder.write(shards[0], rows(items[:2]))
    with pytest.raises(ValueError, match="--resume goes on with it"):
        folder.begin(items, 2, RUN)
    assert folder.begin(items, 2, RUN, resume=True) == shards
    for other, size, run in (
        (items[:2], 2, RUN),
        (items, 3, RUN),
        (items, 2, RUN | {"task": "head-pose"}),
        (items, 2, RUN | {"more": 1}),
    ):
        with pytest.raises(ValueError, match=r"of another run, which differs in (inputs|shard_size|task|more) "):
            folder.begin(other, size, run, resume=True)
    assert folder.file(shards[0]).exists()
    assert not list(folder.path.glob("*.found"))


def test_rows_of_a_run_that_was_removed_by_half_are_not_taken_for_new_ones(tmp_path: Path) -> None:
    folder = ShardFolder(tmp_path / "shards")
    (shard,) = folder.begin(pictures("a"), 2, RUN)
    folder.write(shard, rows(pictures("a")))
    (folder.path / "run.json").unlink()
    (folder.path / "mine.txt").write_text("kept")
    assert folder.begin(pictures("a"), 2, RUN | {"top": 3}) == [Shard(0, 0, 1)]
    assert not folder.file(shard).exists()
    folder.finish()
    assert [path.name for path in folder.path.iterdir()] == ["mine.txt"]


def test_a_run_that_ended_and_was_cut_before_it_said_so_is_ended(tmp_path: Path) -> None:
    folder = ShardFolder(tmp_path / "shards")
    folder.begin(pictures("a"), 2, RUN)
    assert folder.begin([], 2, RUN, resume=True) == []
    assert not list(folder.path.iterdir())


MOVING = {
    "door.mp4": "door.mp4: is a video",
    "rtsp://10.0.0.7/live": "live: is a network address",
    "0": "camera 0: is a",
}


@pytest.mark.parametrize("given", MOVING)
def test_what_moves_is_refused_by_name(given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("door.mp4").touch()
    with pytest.raises(ValueError, match=f"{MOVING[given]}.*, and this engine predicts pictures only"):
        ShardFolder(tmp_path / "shards").begin(SourceFinder().find([given]), 2, RUN)
    assert not list((tmp_path / "shards").iterdir())


def test_what_a_run_depends_on_is_kept_as_json(tmp_path: Path) -> None:
    folder = ShardFolder(tmp_path / "shards")
    folder.begin(pictures("a"), 2, RUN)
    kept = json.loads((folder.path / "run.json").read_text())
    assert (kept["task"], kept["box"], kept["shard_size"]) == ("pose", [[1.0, 2.0, 3.0, 4.0]], 2)
