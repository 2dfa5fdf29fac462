"""What every task does: it follows the description, and its values are those of the full picture."""

import numpy as np
import pytest
import torch

from cmsa.models.description import Description
from cmsa.structures import COCO, Box
from cmsa.tasks import TASKS, commands, task_named

BOXES = [Box(0, 0, 10, 20), Box(5, 6, 7, 8)]
MATRICES = [np.array([[0.5, 0, 1], [0, 0.25, 2]]), np.array([[1.0, 0, 0], [0, 1, 0]])]


def described(task, size=(32, 32), *args, **fields):
    return task_named(task).from_description(Description("cmsa_n", task, size, *args, **fields), (32, 24))


def read(task, network, images, boxes=slice(None), flip_test=False):
    return task.values(task.predict(network, images, flip_test), MATRICES[boxes], BOXES[boxes])


def images(count=2, size=(32, 24)):
    return torch.arange(count, dtype=torch.float32).view(-1, 1, 1, 1).expand(count, 3, *size)


def test_keypoints_go_back_to_the_picture():
    maps = torch.zeros(2, 17, 32, 24)
    maps[..., 10, 5] = 0.75
    people = read(described("pose", (32, 24)), lambda _: maps, images())
    # crop (5, 10): (5 - 1) / 0.5, (10 - 2) / 0.25
    np.testing.assert_allclose(people[0].xy, np.tile([8, 32], (17, 1)), atol=1e-6)
    np.testing.assert_allclose(people[1].xy, np.tile([5, 10], (17, 1)), atol=1e-6)
    np.testing.assert_allclose(people[0].scores, 0.75)
    assert people[1].box == BOXES[1]
    assert people[0].names == COCO.names


def test_flip_test_swaps_sides_and_averages():
    task = described("pose", (32, 24))
    plain = torch.rand(1, 17, 32, 24)

    def network(batch):
        # Of the mirrored image, what a network that is blind to sides says: the mirror image of each partner's map.
        mirrored = float(batch[0, 0, 0, 0]) > float(batch[0, 0, 0, -1])
        return plain.flip(3)[:, list(COCO.flip_index)] if mirrored else plain

    ramp = torch.linspace(0, 1, 24).expand(1, 3, 32, 24)
    once, twice = (read(task, network, ramp, slice(1, 2), flip_test) for flip_test in (False, True))
    np.testing.assert_allclose(twice[0].xy, once[0].xy, atol=1e-4)


def test_decoding_follows_the_description():
    task = described("pose", (32, 24), decoding={"codec": "quarter", "sigma": 2})
    assert type(task.codec).__name__ == "QuarterOffset"
    assert task.codec.sigma == 2


def test_keypoints_are_called_as_the_description_says():
    named = described("pose", (32, 24), names=("neck", "left_hand", "right_hand"))
    assert named.keypoint_set.names == ("neck", "left_hand", "right_hand")
    assert named.keypoint_set.flip_pairs == ((1, 2),)
    assert described("pose", (32, 24)).keypoint_set == COCO
    unnamed = described("pose", (32, 24), {"num_keypoints": 2})
    assert unnamed.keypoint_set.names == ("keypoint_0", "keypoint_1")


def test_names_of_another_number_of_keypoints_are_told_before_the_first_picture():
    with pytest.raises(ValueError, match="there are 17 keypoints, and names for 2"):
        described("pose", (32, 24), names=("nose", "chin"), options={"num_keypoints": 17})
    with pytest.raises(ValueError, match="there are 5 classes, and names for 2"):
        described("classification", names=("cat", "dog"), options={"num_classes": 5})


def test_head_pose_of_6d_output():
    frontal = torch.eye(3)[:2].flatten().expand(2, 6)
    heads = read(described("head_pose", (32, 32), {"head": "rotation_6d"}), lambda _: frontal, images())
    assert [(head.yaw, head.pitch, head.roll) for head in heads] == [(0, 0, 0)] * 2
    assert heads[1].box == BOXES[1]


def test_flip_test_of_head_pose_cancels_a_bias_to_one_side():
    task = described("head_pose", (32, 32), {"head": "bins"})
    logits = torch.full((1, 3, 66), -50.0)
    logits[0, :, 40] = 50  # 21 degrees, whatever the image
    plain, flipped = (read(task, lambda _: logits, images(1), slice(0, 1), flip)[0] for flip in (False, True))
    assert (plain.yaw, plain.pitch, plain.roll) == pytest.approx((21, 21, 21))
    assert (flipped.yaw, flipped.pitch, flipped.roll) == pytest.approx((0, 21, 0))


def test_classes_are_a_softmax_with_names():
    logits = torch.log(torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]]))
    named = described("classification", names=("cat", "dog", "owl"))
    scores = read(named, lambda _: logits, images())
    np.testing.assert_allclose(scores[0].probabilities, [0.1, 0.7, 0.2], rtol=1e-5)
    assert scores[0].top(1)[0][0] == "dog"
    unnamed = described("classification", (32, 32), {"num_classes": 3})
    assert read(unnamed, lambda _: logits, images(), flip_test=True)[1].names == ("0", "1", "2")


def test_the_table_knows_tasks_by_their_own_names():
    assert [(name, task.name) for name, task in TASKS.items()] == [(name, name) for name in TASKS]
    assert list(commands()) == ["pose", "head-pose", "classify"]
    with pytest.raises(ValueError, match="no task 'depth'; there are pose, head_pose, classification"):
        task_named("depth")


def test_a_model_that_names_no_codec_has_one_that_reads_its_head():
    simcc = described("pose", (32, 24), {"head": "simcc", "split": 3.0}).codec
    assert (type(simcc).__name__, simcc.bins) == ("SimCC", (72, 96))
    assert type(described("pose", (32, 24)).codec).__name__ == "UDP"
