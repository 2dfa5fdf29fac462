"""What installed packages bring is loaded by name, and what is wrong with it is told with its kind."""

from __future__ import annotations

from pathlib import Path

import pytest

from cmsa.models.backbones import backbone_names, find_backbone
from cmsa.structures.installed import installed_names, load_installed
from cmsa.tasks.pose.codecs import codec_class


@pytest.fixture(autouse=True)
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stone.py").write_text("SEVEN = 7\n", encoding="utf-8")
    made = tmp_path / "stone-1.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: stone\nVersion: 1.0\n", encoding="utf-8")
    groups = [f"[cmsa.{group}]\nlost = stone:LOST\n" for group in ("backbones", "codecs")]
    (made / "entry_points.txt").write_text(
        "".join(["[cmsa.numbers]\nseven = stone:SEVEN\n", *groups]), encoding="utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))


def test_it_is_found_by_name() -> None:
    assert load_installed("cmsa.numbers", "seven") == 7
    assert load_installed("cmsa.numbers", "eight") is None
    with pytest.raises(ValueError, match="number 'seven': stone:SEVEN must be a str, got int"):
        load_installed("cmsa.numbers", "seven", str)
    assert installed_names("cmsa.codecs") == ["lost"]
    assert "lost" in backbone_names()


def test_what_cannot_be_loaded_is_named() -> None:
    with pytest.raises(ValueError, match="backbone 'lost': stone:LOST cannot be loaded"):
        find_backbone("lost")
    with pytest.raises(ValueError, match="codec 'lost': stone:LOST cannot be loaded"):
        codec_class("lost")
    with pytest.raises(ValueError, match=r"no codec .found.; there are quarter, .*, simcc, lost"):
        codec_class("found")
