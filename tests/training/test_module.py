from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_people import SIZE, people_store, tiny_recipe, train_and_val, write_people
from torch.overrides import TorchFunctionMode

from cmsa.data.store import CropStore
from cmsa.data.transforms.affine import AffineRange
from cmsa.data.transforms.preprocess import Preprocess
from cmsa.models.network import CMSA
from cmsa.tasks.pose.codecs import CODECS
from cmsa.training.augmentation import build_augmentation
from cmsa.training.half_network import HalfNetwork
from cmsa.training.module import TrainingModule, step_seed
from cmsa.training.train import build_module


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[CropStore]:
    return train_and_val(tmp_path_factory.mktemp("people"))


@pytest.fixture
def module(stores: list[CropStore]) -> TrainingModule:
    return build_module(tiny_recipe(*stores, ema_decay=0.9))


def test_images_and_targets_move_together(module: TrainingModule, stores: list[CropStore]) -> None:
    """Where a keypoint is to be found, its bright dot is."""
    augment = module.recipe.augment
    augment.supersample, augment.half_body_probability = 3, 0.0
    module.augmentation = build_augmentation(module.recipe, stores[0])
    images, targets = module.augment(stores[0].read(slice(None)))
    assert images.shape == (8, 3, *SIZE)
    weighted, heatmaps = targets["weight"] > 0, targets["heatmaps"]

    def brightness(maps: torch.Tensor) -> float:
        under = (images[:, :1] * maps).sum((2, 3)) / maps.sum((2, 3)).clamp(min=1e-6)
        return under[weighted].mean().item()

    beside = [brightness(heatmaps.roll(shift, axis)) for axis in (2, 3) for shift in (-2, 2)]
    assert brightness(heatmaps) > max(beside) + 0.1


def test_training_and_validation_normalise_as_the_weights_will_say(stores: list[CropStore]) -> None:
    recipe = tiny_recipe(*stores)
    made = build_module(recipe)
    assert isinstance(made.network, CMSA)
    made.network.description = replace(made.network.description, mean=(0.3, 0.5, 0.6), std=(0.2, 0.4, 0.1))
    module = TrainingModule(recipe, made.network, made.task, stores[:1], stores[1:])
    batch = stores[1].read(slice(2))
    expected = (batch["crops"] / 255 - torch.tensor([0.3, 0.5, 0.6])) / torch.tensor([0.2, 0.4, 0.1])
    torch.testing.assert_close(module.preprocess(batch["crops"]), expected.permute(0, 3, 1, 2))
    still = module.augmentation
    still.affine, still.density, still.supersample = AffineRange.still(), 1.0, 1
    images, _ = still(batch["crops"], torch.Generator())
    torch.testing.assert_close(images, expected.permute(0, 3, 1, 2), rtol=1e-4, atol=1e-4)


def test_a_store_serves_another_size_of_the_same_aspect(stores: list[CropStore]) -> None:
    recipe = tiny_recipe(*stores)
    recipe.model.input_size = [8, 6]
    assert build_augmentation(recipe, stores[0]).density == pytest.approx(3)
    recipe.model.input_size = [16, 16]
    with pytest.raises(ValueError, match=r"train\.crops: was cut for \(16, 12\) \(HxW\), of another aspect"):
        build_augmentation(recipe, stores[0])


@pytest.mark.parametrize(
    ("size", "antialias", "decibel"), [((16, 12), False, 80), ((15, 11), False, 80), (SIZE, True, 26)]
)
def test_training_sees_the_crops_that_are_scored(
    tmp_path: Path, size: tuple[int, int], antialias: bool, decibel: float
) -> None:
    """Where nothing is augmented; what is sampled is sampled at the same points, what is averaged nearly so."""
    write_people(tmp_path)
    train, scored = (
        people_store(tmp_path, f"{training}.crops", training=training, size=size, antialias=antialias)
        for training in (True, False)
    )
    recipe = tiny_recipe(train, scored)
    recipe.model.input_size = list(size)
    still = build_augmentation(recipe, train, Preprocess((0, 0, 0), (1, 1, 1)))
    still.affine = AffineRange.still()
    images, _ = still(train.read(slice(0, 8))["crops"], torch.Generator())
    error = images.permute(0, 2, 3, 1) - scored.read(slice(0, 8))["crops"] / 255
    assert -10 * error.square().mean().log10() > decibel


def test_a_store_of_sampled_crops_serves_sizes_at_which_it_holds_the_points(tmp_path: Path) -> None:
    write_people(tmp_path)
    store = people_store(tmp_path, "sampled.crops", training=True, antialias=False)
    assert store.spec.density == 3
    recipe = tiny_recipe(store, store)
    assert build_augmentation(recipe, store).supersample == 1
    recipe.model.input_size = [8, 6]
    with pytest.raises(ValueError, match=r"sampled\.crops: .* kept at 6 pixels .* prepare it anew for 8x6"):
        build_augmentation(recipe, store)


def test_the_moving_average_follows(module: TrainingModule) -> None:
    assert module.average is not None
    assert module.evaluated is module.average.module
    weight = next(module.network.parameters())
    before = weight.detach().clone()
    with torch.no_grad():
        weight += 1
    module.average.update(module.network, step=10**6)
    averaged = next(module.evaluated.parameters())
    torch.testing.assert_close(averaged, before + 0.1)


def test_every_parameter_that_learns_has_a_gradient(module: TrainingModule, stores: list[CropStore]) -> None:
    """Else several processes would wait for each other's forever."""
    module.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    module.training_step(stores[0].read(slice(4)), 0).backward()
    assert [name for name, p in module.named_parameters() if p.requires_grad and p.grad is None] == []


def test_parameters_go_on_learning_after_a_validation(module: TrainingModule, stores: list[CropStore]) -> None:
    """Lightning brings the modes back by setting them, without a call of ``train``."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    for part, mode in modes:
        part.training = mode
    module.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    module.training_step(stores[0].read(slice(4)), 0).backward()
    assert [name for name, p in module.named_parameters() if p.requires_grad and p.grad is None] == []


def test_only_matrices_decay(module: TrainingModule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        TrainingModule, "trainer", type("T", (), {"world_size": 1, "estimated_stepping_batches": 10}), raising=False
    )
    groups = module.configure_optimizers()["optimizer"].param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    names = dict(module.network.named_parameters())
    assert len(decay) == len(names)
    for name, parameter in names.items():
        expected = 0.0 if parameter.ndim == 1 or name.endswith((".bias", ".table")) else 0.05
        assert decay[id(parameter)] == expected, name


def test_initial_weights_of_another_size(module: TrainingModule, tmp_path: Path, stores: list[CropStore]) -> None:
    from cmsa.models.create import create_model
    from cmsa.models.weights import save_weights
    from cmsa.training.starting_point import build_network, initialise

    options = module.recipe.model.options
    larger = create_model("cmsa_n", "pose", (32, 24), **options)
    with torch.no_grad():
        for parameter in larger.parameters():
            parameter.fill_(0.25)
    save_weights(tmp_path / "larger.safetensors", larger)
    module.recipe.model.init = str(tmp_path / "larger.safetensors")
    network = build_network(module.recipe)
    # Tables of a constant stay constant whatever their size.
    assert all((parameter - 0.25).abs().max() < 1e-6 for parameter in network.parameters())
    assert network.input_size == SIZE
    # A head of another kind stays as it is, and is named.
    other = create_model("cmsa_n", "pose", SIZE, fusion="linear", **options)
    left = initialise(other, module.recipe.model.init)
    assert left
    assert all(name.startswith("head.") for name in left)
    narrow = create_model("cmsa_n", "pose", SIZE, dims=(4, 4, 4), depths=(1, 1, 1), heads=options["heads"])
    kept = initialise(narrow, module.recipe.model.init)
    assert kept


def test_the_description_is_that_of_the_stores(module: TrainingModule) -> None:
    description = module.evaluated.description
    assert description.crop == {"padding": 1.25, "convention": "pixel", "antialias": True}
    assert description.decoding == {"codec": "udp", "loss": "mse"}
    assert len(description.names) == 17


def test_stores_and_recipe_must_fit(stores: list[CropStore]) -> None:
    nothing = tiny_recipe(*stores)
    nothing.data.train = []
    with pytest.raises(ValueError, match=r"no store in data\.train"):
        build_module(nothing)
    another = tiny_recipe(*stores)
    another.model.task = "head_pose"
    with pytest.raises(ValueError, match=r"train\.crops: holds crops for pose, not for head_pose"):
        build_module(another)
    swapped = tiny_recipe(stores[0], stores[0])
    with pytest.raises(ValueError, match="--for evaluate"):
        build_module(swapped)


def test_a_loss_that_is_no_number_names_its_step(module: TrainingModule, stores: list[CropStore]) -> None:
    with torch.no_grad():
        next(module.network.parameters()).fill_(np.nan)
    with pytest.raises(FloatingPointError, match=r"the loss is not finite at step 0 \(epoch 0\)"):
        module.training_step(stores[0].read(slice(4)), 7)


class HostNumbers(TorchFunctionMode):
    """Notes each tensor that is made from numbers of the host, and each number that is read back."""

    MAKERS = ("tensor", "as_tensor", "from_numpy", "new_tensor", "asarray", "scalar_tensor")
    READERS = ("item", "tolist", "nonzero", "__bool__", "__float__", "__int__", "cpu", "numpy")

    def __init__(self) -> None:
        super().__init__()
        self.made: list[str] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = getattr(func, "__name__", "")
        if name in self.MAKERS + self.READERS:
            self.made.append(name)
        if name in ("__getitem__", "__setitem__"):
            indices = args[1] if isinstance(args[1], tuple) else (args[1],)
            if any(isinstance(index, list | np.ndarray) for index in indices):
                self.made.append(f"{name} by a list")
        return func(*args, **(kwargs or {}))


def host_numbers(module: TrainingModule, batch: dict[str, torch.Tensor]) -> list[str]:
    """What a training step makes from the host's numbers, once constants are where they belong."""
    module.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    module.stop_if_not_finite = lambda: None  # type: ignore[method-assign]
    module.training_step(batch, 0).backward()
    with HostNumbers() as seen:
        module.training_step(batch, 1).backward()
    return seen.made


@pytest.mark.parametrize(("codec", "loss"), [("udp", "mse"), *((codec, "cross_entropy") for codec in CODECS)])
def test_a_step_makes_no_tensor_from_the_host_s_numbers(stores: list[CropStore], codec: str, loss: str) -> None:
    recipe = tiny_recipe(*stores, ema_decay=0.9)
    recipe.codec, recipe.loss = codec, loss  # type: ignore[assignment]
    recipe.augment.jitter, recipe.augment.erasing_probability, recipe.augment.translation = 0.2, 0.5, 0.1
    assert host_numbers(build_module(recipe), stores[0].read(slice(4))) == []


def test_the_count_of_host_numbers_counts() -> None:
    with HostNumbers() as seen:
        torch.zeros(3)[[0, 2]] + torch.zeros(2).new_tensor([1, 2]) + torch.tensor(1)
    assert seen.made == ["__getitem__ by a list", "new_tensor", "tensor"]


def test_random_numbers_depend_on_seed_step_and_process(module: TrainingModule, stores: list[CropStore]) -> None:
    batch = stores[0].read(slice(None))
    first, _ = module.augment(batch)
    module.generator = None
    again, _ = module.augment(batch)
    assert torch.equal(first, again)
    module.recipe.seed += 1
    assert not torch.equal(module.augment(batch)[0], first)
    seeds = [step_seed(seed, step, rank) for seed in range(4) for step in range(4) for rank in range(4)]
    assert len(set(seeds)) == 64
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_processes_are_sent_no_constants(module: TrainingModule) -> None:
    ignored = set(module._ddp_params_and_buffers_to_ignore)
    sent = {name for name, _ in module.named_buffers()} - ignored
    assert any(name.endswith("relative_position_index") for name in ignored)
    assert all(name.endswith(("running_mean", "running_var", "num_batches_tracked")) for name in sent)


def test_half_precision_leaves_labels_alone(module: TrainingModule, stores: list[CropStore]) -> None:
    plugin = HalfNetwork("bf16-true")
    plugin.convert_module(module)
    batch = plugin.convert_input(stores[0].read(slice(4)))
    assert all(value.dtype != torch.bfloat16 for value in batch.values())
    with plugin.forward_context():
        images, targets = module.augment(batch)
    assert {images.dtype, *(value.dtype for value in targets.values())} == {torch.float32}
    assert {parameter.dtype for parameter in module.network.parameters()} == {torch.bfloat16}
