"""Every way to run a model normalises its images as its weights say."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cmsa import Predictor, create_model
from cmsa.export.compare import network_input
from cmsa.export.graph import ExportedGraph
from cmsa.runtime.preprocess import preprocess_of

MEAN, STD = (0.3, 0.5, 0.6), (0.2, 0.4, 0.1)


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = create_model("cmsa_n", "classification", (12, 16), num_classes=3).eval()
    model.description = replace(model.description, mean=MEAN, std=STD, names=("a", "b", "c"))
    return model


@pytest.fixture
def pixels():
    return torch.randint(0, 256, (2, 12, 16, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def test_prediction_and_export_use_the_weights_mean_and_spread(model, pixels):
    expected = ((pixels.double() / 255 - torch.tensor(MEAN)) / torch.tensor(STD)).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(preprocess_of(model.description)(pixels), expected)
    torch.testing.assert_close(network_input(model, pixels), expected)
    with torch.no_grad():
        logits = model(expected)
        torch.testing.assert_close(ExportedGraph(model, normalise=True)(pixels), logits, rtol=1e-4, atol=1e-5)
    probabilities = [Predictor(model)(picture)[0].probabilities for picture in pixels.numpy()]
    np.testing.assert_allclose(np.stack(probabilities), logits.double().softmax(1), atol=1e-5)
