"""The network that a recipe starts from."""

from __future__ import annotations

import pytest
import torch
from labelled_store import labelled_store
from safetensors.torch import save_file
from torch import nn

from cmsa.data.crops import CropSpec
from cmsa.models import backbones
from cmsa.models.create import create_model
from cmsa.models.heads.heatmap import MixerFusion
from cmsa.models.weights import initialise, save_weights
from cmsa.training.recipe import AugmentRecipe, ModelRecipe, Recipe
from cmsa.training.starting_point import build_network, description_of


class WithSideBranch(nn.Module):
    """Two maps, of which the finer one ends in a convolution that the coarser one does not pass."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.side = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 1)
        self.norm, self.coarse = nn.BatchNorm2d(8), nn.Conv2d(8, 16, 3, 2, 1)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        x = self.norm(self.stem(x)).relu()
        return [self.side(x), self.coarse(x)]


@pytest.mark.parametrize(("fusion", "unused"), [("deconvolution", {"side.weight", "side.bias"}), ("mixer", set())])
def test_what_no_gradient_reaches_is_frozen(monkeypatch: pytest.MonkeyPatch, fusion: str, unused: set[str]) -> None:
    monkeypatch.setattr(backbones, "_BACKBONES", {"with_side_branch": WithSideBranch})
    recipe = Recipe()
    recipe.model.name, recipe.model.options = "with_side_branch", {"fusion": fusion}
    torch.manual_seed(5)
    plain = create_model("with_side_branch", "pose", (32, 24), fusion=fusion)
    drawn = torch.rand(1)
    torch.manual_seed(5)
    network = build_network(recipe)
    frozen = {name for name, value in network.named_parameters() if not value.requires_grad}
    assert frozen == {f"backbone.{name}" for name in unused}
    # Nothing else came of the trial: neither numbers of the network nor random ones.
    torch.testing.assert_close(network.state_dict(), plain.state_dict(), rtol=0, atol=0)
    assert torch.equal(torch.rand(1), drawn)


@pytest.mark.parametrize("task", ["pose", "head_pose", "classification"])
def test_cmsa_has_nothing_to_freeze(task: str) -> None:
    recipe = Recipe()
    recipe.model.name, recipe.model.task, recipe.model.input_size = "cmsa_n", task, [16, 12]
    assert all(value.requires_grad for value in build_network(recipe).parameters())


@pytest.mark.parametrize("fusion", ["mixer", "linear", "deconvolution"])
def test_a_head_that_can_starts_with_logits(fusion: str) -> None:
    recipe = Recipe(loss="cross_entropy")
    recipe.model.name, recipe.model.options, recipe.model.input_size = "cmsa_n", {"fusion": fusion}, [16, 12]
    head = build_network(recipe).head
    assert not isinstance(head, MixerFusion) or (head.score.norm.weight == 1).all()


def test_a_larger_network_grows_from_the_weights_of_a_smaller_one(tmp_path, caplog) -> None:
    recipe = Recipe()
    recipe.model.name, recipe.model.options, recipe.model.input_size = "cmsa_n", {"fusion": "linear"}, [16, 12]
    torch.manual_seed(2)
    small = build_network(recipe).eval()
    save_weights(tmp_path / "small.safetensors", small)
    recipe.model.init = str(tmp_path / "small.safetensors")
    images = torch.randn(2, 3, 16, 12)
    torch.testing.assert_close(build_network(recipe).eval()(images), small(images), rtol=0, atol=0)
    assert not caplog.records
    # Where all channels double, to the last digits.
    recipe.model.options |= {"dims": [96, 192, 256], "heads": [[2, 1, 2], [3, 2], [2, 4]]}
    grown = build_network(recipe).eval()
    assert "small.safetensors is of a smaller network, and this one is grown from it" in caplog.text
    torch.testing.assert_close(grown(images), small(images), rtol=1e-3, atol=1e-4)


def test_what_of_the_initial_weights_is_not_taken_over_is_told(tmp_path, caplog) -> None:
    recipe = Recipe()
    recipe.model.name, recipe.model.options, recipe.model.input_size = "cmsa_n", {"fusion": "linear"}, [16, 12]
    small = build_network(recipe)
    save_weights(tmp_path / "pose.safetensors", small)
    recipe.model.init = str(tmp_path / "pose.safetensors")
    # Another set of keypoints: the last layers, one for each stage, do not fit.
    recipe.model.options |= {"num_keypoints": 4}
    network = build_network(recipe)
    tensors = network.state_dict()
    same = [name for name, value in tensors.items() if not name.startswith("head.")]
    assert all(torch.equal(tensors[name], small.state_dict()[name]) for name in same)
    told = f"{len(same)} of {len(tensors)} tensors are taken over; the others, in head, begin anew"
    assert told in caplog.text


def test_counts_of_batches_are_nothing_to_start_from(tmp_path) -> None:
    model = create_model("cmsa_n", "pose", (16, 12))
    counts = {name: value for name, value in model.state_dict().items() if not value.is_floating_point()}
    assert counts
    save_file(counts, tmp_path / "counts.safetensors", metadata=model.description.to_metadata())
    with pytest.raises(ValueError, match=r"counts\.safetensors: none of its tensors fits CMSA"):
        initialise(model, tmp_path / "counts.safetensors")


@pytest.mark.parametrize(
    ("task", "changes", "told"),
    [
        ("classification", {"loss": "mse"}, "loss: not of the task classification"),
        ("classification", {"codec": "dark", "sigma": 2.0}, "codec, sigma: not of the task classification"),
        ("head_pose", {"label_smoothing": 0.1}, "label_smoothing: not of the task head_pose"),
        ("pose", {"alpha": 2.0}, "alpha: not of the task pose"),
        ("pose", {"augment": AugmentRecipe(mixup=0.8)}, r"augment\.mixup: not of the task pose"),
    ],
)
def test_what_a_task_does_not_read_is_refused(task, changes, told, tmp_path) -> None:
    store = labelled_store(tmp_path / "train.crops", task, CropSpec.for_evaluation((16, 16), padding=1.0))
    model = ModelRecipe(name="cmsa_n", task=task, input_size=[16, 16])
    description_of(Recipe(model=model), store)
    with pytest.raises(ValueError, match=told):
        description_of(Recipe(model=model, **changes), store)
