from __future__ import annotations

from pathlib import Path

import pytest

from cmsa.benchmark.accuracy_row import AccuracyRow
from cmsa.benchmark.resolution_curve import plot_resolutions

CONDITIONS = {"annotations": "some.json", "boxes": "ground truth", "interval": "95%, 200 resamples of the pictures"}


def row(name: str, height: int, average: float) -> AccuracyRow:
    return AccuracyRow(
        name, (32, 24), (height, height * 3 // 4), False, average, average / 2, 2 * average, average, 2 * average, 7
    )


def test_each_network_is_a_line_over_rising_resolutions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from matplotlib.figure import Figure

    drawn: list[Figure] = []
    save = Figure.savefig

    def keep(figure: Figure, *arguments: object, **options: object) -> None:
        drawn.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    rows = [row("cmsa_n", 64, 0.3), row("other", 64, 0.4), row("cmsa_n", 16, 0.1), row("other", 16, 0.05)]
    plot_resolutions(rows, CONDITIONS, tmp_path / "curve.png")
    precision, correct = drawn[0].axes
    for axes, factor in ((precision, 100), (correct, 200)):
        lines = [(line.get_xdata().tolist(), line.get_ydata().tolist()) for line in axes.get_lines()]
        assert [heights for heights, _ in lines] == [[16, 64], [16, 64]]
        assert lines[0][1] == pytest.approx([factor * 0.1, factor * 0.3])
        assert lines[1][1] == pytest.approx([factor * 0.05, factor * 0.4])
    assert [tick.get_text() for tick in precision.get_xticklabels()] == ["16x12", "64x48"]
    assert "7 people" in drawn[0].get_suptitle()
    assert (tmp_path / "curve.png").stat().st_size > 1000
