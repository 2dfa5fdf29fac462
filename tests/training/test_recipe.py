import json
import re
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import yaml

from cmsa.models.base import BaseNetwork
from cmsa.models.cost import cost_of
from cmsa.training import recipe_checks
from cmsa.training.recipe import OptimizerRecipe, Recipe, load_recipe
from cmsa.training.recipe_files import SHIPPED, read_recipe, recipe_path, rows_of, shipped_names
from cmsa.training.starting_point import build_network

NAMES = shipped_names()


def test_entries_and_overrides(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("title: mine\nloss: cross_entropy\nmodel: {name: cmsa_n, input_size: [16, 12]}\n", encoding="utf-8")
    recipe = load_recipe(
        str(file), ["--optimizer.epochs", "3", "--data.train", "[a, b]", "--model.options.fusion=linear"]
    )
    assert (recipe.title, recipe.loss, recipe.model.name, recipe.model.input_size) == (
        "mine",
        "cross_entropy",
        "cmsa_n",
        [16, 12],
    )
    assert recipe.optimizer.epochs == 3
    assert recipe.data.train == ["a", "b"]
    assert recipe.model.options == {"fusion": "linear"}
    # What was not said keeps its default.
    assert recipe.optimizer.learning_rate == OptimizerRecipe().learning_rate


@pytest.mark.parametrize(
    "override",
    [
        ["--model.options", "{attention: {cascade: additive}}"],
        ["--model.options.attention={cascade: additive}"],
    ],
)
def test_an_option_on_the_command_line_leaves_the_others(tmp_path: Path, override: list[str]) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("model: {options: {fusion: linear, attention: cmsa}}\n", encoding="utf-8")
    options = load_recipe(str(file), override).model.options
    assert options == {"fusion": "linear", "attention": {"cascade": "additive"}}


@pytest.mark.parametrize(
    ("override", "named"),
    [
        (["--optimizr.epochs", "3"], "--optimizr.epochs"),
        (["--optimizer.epochs", "many"], "optimizer.epochs"),
        (["--sigma", "wide"], "sigma"),
        (["--optimizer.schedule", "linear"], "optimizer.schedule"),
    ],
)
def test_unknown_and_wrong_entries_are_named_in_one_line(override: list[str], named: str) -> None:
    with pytest.raises(ValueError, match=named) as caught:
        load_recipe("pose_coco_cmsa_s_32x24", override)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "told"),
    [
        (["--optimizer.learning_rate", "0"], "optimizer.learning_rate must be above 0, got 0"),
        (["--optimizer.learning_rate", "nan"], ".*optimizer.learning_rate.* nan"),
        (["--optimizer.learning_rate", "1e400"], "optimizer.learning_rate must be a finite number, got inf"),
        (["--optimizer.batch_size", "1" + "0" * 400], "optimizer.batch_size must be a finite number, got 1000"),
        (["--optimizer.final_learning_rate", "-1"], "optimizer.final_learning_rate must be at least 0, got -1"),
        (["--optimizer.epochs", "0"], "optimizer.epochs must be at least 1, got 0"),
        (["--optimizer.epochs", "-1"], "optimizer.epochs must be at least 1, got -1"),
        (["--optimizer.batch_size", "0"], "optimizer.batch_size must be at least 1, got 0"),
        (["--optimizer.ema_decay", "1"], "optimizer.ema_decay must be below 1, got 1"),
        (["--optimizer.step_epochs", "[-3]"], r"optimizer.step_epochs must be at least 0, got \[-3\]"),
        (["--optimizer.step_epochs", "[9, 9]"], r"optimizer.step_epochs must increase, got \[9, 9\]"),
        (["--data.validate", "[a.crops, ./b/../a.crops/]"], "data.validate names ./b/../a.crops/ twice"),
        (["--model.input_size", "[16]"], r"model.input_size must be \[height, width\], each 1 to 4096, got \[16\]"),
        (["--model.input_size", "[16, 0]"], r"model.input_size must be .* got \[16, 0\]"),
        (["--augment.scale_limits", "[1]"], r"augment.scale_limits must be \[least, most\], .* got \[1"),
        (["--augment.scale_limits", "[1.5, 0.5]"], r"augment.scale_limits must be .* got \[1.5, 0.5\]"),
        (["--augment.supersample", "0"], "augment.supersample must be at least 1, got 0"),
        (["--augment.flip_probability", "1.5"], "augment.flip_probability must be at most 1, got 1.5"),
        (["--label_smoothing", "1"], "label_smoothing must be below 1, got 1"),
        (["--data.fraction", "0"], "data.fraction must be above 0, got 0"),
        (["--data.fraction", "1.1"], "data.fraction must be at most 1, got 1.1"),
        (["--optimizer.samples", "-1"], "optimizer.samples must be at least 0, got -1"),
        (["--data.workers", "-1"], "data.workers must be at least 0, got -1"),
        (["--seed", "-1"], "seed must be at least 0, got -1"),
        (["--seed", "99999999999"], "seed must be at most 4294967295"),
    ],
)
def test_numbers_out_of_range_are_named_with_their_range(override: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=f"recipe digits: {told}") as caught:
        load_recipe("digits", override)
    assert "\n" not in str(caught.value)


def test_every_range_is_of_an_entry_that_there_is() -> None:
    names = dict(recipe_checks.leaves(Recipe()))
    for table in (recipe_checks.LEAST, recipe_checks.MOST, recipe_checks.ABOVE, recipe_checks.BELOW):
        assert table.keys() <= names.keys()
    numbers = {name for name, value in names.items() if isinstance(value, int | float) and not isinstance(value, bool)}
    assert numbers - recipe_checks.LEAST.keys() - recipe_checks.ABOVE.keys() == set()


@pytest.mark.parametrize(
    "name", ["/no/such/folder/digits.yaml", "no/digits", "recipes/none.yaml", "digits.yaml", "a/recipes/digits"]
)
def test_a_mistyped_path_is_not_taken_for_another_recipe(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"no recipe '{name}'"):
        recipe_path(name)
    for known in ("digits", "recipes/digits", "recipes/digits.yaml"):
        assert recipe_path(known) == SHIPPED / "digits.yaml"
    (tmp_path / "digits.yaml").touch()
    assert recipe_path("digits.yaml") == Path("digits.yaml")


def test_a_missing_recipe_names_the_nearest() -> None:
    with pytest.raises(FileNotFoundError, match=r"no recipe 'pose_coco'.*there are \d+ \(cmsa recipes lists them\)"):
        load_recipe("pose_coco")
    with pytest.raises(FileNotFoundError, match=r"did you mean pose_coco_cmsa_s_32x24"):
        load_recipe("pose_coco_cmsa_s_32x42")
    assert recipe_path("recipes/pose_coco_cmsa_s_32x24.yaml") == SHIPPED / "paper_pose.yaml"


def test_plain_values_are_the_yaml_file(tmp_path: Path) -> None:
    recipe = Recipe(title="there and back", published={"AP": 52.3})
    file = tmp_path / "copy.yaml"
    file.write_text(yaml.safe_dump(recipe.to_dict()), encoding="utf-8")
    assert load_recipe(str(file)) == recipe


@pytest.mark.parametrize("name", NAMES)
def test_shipped_recipes_say_what_they_are(name: str) -> None:
    content = read_recipe(name)
    assert content["title"]
    assert re.match("not run|.*[0-9][.][0-9]", content["ours"]), "neither a score nor that nobody ran it"
    assert content["cost"]
    data = content["data"]
    assert data["train"]
    assert data["validate"]
    if name.startswith("pose_coco_cmsa_"):
        height, width = name.split("_")[4].split("x")
        assert content["model"]["input_size"] == [int(height), int(width)]
        assert content["model"]["name"] == "_".join(name.split("_")[2:4])
        assert load_recipe(name).optimizer.schedule == ("step" if name.endswith("step") else "cosine")
        assert 0 < content["published"]["AP"] < 100


@pytest.mark.parametrize(
    ("overrides", "kept"),
    [
        ([], True),
        (["--optimizer.epochs", "3", "--model.init", "mine.safetensors"], True),
        (["--model.input_size", "[64, 48]"], False),
        (["--model.name", "cmsa_n"], False),
        (["--model.options.attention", "grouped"], False),
    ],
)
def test_what_is_published_is_of_the_recipe_s_own_network(overrides: list[str], kept: bool) -> None:
    assert bool(load_recipe("pose_coco_cmsa_s_32x24", overrides).published) == kept


def test_every_shipped_recipe_loads() -> None:
    for name in NAMES:
        assert load_recipe(name).title


def test_substitutes_of_table_3_stand_at_both_sizes() -> None:
    """Of those rivals that the paper scored itself, or whose size is that of its rows."""
    titles = [load_recipe(row).title for row in rows_of("paper_head_pose")]
    for name in ("TokenHPE-v2", "6DRepNet", "FSA-Net"):
        sizes = [title.rpartition(") ")[2] for title in titles if f"(substitute of {name})" in title]
        assert sizes == ["32x32, 300W-LP", "64x64, 300W-LP"]


def test_every_network_of_cifar_100_has_a_row_of_cifar_10() -> None:
    rows = rows_of("paper_classification")
    assert {row.replace("cifar100", "cifar10") for row in rows if row.startswith("cifar100")} == {
        row for row in rows if row.startswith("cifar10_")
    }
    for row in rows:
        recipe, data = load_recipe(row), row.partition("_")[0]
        assert recipe.model == load_recipe(row.replace(data, "cifar100")).model
        assert recipe.data.train + recipe.data.validate == [f"stores/{data}-{part}.crops" for part in ("train", "test")]
        assert recipe.title.endswith({"cifar10": "CIFAR-10", "cifar100": "CIFAR-100"}[data])


def test_cosine_schedule() -> None:
    settings = OptimizerRecipe(epochs=10, learning_rate=2e-3, final_learning_rate=2e-5, warmup_epochs=2)
    steps = 100
    assert settings.learning_rate_factor(0, steps) == pytest.approx(1 / 21)
    assert settings.learning_rate_factor(19, steps) == pytest.approx(20 / 21)
    assert settings.learning_rate_factor(20, steps) == 1
    assert settings.learning_rate_factor(60, steps) == pytest.approx((1 + 0.01) / 2)
    assert settings.learning_rate_factor(100, steps) == pytest.approx(0.01)
    assert settings.learning_rate_factor(120, steps) == pytest.approx(0.01)


def test_step_schedule() -> None:
    settings = OptimizerRecipe(epochs=10, schedule="step", step_epochs=[6, 8], warmup_epochs=0)
    factors = [settings.learning_rate_factor(step, 100) for step in (0, 59, 60, 79, 80, 99)]
    assert factors == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def others_networks(names: list[str]) -> list[object]:
    """All recipes; of timm's large networks, which take seconds each, only when everything is run."""
    large = re.compile("hrnet|vit_b_|swin|deit|convnext|mobilevit|figure_3_eff")
    return [pytest.param(name, marks=[pytest.mark.exhaustive] if large.search(name) else []) for name in names]


@pytest.fixture(scope="module")
def built() -> dict[str, BaseNetwork]:
    """By what recipes say of their networks: many differ in the training only, and building takes a while."""
    return {}


@pytest.mark.parametrize("name", others_networks(NAMES))
def test_every_recipe_builds_its_network(name: str, built: dict[str, BaseNetwork]) -> None:
    """Without numbers: names and options that are not known are refused."""
    recipe = load_recipe(name)
    # Weights to start from come of other runs.
    recipe.model.init = None
    said = json.dumps(asdict(recipe.model), default=str)
    if said not in built:
        with torch.device("meta"):
            built[said] = build_network(recipe)
            recipe.model.options["fusoin"] = "linear"
            with pytest.raises(ValueError, match="has no option fusoin; there are"):
                build_network(recipe)
    assert built[said].input_size == tuple(recipe.model.input_size)
    assert built[said].description.task == recipe.model.task


SAMPLES = {
    "paper_pose": "149,813 people",
    "paper_figure_3": "149,813 people",
    "paper_head_pose": "122,450 faces",
    "paper_classification": "50,000 images",
}
"""Of an epoch of a table's rows."""
COUNTED = {"pose_coco_cmsa_b_64x48", "head_pose_mobilenetv4_small_64x64", "cifar100_pvtv2_b1"}
"""Rows whose cost is looked at each time; of all others, which take a second or more each, when everything is run."""


@pytest.mark.parametrize(
    ("table", "row"),
    [
        pytest.param(table, row, marks=[] if row in COUNTED else pytest.mark.exhaustive)
        for table in SAMPLES
        for row in rows_of(table)
    ],
)
def test_what_a_row_would_cost(table: str, row: str) -> None:
    """Six times the multiply-adds of the network as it is trained, for each image that is seen."""
    recipe, seen = load_recipe(row), SAMPLES[table]
    with torch.device("meta"):
        network = build_network(recipe).eval()
        products = cost_of(network, network, recipe.model.size).with_attention
    epochs = recipe.optimizer.epochs
    flop = 6 * products * int(seen.partition(" ")[0].replace(",", "")) * epochs
    said = f"about {flop / 1e18:#.2g} EFLOP of matrix products ({seen}, {epochs} epochs); no time was measured"
    assert recipe.cost == said


def test_every_row_of_the_paper_says_its_cost() -> None:
    for table, seen in SAMPLES.items():
        for row in rows_of(table):
            assert re.fullmatch(rf"about \d+\.\d+ EFLOP of .*\({seen}, \d+ epochs\); .*", read_recipe(row)["cost"])


@pytest.mark.parametrize(
    ("samples", "available", "processes", "expected"),
    [
        (0, 100, 1, (12, None)),
        (9600, 100, 1, (12, 50)),  # shorter epochs than the recipe's
        (32000, 100, 1, (20, 100)),  # more epochs, for there are no more samples in one
        (32000, 50, 2, (20, 50)),
        (64, 100, 1, (4, 1)),  # fewer batches than epochs
        (1, 100, 1, (1, 1)),
    ],
)
def test_a_budget_of_samples_is_cut_into_epochs(
    samples: int, available: int, processes: int, expected: tuple[int, int | None]
) -> None:
    settings = OptimizerRecipe(epochs=12, batch_size=16, samples=samples)
    epochs, batches = settings.epochs_and_batches(available, processes)
    assert (epochs, batches) == expected
    assert batches is None or abs(epochs * batches * 16 * processes - samples) <= 16 * processes * epochs


def test_what_is_done_to_one_recipe_is_not_done_to_the_next() -> None:
    """Defaults are no common lists, though all recipes are read by one parser."""
    untouched = load_recipe("pose_finetune")
    touched = load_recipe("pose_finetune")
    touched.optimizer.step_epochs.append(1)
    touched.augment.scale_limits[0] = 0.1
    touched.model.options["fusion"] = "mixer"
    touched.model.input_size[0] = 1
    touched.data.prepare.append("x")
    touched.data.validate.append("x")
    touched.keypoints["sigmas"] = []
    touched.published["AP"] = 1
    assert load_recipe("pose_finetune") == untouched
    assert load_recipe("digits") != touched


def test_the_beginning_of_an_entry_is_not_taken_for_it():
    with pytest.raises(ValueError, match=r"recipe digits: .*optimizer\.epoch"):
        load_recipe("digits", ["--optimizer.epoch", "3"])
