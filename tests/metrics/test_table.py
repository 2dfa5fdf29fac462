import pytest
from rich.console import Console

from cmsa.metrics.table import score_table


def cell(value: object, key: str = "key") -> str:
    """The cell of a value."""
    console = Console(width=80)
    with console.capture() as capture:
        console.print(score_table({"set": {key: value}}, "title"))
    row = next(line for line in capture.get().splitlines() if key in line)
    return row.split("│")[2].strip()


def test_whole_numbers_are_counts_and_others_have_four_digits() -> None:
    assert cell(0.123456) == "0.1235"
    assert cell(1.0) == "1.0000"
    assert cell(0.0) == "0.0000"
    assert cell(2.0) == "2"
    assert cell(1234.0) == "1234"
    assert cell(-1.0) == "-1.0000"
    assert cell(7) == "7"
    assert cell("ground truth") == "ground truth"


@pytest.mark.parametrize("key", ["people", "images", "count", "count_yaw_0_30"])
def test_counts_are_whole_numbers_even_of_one(key: str) -> None:
    assert [cell(number, key) for number in (0.0, 1.0, 49.0)] == ["0", "1", "49"]


def test_a_row_for_each_score_and_a_column_for_each_set() -> None:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(score_table({"a": {"AP": 0.5}, "[b]": {"AP": 0.25, "mae": 3.5}}, "of [two]"))
    text = capture.get()
    assert text.startswith("of [two]")
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if "│" in line]
    assert cells == [["AP", "0.5000", "0.2500"], ["mae", "", "3.5000"]]
    assert "[b]" in text


def test_names_too_long_for_80_characters_stand_above_the_table() -> None:
    console = Console(width=80)
    names = [f"lspet-val-32x24, cmsa_n_pose_32x24_{kind}.onnx" for kind in ("float", "int8")]
    with console.capture() as capture:
        console.print(score_table({name: {"AP": 0.5, "AP (medium)": 0.25} for name in names}, "weights.safetensors"))
    title, *told, head, heading = capture.get().splitlines()[:5]
    assert title == "weights.safetensors"
    assert told == [f"1: {names[0]}", f"2: {names[1]}"]
    assert [cell.strip() for cell in heading.split("┃")[1:-1]] == ["", "1", "2"]
    assert len(head) < 80
