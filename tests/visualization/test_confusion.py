from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cmsa.visualization.confusion import save_confusion


def test_the_diagonal_is_bright(tmp_path: Path) -> None:
    names = [str(label) for label in range(50)]
    save_confusion(tmp_path / "right.png", np.eye(50) * 7, names)
    save_confusion(tmp_path / "nothing.png", np.zeros((50, 50)), names)
    right, nothing = (
        np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB"), int) for name in ("right", "nothing")
    )
    assert right.shape == nothing.shape
    changed = (np.abs(right - nothing).sum(axis=2) > 50).mean()
    # A fiftieth of the matrix, which takes about half of the picture.
    assert 0.005 < changed < 0.02


def test_shapes_are_checked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"confusion must be \(2, 2\), got \(3, 3\)"):
        save_confusion(tmp_path / "x.png", np.eye(3), ["a", "b"])
