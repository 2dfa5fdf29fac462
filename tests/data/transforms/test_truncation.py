import pytest
import torch
from torch import Tensor

from cmsa.data.transforms.truncation import KEPT, LEAST_POINTS, truncate

HEIGHT, WIDTH, POINTS = 60, 44, 9


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def people(batch: int) -> tuple[Tensor, Tensor, Tensor]:
    """White crops, boxes that are not square, and points all over them."""
    boxes = torch.tensor([8.0, 10.0, 24.0, 40.0]).repeat(batch, 1)
    xy = boxes[:, None, :2] + torch.rand(batch, POINTS, 2, generator=generator(1)) * boxes[:, None, 2:]
    keypoints = torch.cat([xy, torch.full((batch, POINTS, 1), 2.0)], dim=2)
    return torch.full((batch, HEIGHT, WIDTH, 3), 255, dtype=torch.uint8), boxes, keypoints


def test_nobody_is_cut_by_chance_zero():
    crops, boxes, keypoints = people(16)
    left = truncate(crops, boxes, keypoints, 0, generator())
    assert not left.cut.any()
    assert left.seen.all()
    assert torch.equal(left.crops, crops)
    assert torch.equal(left.boxes, boxes)


def test_what_is_left_lies_in_the_box_and_keeps_a_share_of_it():
    crops, boxes, keypoints = people(500)
    left = truncate(crops, boxes, keypoints, 1, generator())
    assert 0.8 < left.cut.float().mean() < 1  # Some would have too few points left.
    ends, old_ends = left.boxes[:, :2] + left.boxes[:, 2:], boxes[:, :2] + boxes[:, 2:]
    assert (left.boxes[:, :2] >= boxes[:, :2] - 1e-4).all()
    assert (ends <= old_ends + 1e-4).all()
    share = left.boxes[:, 2:] / boxes[:, 2:]
    smaller = share < 1 - 1e-4
    assert (smaller.any(dim=1) == left.cut).all()
    assert (share[smaller] >= KEPT[0] - 1e-4).all()
    assert (share[smaller] <= KEPT[1] + 1e-4).all()
    # Height is lost more often than width, and feet more often than heads.
    assert smaller[:, 1].float().mean() > 1.5 * smaller[:, 0].float().mean()
    assert (ends[:, 1] < old_ends[:, 1] - 1e-4).sum() > 2 * (left.boxes[:, 1] > boxes[:, 1] + 1e-4).sum()


def test_beyond_the_edge_the_crop_is_black_and_no_keypoint_is_seen():
    crops, boxes, keypoints = people(300)
    left = truncate(crops, boxes, keypoints, 1, generator())
    black = left.crops[..., 0] == 0
    ends = black.flatten(1).any(dim=1)
    assert 0.3 < ends.float().mean() < 0.6
    assert not ends[~left.cut].any()
    assert left.seen[~ends].all()
    low, high = left.boxes[:, :2], left.boxes[:, :2] + left.boxes[:, 2:]
    for person in ends.nonzero().flatten().tolist():
        rows, columns = torch.arange(HEIGHT)[:, None], torch.arange(WIDTH)[None]
        inside = torch.ones(HEIGHT, WIDTH, dtype=torch.bool)
        seen = torch.ones(POINTS, dtype=torch.bool)
        for axis, places in ((0, columns), (1, rows)):
            points = keypoints[person, :, axis]
            if low[person, axis] > boxes[person, axis] + 1e-4:
                inside &= places >= low[person, axis]
                seen &= points >= low[person, axis]
            if high[person, axis] < boxes[person, axis] + boxes[person, 2 + axis] - 1e-4:
                inside &= places <= high[person, axis]
                seen &= points <= high[person, axis]
        assert torch.equal(black[person], ~inside)
        assert torch.equal(left.seen[person], seen)


def test_enough_keypoints_stay():
    crops, boxes, keypoints = people(300)
    keypoints[:, 4:, 2] = 0
    left = truncate(crops, boxes, keypoints, 1, generator())
    visible = left.seen & (keypoints[..., 2] > 0)
    assert (visible.sum(dim=1)[left.cut] >= LEAST_POINTS).all()
    keypoints[:, 1:, 2] = 0
    assert not truncate(crops, boxes, keypoints, 1, generator()).cut.any()


@pytest.mark.parametrize("share", [0.25, 0.6])
def test_share_of_people_and_the_same_seed(share: float):
    crops, boxes, keypoints = people(800)
    left, again = (truncate(crops, boxes, keypoints, share, generator(3)) for _ in range(2))
    assert left.cut.float().mean().item() == pytest.approx(share, abs=0.08)
    assert torch.equal(left.boxes, again.boxes)
    assert torch.equal(left.crops, again.crops)
