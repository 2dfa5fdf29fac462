from urllib.error import URLError

import numpy as np
import pytest
import torch
from torchvision import models

from cmsa.inference.detectors.detections import DetectorError
from cmsa.inference.detectors.make import make_detector

NAME = "ssdlite320_mobilenet_v3_large"


def test_a_model_of_torchvision_is_fed_and_read(monkeypatch):
    fed = []

    class Found(torch.nn.Module):
        def forward(self, images):
            fed.extend(images)
            return [
                {
                    "boxes": torch.tensor([[1.0, 2, 31, 42], [5, 5, 9, 9], [1, 1, 8, 8]]),
                    "labels": torch.tensor([1, 1, 18]),
                    "scores": torch.tensor([0.75, 0.2, 0.9]),
                }
            ]

    monkeypatch.setattr(models, "get_model", lambda name, weights: Found())
    red = np.zeros((60, 90, 3), np.uint8)
    red[..., 0] = 255
    found = make_detector(f"torchvision:{NAME}")(red)
    assert [box.xywh for box in found.boxes] == [(1, 2, 30, 40)]
    assert (found.scores, found.labels, found.source) == ((0.75,), ("person",), f"torchvision:{NAME}")
    np.testing.assert_allclose(fed[0][:, 3, 4], [1, 0, 0])
    assert fed[0].shape == (3, 60, 90)
    assert make_detector(f"torchvision:{NAME}?classes=18")(red).labels == ("dog",)


def test_a_real_one_runs_without_weights(monkeypatch):
    real = models.get_model
    monkeypatch.setattr(models, "get_model", lambda name, weights: real(name, weights=None, weights_backbone=None))
    found = make_detector("torchvision?score=0")(np.zeros((32, 48, 3), np.uint8))
    assert found.source == f"torchvision:{NAME}"


def test_without_a_network_the_error_says_what_to_do(monkeypatch):
    def unreachable(name, weights):
        raise URLError("no route")

    monkeypatch.setattr(models, "get_model", unreachable)
    with pytest.raises(DetectorError, match=r"cannot be downloaded.*fetch https://.*\.pth.*, or take a detector"):
        make_detector(f"torchvision:{NAME}")
