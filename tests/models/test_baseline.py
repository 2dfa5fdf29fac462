import pytest
import torch

from cmsa.models.baseline import SimpleBaseline, create_baseline
from cmsa.tasks.head_pose import HeadPoseTask


@pytest.mark.parametrize(
    ("name", "task", "size", "options", "shape"),
    [
        ("simple_baseline_18", "pose", (32, 24), {}, (2, 17, 8, 6)),
        ("simple_baseline_18", "pose", (40, 24), {"num_keypoints": 5}, (2, 5, 10, 6)),
        ("resnet18", "head_pose", (32, 48), {}, (2, 3, 3, 5)),
        ("resnet18", "head_pose", (64, 64), {"head": "bins", "stem": "imagenet"}, (2, 3, 66)),
        ("resnet18", "head_pose", (32, 32), {"head": "rotation_6d"}, (2, 6)),
        ("resnet18", "classification", (32, 32), {"num_classes": 10}, (2, 10)),
    ],
)
def test_outputs(name, task, size, options, shape):
    network = create_baseline(name, task, size, **options).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 3, *size)).shape == shape


def test_the_small_stem_keeps_the_pixels():
    network = create_baseline("resnet18", "classification", (32, 32), num_classes=100)
    # The usual ResNet-18 for CIFAR has 11,220,132 parameters for 100 classes; the head adds a LayerNorm of 512.
    assert sum(parameter.numel() for parameter in network.parameters()) == 11_220_132 + 2 * 512
    assert network.backbone(torch.zeros(1, 3, 32, 32)).shape == (1, 512, 4, 4)


def test_soft_stagewise_regression_reads_the_last_map():
    network = create_baseline("resnet18", "head_pose", (32, 32)).eval()
    with torch.inference_mode():
        (angles,) = HeadPoseTask("ssr").decode(network(torch.rand(3, 3, 32, 32)))
    assert angles.shape == (3, 3)
    assert torch.isfinite(angles).all()


def test_unknown_pairs_are_refused():
    with pytest.raises(ValueError, match="no baseline 'resnet18' for pose"):
        create_baseline("resnet18", "pose", (32, 24))
    assert SimpleBaseline((32, 24)).reduction == 4
