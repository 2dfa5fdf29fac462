"""Help comes at once, and the examples in it are ones that the commands take."""

import argparse
import re
import shlex
import subprocess
import sys

import pytest

from cmsa.cli import predict
from cmsa.cli.main import COMMANDS, EXAMPLES, build_parser
from cmsa.data.datasets import data_set_names
from cmsa.tasks import TASKS, commands
from cmsa.training.recipe import load_recipe
from cmsa.training.recipe_files import recipe_path, rows_of

HEAVY = {"torch", "torchvision", "timm", "lightning", "cv2", "numpy", "scipy", "rich", "matplotlib", "onnxruntime"}
TEXTS = [("", EXAMPLES), *((name, module.EXAMPLES) for name, module in COMMANDS.items())]
GROUPS = [("predict", text) for text in (predict.WHERE, predict.WHAT, predict.MADE, predict.HOW)]
EXAMPLE = re.compile(r"(?:^ *|\| )(cmsa (?:.*\\\n)*.*)$", re.MULTILINE)
LINES = [(name, found) for name, text in TEXTS + GROUPS for found in EXAMPLE.findall(text)]
WIDTH = 80


@pytest.mark.parametrize("command", ["", *COMMANDS, "predict pose photos", "check --dataset folder"])
def test_help_imports_nothing_heavy(command):
    code = (
        "import sys\n"
        "from cmsa.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        f"finally:\n    print(*sorted({HEAVY} & set(sys.modules)), file=sys.stderr)\n"
    )
    words = [*command.split(), "--help"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: cmsa {command.partition(' ')[0]}".strip())
    assert done.stderr.strip() == ""


def test_the_list_of_weights_imports_nothing_heavy():
    heavy = HEAVY - {"numpy"}
    code = (
        "import sys\n"
        "from cmsa.cli.main import main\n"
        f"assert main(['models']) == 0\nprint(*sorted({heavy} & set(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""


def test_every_command_shows_an_example():
    assert {name for name, _ in LINES} == {"", *COMMANDS}
    assert all(line.startswith(f"cmsa {name}") for name, line in LINES)


@pytest.mark.parametrize("line", [line for _, line in LINES])
def test_examples_are_taken(line, capsys):
    words = shlex.split(line.replace("\\\n", " "))[1:]
    if words == ["COMMAND", "--help"]:
        return
    options, rest = build_parser().parse_known_args(words)
    assert not rest or options.takes_overrides
    if hasattr(options, "recipe"):
        try:
            recipe_path(options.recipe)
        except FileNotFoundError:  # of the user's own
            options.recipe = "pose_people_cmsa_n_32x24"
        for row in rows_of(options.recipe) or [""]:
            load_recipe(f"{options.recipe}:{row}" if row else options.recipe, rest)


def test_examples_stay_as_they_are_in_a_narrow_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    parser = build_parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    for name, line in LINES:
        told = (commands.choices[name] if name else parser).format_help().splitlines()
        shown = [part.strip() for part in told]
        parts = [part.strip() for part in line.splitlines()]
        assert any(
            text.endswith(parts[0]) and shown[at + 1 : at + len(parts)] == parts[1:] for at, text in enumerate(shown)
        )


@pytest.mark.parametrize(("name", "text"), TEXTS + GROUPS)
def test_examples_fit_into_a_terminal(name, text):
    indent = 2 * ((name, text) in GROUPS)
    too_long = [line for line in text.splitlines() if len(line) > WIDTH - indent]
    assert not too_long


def test_each_group_of_options_of_predict_has_its_example():
    (commands,) = (action for action in build_parser()._actions if isinstance(action, argparse._SubParsersAction))
    _, _, *groups = commands.choices["predict"]._action_groups
    assert [group.description for group in groups] == [text for _, text in GROUPS]
    for group in groups:
        shown = {word for word in group.description.split() if word.startswith("--")}
        of_group = {name for action in group._group_actions for name in action.option_strings}
        assert len(shown & of_group) >= 2


def test_help_names_what_there_is(capsys):
    def told(command):
        with pytest.raises(SystemExit):
            build_parser().parse_args([command, "--help"])
        return " ".join(capsys.readouterr().out.split())

    assert all(name in told("predict") for name in commands())
    assert all(name in told("benchmark") for name in TASKS)
    assert all(name in told("prepare") for name in data_set_names())
