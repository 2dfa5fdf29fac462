"""Grids: which cells there are, by what entries, under what names."""

from itertools import pairwise

import pytest
import torch
import yaml

from cmsa.experiments.grid import LONGEST_NAME, cells_of, folder_name, parse_axis, split_values
from cmsa.models.cost import cost_of
from cmsa.training.recipe import load_recipe
from cmsa.training.starting_point import build_network


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("standard,grouped", ["standard", "grouped"]),
        ("[32,24],[64, 48]", ["[32,24]", "[64, 48]"]),
        ("{cascade: additive, groups: false},cmsa", ["{cascade: additive, groups: false}", "cmsa"]),
        ("[[1,2],[3]]", ["[[1,2],[3]]"]),
        ("'a,b',\"c,d\"", ["'a,b'", '"c,d"']),
        ("", [""]),
    ],
)
def test_commas_within_brackets_and_quotes_split_nothing(text, values):
    assert split_values(text) == values


def test_every_combination_with_every_seed():
    axes = [parse_axis(["model.options.attention=grouped,cmsa"]), parse_axis(["optimizer.learning_rate=1e-3,2e-3"])]
    cells = cells_of(axes, [0, 7])
    assert [cell.name for cell in cells[:4]] == [
        "attention=grouped,learning_rate=1e-3,seed=0",
        "attention=grouped,learning_rate=2e-3,seed=0",
        "attention=cmsa,learning_rate=1e-3,seed=0",
        "attention=cmsa,learning_rate=2e-3,seed=0",
    ]
    assert len({cell.name for cell in cells}) == 8
    assert [cell.seed for cell in cells] == [0] * 4 + [7] * 4
    assert cells[-1].values == {"attention": "cmsa", "learning_rate": "2e-3"}
    recipe = load_recipe("digits", cells[-1].overrides)
    assert (recipe.seed, recipe.optimizer.learning_rate, recipe.model.options) == (7, 2e-3, {"attention": "cmsa"})


def test_entries_of_one_axis_change_together():
    axis = parse_axis(["model.input_size=[32,24],[64,48]", "data.train=[a.crops],[b.crops]", "codec=udp"])
    cells = cells_of([axis])
    assert [cell.name for cell in cells] == ["input_size=32-24", "input_size=64-48"]
    recipe = load_recipe("pose_coco_cmsa_s_32x24", cells[1].overrides)
    assert (recipe.model.input_size, recipe.data.train, recipe.codec) == ([64, 48], ["b.crops"], "udp")


@pytest.mark.parametrize("row", ["contest_mobilenetv4_small", pytest.param("contest_resnet18", marks=pytest.mark.slow)])
def test_the_same_pixels_enlarged_before_a_larger_network(row):
    """The sweep of docs/contest.md: what is seen grows, what comes in and goes out does not."""
    axis = parse_axis(["model.working_size=[32,24],[64,48],[128,96],[256,192]"])
    macs = []
    for cell in cells_of([axis]):
        network = build_network(load_recipe(row, cell.overrides)).eval()
        assert network.input_size == (32, 24)
        assert list(network.seen_size) == yaml.safe_load(cell.values["working_size"])
        with torch.inference_mode():
            assert network(torch.zeros(1, 3, 32, 24)).shape[:2] == (1, 17)
        macs.append(cost_of(network, network, (32, 24)).multiply_adds)
    assert all(more > 1.5 * less for less, more in pairwise(macs))


def test_names_of_axes_that_end_alike_are_whole():
    axes = [parse_axis(["model.name=cmsa_n"]), parse_axis(["data.name=a"]), parse_axis(["sigma=1"])]
    assert list(cells_of(axes)[0].values) == ["model.name", "data.name", "sigma"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["optimizer.epochs"], "is not ENTRY=VALUE,VALUE"),
        (["optimizer.epochs=1,,2"], "is not ENTRY=VALUE,VALUE"),
        (["--seed=1"], "is not ENTRY=VALUE,VALUE"),
        (["a=1,2,3", "b=1,2"], "as many values: a has 3, b has 2"),
        (["a=1", "a=2"], "names a twice"),
    ],
)
def test_what_is_no_axis_is_told(words, told):
    with pytest.raises(ValueError, match=told):
        parse_axis(words)


def test_cells_must_differ():
    with pytest.raises(ValueError, match="seed: set twice"):
        cells_of([parse_axis(["seed=1,2"])], [0])
    with pytest.raises(ValueError, match="codec=udp: two cells of this name"):
        cells_of([parse_axis(["codec=udp,udp"])])


def test_a_folder_name_is_one_any_system_takes():
    assert folder_name({"attention": "{cascade: additive, groups: false}"}) == "attention=cascade-additive-groups-false"
    assert folder_name({"train": "[../a b/c.crops]"}) == "train=..-ab-c.crops"
    assert folder_name({}) == "run"
    long = [folder_name({"dims": "1" * 300 + last}) for last in "23"]
    assert long[0] != long[1]
    assert all(len(name) <= LONGEST_NAME + 9 for name in long)
