import numpy as np
import pytest
import torch

from cmsa.models.description import Description
from cmsa.structures import COCO, Box
from cmsa.tasks.described import keypoint_set
from cmsa.tasks.outputs import output_reader

BOXES = [Box(0, 0, 10, 20), Box(5, 6, 7, 8)]
MATRICES = [np.array([[0.5, 0, 1], [0, 0.25, 2]]), np.array([[1.0, 0, 0], [0, 1, 0]])]


def images(count=2, size=(32, 24)):
    return torch.arange(count, dtype=torch.float32).view(-1, 1, 1, 1).expand(count, 3, *size)


def test_keypoints_go_back_to_the_picture():
    reader = output_reader(Description("cmsa_n", "pose", (32, 24)), (32, 24))
    maps = torch.zeros(2, 17, 32, 24)
    maps[..., 10, 5] = 0.75
    people = reader.read(lambda _: maps, images(), MATRICES, BOXES, False)
    # crop (5, 10): (5 - 1) / 0.5, (10 - 2) / 0.25
    np.testing.assert_allclose(people[0].xy, np.tile([8, 32], (17, 1)), atol=1e-6)
    np.testing.assert_allclose(people[1].xy, np.tile([5, 10], (17, 1)), atol=1e-6)
    np.testing.assert_allclose(people[0].scores, 0.75)
    assert people[1].box == BOXES[1]
    assert people[0].names == COCO.names


def test_flip_test_swaps_sides_and_averages():
    reader = output_reader(Description("cmsa_n", "pose", (32, 24)), (32, 24))
    plain = torch.rand(1, 17, 32, 24)

    def network(batch):
        # Of the mirrored image, what a network that is blind to sides says: the mirror image of each partner's map.
        mirrored = float(batch[0, 0, 0, 0]) > float(batch[0, 0, 0, -1])
        return plain.flip(3)[:, list(COCO.flip_index)] if mirrored else plain

    ramp = torch.linspace(0, 1, 24).expand(1, 3, 32, 24)
    once = reader.read(network, ramp, MATRICES[1:], BOXES[1:], False)
    twice = reader.read(network, ramp, MATRICES[1:], BOXES[1:], True)
    np.testing.assert_allclose(twice[0].xy, once[0].xy, atol=1e-4)


def test_decoding_follows_the_description():
    description = Description("cmsa_n", "pose", (32, 24), decoding={"codec": "quarter", "sigma": 2})
    reader = output_reader(description, (32, 24))
    assert type(reader.task.codec).__name__ == "QuarterOffset"
    assert reader.task.codec.sigma == 2


def test_other_keypoints_keep_their_names_and_mirror_by_them():
    names = ("neck", "left_hand", "right_hand", "left_over")
    chosen = keypoint_set(names)
    assert chosen.names == names
    assert chosen.flip_pairs == ((1, 2),)
    assert keypoint_set(COCO.names) is COCO
    unnamed = output_reader(Description("cmsa_n", "pose", (32, 24), {"num_keypoints": 2}), (32, 24))
    assert unnamed.task.keypoint_set.names == ("keypoint_0", "keypoint_1")


def test_head_pose_of_6d_output_and_its_flip():
    reader = output_reader(Description("cmsa_n", "head_pose", (32, 32), {"head": "rotation_6d"}), (32, 32))
    frontal = torch.eye(3)[:2].flatten().expand(2, 6)
    heads = reader.read(lambda _: frontal, images(), MATRICES, BOXES, False)
    assert [(head.yaw, head.pitch, head.roll) for head in heads] == [(0, 0, 0)] * 2
    assert heads[1].box == BOXES[1]


def test_flip_test_of_head_pose_cancels_a_bias_to_one_side():
    reader = output_reader(Description("cmsa_n", "head_pose", (32, 32), {"head": "bins"}), (32, 32))
    logits = torch.full((1, 3, 66), -50.0)
    logits[0, :, 40] = 50  # 21 degrees, whatever the image
    plain = reader.read(lambda _: logits, images(1), MATRICES[:1], BOXES[:1], False)[0]
    flipped = reader.read(lambda _: logits, images(1), MATRICES[:1], BOXES[:1], True)[0]
    assert (plain.yaw, plain.pitch, plain.roll) == pytest.approx((21, 21, 21))
    assert (flipped.yaw, flipped.pitch, flipped.roll) == pytest.approx((0, 21, 0))


def test_classes_are_a_softmax_with_names():
    logits = torch.log(torch.tensor([[0.1, 0.7, 0.2], [0.5, 0.25, 0.25]]))
    named = output_reader(Description("cmsa_n", "classification", (32, 32), names=("cat", "dog", "owl")), (32, 32))
    scores = named.read(lambda _: logits, images(), MATRICES, BOXES, False)
    np.testing.assert_allclose(scores[0].probabilities, [0.1, 0.7, 0.2], rtol=1e-5)
    assert scores[0].top(1)[0][0] == "dog"
    unnamed = output_reader(Description("cmsa_n", "classification", (32, 32)), (32, 32))
    assert unnamed.read(lambda _: logits, images(), MATRICES, BOXES, True)[1].names == ("0", "1", "2")
