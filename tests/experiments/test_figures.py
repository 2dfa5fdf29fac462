from pathlib import Path

import pytest

from cmsa.experiments.figures import read_curve


@pytest.mark.parametrize(
    "content", [b"step,loss\n\xff\xfe,1\n", b"step,loss\n1,many\n", b'step,loss\n1,"' + b"9" * 200_000]
)
def test_damaged_metrics_are_told_by_their_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "metrics.csv").write_bytes(content)
    with pytest.raises(ValueError, match=r"metrics\.csv: is damaged \("):
        read_curve(tmp_path, "loss")
