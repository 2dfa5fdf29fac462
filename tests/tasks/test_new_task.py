"""A task that the library does not know, as ``docs/extend.md`` has it: trained, scored, exported, predicted."""

import ast
import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_people import TINY

from cmsa.data.crops import CropSpec
from cmsa.data.samples import Sample, sources_of
from cmsa.data.store import CropStore
from cmsa.data.store_writer import build_store
from cmsa.evaluation.evaluate import evaluate_recipe
from cmsa.evaluation.submit import submit
from cmsa.experiments.table import scores_to_come
from cmsa.export.formats import read_constants
from cmsa.export.run import ExportOptions, export
from cmsa.inference.files import predict_files
from cmsa.inference.predictor import Predictor
from cmsa.models.create import create_model, load_weights
from cmsa.models.heads.table import HEADS, head_of
from cmsa.models.weights import save_weights
from cmsa.runtime.sessions import open_exported
from cmsa.tasks import TASKS, commands, task_named
from cmsa.training.recipe import Recipe
from cmsa.training.train import train
from cmsa.training.view import view_recipe, view_store

ROOT = Path(__file__).parents[2]
SIZE = (16, 24)
LONGEST = 30


def code_of(section: str) -> str:
    """The first block of Python of a section of ``docs/extend.md``."""
    text = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8").split(f"\n## {section}\n")[1].split("\n## ")[0]
    found = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def tables():
    """The tables of tasks and heads, which are as before after a test."""
    both = (TASKS, HEADS)
    before = [dict(table) for table in both]
    yield both
    for table, entries in zip(both, before, strict=True):
        table.clear()
        table.update(entries)


@pytest.fixture
def brightness(tables):
    """The task, as long as a test runs."""
    exec(compile(code_of("A task"), "docs/extend.md", "exec"), {})


def picture(mean: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(-20, 20, (*SIZE, 3))
    return (255 * mean + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture
def store(tmp_path) -> CropStore:
    means = np.linspace(0.1, 0.9, 8, dtype=np.float32)
    samples = [Sample(picture(mean, place), {"brightness": mean}) for place, mean in enumerate(means)]
    spec = CropSpec.for_evaluation(SIZE, padding=1.0)
    meta = {"task": "brightness", "box_source": "whole pictures"}
    return build_store(tmp_path / "grey.crops", sources_of(samples, spec), spec, meta=meta, progress=False)


def test_it_is_short():
    lines = [line for line in code_of("A task").splitlines() if line.strip()]
    assert len(lines) <= LONGEST


def values(model, pictures) -> list[float]:
    predictor = Predictor(model)
    return [predictor(picture)[0].mean for picture in pictures]


def test_it_trains_and_is_scored_and_predicted(brightness, store, tmp_path, capsys):
    recipe = Recipe()
    recipe.model.name, recipe.model.task, recipe.model.input_size = "cmsa_n", "brightness", list(SIZE)
    recipe.model.options = dict(TINY)
    recipe.data.train = [str(store.folder)]
    recipe.data.validate = [str(shutil.copytree(store.folder, tmp_path / "held" / "grey.crops"))]
    recipe.augment.rotation_probability = 0.0
    recipe.optimizer.batch_size, recipe.optimizer.epochs, recipe.optimizer.warmup_epochs = 4, 1, 0
    run = train(recipe, tmp_path / "run", accelerator="cpu", progress=False)
    model = load_weights(run / "best.safetensors")
    assert model.description.task == "brightness"
    scores = evaluate_recipe(recipe, str(run / "best.safetensors"), flip_test=True)["grey"]
    plain = evaluate_recipe(recipe, str(run / "best.safetensors"))["grey"]
    errors = np.abs(values(model, store.crops) - store.labels["brightness"])
    assert plain == {"mae": pytest.approx(errors.mean(), abs=1e-5), "count": 8}
    assert scores["count"] == 8
    assert f"best val/mae {plain['mae']:.4f}" in capsys.readouterr().out
    assert scores_to_come([recipe]) is None  # it does not say them before


def test_what_it_says_besides(brightness, store, tmp_path):
    """Its labels are drawn, its answers ranked, and handed in."""
    exec(compile(code_of("What a task may say besides"), "docs/extend.md", "exec"), {})
    recipe = Recipe()
    recipe.model.name, recipe.model.task, recipe.model.input_size = "cmsa_n", "brightness", list(SIZE)
    recipe.data.train = recipe.data.validate = [str(store.folder)]
    recipe.optimizer.batch_size = 4
    assert view_store(store, 3).shape[0] == view_recipe(recipe, 3).shape[0]
    save_weights(tmp_path / "grey.safetensors", create_model("cmsa_n", "brightness", SIZE, **TINY))
    evaluate_recipe(recipe, str(tmp_path / "grey.safetensors"), gallery=tmp_path / "cases.png")
    assert (tmp_path / "cases.png").stat().st_size > 1000
    submit(recipe, str(tmp_path / "grey.safetensors"), tmp_path / "results.json")
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [set(entry) for entry in results] == [{"mean"}] * 8


@pytest.mark.slow
def test_it_is_exported(brightness, store, tmp_path):
    torch.manual_seed(0)
    model = create_model("cmsa_n", "brightness", SIZE, **TINY).eval()
    exported = export(model, tmp_path / "grey.onnx", options=ExportOptions(normalise=True, decode=True))
    assert exported.difference.what.name == "brightness"
    assert read_constants(exported.path)["outputs"] == {"brightness": "(B,): 0 to 1"}
    (out,) = open_exported(exported.path, threads=1).run(torch.from_numpy(np.array(store.crops)))
    np.testing.assert_allclose(out.numpy(), values(model, store.crops), atol=1e-5)


def test_the_command_predicts_it(brightness, tmp_path):
    assert "brightness" in commands()
    Image.fromarray(picture(0.5, 0)).save(tmp_path / "grey.png")
    model = create_model("cmsa_n", "brightness", SIZE, **TINY).eval()
    save_weights(tmp_path / "grey.safetensors", model)
    out = tmp_path / "out"
    options = {"weights": tmp_path / "grey.safetensors", "out": out, "save_pictures": "png"}
    assert predict_files("brightness", [tmp_path / "grey.png"], **options) == 0
    (record,) = json.loads((out / "brightness.json").read_text(encoding="utf-8"))
    (value,) = Predictor(model)(tmp_path / "grey.png")
    assert record["mean"] == pytest.approx(value.mean, abs=1e-4)
    assert (out / "brightness.csv").read_text(encoding="utf-8").splitlines()[0].endswith("height,mean")
    assert [path.stem for path in (out / "annotated").iterdir()] == ["grey"]


@pytest.fixture
def package(tables, tmp_path, monkeypatch):
    """An installed package that names the task's module, and a second one that is not there."""
    made = tmp_path / "lamps-1.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: lamps\nVersion: 1.0\n", encoding="utf-8")
    page = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8")
    told = re.search(r'```toml\n\[project\.entry-points\."cmsa\.tasks"\]\n(.*?)```', page, re.DOTALL)
    assert told is not None
    entries = told[1].replace('"', "")
    (made / "entry_points.txt").write_text(f"[cmsa.tasks]\n{entries}", encoding="utf-8")
    (tmp_path / "lamps").mkdir()
    (tmp_path / "lamps" / "__init__.py").touch()
    (tmp_path / "lamps" / "brightness.py").write_text(code_of("A task"), encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield made
    for name in ("lamps", "lamps.brightness"):
        sys.modules.pop(name, None)


def test_a_package_brings_it(package):
    assert "brightness" not in TASKS
    model = create_model("cmsa_n", "brightness", SIZE, **TINY)
    assert model(torch.zeros(2, 3, *SIZE)).shape == (2, 1)
    assert list(commands())[-1] == "brightness"
    assert task_named("brightness").result_name == "brightness"


def test_a_package_that_cannot_be_loaded_is_named(package):
    (package / "entry_points.txt").write_text("[cmsa.tasks]\nlost = lamps.lost\n", encoding="utf-8")
    for ask in (task_named, head_of):
        with pytest.raises(ValueError, match=r"task 'lost': lamps\.lost cannot be loaded"):
            ask("lost")


TABLES = {
    "models/heads/table.py": "the table of heads",
    "guidance/shipped.py": "the table of default weights",
    "models/released.py": "the authors' checkpoints are of pose",
    "models/create.py": "the default of create_model",
    "data/datasets/__init__.py": "the table of data sets, each made for a task",
    "training/recipe.py": "the default of a recipe",
    "training/protocols.py": "the table of protocols, with what each changes of a task",
    "inference/heads.py": "heads are those of people's keypoints",
    "app/tabs.py": "the table of the page's tabs",
    "cli/app.py": "the detectors of two tabs",
    "inference/stream.py": "streams are of people unless weights say otherwise",
    "benchmark/training.py": "the table of recipes that are measured, and its default",
    "benchmark/noise.py": "the table of made up labels",
    "benchmark/pipeline.py": "the default weights of the whole job's benchmark",
    "benchmark/serve.py": "the default weights of the server's benchmark",
    "experiments/published_rows.py": "tables of what is printed in percent, and of what the paper scored on",
    "edge/predictor.py": "the table of what a decoded file puts out, read without PyTorch",
    "benchmark/networks.py": "the networks that are measured are of pose",
}
"""Files outside ``tasks`` that may name a task, and why: as a key or a default, never to ask for it."""

NAMES = set(TASKS) | set(commands())
CLASSES = {task.__name__ for task in TASKS.values()}


def names_a_task(node: ast.AST) -> bool:
    """A text that is a task's name, or what the command line calls one."""
    return isinstance(node, ast.Constant) and node.value in NAMES


def asks_for_a_task(node: ast.AST) -> bool:
    """A comparison with a task's name, or a question for a task's class."""
    if isinstance(node, ast.Compare | ast.MatchValue):
        return any(map(names_a_task, ast.walk(node)))
    if isinstance(node, ast.Call) and ast.unparse(node.func) in ("isinstance", "issubclass"):
        return any(ast.unparse(part).split(".")[-1] in CLASSES for part in ast.walk(node.args[1]))
    return False


@pytest.mark.parametrize(
    ("code", "asks"),
    [
        ('if task == "pose": pass', True),
        ('x = 3 if model.task in ("head_pose", "other") else 4', True),
        ("match task:\n    case 'classification': pass", True),
        ("isinstance(self.task, PoseTask | int)", True),
        ("isinstance(task, (tasks.HeadPoseTask, int))", True),
        ('TABLE = {"pose": 3}', False),
        ('task = "pose"', False),
        ("isinstance(value, Keypoints)", False),
    ],
)
def test_the_rule_itself(code, asks):
    assert any(map(asks_for_a_task, ast.walk(ast.parse(code)))) is asks


def test_no_one_else_asks_which_task_it_is():
    package = ROOT / "src" / "cmsa"
    naming, asking = set(), set()
    for path in package.rglob("*.py"):
        name = path.relative_to(package).as_posix()
        if not name.startswith("tasks/"):
            nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
            naming |= {name for node in nodes if names_a_task(node)}
            asking |= {name for node in nodes if asks_for_a_task(node)}
    assert naming <= TABLES.keys(), f"name a task: {sorted(naming - TABLES.keys())}"
    assert not asking, f"ask which task it is: {sorted(asking)}"
