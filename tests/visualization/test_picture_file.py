from __future__ import annotations

import numpy as np
import pytest

from cmsa.data.image import read_image
from cmsa.visualization.picture_file import save_picture


@pytest.mark.parametrize(("suffix", "tolerance"), [("jpg", 12), ("png", 0)])
def test_a_saved_picture_is_the_picture(tmp_path, suffix, tolerance):
    rows, columns = np.mgrid[:48, :70]
    picture = np.stack([200 - rows, 3 * columns, 2 * rows + 20], axis=2).astype(np.uint8)
    save_picture(picture, tmp_path / f"a.{suffix}")
    saved = read_image(tmp_path / f"a.{suffix}")
    assert np.abs(saved.astype(int) - picture).max() <= tolerance


def test_nothing_half_written_stays(tmp_path):
    with pytest.raises(Exception, match=r".+"):
        save_picture("no picture", tmp_path / "a.jpg")
    assert list(tmp_path.iterdir()) == []
