"""What there is to train by is listed whole, and each recipe's entries are shown."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from cmsa.cli.main import main
from cmsa.training.recipe_files import read_recipe, shipped_names


def test_all_recipes_are_listed_by_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes"]) == 0
    words = {line.strip() for line in capsys.readouterr().out.splitlines()}
    assert set(shipped_names()) <= words


def test_the_entries_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "pose_coco_cmsa_s_32x24"]) == 0
    assert yaml.safe_load(capsys.readouterr().out) == read_recipe("pose_coco_cmsa_s_32x24")


def test_the_rows_of_a_table_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "table.yaml"
    table.write_text("rows:\n  a: {title: first}\n  b: {model: {name: cmsa_s}}\n", encoding="utf-8")
    assert main(["recipes", str(table)]) == 0
    assert capsys.readouterr().out.splitlines()[:5] == [f"{table}, a table of 2", "  a", "      first", "  b", ""]


def test_a_name_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipes", "pose_coco_cmsa_s"]) == 2
    told = capsys.readouterr().err
    assert "no recipe 'pose_coco_cmsa_s'" in told
    assert "did you mean pose_coco_cmsa_s_32x24, " in told
    assert len(told) < 300
