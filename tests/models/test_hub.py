import json

import torch

from cmsa import CMSA, create_model
from cmsa.models.create import load_weights


def small():
    torch.manual_seed(0)
    return create_model("cmsa_n", "pose", (16, 12), num_keypoints=5).eval()


def test_a_folder_gives_the_model_back(tmp_path):
    model = small()
    model.save_pretrained(tmp_path / "model")
    again = CMSA.from_pretrained(tmp_path / "model")
    images = torch.randn(2, 3, 16, 12)
    assert torch.equal(model(images), again(images))
    assert again.description == model.description
    assert not again.training


def test_the_folder_says_what_it_holds(tmp_path):
    small().save_pretrained(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    assert (config["name"], config["task"], config["input_size"]) == ("cmsa_n", "pose", [16, 12])
    assert load_weights(tmp_path / "model" / "model.safetensors").input_size == (16, 12)
    assert "cmsa" in (tmp_path / "model" / "README.md").read_text()


def test_another_size_can_be_asked_for(tmp_path):
    small().save_pretrained(tmp_path / "model")
    again = CMSA.from_pretrained(tmp_path / "model", input_size=(32, 24))
    assert again(torch.randn(1, 3, 32, 24)).shape == (1, 5, 32, 24)


def test_a_resized_model_keeps_its_size(tmp_path):
    model = small()
    model.set_input_size((24, 20))
    model.save_pretrained(tmp_path / "model")
    assert CMSA.from_pretrained(tmp_path / "model").input_size == (24, 20)
