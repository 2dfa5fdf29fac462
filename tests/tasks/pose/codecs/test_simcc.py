"""SimCC: points that go there and back, mirrors that land exactly, targets and loss by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cmsa.tasks.pose.codecs.simcc import SimCC

SIZES = [(32, 24), (64, 48), (16, 40), (33, 21)]
SPLITS = [1.0, 1.5, 2.0, 3.0]
FLIP_INDEX = (0, 2, 1)


def logits_of(codec: SimCC, points: torch.Tensor) -> torch.Tensor:
    """What a network says that has learnt everything."""
    targets = codec.encode(points, torch.ones(points.shape[:2]))
    return targets["probabilities"].clamp(min=1e-30).log() + 3


@given(
    size=st.sampled_from(SIZES),
    split=st.sampled_from(SPLITS),
    fractions=st.lists(st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)), min_size=3, max_size=3),
)
def test_points_come_back_exactly_up_to_the_border(
    size: tuple[int, int], split: float, fractions: list[tuple[float, float]]
) -> None:
    """From edge to edge, half a pixel beyond the outermost pixel centres."""
    codec = SimCC(size, size, split=split)
    points = torch.tensor([fractions]) * torch.tensor([size[1], size[0]]) - 0.5
    decoded, scores = codec.decode(logits_of(codec, points))
    assert (decoded - points).abs().max() < 1e-2
    assert (scores > 0.6).all()


def test_the_parabola_is_worth_having() -> None:
    codec = SimCC((32, 24), (32, 24))
    points = torch.rand(200, 3, 2, generator=torch.Generator().manual_seed(1)) * torch.tensor([23.0, 31.0])
    logits = logits_of(codec, points)
    decoded, _ = codec.decode(logits)
    x, y = logits.split(codec.bins, dim=-1)
    plain = torch.stack([(axis.argmax(-1) + 0.5) / codec.split - 0.5 for axis in (x, y)], dim=-1)
    assert 0.1 < (plain - points).abs().mean() < 0.15
    assert (decoded - points).abs().mean() < 1e-3


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("sigma", [None, 0.0])
def test_a_mirrored_picture_gives_the_same_bins_reversed(
    size: tuple[int, int], split: float, sigma: float | None
) -> None:
    codec = SimCC(size, size, sigma, split=split)
    # Off the edges between bins, where rounding decides.
    points = torch.rand(100, 3, 2, generator=torch.Generator().manual_seed(2)) * torch.tensor(
        [size[1] - 1, size[0] - 1]
    )
    mirrored = points[:, list(FLIP_INDEX)].clone()
    mirrored[..., 0] = size[1] - 1 - mirrored[..., 0]
    back = codec.flip_back(codec.encode(mirrored, torch.ones(100, 3))["probabilities"], FLIP_INDEX)
    torch.testing.assert_close(back, codec.encode(points, torch.ones(100, 3))["probabilities"], atol=1e-5, rtol=0)


def test_targets_by_hand() -> None:
    codec = SimCC((8, 4), (8, 4), sigma=1.0)
    assert codec.bins == (8, 16)
    assert codec.output_shape(5) == (5, 24)
    # Pixel 1 spans bins 2 and 3 of x; its left quarter is the middle of bin 2.
    targets = codec.encode(torch.tensor([[[0.75, 7.25]]]), torch.ones(1, 1))
    x, y = targets["probabilities"][0, 0, :8], targets["probabilities"][0, 0, 8:]
    assert x.argmax() == 2
    assert y.argmax() == 15
    assert x.sum().item() == pytest.approx(1)
    assert y.sum().item() == pytest.approx(1)
    assert (x[3] / x[2]).item() == pytest.approx(math.exp(-0.5))
    assert (y[13] / y[15]).item() == pytest.approx(math.exp(-2), rel=1e-4)


def test_label_smoothing_in_place_of_the_gaussian() -> None:
    codec = SimCC((8, 4), (8, 4), sigma=0.0, label_smoothing=0.2)
    x = codec.encode(torch.tensor([[[0.7, 3.0]]]), torch.ones(1, 1))["probabilities"][0, 0, :8]
    expected = torch.full((8,), 0.2 / 8)
    expected[2] += 0.8
    torch.testing.assert_close(x, expected)
    decoded, scores = codec.decode(codec.encode(torch.tensor([[[0.7, 3.3]]]), torch.ones(1, 1))["probabilities"].log())
    torch.testing.assert_close(decoded, torch.tensor([[[0.75, 3.25]]]))
    assert scores.item() == pytest.approx(1, abs=1e-5)


def test_weights_end_three_sigma_outside() -> None:
    codec = SimCC((32, 24), (32, 24), sigma=2.0)
    x = torch.tensor([-3.6, -3.4, 5.0, 26.4, 26.6])
    points = torch.stack([x, torch.full_like(x, 10)], dim=-1)[None]
    targets = codec.encode(points, torch.tensor([[2, 2, 0, 1, 1]]))
    assert targets["weight"].tolist() == [[0, 1, 0, 1, 0]]
    nothing = codec.encode(torch.full((1, 1, 2), float("nan")), torch.zeros(1, 1))
    assert nothing["weight"].item() == 0
    assert nothing["probabilities"].isfinite().all()


@pytest.mark.parametrize("far", [1e4, 1e30, math.inf, -math.inf])
@pytest.mark.parametrize("sigma", [None, 0.0])
def test_a_point_however_far_outside_costs_nothing(far: float, sigma: float | None) -> None:
    """Neither does its square, which is more than float32 holds."""
    codec = SimCC((8, 4), (8, 4), sigma)
    targets = codec.encode(torch.tensor([[[far, 2.0], [1.0, far], [1.0, 2.0]]]), torch.ones(1, 3))
    assert targets["weight"].tolist() == [[0, 0, 1]]
    alone = codec.encode(torch.tensor([[[1.0, 2.0]]]), torch.ones(1, 1))
    output = torch.randn(1, 3, 24, generator=torch.Generator().manual_seed(4))
    assert codec.loss(output, targets).item() == pytest.approx(codec.loss(output[:, 2:], alone).item(), rel=1e-6)


def test_the_smallest_input() -> None:
    codec = SimCC((2, 2), (2, 2))
    point = torch.tensor([[[0.25, 0.75]]])
    torch.testing.assert_close(codec.decode(logits_of(codec, point))[0], point, atol=1e-3, rtol=0)


def test_the_loss_by_hand_and_its_least_value() -> None:
    codec = SimCC((8, 4), (8, 4))
    targets = codec.encode(torch.tensor([[[1.0, 3.0], [2.0, 6.0]]]), torch.tensor([[1, 0]]))
    assert codec.loss(torch.zeros(1, 2, 24), targets).item() == pytest.approx(math.log(8) + math.log(16), rel=1e-5)
    share = targets["probabilities"]
    entropy = -(share * share.log())[0, 0].sum().item()
    assert codec.loss(share.log() - 7, targets).item() == pytest.approx(entropy, rel=1e-5)
    assert codec.loss(share.roll(1, dims=2).clamp(min=1e-20).log(), targets) > entropy + 0.01


def test_the_gradient_is_softmax_minus_target() -> None:
    codec = SimCC((8, 4), (8, 4))
    generator = torch.Generator().manual_seed(3)
    points = torch.rand(2, 3, 2, generator=generator) * 3
    targets = {name: value.double() for name, value in codec.encode(points, torch.ones(2, 3)).items()}
    targets["weight"][1, 2] = 0.5
    output = torch.randn(2, 3, 24, generator=generator, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(codec.loss(output, targets), output)
    softmax = torch.cat([axis.softmax(-1) for axis in output.split(codec.bins, dim=-1)], dim=-1)
    weight = targets["weight"][..., None]
    # Targets were made in float32 and sum to one only so far.
    torch.testing.assert_close(
        gradient, (softmax - targets["probabilities"]) * weight / weight.sum(), atol=1e-7, rtol=0
    )
    assert torch.autograd.gradcheck(lambda x: codec.loss(x, targets), output)


def test_flat_and_wild_outputs_decode_to_finite_points() -> None:
    codec = SimCC((32, 24), (32, 24))
    for output in (torch.zeros(2, 3, 112), 50 * torch.randn(20, 3, 112, generator=torch.Generator().manual_seed(0))):
        decoded, scores = codec.decode(output)
        assert decoded.isfinite().all()
        assert scores.isfinite().all()
        assert (decoded >= -0.5 - 0.25).all()
        assert (decoded <= torch.tensor([23.75, 31.75])).all()


def test_what_rounding_could_move_is_undecided() -> None:
    codec = SimCC((8, 4), (8, 4))
    output = torch.zeros(1, 3, 24)
    output[0, :, 3], output[0, :, 20] = 1, 1
    output[0, 1, 5] = 1
    output[0, 2, 10] = 1
    assert codec.decided(output).tolist() == [[True, False, False]]


def test_sigma_and_impossible_codecs() -> None:
    assert SimCC((32, 24), (32, 24)).sigma == 2
    assert SimCC((256, 192), (64, 48)).sigma == pytest.approx(5.66, abs=0.01)
    assert SimCC((32, 24), (32, 24), split=3, sigma=1).constants() == {
        "codec": "SimCC",
        "sigma": 1,
        "loss": "cross_entropy",
        "split": 3,
        "bins_x": 72,
        "bins_y": 96,
        "label_smoothing": 0,
        "flip_shift": 0,
    }
    for options, message in [
        ({"split": 0.5}, "split"),
        ({"sigma": -1}, "sigma"),
        ({"label_smoothing": 1}, "label_smoothing"),
        ({"loss": "mse"}, "no loss 'mse' of SimCC; there are cross_entropy"),
    ]:
        with pytest.raises(ValueError, match=message):
            SimCC((32, 24), (32, 24), **options)


def test_its_heatmap_is_the_product_of_both_axes() -> None:
    codec = SimCC((16, 12), (16, 12), split=2.0)
    points = torch.tensor([[[3.25, 9.75], [0.25, 1.25]]])
    maps = codec.heatmaps(logits_of(codec, points))
    assert tuple(maps.shape) == (1, 2, 32, 24)
    # The points lie on bins: (p + 1/2) * 2 - 1/2.
    highest = maps.flatten(2).max(dim=2)
    assert highest.indices.tolist() == [[20 * 24 + 7, 3 * 24 + 1]]
    torch.testing.assert_close(highest.values, codec.decode(logits_of(codec, points))[1])
    assert highest.values[0, 0] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("mirrored", [False, True])
def test_the_bin_beside_the_last_has_a_parabola_of_its_own(mirrored: bool) -> None:
    """Through 1, 3 and 2.5, whose top is 0.3 bins behind the middle; before them all is 0."""
    codec = SimCC((8, 4), (8, 4))
    logits = torch.zeros(1, 1, 24)
    logits[0, 0, 5:8] = torch.tensor([1.0, 3.0, 2.5])
    logits[0, 0, 8 + 13 : 24] = torch.tensor([1.0, 3.0, 2.5])
    if mirrored:
        logits = torch.cat([logits[..., :8].flip(-1), logits[..., 8:].flip(-1)], dim=-1)
    # Bin b is centred at (b + 1/2) / 2 - 1/2.
    expected = torch.tensor([6.3, 14.3])
    expected = (torch.tensor([7, 15]) - expected if mirrored else expected) / 2 - 0.25
    torch.testing.assert_close(codec.decode(logits)[0].flatten(), expected)
