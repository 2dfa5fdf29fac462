from __future__ import annotations

import pytest

from cmsa.app.examples import find_examples
from cmsa.app.tabs import TABS
from cmsa.structures import Box


def test_each_tab_has_photos_and_boxes(examples):
    found = {tab.task: find_examples(examples, tab.folder, tab.boxes) for tab in TABS}
    assert [example.path.name for example in found["head_pose"]] == ["astronaut.jpg", "photographer.jpg"]
    assert [example.path.name for example in found["classification"]] == ["cup.jpg", "rocket.jpg"]
    park = next(example for example in found["pose"] if example.path.name == "park.jpg")
    assert park.boxes == (Box(318, 92, 56, 151), Box(384, 129, 50, 135))


def test_a_folder_of_photos_alone_serves_every_tab(examples):
    photos = find_examples(examples / "people", "people", "none.json")
    assert len(photos) == 3
    assert all(example.boxes == () for example in photos)


def test_without_a_folder_there_are_none(tmp_path):
    assert find_examples(None, "people", "boxes.json") == []
    with pytest.raises(FileNotFoundError, match="no such folder of examples"):
        find_examples(tmp_path / "nowhere", "people", "boxes.json")
