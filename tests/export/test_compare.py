"""When an exported file is refused."""

from __future__ import annotations

import pytest
import torch

from cmsa.export.compare import ExportError, compare, network_input, random_pixels


@pytest.fixture
def heatmaps(small):
    """A model, crops, and the maps (B, 17, 32, 24) that it makes of them."""
    model = small("pose", (32, 24))
    pixels = random_pixels(model, 4)
    with torch.no_grad():
        return model, pixels, model(network_input(model, pixels))


def test_the_same_is_no_difference(heatmaps):
    model, pixels, maps = heatmaps
    difference = compare(model, pixels, [maps], decoded=False)
    assert (difference.raw, difference.decoded, difference.mean, difference.usual) == (0, 0, 0, 0)
    difference.check()
    difference.check(int8=True)


def test_int8_may_move_few_keypoints_far_and_not_all_a_little(heatmaps):
    model, pixels, maps = heatmaps
    one = maps.clone()
    one[:, 3] = one[:, 3].roll(12, dims=1)
    jumped = compare(model, pixels, [one], decoded=False)
    # 12 rows down or 20 up, for one keypoint of 17: it counts as 2 px.
    assert jumped.mean > 0.5
    assert jumped.usual == pytest.approx(2 / 17, rel=0.1)
    jumped.check(int8=True)
    with pytest.raises(ExportError, match="output differs"):
        jumped.check()

    moved = compare(model, pixels, [maps.roll(1, dims=3)], decoded=False)
    assert moved.usual > 0.9
    with pytest.raises(ExportError, match=r"keypoints differ by more than 0.5 px"):
        moved.check(int8=True)


def test_what_is_no_number_is_refused(heatmaps):
    model, pixels, _ = heatmaps
    values = torch.full((4, 17, 2), torch.nan), torch.zeros(4, 17)
    difference = compare(model, pixels, values, decoded=True)
    for int8 in (False, True):
        with pytest.raises(ExportError, match="keypoints differ"):
            difference.check(int8=int8)
