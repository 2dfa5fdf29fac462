import math

import pytest
import torch
from torch import Tensor

from cmsa.structures import COCO
from cmsa.tasks.pose.task import PoseTask

SIZE = (32, 24)


def batch_of(points: Tensor, visible: float = 2.0) -> dict[str, Tensor]:
    """Keypoints (B, 17, 2) that need no moving."""
    matrices = torch.eye(2, 3).expand(len(points), 2, 3)
    marked = torch.cat([points, torch.full_like(points[..., :1], visible)], dim=2)
    return {"keypoints": marked, "matrices": matrices, "flipped": torch.zeros(len(points), dtype=torch.bool)}


def inner_points(generator: torch.Generator, batch: int = 4, width: int = 24, height: int = 32) -> Tensor:
    return 4 + torch.rand(batch, 17, 2, generator=generator) * torch.tensor([width - 9.0, height - 9.0])


@pytest.mark.parametrize("codec", ["dark", "udp"])
def test_encoded_points_are_decoded(codec: str, generator: torch.Generator) -> None:
    task = PoseTask(SIZE, SIZE, codec)
    points = inner_points(generator)
    targets = task.encode(batch_of(points))
    xy, scores = task.decode(targets["heatmaps"])
    assert (xy - points).abs().max() < 0.05
    assert scores.min() > 0.6


@pytest.mark.parametrize("codec", ["dark", "udp"])
def test_logits_of_the_targets_are_decoded(codec: str, generator: torch.Generator) -> None:
    task = PoseTask(SIZE, SIZE, codec, loss="cross_entropy")
    points = inner_points(generator)
    heatmaps = task.encode(batch_of(points))["heatmaps"]
    logits = heatmaps.clamp(min=1e-9).log() + 5
    xy, scores = task.decode(logits)
    assert (xy - points).abs().max() < 0.05
    # The peak stands for the same confidence as with heatmaps.
    torch.testing.assert_close(scores, PoseTask(SIZE, SIZE, codec).decode(heatmaps)[1], atol=0.02, rtol=0)


def test_points_move_with_the_image() -> None:
    task = PoseTask(SIZE, SIZE)
    batch = batch_of(torch.full((1, 17, 2), 6.0))
    batch["matrices"] = torch.tensor([[[2.0, 0.0, 1.0], [0.0, 3.0, 4.0]]])
    xy, _ = task.decode(task.encode(batch)["heatmaps"])
    torch.testing.assert_close(xy, torch.tensor([13.0, 22.0]).expand(1, 17, 2), atol=0.01, rtol=0)


def test_a_mirrored_image_swaps_left_and_right() -> None:
    task = PoseTask(SIZE, SIZE)
    points = torch.full((1, 17, 2), 12.0)
    left, right = COCO.names.index("left_wrist"), COCO.names.index("right_wrist")
    points[0, left], points[0, right] = torch.tensor([5.0, 9.0]), torch.tensor([15.0, 20.0])
    batch = batch_of(points)
    batch["matrices"] = torch.tensor([[[-1.0, 0.0, 23.0], [0.0, 1.0, 0.0]]])
    batch["flipped"] = torch.tensor([True])
    xy, _ = task.decode(task.encode(batch)["heatmaps"])
    torch.testing.assert_close(xy[0, left], torch.tensor([8.0, 20.0]), atol=0.01, rtol=0)
    torch.testing.assert_close(xy[0, right], torch.tensor([18.0, 9.0]), atol=0.01, rtol=0)


def test_unmarked_keypoints_have_no_weight(generator: torch.Generator) -> None:
    batch = batch_of(inner_points(generator))
    batch["keypoints"][0, 3, 2] = 0
    weight = PoseTask(SIZE, SIZE).encode(batch)["weight"]
    assert weight[0, 3] == 0
    assert weight.sum() == 4 * 17 - 1


def test_mse_by_hand() -> None:
    task = PoseTask((16, 12), (16, 12))
    target = {"heatmaps": torch.zeros(2, 17, 16, 12), "weight": torch.ones(2, 17)}
    output = torch.full((2, 17, 16, 12), 3.0)
    assert task.loss(output, target).item() == pytest.approx(4.5)
    target["weight"][0] = 0
    # HRNet divides by all joints, marked or not.
    assert task.loss(output, target).item() == pytest.approx(2.25)


def test_cross_entropy_by_hand() -> None:
    task = PoseTask((16, 12), (16, 12), loss="cross_entropy")
    heatmaps = torch.zeros(1, 17, 16, 12)
    heatmaps[0, :, 4, 7] = 1
    weight = torch.zeros(1, 17)
    weight[0, :5] = 1
    output = torch.zeros(1, 17, 16, 12)
    targets = {"heatmaps": heatmaps, "weight": weight}
    assert task.loss(output, targets).item() == pytest.approx(math.log(16 * 12))
    output[0, :, 4, 7] = 2
    expected = math.log(16 * 12 - 1 + math.exp(2)) - 2
    assert task.loss(output, targets).item() == pytest.approx(expected)
    assert task.loss(output, targets | {"weight": torch.zeros(1, 17)}).item() == 0


def test_losses_are_least_at_their_targets(generator: torch.Generator) -> None:
    targets = PoseTask(SIZE, SIZE).encode(batch_of(inner_points(generator)))
    heatmaps = targets["heatmaps"]
    assert PoseTask(SIZE, SIZE).loss(heatmaps, targets) == 0
    entropy = PoseTask(SIZE, SIZE, loss="cross_entropy")
    best = entropy.loss(heatmaps.clamp(min=1e-12).log(), targets)
    assert best < entropy.loss(heatmaps, targets)
    assert best < entropy.loss(heatmaps.roll(1, dims=3).clamp(min=1e-12).log(), targets)


@pytest.mark.parametrize(("codec", "loss"), [("udp", "mse"), ("udp", "cross_entropy"), ("simcc", None)])
def test_loss_and_decoding_are_float32_under_autocast(codec: str, loss: str | None, generator: torch.Generator) -> None:
    task = PoseTask(SIZE, SIZE, codec, loss=loss)
    targets = task.encode(batch_of(inner_points(generator)))
    shape = (4, 17, *SIZE) if codec == "udp" else targets["probabilities"].shape
    output = torch.randn(shape, generator=generator)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside, decoded = task.loss(output, targets), task.decode(output)
    assert torch.equal(inside, task.loss(output, targets))
    for found, expected in zip(decoded, task.decode(output), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("codec", ["quarter", "exact_quarter", "dark", "udp"])
def test_the_flip_test_of_a_mirroring_network_changes_nothing(codec: str, generator: torch.Generator) -> None:
    task = PoseTask((64, 48), (32, 24), codec)
    points = 10 + torch.rand(2, 17, 2, generator=generator) * torch.tensor([25.0, 40.0])
    if codec == "quarter":
        points = (points / 2).round() * 2
    mirrored = points[:, list(COCO.flip_index)].clone()
    mirrored[..., 0] = 47 - mirrored[..., 0]
    answers = iter([task.encode(batch_of(points))["heatmaps"], task.encode(batch_of(mirrored))["heatmaps"]])
    xy, _ = task.predict(lambda images: next(answers), torch.zeros(2, 3, 64, 48), flip_test=True)
    assert (xy - points).abs().max() < (1.1 if "quarter" in codec else 0.1)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="no codec 'argmax'; there are quarter, exact_quarter, dark, udp, simcc"):
        PoseTask(SIZE, SIZE, "argmax")
    with pytest.raises(ValueError, match="no loss 'l1' of UDP; there are mse, cross_entropy"):
        PoseTask(SIZE, SIZE, loss="l1")
    with pytest.raises(ValueError, match="codec 'udp' has no option label_smoothing, split"):
        PoseTask(SIZE, SIZE, split=2, label_smoothing=0.1)


def test_weights_of_labels_multiply_and_follow_the_mirror(generator: torch.Generator) -> None:
    task = PoseTask(SIZE, SIZE)
    batch = batch_of(inner_points(generator, batch=2))
    batch["keypoints"][:, 0, 2] = 0
    batch["weight"] = torch.linspace(0, 1, 17).expand(2, 17)
    batch["flipped"] = torch.tensor([False, True])
    weight = task.encode(batch)["weight"]
    expected = batch["weight"] * (batch["keypoints"][..., 2] > 0)
    torch.testing.assert_close(weight[0], expected[0])
    torch.testing.assert_close(weight[1], expected[1, list(COCO.flip_index)])


@pytest.mark.parametrize("codec", ["udp", "simcc"])
def test_half_a_weight_counts_half(codec: str, generator: torch.Generator) -> None:
    task = PoseTask(SIZE, SIZE, codec, loss="cross_entropy")
    targets = task.encode(batch_of(inner_points(generator, batch=1)))
    output = torch.randn(1, *task.codec.output_shape(17), generator=generator)

    def loss_with(*weights: float) -> float:
        weight = torch.zeros(1, 17)
        weight[0, : len(weights)] = torch.tensor(weights)
        return task.loss(output, targets | {"weight": weight}).item()

    first, second = loss_with(1), loss_with(0, 1)
    assert loss_with(1, 0.5) == pytest.approx((first + second / 2) / 1.5, rel=1e-5)
    assert loss_with(0.25) == pytest.approx(first, rel=1e-5)


def test_another_heads_output_is_refused() -> None:
    task = PoseTask(SIZE, SIZE, "simcc")
    targets = task.encode(batch_of(torch.full((1, 17, 2), 6.0)))
    with pytest.raises(ValueError, match=r"SimCC.* reads outputs of \(B, 17, 112\), the head gave \(1, 17, 32, 24\)"):
        task.loss(torch.zeros(1, 17, 32, 24), targets)
