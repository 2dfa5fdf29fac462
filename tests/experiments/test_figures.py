from pathlib import Path

import pytest

from cmsa.experiments.figures import Point, apart, plot_costs, read_curve


def test_names_that_would_cover_each_other_are_moved_up() -> None:
    assert apart([3.0, 1.0, 1.5, 9.0], 1.0) == [3.0, 1.0, 2.0, 9.0]
    assert apart([1.0, 1.0, 1.0], 0.5) == [1.0, 1.5, 2.0]
    assert apart([], 1.0) == []


def test_names_of_published_networks_stay_inside_of_the_frame() -> None:
    drawn = plot_costs({"parameters, M": [Point("cheap", 1, 50, 0, False), Point("dear", 90, 40, 0, False)]}, "AP", {})
    lines = {name: line for line in drawn.splitlines() for name in ("cheap", "dear") if f">{name}<" in line}
    ends = {name: "text-anchor: end" in line for name, line in lines.items()}
    assert ends == {"cheap": False, "dear": True}


@pytest.mark.parametrize(
    "content", [b"step,loss\n\xff\xfe,1\n", b"step,loss\n1,many\n", b'step,loss\n1,"' + b"9" * 200_000]
)
def test_damaged_metrics_are_told_by_their_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "metrics.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"metrics\.csv: is damaged \("):
        read_curve(tmp_path, "loss")
