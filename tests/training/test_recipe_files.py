"""One recipe or a table of them in a file."""

from pathlib import Path

import pytest

from cmsa.training.recipe import load_recipe
from cmsa.training.recipe_files import SHIPPED, merged, read_recipe, recipe_path, rows_of, shipped_names

TABLE = """
ours: not run
published: {AP: 1.0}
model: {name: cmsa_n, input_size: [16, 12], options: {fusion: linear, attention: grouped}}
data: {train: [a, b], validate: [c]}
rows:
  small: {title: one, published: {AR: 2.0}}
  large: {title: another, model: {name: cmsa_s, options: {fusion: mixer}}, data: {train: [d]}}
"""


@pytest.fixture
def table(tmp_path: Path) -> str:
    file = tmp_path / "table.yaml"
    file.write_text(TABLE, encoding="utf-8")
    return str(file)


def test_a_row_stands_over_what_all_have_in_common(table: str) -> None:
    assert rows_of(table) == ["small", "large"]
    small, large = (load_recipe(f"{table}:{row}") for row in rows_of(table))
    assert (small.title, small.model.name, small.data.train) == ("one", "cmsa_n", ["a", "b"])
    assert small.model.options == {"fusion": "linear", "attention": "grouped"}
    assert small.published == {"AR": 2.0}
    # The options of one network are not another's.
    assert (large.model.name, large.model.options) == ("cmsa_s", {"fusion": "mixer"})
    assert (large.model.input_size, large.data.train, large.data.validate) == ([16, 12], ["d"], ["c"])
    assert load_recipe(f"{table}:large", ["--model.options.attention=cmsa"]).model.options == {
        "fusion": "mixer",
        "attention": "cmsa",
    }


def test_what_is_not_there_is_named(table: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"is a table of recipes, name one of them as .*:ROW; there are small, large"):
        load_recipe(table)
    with pytest.raises(FileNotFoundError, match=r"has no row 'middle'; there are small, large"):
        load_recipe(f"{table}:middle")
    with pytest.raises(FileNotFoundError, match=r"digits\.yaml: is no table of recipes, there is no row 'small' in it"):
        load_recipe("digits:small")
    with pytest.raises(FileNotFoundError, match=r"no recipe 'nothing': neither"):
        load_recipe("nothing:small")
    assert rows_of("digits") == []
    assert rows_of(f"{table}:small") == []
    (tmp_path / "list.yaml").write_text("- a\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"list\.yaml: holds no entries of a recipe"):
        load_recipe(str(tmp_path / "list.yaml"))


def test_another_encoding_than_utf_8_is_told_with_its_byte(tmp_path: Path) -> None:
    text = "seed: 3\ntitle: Füße\n"
    (tmp_path / "latin.yaml").write_bytes(text.encode("latin-1"))
    told = r"latin\.yaml is no recipe: it must be UTF-8, and byte 17, 0xfc in line 2, is not$"
    with pytest.raises(ValueError, match=told):
        load_recipe(str(tmp_path / "latin.yaml"))
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "fine.yaml").write_bytes(text.encode(encoding))
        assert load_recipe(str(tmp_path / "fine.yaml")).title == "Füße"


def test_rows_of_shipped_tables_are_recipes_by_their_names() -> None:
    names = shipped_names()
    assert len(names) == len(set(names))
    assert "contest_cmsa_n" in names
    assert "contest_pose_32x24" not in names
    table = SHIPPED / "contest_pose_32x24.yaml"
    for known in ("contest_cmsa_n", "recipes/contest_cmsa_n", "contest_pose_32x24:contest_cmsa_n"):
        assert recipe_path(known) == table
        assert read_recipe(known)["title"].startswith("CMSA-N 32x24")


def test_merging_leaves_what_was_merged_alone() -> None:
    below = {"model": {"name": "a", "options": {"x": 1}}, "seed": 1}
    above = {"model": {"options": {"y": 2}}, "loss": "mse"}
    assert merged(below, above) == {"model": {"name": "a", "options": {"y": 2}}, "seed": 1, "loss": "mse"}
    assert below == {"model": {"name": "a", "options": {"x": 1}}, "seed": 1}


@pytest.mark.parametrize("name", ["recipes/digits.yml", "DIGITS.yaml", "somewhere/digit.yaml"])
def test_a_mistyped_path_is_met_halfway(name):
    with pytest.raises(FileNotFoundError, match=r"no recipe .*; did you mean digits\?"):
        read_recipe(name)


def test_a_mistyped_name_is_met_halfway():
    with pytest.raises(FileNotFoundError, match=r"no recipe 'digit': neither a file .*; did you mean digits\?"):
        read_recipe("digit")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("title: a\nseed: 1\nseed: 2\n", r"line 3: the entry seed stands there before"),
        ("optimizer: {epochs: 1, batch_size: 4, epochs: 2}\n", r"line 1: the entry epochs stands there before"),
        ("title: a\nkeypoints: &a {x: [*a]}\n", r"line 2: a value holds itself"),
        ("optimizer: 3\n", r"optimizer must hold entries of its own, got 3"),
        ("model: [a]\n", r"model must hold entries of its own, got \['a'\]"),
        ("data: {train: one.crops}\n", r"data\.train must be of the type list, got one\.crops"),
        ("seed: abc\n", r"seed must be of the type int, got abc"),
        ("optimizer:\n  epochs:\n", r"optimizer\.epochs has no value: give it one, or leave it out for 210$"),
        ("augment: {whole_pixels: null}\n", r"augment\.whole_pixels has no value"),
        ("model: {options: ~}\n", r"model\.options has no value"),
        ("title:\n", r"title has no value"),
        ("optimizer: {epochs: 010}\n", r"no recipe: line 1: 010 is the number 8 to YAML"),
        ("title: a\nseed: 1:30\n", r"line 2: 1:30 is the number 90 to YAML"),
        ("alpha: 1:30.5\n", r"line 1: 1:30\.5 is the number 90\.5 to YAML"),
        ("title: a\ncost: !!bool foo\n", r"line 2: foo cannot be read \(as bool\)"),
        ("cost: 2020-99-99\n", r"line 1: 2020-99-99 cannot be read \(as timestamp\)"),
        ("cost: !!timestamp foo\n", r"line 1: foo cannot be read \(as timestamp\)"),
        ("seed: " + "9" * 5000 + "\n", r"line 1: 9{60} cannot be read \(as int\)"),
        ("seed: " + "[" * 3000 + "]" * 3000 + "\n", r"mine\.yaml is no recipe: its values are nested too deeply"),
        ("protocol: nonsense\n", r"mine\.yaml: protocol is one of ours, release, not 'nonsense'$"),
        ("optimizer: {schedule: cosin}\n", r"schedule is one of cosine, step, not 'cosin'; did you mean cosine\?$"),
        ("model: {input_size: 16x12}\n", r"model\.input_size must be of the type list, got 16x12"),
    ],
)
def test_what_says_something_else_than_it_seems_to_is_refused(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=told) as caught:
        load_recipe(str(tmp_path / "mine.yaml"))
    assert len(str(caught.value)) < 300
    assert "class" not in str(caught.value)
    assert "Literal" not in str(caught.value)


def test_no_value_is_right_where_it_stands_for_something(tmp_path: Path) -> None:
    text = "loss:\nsigma: null\nmodel: {init: ~, working_size:}\ndata: {antialias:}\noptimizer: {epochs: 0x10}\n"
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    recipe = load_recipe(str(tmp_path / "mine.yaml"))
    assert (recipe.loss, recipe.sigma, recipe.model.init, recipe.data.antialias) == (None, None, None, None)
    assert recipe.optimizer.epochs == 16
