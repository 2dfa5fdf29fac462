import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cmsa.tasks.pose.codecs.heatmaps import UDP, Dark, ExactQuarterOffset, HeatmapCodec, QuarterOffset

KINDS = (QuarterOffset, ExactQuarterOffset, Dark, UDP)

SIZES = [
    ((32, 24), (32, 24)),
    ((64, 48), (64, 48)),
    ((64, 48), (32, 24)),
    ((128, 96), (64, 48)),
    ((128, 96), (32, 24)),
    ((32, 56), (16, 28)),
]
FLIP_INDEX = (0, 2, 1)


def encoded(codec: HeatmapCodec, points: Tensor, visible: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Heatmaps and weights of points (B, K, 2), all visible by default."""
    targets = codec.encode(points, torch.ones(points.shape[:2]) if visible is None else visible)
    return targets["heatmaps"], targets["weight"]


def mirror(points: Tensor, width: int) -> Tensor:
    """The keypoints (B, 3, 2) of the mirrored picture, left and right exchanged."""
    mirrored = points[:, list(FLIP_INDEX)].clone()
    mirrored[..., 0] = width - 1 - mirrored[..., 0]
    return mirrored


def inner_points(codec: HeatmapCodec, margin: float, batch: int = 500) -> Tensor:
    """(B, 3, 2) random points at least ``margin`` heatmap pixels away from the border."""
    low = margin * torch.tensor(codec.stride)
    high = torch.tensor([codec.input_size[1] - 1, codec.input_size[0] - 1]) - low
    return low + torch.rand(batch, 3, 2, generator=torch.Generator().manual_seed(5)) * (high - low)


@st.composite
def cases(draw: st.DrawFn) -> tuple[tuple[tuple[int, int], tuple[int, int]], list[list[float]]]:
    unit = st.floats(0, 1, allow_nan=False, width=32)
    return draw(st.sampled_from(SIZES)), draw(st.lists(st.tuples(unit, unit).map(list), min_size=2, max_size=2))


@pytest.mark.parametrize("kind", [Dark, UDP])
@settings(max_examples=150, deadline=None)
@given(case=cases())
def test_exact_codecs_round_trip(
    kind: type[HeatmapCodec], case: tuple[tuple[tuple[int, int], tuple[int, int]], list[list[float]]]
) -> None:
    (input_size, heatmap_size), fractions = case
    codec = kind(input_size, heatmap_size)
    low = 2 * torch.tensor(codec.stride)
    points = low + torch.tensor([fractions]) * (torch.tensor([input_size[1] - 1, input_size[0] - 1]) - 2 * low)
    heatmaps, weight = encoded(codec, points)
    decoded, scores = codec.decode(heatmaps)
    assert (decoded - points).abs().max() < 0.05
    assert (weight == 1).all()
    assert (scores > 0.6).all()


@pytest.mark.parametrize("kind", [Dark, UDP])
@pytest.mark.parametrize("size", [(32, 24), (64, 48), (40, 56)])
def test_same_size_maps_are_exact_up_to_the_border(kind: type[HeatmapCodec], size: tuple[int, int]) -> None:
    codec = kind(size, size)
    points = inner_points(codec, 0)
    decoded, _ = codec.decode(encoded(codec, points)[0])
    assert (decoded - points).abs().max() < 0.05


@settings(max_examples=150, deadline=None)
@given(case=cases())
def test_quarter_offset_loses_no_more_than_its_rounding(
    case: tuple[tuple[tuple[int, int], tuple[int, int]], list[list[float]]],
) -> None:
    (input_size, heatmap_size), fractions = case
    codec = QuarterOffset(input_size, heatmap_size)
    points = torch.tensor([fractions]) * (torch.tensor([input_size[1], input_size[0]]) - 1 - torch.tensor(codec.stride))
    heatmaps, _ = encoded(codec, points)
    decoded, scores = codec.decode(heatmaps)
    assert ((decoded - points).abs() / torch.tensor(codec.stride)).max() <= 0.5 + 1e-4
    assert (scores == 1).all()


@pytest.mark.parametrize("sizes", SIZES)
def test_quarter_offset_finds_an_exact_peak_to_a_quarter(
    sizes: tuple[tuple[int, int], tuple[int, int]],
) -> None:
    codec, exact = QuarterOffset(*sizes), Dark(*sizes)
    points = inner_points(codec, 2.5)
    decoded, _ = codec.decode(encoded(exact, points)[0])
    assert ((decoded - points).abs() / torch.tensor(codec.stride)).max() <= 0.25 + 1e-4


@pytest.mark.parametrize("kind", [Dark, UDP])
@pytest.mark.parametrize("sizes", SIZES)
def test_flip_average_gives_the_right_point(
    kind: type[HeatmapCodec], sizes: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    codec = kind(*sizes)
    points = inner_points(codec, 3)
    plain, _ = encoded(codec, points)
    mirrored, _ = encoded(codec, mirror(points, sizes[0][1]))
    back = codec.flip_back(mirrored, FLIP_INDEX)
    decoded, _ = codec.decode((plain + back) / 2)
    assert (decoded - points).abs().max() < 0.05
    alone, _ = codec.decode(back)
    assert (alone - points).abs().max() < 0.1


@pytest.mark.parametrize("sizes", SIZES)
def test_flip_average_of_rounded_maps_agrees_exactly(sizes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    codec = QuarterOffset(*sizes)
    points = inner_points(codec, 3 * codec.sigma + 2).round()
    plain, _ = encoded(codec, points)
    mirrored, _ = encoded(codec, mirror(points, sizes[0][1]))
    back = codec.flip_back(mirrored, FLIP_INDEX)
    torch.testing.assert_close(back, plain, atol=1e-6, rtol=0)
    assert codec.flip_shift == (0 if sizes[0] == sizes[1] else 1)


def test_flip_shifts_are_the_codecs_own() -> None:
    assert [kind((128, 96), (32, 24)).flip_shift for kind in KINDS] == [1.0, 0.0, 0.75, 0.0]
    assert all(kind((32, 24), (32, 24)).flip_shift == 0 for kind in KINDS)
    # A mirror moves nothing up or down.
    assert [kind((32, 48), (32, 24)).flip_shift for kind in KINDS] == [1.0, 0.0, 0.5, 0.0]
    assert all(kind((64, 24), (32, 24)).flip_shift == 0 for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_axes_are_not_swapped(kind: type[HeatmapCodec]) -> None:
    codec = kind((32, 56), (32, 56))
    heatmaps, _ = encoded(codec, torch.tensor([[[50.0, 3.0]]]))
    assert heatmaps.shape == (1, 1, 32, 56)
    assert heatmaps[0, 0, 3, 50] == 1
    decoded, _ = codec.decode(heatmaps)
    torch.testing.assert_close(decoded, torch.tensor([[[50.0, 3.0]]]), atol=1e-2, rtol=0)


def test_targets_are_hrnets() -> None:
    codec = QuarterOffset((64, 48), (32, 24))
    heatmaps, _ = encoded(codec, torch.tensor([[[21.0, 30.4]]]))
    # 21 / 2 + 0.5 = 11 and 30.4 / 2 + 0.5 = 15.7, both rounded down.
    assert heatmaps[0, 0, 15, 11] == 1
    assert heatmaps[0, 0, 15, 12] == pytest.approx(0.60653, abs=1e-5)
    assert heatmaps[0, 0, 16, 12] == pytest.approx(0.36788, abs=1e-5)
    assert heatmaps[0, 0, 15, 14] == pytest.approx(0.01111, abs=1e-5)
    assert heatmaps[0, 0, 15, 15] == 0
    assert heatmaps[0, 0, 18, 11] == pytest.approx(0.01111, abs=1e-5)
    assert heatmaps[0, 0, 19, 11] == 0


def test_udp_joins_the_outermost_pixel_centres() -> None:
    codec = UDP((64, 48), (32, 24))
    heatmaps, _ = encoded(codec, torch.tensor([[[0.0, 0.0], [47.0, 63.0]]]))
    assert heatmaps[0, 0, 0, 0] == 1
    assert heatmaps[0, 1, 31, 23] == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_weight_is_zero_where_the_patch_is_wholly_outside(kind: type[HeatmapCodec]) -> None:
    codec = kind((32, 24), (32, 24))
    x = torch.tensor([-4.0, -3.0, 10.0, 26.0, 27.0])
    points = torch.stack([x, torch.full_like(x, 10)], dim=-1)[None]
    heatmaps, weight = encoded(codec, points)
    assert weight.tolist() == [[0, 1, 1, 1, 0]]
    assert (heatmaps.amax(dim=(2, 3)) > 0).tolist() == [[False, True, True, True, False]]
    below = torch.tensor([[[10.0, 34.0], [10.0, 35.0], [10.0, -3.0], [10.0, -4.0]]])
    assert encoded(codec, below)[1].tolist() == [[1, 0, 1, 0]]


@pytest.mark.parametrize("kind", KINDS)
def test_unannotated_keypoints_leave_nothing(kind: type[HeatmapCodec]) -> None:
    codec = kind((32, 24), (32, 24))
    points = torch.tensor([[[float("nan"), 3.0], [5.0, 5.0]]])
    heatmaps, weight = encoded(codec, points, torch.tensor([[0, 2]]))
    assert weight.tolist() == [[0, 1]]
    assert (heatmaps[0, 0] == 0).all()
    assert heatmaps[0, 1].max() == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fill", [0.0, -1.0, 3.0])
def test_maps_without_a_peak_decode_to_finite_points(kind: type[HeatmapCodec], fill: float) -> None:
    codec = kind((32, 24), (16, 12))
    decoded, scores = codec.decode(torch.full((2, 3, 16, 12), fill))
    assert torch.isfinite(decoded).all()
    assert (scores == fill).all()
    noise = torch.randn(50, 3, 16, 12, generator=torch.Generator().manual_seed(0))
    decoded, _ = codec.decode(noise)
    peak = torch.stack([noise.flatten(2).argmax(-1) % 12, noise.flatten(2).argmax(-1) // 12], dim=-1)
    assert (decoded / torch.tensor(codec.stride) - peak).abs().max() < 3


@pytest.mark.parametrize("kind", KINDS)
def test_decoding_is_done_in_float32_under_autocast(kind: type[HeatmapCodec]) -> None:
    codec = kind((32, 24), (32, 24))
    points = inner_points(codec, 3, batch=8)
    heatmaps, _ = encoded(codec, points)
    expected, _ = codec.decode(heatmaps)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got, scores = codec.decode(heatmaps)
    assert torch.equal(got, expected)
    coarse, scores = codec.decode(heatmaps.bfloat16())
    assert coarse.dtype == scores.dtype == torch.float32


def test_sigma_follows_the_heatmaps_height() -> None:
    assert [Dark((h, w), (h, w)).sigma for h, w in [(32, 24), (64, 48), (128, 96)]] == [1, 2, 4]
    assert Dark((64, 48), (64, 48), sigma=1.5).sigma == 1.5


def test_impossible_codecs_are_refused() -> None:
    with pytest.raises(ValueError, match="at least"):
        Dark((32, 24), (2, 24))
    with pytest.raises(ValueError, match="sigma"):
        Dark((32, 24), (32, 24), sigma=0)


@pytest.mark.parametrize("kind", [Dark, UDP])
def test_the_smallest_codec_of_heatmaps(kind: type[HeatmapCodec]) -> None:
    """A map of 3x3 has one pixel with neighbours all around."""
    codec = kind((3, 3), (3, 3))
    point = torch.tensor([[[1.2, 0.7]]])
    torch.testing.assert_close(codec.decode(encoded(codec, point)[0])[0], point, atol=1e-3, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_what_people_look_at_peaks_at_the_score(kind, generator):
    output = torch.randn(2, 3, 32, 24, generator=generator)
    plain, trained_by_softmax = (kind((32, 24), (32, 24), loss=loss) for loss in ("mse", "cross_entropy"))
    torch.testing.assert_close(plain.heatmaps(output), output)
    maps = trained_by_softmax.heatmaps(output)
    torch.testing.assert_close(maps.sum((2, 3)), torch.full((2, 3), 2 * torch.pi * trained_by_softmax.sigma**2))
    assert (maps.flatten(2).argmax(2) == output.flatten(2).argmax(2)).all()


def correlated(center: tuple[float, float], size: tuple[int, int], twist: float) -> Tensor:
    """A gaussian (1, 1, h, w) whose axes are not those of the picture: exp(-(x² + 2 twist x y + y²) / 2)."""
    y = torch.arange(size[0])[:, None] - center[1]
    x = torch.arange(size[1])[None] - center[0]
    return torch.exp(-(x**2 + 2 * twist * x * y + y**2) / 2)[None, None]


@pytest.mark.parametrize("twist", [-0.5, 0.3, 0.6])
def test_a_slanted_peak_near_the_border_is_found_exactly(twist: float) -> None:
    """The logarithm is a parabola, so Newton's step is exact; so near the border nothing is blurred."""
    codec = Dark((16, 12), (16, 12))
    point, _ = codec.decode(correlated((1.3, 1.2), (16, 12), twist))
    assert point.flatten().tolist() == pytest.approx([1.3, 1.2], abs=1e-3)


def test_a_neighbour_without_height_counts_as_a_thousandth_of_the_peak() -> None:
    heatmap = torch.zeros(1, 1, 8, 8)
    heatmap[0, 0, 1, 1:3] = torch.tensor([1.0, 0.5])
    left, right = torch.tensor(1e-3).log(), torch.tensor(0.5).log()
    step = -((right - left) / 2) / (right + left)
    point, _ = Dark((8, 8), (8, 8)).decode(heatmap)
    assert point.flatten().tolist() == pytest.approx([1 + step.item(), 1], abs=1e-4)


@pytest.mark.parametrize("kind", [QuarterOffset, ExactQuarterOffset])
def test_a_keypoint_at_the_border_leaves_the_others_their_quarter(kind: type[HeatmapCodec]) -> None:
    heatmaps = torch.zeros(1, 2, 8, 9)
    heatmaps[0, 0, 0, 4] = heatmaps[0, 1, 4, 4] = 1
    heatmaps[0, :, :, 5] += 0.1
    heatmaps[0, 1, 3, 4] = 0.2
    points, scores = kind((8, 9), (8, 9)).decode(heatmaps)
    assert points[0].tolist() == [[4, 0], [4.25, 3.75]]
    assert scores[0].tolist() == [1, 1]


@pytest.mark.parametrize("kind", [QuarterOffset, ExactQuarterOffset])
def test_the_quarter_begins_where_hrnet_s_does(kind: type[HeatmapCodec]) -> None:
    """At pixels above 1 and below the last one, on either axis."""
    places = [(1, 4), (2, 4), (7, 4), (8, 4), (4, 1), (4, 2), (4, 6), (4, 7)]
    heatmaps = torch.zeros(1, len(places), 8, 9)
    for number, (x, y) in enumerate(places):
        heatmaps[0, number, y - 1 : y + 2, x - 1 : x + 2] = 0.1
        # Higher to the left of it and above.
        heatmaps[0, number, y, x - 1] = heatmaps[0, number, y - 1, x] = 0.2
        heatmaps[0, number, y, x] = 1
    points, _ = kind((8, 9), (8, 9)).decode(heatmaps)
    stay = {(1, 4), (8, 4), (4, 1), (4, 7)}
    expected = [[x, y] if (x, y) in stay else [x - 0.25, y - 0.25] for x, y in places]
    assert points[0].tolist() == expected


def test_the_squared_error_by_hand() -> None:
    codec = Dark((8, 8), (8, 8))
    output = torch.zeros(1, 2, 8, 8)
    output[0, 0, 3, 3], output[0, 1] = 4, 9
    targets = {"heatmaps": torch.zeros(1, 2, 8, 8), "weight": torch.tensor([[1.0, 0.0]])}
    # 4² over 64 pixels, halved, and the mean over two joints, of which one does not count.
    assert codec.loss(output, targets).item() == pytest.approx(0.5 * 16 / 64 / 2)


def test_the_cross_entropy_by_hand() -> None:
    codec = Dark((8, 8), (8, 8), loss="cross_entropy")
    target = torch.zeros(1, 2, 8, 8)
    target[0, 0, 3, 3], target[0, 0, 3, 4], target[0, 1] = 2, 2, 1
    output = torch.zeros(1, 2, 8, 8)
    output[0, 0, 3, 3] = torch.tensor(3.0).log()
    share = torch.tensor([3 / 66, 1 / 66])
    loss = codec.loss(output, {"heatmaps": target, "weight": torch.tensor([[1.0, 0.0]])})
    assert loss.item() == pytest.approx(-0.5 * share.log().sum().item(), rel=1e-5)
    # Nobody to learn from costs nothing.
    assert codec.loss(output, {"heatmaps": target, "weight": torch.zeros(1, 2)}).item() == 0


def test_what_a_file_says_of_its_codec() -> None:
    found = UDP((64, 48), (32, 24), sigma=1.5).constants()
    assert (found["codec"], found["sigma"], found["loss"], found["flip_shift"]) == ("UDP", 1.5, "mse", 0.0)
    assert (found["heatmap_height"], found["heatmap_width"]) == (32, 24)
    assert Dark((64, 48), (32, 24)).constants()["flip_shift"] == 0.5
    assert QuarterOffset((64, 48), (32, 24)).output_shape(17) == (17, 32, 24)


def test_what_rounding_could_move_is_undecided() -> None:
    codec = Dark((8, 8), (8, 8))
    heatmaps = torch.zeros(1, 3, 8, 8)
    heatmaps[0, 0, 2, 2], heatmaps[0, 0, 5, 5] = 1, 1
    heatmaps[0, 1, 2, 2], heatmaps[0, 1, 5, 5] = 1, 1 - 1e-4
    heatmaps[0, 2, 2, 2] = 1
    assert codec.decided(heatmaps).tolist() == [[False, True, True]]
    assert codec.decided(heatmaps, margin=1e-3).tolist() == [[False, False, True]]


def separable(x: list[float], y: list[float]) -> Tensor:
    """A map (1, 1, h, w) of the product of both, given as logarithms."""
    return (torch.tensor(y)[:, None] + torch.tensor(x)[None]).exp()[None, None]


BELL = [-((place - 4) ** 2) / 2 for place in range(9)]


@pytest.mark.parametrize("flip", [False, True])
def test_a_step_is_no_longer_than_two_pixels(flip: bool) -> None:
    """At the border the parabola through 0, -1 and -2.1 has its top 9.5 pixels outside."""
    heatmap = separable([0, -1, -2.1, -3.5, -5, -6, -7], BELL)
    point, _ = Dark((9, 7), (9, 7)).decode(heatmap.flip(3) if flip else heatmap)
    assert point.flatten().tolist() == pytest.approx([8 if flip else -2, 4], abs=1e-5)


@pytest.mark.parametrize("kind", [Dark, UDP])
def test_a_peak_on_the_border_without_a_top_stays_where_it_is(kind: type[HeatmapCodec]) -> None:
    """As of a keypoint outside of the crop: the parabola through 0, -1 and -1.9 bends upwards."""
    heatmap = separable([0, -1, -1.9, -3.5, -5, -6, -7], BELL)
    point, score = kind((9, 7), (9, 7)).decode(heatmap)
    assert point.flatten().tolist() == [0, 4]
    assert score.item() == 1


@pytest.mark.parametrize(("sigma", "radius"), [(0.75, 2), (1.0, 2), (1.25, 2), (1.3, 3), (2.0, 5), (3.0, 8)])
def test_the_blur_ends_where_dark_s_kernel_does(sigma: float, radius: int) -> None:
    codec = Dark((41, 41), (41, 41), sigma=sigma)
    # A single pixel is blurred to the kernel, whose logarithm is a parabola with the top in the middle; a second one
    # just beyond its reach does not move it, one within does.
    for distance, moved in ((radius + 2, False), (radius + 1, True)):
        heatmap = torch.zeros(1, 1, 41, 41)
        heatmap[0, 0, 20, 20], heatmap[0, 0, 20, 20 + distance] = 1, 0.9
        x, y = codec.decode(heatmap)[0].flatten().tolist()
        assert y == pytest.approx(20, abs=1e-4)
        assert (abs(x - 20) > 1e-3) is moved


def test_a_corner_that_bends_upwards_on_both_axes_stays_where_it_is() -> None:
    """A valley's determinant is above 0, too."""
    upwards = [0, -1, -1.9, -3.5, -5, -6, -7]
    assert Dark((7, 7), (7, 7)).decode(separable(upwards, upwards))[0].flatten().tolist() == [0, 0]


@pytest.mark.parametrize("kind", KINDS)
def test_maps_of_another_size_are_not_read(kind: type[HeatmapCodec]) -> None:
    with pytest.raises(ValueError, match=r"heatmaps are of \(32, 24\) \(HxW\), got \(16, 12\)"):
        kind((64, 48), (32, 24)).decode(torch.zeros(1, 3, 16, 12))
