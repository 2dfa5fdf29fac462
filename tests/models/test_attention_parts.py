"""Every combination of the attention's parts, by options and by the names of Table 5."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from cmsa.export.layout import deploy
from cmsa.models import create_model, fuse
from cmsa.models.attention import AdditiveCascade, KeyPool, SpatialFusion
from cmsa.models.attention_parts import TABLE_5, AttentionParts
from cmsa.models.create import load_weights
from cmsa.models.reparam import ConvNorm
from cmsa.models.weights import save_weights

SIZE = (18, 14)
"""Windows do not divide its maps."""
FLAGS = (False, True)
COMBINATIONS = [
    AttentionParts(*parts) for parts in product(FLAGS, ("none", "additive", "channel_fusion"), FLAGS, FLAGS)
]


def build(attention, **options):
    torch.manual_seed(0)
    return create_model("cmsa_n", "pose", SIZE, depths=(1, 1, 1), attention=attention, **options)


@torch.no_grad()
@pytest.mark.parametrize("parts", COMBINATIONS, ids=str)
def test_every_combination_runs_fuses_and_deploys(parts, randomised, generator):
    model = randomised(build(vars(parts)))
    x = torch.randn(2, 3, *SIZE, generator=generator, dtype=torch.float64)
    expected = model(x)
    assert expected.shape == (2, 17, *SIZE)
    assert expected.std() > 0.1
    for other in (fuse(model), deploy(model)):
        torch.testing.assert_close(other(x), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("parts", COMBINATIONS, ids=str)
def test_each_option_is_what_it_says(parts):
    model = build(vars(parts))
    first = model.stages[0][0].attention
    assert len(first.groups) == (3 if parts.groups else 1)
    strides = [group.window.stride for group in first.groups]
    assert strides == ([1] * len(strides) if not parts.key_pooling else [2, 2, 1][: len(strides)])
    fusions = {"none": None, "additive": AdditiveCascade, "channel_fusion": ConvNorm}[parts.cascade]
    cascades = len(first.groups) - 1 if fusions else 0
    assert [type(part) for part in first.channel_fusion] == [fusions] * cascades
    assert {type(part) for part in first.spatial_fusion} == {SpatialFusion if parts.spatial_fusion else KeyPool}


@pytest.mark.parametrize("row", TABLE_5)
def test_a_row_by_name_and_by_options_is_one_network(row, tmp_path):
    named, spelled = build(row), build(vars(TABLE_5[row]))
    assert named.attention == spelled.attention
    state = named.state_dict()
    assert state.keys() == spelled.state_dict().keys()
    assert all(torch.equal(value, state[key]) for key, value in spelled.state_dict().items())
    save_weights(tmp_path / "spelled.safetensors", spelled)
    assert load_weights(tmp_path / "spelled.safetensors").attention == TABLE_5[row]


def test_parts_are_called_by_their_row():
    assert str(AttentionParts()) == "cmsa"
    assert str(AttentionParts(key_pooling=False)) == (
        "groups=True, cascade=channel_fusion, spatial_fusion=True, key_pooling=False, bias=True"
    )


def test_options_left_out_are_the_full_attention_s():
    assert AttentionParts.of({"cascade": "additive"}) == AttentionParts(cascade="additive")
    assert AttentionParts.of("cmsa") == AttentionParts.of({})


def test_the_other_options_stay():
    heads, strides = ((3, 1), (2, 2), (1, 1)), ((4, 1), (2, 1), (1, 2))
    windows = (((16, 8), (8, 4)), ((8, 4), (4, 4)), ((4, 4), (4, 4)))
    given = {"heads": heads, "kv_strides": strides, "windows": windows}
    grouped = build("grouped", **given)
    assert [group.heads for group in grouped.stages[0][0].attention.groups] == [3, 1]
    assert [(w.size, w.stride) for w in grouped.stage_windows[0]] == [((16, 8), 4), ((8, 4), 1)]
    joined = build({"groups": False}, **given).stages[0][0].attention.groups
    assert [(group.heads, group.window.size, group.window.stride) for group in joined] == [(4, (16, 8), 4)]


def test_a_bias_that_is_left_out_stays_zero_and_is_not_trained(generator):
    model, whole = build({"bias": False}), build("cmsa")
    tables = {name for name, _ in model.named_parameters() if name.endswith(".table")}
    assert tables
    assert {name for name, parameter in model.named_parameters() if not parameter.requires_grad} == tables
    images = torch.randn(2, 3, *SIZE, generator=generator)
    # Where biases begin, they say nothing; where they do not learn, attention takes another way to the same numbers.
    torch.testing.assert_close(model(images), whole(images), rtol=1e-4, atol=1e-5)
    model(images).square().mean().backward()
    assert model.stages[0][0].attention.q.weight.grad.abs().max() > 0
    model.set_input_size((22, 16))
    assert all(not model.get_parameter(name).requires_grad and not model.get_parameter(name).any() for name in tables)


def test_strides_that_would_be_dropped_are_refused():
    with pytest.raises(ValueError, match=r"kv_strides .* attention 'standard' does not pool"):
        build("standard", kv_strides=((2, 2, 1), (2, 2), (1, 2)))
    assert build("standard", kv_strides=((1, 1, 1), (1, 1), (1, 1))).stage_windows[0][0].stride == 1


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match=r"attention must be one of \('standard', .*got 'global'"):
        build("global")
    options = "groups, cascade, spatial_fusion, key_pooling, bias"
    with pytest.raises(ValueError, match=f"no option spatial; there are {options}"):
        build({"spatial": True})
    with pytest.raises(ValueError, match=r"cascade must be one of .*got 'sum'"):
        build({"cascade": "sum"})
    with pytest.raises(ValueError, match="groups must be true or false, got 2"):
        build({"groups": 2})
    with pytest.raises(ValueError, match="stage 1: 1 groups of heads but 3 key strides"):
        build("cmsa", heads=((4,), (2, 2), (2, 2)))
