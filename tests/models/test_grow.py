from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from cmsa.models import create_model
from cmsa.models.grow import SHIFT, can_grow, grow, let_pass
from cmsa.models.network import CMSA

SIZE = (16, 12)
SMALL = {"dims": [8, 16, 12], "depths": [1, 2, 1], "heads": [[1, 2, 1], [1, 1], [2, 1]]}
DOUBLE = {"dims": [16, 32, 24], "depths": [1, 2, 1], "heads": [[2, 4, 1], [2, 3], [3, 2]]}
LARGE = {"dims": [16, 22, 13], "depths": [2, 3, 1], "heads": [[2, 2, 1], [1, 3], [2, 2]]}
TWO_STAGES = {"dims": [8, 16], "depths": [1, 1], "heads": [[1], [1]], "kv_strides": [[1], [1]]}
TASKS = {
    "linear": ("pose", {"fusion": "linear"}),
    "mixer": ("pose", {"fusion": "mixer"}),
    "classification": ("classification", {"num_classes": 7}),
    "stage-wise": ("head_pose", {"head": "ssr"}),
    "bins": ("head_pose", {"head": "bins"}),
    "six": ("head_pose", {"head": "rotation_6d"}),
    "additive": ("pose", {"fusion": "linear", "attention": "cascade"}),
}


def network(task: str, sizes: dict[str, Any], seed: int = 0, **options: Any) -> CMSA:
    """In float64, with running statistics and weights of norms that are not those of a fresh network."""
    torch.manual_seed(seed)
    model = create_model("cmsa_n", task, SIZE, **sizes, **options)
    assert isinstance(model, CMSA)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.1)
    return model.double().eval()


@pytest.mark.parametrize("name", TASKS)
def test_where_all_channels_double_the_function_is_the_same(name: str):
    task, options = TASKS[name]
    small, large = network(task, SMALL, **options), network(task, DOUBLE, seed=1, **options)
    images = torch.randn(2, 3, *SIZE, dtype=torch.float64)
    before = large(images)
    grow(large, small)
    torch.testing.assert_close(large(images), small(images), rtol=1e-9, atol=1e-9)
    assert (before - small(images)).abs().max() > 1e-3


def test_where_some_do_it_is_nearly_so():
    small, large = network("pose", SMALL, fusion="linear"), network("pose", LARGE, seed=1, fusion="linear")
    images = torch.randn(2, 3, *SIZE, dtype=torch.float64)
    for seed in (0, 1):
        grow(large, small, seed)
        both = torch.stack([large(images).flatten(), small(images).flatten()])
        assert torch.corrcoef(both)[0, 1] > 0.97


def test_a_block_that_was_added_lets_pass():
    block = list(network("pose", SMALL, fusion="linear").stages[1].children())[1]
    maps = torch.randn(3, 8, 6, 16, dtype=torch.float64).clamp(min=-2)
    with torch.no_grad():
        assert (block(maps) - maps).abs().max() > 0.5
        let_pass(block)
        torch.testing.assert_close(block(maps), maps, rtol=0, atol=0.05)
        far = torch.full((1, 8, 6, 16), 9.0, dtype=torch.float64)
        torch.testing.assert_close(block(far), far, rtol=0, atol=1e-9)
    assert block.mlp.fc2.bias.unique().item() == -SHIFT


def test_copies_part_ways():
    """Under Adam copies would stay alike if their gradients were the same up to a factor."""
    small, large = network("pose", SMALL, fusion="linear"), network("pose", DOUBLE, seed=1, fusion="linear")
    grow(large, small)
    large(torch.randn(2, 3, *SIZE, dtype=torch.float64)).square().mean().backward()
    weight = large.stages[1][0].mlp.fc1.weight
    first, gradient = weight[0].detach(), weight.grad
    assert gradient is not None
    copies = [row for row in range(1, len(weight)) if torch.equal(weight[row].sum(), first.sum())]
    assert not copies  # The parts differ from row to row.
    sums = large.get_parameter("stages.1.0.mlp.fc1.bias").detach()
    twin = next(row for row in range(64, 128) if sums[row] == sums[0])
    assert torch.cosine_similarity(gradient[0], gradient[twin], dim=0) < 0.999


@pytest.mark.parametrize(
    ("large", "small"),
    [
        pytest.param(SMALL, SMALL, id="the same"),
        pytest.param(SMALL, DOUBLE, id="smaller"),
        pytest.param(DOUBLE | {"depths": [1, 1, 1]}, SMALL, id="fewer blocks"),
        pytest.param(DOUBLE | {"heads": [[2, 1, 1], [2, 3], [3, 2]]}, SMALL, id="fewer heads"),
        pytest.param(DOUBLE | {"fusion": "mixer"}, SMALL, id="another head"),
        pytest.param(DOUBLE | {"attention": "grouped"}, SMALL, id="other parts"),
        pytest.param(DOUBLE | {"in_chans": 4}, SMALL, id="other images"),
        pytest.param(DOUBLE | {"key_dim": 24}, SMALL, id="other channels of a head"),
        pytest.param(DOUBLE | {"mlp_ratio": 1}, SMALL, id="fewer hidden units"),
        pytest.param(DOUBLE, TWO_STAGES, id="another number of stages"),
    ],
)
def test_what_cannot_grow(large: dict[str, Any], small: dict[str, Any]):
    new = network("pose", {"fusion": "linear"} | large)
    old = network("pose", {"fusion": "linear"} | small)
    assert not can_grow(new, old)
    with pytest.raises(ValueError, match="cannot grow"):
        grow(new, old)


def test_a_stem_of_another_stride_and_windows_of_its_own():
    """The tables are resized, and all else is what it would be without."""
    small = network("pose", SMALL, fusion="linear")
    windows = [[[8, 6], [4, 3], [4, 3]], [[4, 3], [2, 3]], [[2, 2], [2, 2]]]
    large = network("pose", DOUBLE | {"stem_stride": 2, "windows": windows}, seed=1, fusion="linear")
    grow(large, small)
    alike = network("pose", SMALL | {"stem_stride": 2, "windows": windows}, fusion="linear")
    alike.load_state_dict(small.state_dict(), strict=False)  # a stem of stride 2 has a branch less
    images = torch.randn(2, 3, *SIZE, dtype=torch.float64)
    torch.testing.assert_close(large(images), alike(images), rtol=1e-9, atol=1e-9)
    grow(network("pose", DOUBLE, fusion="linear"), alike)


def test_another_input_size_and_number_of_outputs():
    small = network("classification", SMALL, num_classes=7)
    torch.manual_seed(1)
    large = create_model("cmsa_n", "classification", (24, 20), num_classes=5, **DOUBLE).double().eval()
    assert isinstance(large, CMSA)
    head = large.head.logits.weight.detach().clone()
    grow(large, small)
    assert torch.equal(large.head.logits.weight, head)
    assert small.input_size == (24, 20)
    images = torch.randn(2, 3, 24, 20, dtype=torch.float64)
    for maps, old in zip(large.forward_maps(images), small.forward_maps(images), strict=True):
        torch.testing.assert_close(maps[:, : old.shape[1]], old)
