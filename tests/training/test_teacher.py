from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_people import SIZE, TINY, tiny_recipe, train_and_val

from cmsa.data.store import CropStore
from cmsa.models import create_model, save_weights
from cmsa.structures import COCO
from cmsa.tasks.classification import ClassificationTask
from cmsa.tasks.pose.task import PoseTask
from cmsa.training.module import TAUGHT
from cmsa.training.recipe import TeacherRecipe
from cmsa.training.teacher import Teacher
from cmsa.training.train import build_module, train


class Brightest:
    """Takes the brightest pixel for every keypoint; half as sure of every second one."""

    input_size = (4 * SIZE[0], 4 * SIZE[1])

    def __call__(self, crops):
        assert crops.dtype == torch.uint8
        assert crops.shape[1:3] == self.input_size
        flat = crops.float().sum(dim=3).flatten(1)
        top = flat.argmax(dim=1)
        width = crops.shape[2]
        place = torch.stack([top % width, top // width], dim=-1).float()
        scores = torch.ones(len(crops), len(COCO))
        scores[:, 1::2] = 0.5
        return place[:, None].expand(-1, len(COCO), -1), scores


class Taught(PoseTask):
    """Whatever the file, its network is the brightest pixel's."""

    def open_foreign(self, path, anchor="corner"):
        return Brightest()


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[CropStore]:
    return train_and_val(tmp_path_factory.mktemp("people"))


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A teacher twice as large as the student."""
    torch.manual_seed(0)
    path = tmp_path / "teacher.safetensors"
    model = create_model("cmsa_n", "pose", (2 * SIZE[0], 2 * SIZE[1]), **TINY)
    model.description = replace(model.description, names=COCO.names)
    save_weights(path, model)
    return path


def test_what_the_teacher_sees_lies_where_the_student_sees_it():
    """A dot in the stored crop, and maps that turn, shrink, shift and mirror."""
    teacher = Teacher(TeacherRecipe("any.onnx"), Taught(SIZE, SIZE), SIZE)
    crops = torch.zeros(3, 90, 80, 3, dtype=torch.uint8)
    dots = torch.tensor([[40.0, 30.0], [25.0, 55.0], [52.0, 44.0]])
    for crop, (x, y) in zip(crops, dots.int().tolist(), strict=True):
        crop[y - 2 : y + 3, x - 2 : x + 3] = 120
        crop[y, x] = 255
    matrices = torch.tensor(
        [
            [[0.15, 0.02, -0.5], [-0.02, 0.15, 1.0]],
            [[-0.14, 0.0, 10.0], [0.0, 0.14, 0.5]],
            [[0.0, 0.12, 1.0], [-0.12, 0.0, 14.0]],
        ]
    )
    expected = (matrices[:, :, :2] @ dots[:, :, None])[..., 0] + matrices[:, :, 2]
    labels = teacher.labels(crops, matrices)
    # A pixel of the teacher is a quarter of the student's.
    np.testing.assert_allclose(labels["keypoints"][:, 0, :2], expected, atol=0.2)
    assert labels["weight"][0, :2].tolist() == [1.0, 0.5]


def test_keypoints_of_which_the_teacher_is_not_sure_are_no_targets():
    teacher = Teacher(TeacherRecipe("any.onnx", threshold=0.6), Taught(SIZE, SIZE), SIZE)
    labels = teacher.labels(torch.zeros(1, 90, 80, 3, dtype=torch.uint8), torch.eye(2, 3)[None])
    assert labels["keypoints"][0, :, 2].tolist() == [float(index % 2 == 0) for index in range(17)]


def test_the_loss_is_shared_between_labels_and_teacher(stores, weights):
    recipe = tiny_recipe(*stores)
    recipe.teacher = TeacherRecipe(str(weights), share=0.25, threshold=0.0)
    module = build_module(recipe)
    images, targets = module.augment(stores[0].read(slice(4)))
    output = module.network(images)
    taught = {name.removeprefix(TAUGHT): value for name, value in targets.items() if name.startswith(TAUGHT)}
    by_labels, by_teacher = module.task.loss(output, targets), module.task.loss(output, taught)
    assert by_labels != by_teacher
    torch.testing.assert_close(module.loss(output, targets), 0.75 * by_labels + 0.25 * by_teacher)


def test_images_and_labels_are_those_without_a_teacher(stores, weights):
    """The teacher draws no random number of the augmentation's."""
    recipe = tiny_recipe(*stores)
    plain, targets = build_module(recipe).augment(stores[0].read(slice(4)))
    recipe.teacher = TeacherRecipe(str(weights))
    again, more = build_module(recipe).augment(stores[0].read(slice(4)))
    torch.testing.assert_close(again, plain)
    for name, value in targets.items():
        torch.testing.assert_close(more[name], value)


def test_a_student_trains_and_keeps_nothing_of_the_teacher(stores, weights, tmp_path):
    recipe = tiny_recipe(*stores, epochs=1)
    recipe.teacher = TeacherRecipe(str(weights))
    out = train(recipe, tmp_path / "run", progress=False)
    checkpoint = torch.load(out / "last.ckpt", weights_only=False)
    assert not [name for name in checkpoint["state_dict"] if "teacher" in name]
    assert (out / "last.safetensors").is_file()


def test_teachers_of_another_task_or_other_classes_are_refused(tmp_path, weights):
    with pytest.raises(ValueError, match="was trained for pose, the student is for classification"):
        Teacher(TeacherRecipe(str(weights)), ClassificationTask(3), (32, 32))
    path = tmp_path / "classes.safetensors"
    model = create_model("cmsa_n", "classification", num_classes=2, **TINY)
    model.description = replace(model.description, names=("cat", "dog"))
    save_weights(path, model)
    with pytest.raises(ValueError, match=r"its 2 names are not the student's 2"):
        Teacher(TeacherRecipe(str(path)), ClassificationTask(2, names=("dog", "cat")), (32, 32))


def test_classes_are_taught_as_probabilities(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "classes.safetensors"
    model = create_model("cmsa_n", "classification", num_classes=3, **TINY)
    save_weights(path, model)
    task = ClassificationTask(3)
    crops = torch.randint(0, 255, (2, 40, 40, 3), dtype=torch.uint8)
    labels = Teacher(TeacherRecipe(str(path)), task, (16, 16)).labels(crops, 0.4 * torch.eye(2, 3).expand(2, 2, 3))
    targets = task.encode(labels)
    torch.testing.assert_close(targets["probabilities"].sum(dim=1), torch.ones(2))
    assert targets["probabilities"].shape == (2, 3)
