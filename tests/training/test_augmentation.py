from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny_people import SIZE, people_store, tiny_recipe, write_people

from cmsa.geometry.affine import apply_affine
from cmsa.tasks.pose.task import PoseTask
from cmsa.training.augmentation import augment_labelled, build_augmentation

STILL = {"scale_std": 0, "rotation_probability": 0, "flip_probability": 0, "half_body_probability": 0}


@pytest.fixture
def people(tmp_path):
    write_people(tmp_path, pictures=8)
    store = people_store(tmp_path, "people.crops", training=True)
    recipe = tiny_recipe(store, store)
    for name, value in STILL.items():
        setattr(recipe.augment, name, value)
    return build_augmentation(recipe, store), store.read(np.arange(len(store)))


def test_what_is_left_of_a_body_fills_the_image_as_a_whole_one_does(people):
    """The part's box, extended to the image's aspect, takes up 1 / 1.25 of it; its centre is the image's."""
    augmentation, batch = people
    task = PoseTask(SIZE, SIZE)
    generator = torch.Generator().manual_seed(0)
    _, whole, _ = augment_labelled(batch, augmentation, task, generator.manual_seed(0))
    augmentation.truncation = 1.0
    images, part, sample = augment_labelled(batch, augmentation, task, generator.manual_seed(0))
    zoom = part["matrices"][:, 0, 0] / whole["matrices"][:, 0, 0]
    assert (zoom > 1.02).any()
    assert (zoom > 1 - 1e-4).all()
    assert images.shape == (len(zoom), 3, *SIZE)
    hidden = (batch["keypoints"][..., 2] > 0) & (part["keypoints"][..., 2] == 0)
    assert hidden.any()
    xy = apply_affine(part["matrices"].float(), batch["keypoints"][..., :2].float())
    visible = part["keypoints"][..., 2] > 0
    encoded = task.encode(part)
    assert (encoded["weight"][~visible] == 0).all()
    # What is still labelled and within the image is what the targets show.
    inside = visible & (xy > 1).all(dim=-1) & (xy < torch.tensor([SIZE[1] - 2.0, SIZE[0] - 2.0])).all(dim=-1)
    found, _ = task.codec.decode(encoded["heatmaps"])
    torch.testing.assert_close(found[inside], xy[inside], atol=0.05, rtol=0)
    assert sample.matrices.shape == (len(zoom), 2, 3)


def test_by_default_nothing_is_cut_and_no_random_number_is_drawn_for_it(people):
    augmentation, batch = people
    first, labels, _ = augment_labelled(batch, augmentation, PoseTask(SIZE, SIZE), torch.Generator().manual_seed(5))
    direct, _ = augmentation(batch["crops"], torch.Generator().manual_seed(5), *PoseTask(SIZE, SIZE).body_points(batch))
    assert torch.equal(first, direct)
    assert torch.equal(labels["keypoints"], batch["keypoints"])


def test_a_task_without_bodies_says_so(people, tmp_path):
    class Bodiless(PoseTask):
        name = "things"

        def body_points(self, batch):
            return None, ()

    augmentation, batch = people
    augmentation.truncation = 0.5
    with pytest.raises(ValueError, match=r"augment.truncation_probability: things has no keypoints"):
        augment_labelled(batch, augmentation, Bodiless(SIZE, SIZE), torch.Generator())
