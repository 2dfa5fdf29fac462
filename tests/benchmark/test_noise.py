import pytest
import torch

from cmsa.benchmark.noise import noise_store
from cmsa.data.datasets import FACES
from cmsa.geometry.affine import apply_affine


@pytest.mark.parametrize("task", ["pose", "head_pose", "classification"])
def test_batches_are_as_if_prepared(task):
    store = noise_store(task, (16, 12), 5)
    batch = store.read([0, 3])
    assert batch["crops"].shape == (2, *store.spec.store_size, 3)
    assert store.spec.size == (16, 12)
    names = {"pose": "keypoints", "head_pose": "angles", "classification": "label"}
    assert batch.keys() == {"crops", "matrix", names[task]}
    assert store.meta["task"] == task


def test_keypoints_lie_in_the_middle_of_the_stored_crop():
    store = noise_store("pose", (16, 12), 50)
    batch = store.read(slice(None))
    points = apply_affine(batch["matrix"], batch["keypoints"][..., :2])
    height, width = store.spec.store_size
    middle = torch.tensor([(width - 1) / 2, (height - 1) / 2])
    # The input is 12 x 16 pixels, 1.5 stored ones each; a place of 0..12 is at most 6.5 from 5.5.
    assert ((points - middle).abs() <= 1.5 * torch.tensor([6.5, 8.5])).all()
    assert (points - middle).abs().amax(dim=(0, 1)).ge(torch.tensor([8.0, 11.0])).all()
    assert (batch["keypoints"][..., 2] == 2).all()


def test_faces_have_the_room_of_prepared_ones():
    spec = noise_store("head_pose", (32, 32), 1).spec
    # A square turned by 45 degrees, 1.35 times as large, at 1.5 pixels each.
    scale, rotation = FACES.room or (0, 0)
    assert rotation == 45
    assert spec.store_size[0] == pytest.approx(32 * 2**0.5 * scale * 1.5, abs=1)
    assert spec.padding == 1
