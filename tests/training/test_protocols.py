"""What a recipe of a row of the paper holds in each protocol, and what stands above the protocol."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from cmsa.training.protocols import CMSA_OPTIONS, PROTOCOLS
from cmsa.training.recipe import DataRecipe, OptimizerRecipe, Recipe, load_recipe
from cmsa.training.recipe_checks import leaves
from cmsa.training.recipe_files import read_recipe, shipped_names
from cmsa.training.starting_point import check_antialiasing

PAGE = Path(__file__).parents[2] / "docs" / "protocols.md"
ROWS = [name for name in shipped_names() if read_recipe(name).get("protocol")]


def entries(protocol: str, task: str) -> dict[str, object]:
    """What the table says, by the names of entries."""
    found: dict[str, object] = {}
    for key, value in PROTOCOLS[protocol][task].items():
        found |= {f"{key}.{name}": part for name, part in value.items()} if isinstance(value, dict) else {key: value}
    return found


@pytest.mark.parametrize("protocol", ["ours", "release"])
@pytest.mark.parametrize("name", ["pose_coco_cmsa_s_32x24", "head_pose_cmsa_l_64x64", "cifar100_cmsa_b"])
def test_a_row_holds_what_its_protocol_says(name: str, protocol: str) -> None:
    recipe = load_recipe(name, [f"--protocol={protocol}"])
    assert recipe.protocol == protocol
    found = dict(leaves(recipe))
    table = entries(protocol, recipe.model.task)
    assert table
    assert {key: found[key] for key in table} == table
    assert CMSA_OPTIONS[protocol][recipe.model.task].items() <= recipe.model.options.items()


def test_rows_are_of_ours_if_nothing_else_is_said() -> None:
    assert {read_recipe(name)["protocol"] for name in ROWS} == {"ours"}
    assert {name for name in shipped_names() if "_coco_cmsa" in name or name.startswith("head_pose_cmsa")} <= set(ROWS)


def test_what_is_written_out_stands_above_the_protocol(tmp_path: Path) -> None:
    recipe = load_recipe(
        "pose_coco_cmsa_s_32x24", ["--protocol=release", "--codec=dark", "--model.options.fusion=mixer"]
    )
    assert (recipe.codec, recipe.model.options["fusion"]) == ("dark", "mixer")
    assert recipe.optimizer.learning_rate_rule == "deit"
    file = tmp_path / "mine.yaml"
    file.write_text("protocol: release\nmodel: {name: timm/resnet50}\naugment: {erasing_probability: 0.1}\n")
    recipe = load_recipe(str(file))
    assert (recipe.augment.erasing_probability, recipe.data.antialias) == (0.1, False)
    # The options are CMSA's.
    assert recipe.model.options == {}
    # The starred rows of L have the mixer's parameters in the paper, in both protocols.
    assert load_recipe("pose_coco_cmsa_l_64x48_step", ["--protocol=release"]).model.options["fusion"] == "mixer"
    # As it was run: nothing is left open, and to read it again changes nothing.
    recipe = load_recipe("cifar100_cmsa_s", ["--protocol=release"])
    file.write_text(yaml.safe_dump(recipe.to_dict()), encoding="utf-8")
    assert load_recipe(str(file)) == recipe
    assert load_recipe("digits").protocol == ""


def test_the_learning_rate_follows_the_processes_as_the_entry_says() -> None:
    for rule, processes, expected in [
        ("fixed", 8, 2.5e-3),
        ("linear", 8, 0.02),
        ("deit", 1, 2.5e-3 * 32 / 512),
        ("deit", 8, 2.5e-3 * 32 * 8 / 512),
    ]:
        settings = OptimizerRecipe(learning_rate_rule=rule, batch_size=32).scaled(processes)
        assert settings.learning_rate == pytest.approx(expected)
        # The end of the cosine stays where it is.
        assert settings.learning_rate * settings.learning_rate_factor(1000, 1000) == pytest.approx(1e-5)


def test_the_page_has_the_table() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for protocol in PROTOCOLS:
        for task in PROTOCOLS[protocol]:
            for name in [*entries(protocol, task), *CMSA_OPTIONS[protocol][task]]:
                assert re.search(rf"[`.]{name.rpartition('.')[2]}`", page), name


@pytest.mark.parametrize("found", [True, False])
def test_a_store_that_was_cut_otherwise_is_refused(found: bool) -> None:
    store = SimpleNamespace(folder="people.crops", spec=SimpleNamespace(antialias=found))
    for protocol, wanted in (("ours", True), ("release", False), ("", None)):
        recipe = Recipe(protocol=protocol, data=DataRecipe(antialias=wanted))
        if wanted in (None, found):
            check_antialiasing(recipe, store)
            continue
        told = rf"people.crops: crops are .*protocol {protocol}.*data.antialias {str(wanted).lower()}: prepare it"
        with pytest.raises(ValueError, match=told):
            check_antialiasing(recipe, store)
