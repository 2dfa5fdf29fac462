"""Crops become what a network takes in one way."""

import pytest
import torch

from cmsa.data.transforms.preprocess import Preprocess


def test_the_numbers_are_those_of_the_formula():
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.25, 2.0)
    crops = torch.randint(0, 256, (3, 5, 4, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = Preprocess(mean, std)(crops)
    assert images.shape == (3, 3, 5, 4)
    expected = (crops.double() / 255 - torch.tensor(mean).double()) / torch.tensor(std).double()
    torch.testing.assert_close(images.double(), expected.permute(0, 3, 1, 2), rtol=0, atol=2e-6)
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_the_mean_colour_of_imagenet_becomes_zero():
    images = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1).expand(2, 3, 4, 5)
    assert Preprocess().normalize(images).abs().max() < 1e-6
    assert Preprocess().normalize(images + 0.229)[:, 0].mean() == pytest.approx(1, abs=1e-5)


def test_its_numbers_follow_the_device_and_stay_out_of_the_state_dict():
    preprocess = Preprocess()
    assert not preprocess.state_dict()
    assert {buffer.device.type for buffer in preprocess.to("meta").buffers()} == {"meta"}
