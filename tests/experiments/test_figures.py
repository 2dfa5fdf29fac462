import re
from itertools import pairwise
from pathlib import Path

import pytest

from cmsa.experiments.figures import Point, apart, plot_costs, read_curve
from cmsa.experiments.looks import looks_of


def test_names_that_would_cover_each_other_are_moved_up() -> None:
    assert apart([3.0, 1.0, 1.5, 9.0], 1.0) == [3.0, 1.0, 2.0, 9.0]
    assert apart([1.0, 1.0, 1.0], 0.5) == [1.0, 1.5, 2.0]
    assert apart([], 1.0) == []


def test_names_that_leave_the_frame_are_moved_down() -> None:
    assert apart([9.0, 9.5, 10.0, 1.0], 1.0, 0.0, 10.0) == [8.0, 9.0, 10.0, 1.0]
    assert apart([-3.0, 0.5], 1.0, 0.0, 10.0) == [0.0, 1.0]


@pytest.mark.parametrize("count", [2, 24, 60])
def test_names_of_published_networks_can_be_read(count: int) -> None:
    """As many as two input sizes have, close together and far above what was measured."""
    names = [f"published {number}" for number in range(count)]
    published = [Point(name, 5 + 4 * number, 50 + number / count, 0, False) for number, name in enumerate(names)]
    measured = Point("mine", 1, 3, 1, True)
    drawn = plot_costs({title: [*published, measured] for title in ("a", "b", "c")}, "AP", looks_of(["mine"]))
    assert ">0.5<" in drawn  # a tick
    width, height = (float(size) for size in re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawn)[0])
    found = re.findall(r'x="([\d.]+)" y="([\d.]+)"[^>]*>(published \d+)<', drawn)
    assert sorted(name for _, _, name in found) == sorted(3 * names)
    for panel in range(3):
        places = sorted(float(y) for _, y, _ in found[panel * count : (panel + 1) * count])
        assert all(below - above > 7 for above, below in pairwise(places))
        assert places[0] > 0
        assert places[-1] < height
    # Right of all points, which are drawn by "use", and twelve letters of seven points from the right end.
    points = [float(x) for x in re.findall(r'<use [^>]*x="([\d.]+)"[^>]*stroke: #999999', drawn)]
    columns = sorted({float(x) for x, _, _ in found})
    assert len(columns) == 2
    assert len(points) == 3 * count
    assert max(x for x in points if x < columns[0]) < columns[0]
    assert max(points) < columns[1] < width - 46


@pytest.mark.parametrize(
    "content", [b"step,loss\n\xff\xfe,1\n", b"step,loss\n1,many\n", b'step,loss\n1,"' + b"9" * 200_000]
)
def test_damaged_metrics_are_told_by_their_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "metrics.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"metrics\.csv: is damaged \("):
        read_curve(tmp_path, "loss")
