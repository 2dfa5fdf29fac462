from pathlib import Path

import numpy as np
from PIL import Image

from cmsa.visualization.curves import Panel, save_curves


def test_each_panel_has_its_place(tmp_path: Path) -> None:
    panels = [Panel(f"panel {n}", "step", ["none", "1", "2"], {"val": [0.5, 0.4, 0.1]}) for n in range(5)]
    for count, (wide, tall) in {1: (1, 1), 4: (4, 1), 5: (4, 2)}.items():
        save_curves(tmp_path / "new" / f"{count}.png", panels[:count], "AP", "title")
        with Image.open(tmp_path / "new" / f"{count}.png") as picture:
            assert picture.size == (round(374 * wide), round(330 * tall + 88))
            assert np.asarray(picture.convert("RGB")).std() > 5
