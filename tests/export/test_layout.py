"""The deployed form computes what the network computes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cmsa.export.layout import DeployedNetwork, deploy
from cmsa.export.layout_head import from_cells, to_cells
from cmsa.models import create_model
from cmsa.models.variants import VARIANTS

TOLERANCE = 1e-9


@torch.no_grad()
def difference(model, other, x):
    return (model(x) - other(x)).abs().max().item()


@pytest.mark.parametrize("size", [(32, 24), (33, 21), (16, 40)])
def test_same_result_on_maps_that_windows_divide_and_on_others(size, network, images):
    model = network("cmsa_n", size).double()
    x = images(2, size, torch.float64)
    with torch.no_grad():
        assert model(x).std() > 0.1
    assert difference(deploy(model), model, x) < TOLERANCE


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant(variant, network, images):
    model = network(variant, (16, 24)).double()
    assert difference(deploy(model), model, images(3, (16, 24), torch.float64)) < TOLERANCE


@pytest.mark.parametrize("task", ["pose", "head_pose", "classification"])
def test_every_head(task, randomised, images):
    torch.manual_seed(0)
    model = randomised(create_model("cmsa_n", task, (16, 8), depths=(1, 1, 1)))
    deployed = deploy(model)
    assert isinstance(deployed, DeployedNetwork)
    assert difference(deployed, model, images(2, (16, 8), torch.float64)) < TOLERANCE


@pytest.mark.parametrize("fusion", ["mixer", "linear"])
def test_simcc_on_either_fusion(fusion, randomised, images):
    torch.manual_seed(0)
    model = randomised(create_model("cmsa_n", "pose", (16, 8), depths=(1, 1, 1), head="simcc", fusion=fusion))
    deployed = deploy(model)
    assert not any(isinstance(part, nn.BatchNorm2d | nn.ConvTranspose2d) for part in deployed.modules())
    assert difference(deployed, model, images(2, (16, 8), torch.float64)) < TOLERANCE


def test_networks_without_a_part_of_the_attention_are_fused_only(network, images):
    model = network("cmsa_n", (16, 8), attention="grouped").double()
    deployed = deploy(model)
    assert not isinstance(deployed, DeployedNetwork)
    assert difference(deployed, model, images(1, (16, 8), torch.float64)) < TOLERANCE


def test_other_widths_of_keys_and_values(network, images):
    model = network("cmsa_n", (16, 8), key_dim=8, value_ratio=3).double()
    assert difference(deploy(model), model, images(1, (16, 8), torch.float64)) < TOLERANCE


def test_the_model_stays_as_it_is_and_shares_nothing(network, images):
    model = network("cmsa_n", (16, 8))
    x = images(1, (16, 8))
    expected = model(x)
    deployed = deploy(model)
    for tensor in (*deployed.parameters(), *deployed.buffers()):
        tensor.data.zero_()
    assert torch.equal(model(x), expected)


def test_no_norm_and_no_enlarging_is_left(network):
    deployed = deploy(network("cmsa_n", (16, 8)))
    kinds = {type(part) for part in deployed.modules()}
    assert not kinds & {nn.BatchNorm2d, nn.LayerNorm, nn.ConvTranspose2d}


@pytest.mark.parametrize("levels", [0, 1, 2])
def test_cells_hold_the_halvings_one_after_the_other(levels, images):
    x = images(2, (8, 12)).permute(0, 2, 3, 1)
    cells = to_cells(x, levels)
    side = 2**levels
    assert cells.shape == (2 * 8 // side, 12 // side, side**2, 3)
    assert torch.equal(from_cells(cells, 2, levels), x)
    if levels == 2:
        # Row 2 + 1 and column 0 + 1 of a cell: below, left; then below, right.
        assert torch.equal(cells[3, 1, 4 * 2 + 3], x[1, 4 + 3, 4 + 1])
