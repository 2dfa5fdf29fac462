import pytest
import torch

from cmsa.models.heads.head_pose import BinsHead, Rotation6DHead, SoftStagewiseHead

DIMS = (8, 12, 20)
# Train-time parameters without head, and the paper's totals in millions (Table 3).
VARIANTS = {
    "S": ((96, 160, 224), 4_091_616, 4.0),
    "B": ((128, 192, 256), 5_544_720, 5.4),
    "L": ((128, 256, 320), 7_252_048, 7.1),
}


def maps(batch: int = 2, size: tuple[int, int] = (12, 8)) -> list[torch.Tensor]:
    height, width = size
    return [torch.randn(batch, dim, height >> k, width >> k) for k, dim in enumerate(DIMS)]


@pytest.mark.parametrize(
    ("head", "shape"),
    [
        (SoftStagewiseHead(DIMS), (2, 3, 3, 5)),
        (BinsHead(DIMS), (2, 3, 66)),
        (Rotation6DHead(DIMS), (2, 6)),
    ],
)
def test_shapes_and_every_parameter_used(head: torch.nn.Module, shape: tuple[int, ...]) -> None:
    output = head(maps())
    assert output.shape == shape
    output.square().sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("variant", VARIANTS)
def test_parameters_with_the_stagewise_head_are_within_3_percent_of_the_paper(variant: str) -> None:
    dims, backbone, published = VARIANTS[variant]
    head = sum(parameter.numel() for parameter in SoftStagewiseHead(dims).parameters())
    assert head == sum(dims) * (15 + 2) + 3 * 15
    assert head < 30_000
    assert abs(backbone + head - published * 1e6) < 0.03 * published * 1e6


def test_the_coarse_regression_stage_reads_the_last_map() -> None:
    head = SoftStagewiseHead(DIMS).eval()
    inputs = maps()
    before = head(inputs)
    inputs[2] = torch.randn_like(inputs[2])
    changed = (head(inputs) - before).abs().amax(dim=(0, 1, 3))
    assert changed[0] > 0
    assert changed[1:].tolist() == [0, 0]


def test_heads_look_at_all_maps() -> None:
    for head in (BinsHead(DIMS), Rotation6DHead(DIMS)):
        before = head(inputs := maps())
        for index in range(3):
            changed = [*inputs]
            changed[index] = torch.randn_like(inputs[index])
            assert not torch.allclose(head(changed), before)


def test_wrong_number_of_maps_is_an_error() -> None:
    with pytest.raises(ValueError, match="zip"):
        SoftStagewiseHead(DIMS)(maps()[:2])
