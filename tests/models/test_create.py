import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from cmsa.models.create import create_model, load_weights
from cmsa.models.description import Description
from cmsa.models.network import CMSA
from cmsa.models.pretrained import weights_name
from cmsa.models.weights import load_tensors, read_weights, save_weights

TINY = {"dims": (8, 16, 16), "depths": (1, 1, 1), "heads": ((1, 1, 1), (1, 1), (1, 1))}
SIZES = {"pose": (16, 12), "head_pose": (16, 16), "classification": (16, 16)}


def images(model: CMSA) -> Tensor:
    return torch.randn(2, 3, *model.input_size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("task", "options", "shape"),
    [
        ("pose", {}, (2, 17, 16, 12)),
        ("pose", {"fusion": "linear", "num_keypoints": 5}, (2, 5, 16, 12)),
        ("head_pose", {}, (2, 3, 3, 5)),
        ("head_pose", {"head": "bins"}, (2, 3, 66)),
        ("head_pose", {"head": "rotation_6d"}, (2, 6)),
        ("classification", {"num_classes": 7}, (2, 7)),
    ],
)
def test_a_file_rebuilds_its_model(
    task: str, options: dict[str, object], shape: tuple[int, ...], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = create_model("cmsa_s", task, SIZES[task], **TINY, **options).eval()
    file = tmp_path / "weights.safetensors"
    save_weights(file, model, training={"data": "none", "epoch": 3})
    rebuilt = load_weights(file)
    assert not rebuilt.training
    with torch.inference_mode():
        output = model(images(model))
        assert output.shape == shape
        assert torch.equal(rebuilt(images(model)), output)
    assert rebuilt.description.training == {"data": "none", "epoch": 3}
    assert rebuilt.description.task == task
    assert list(tmp_path.iterdir()) == [file]


def test_names() -> None:
    assert weights_name("cmsa_s", "pose", (32, 24)) == "cmsa_s_pose_32x24"
    with pytest.raises(ValueError, match="no model 'cmsa_x'; there are cmsa_n, cmsa_s, cmsa_b, cmsa_l"):
        create_model("cmsa_x")
    with pytest.raises(ValueError, match="no fusion 'sum'; there are mixer, linear"):
        create_model("cmsa_n", "pose", (16, 12), fusion="sum")
    with pytest.raises(ValueError, match="no head 'quaternion'"):
        create_model("cmsa_n", "head_pose", (16, 16), head="quaternion")
    with pytest.raises(ValueError, match="no head for the task 'depth'; there are pose, head_pose, classification"):
        create_model("cmsa_n", "depth")
    with pytest.raises(ValueError, match="no weights 'cmsa_n_pose_8x8' came with cmsa"):
        create_model("cmsa_n", "pose", (8, 8), pretrained=True)


def test_tensors_that_do_not_fit_are_counted_and_the_first_named(tmp_path: Path) -> None:
    model = create_model("cmsa_n", "pose", (16, 12), **TINY)
    tensors = dict(model.state_dict())
    count = len(tensors)
    missing = sorted(name for name in tensors if name.startswith("head."))[:5]
    for name in missing:
        tensors[f"stranger.{name}"] = tensors.pop(name)
    second = next(iter(tensors))
    shape = tuple(tensors[second].shape)
    tensors[second] = torch.zeros(999)
    with pytest.raises(ValueError, match="weights of mine: its tensors do not fit CMSA") as caught:
        load_tensors(model, tensors, "weights of mine")
    assert str(caught.value) == (
        f"weights of mine: its tensors do not fit CMSA, of {count}: 5 missing: {', '.join(missing[:3])}, ...; "
        f"5 unexpected: {', '.join(f'stranger.{name}' for name in missing[:3])}, ...; "
        f"1 of another shape: {second} (999,) for {shape}"
    )


def test_float16_for_shipping(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = create_model("cmsa_n", "pose", (16, 12), fusion="linear", **TINY).eval()
    file = tmp_path / "small.safetensors"
    save_weights(file, model, torch.float16)
    stored = load_file(file)
    assert {value.dtype for value in stored.values() if value.is_floating_point()} == {torch.float16}
    rebuilt = load_weights(file)
    assert {value.dtype for value in rebuilt.parameters()} == {torch.float32}
    with torch.inference_mode():
        expected, got = model(images(model)), rebuilt(images(model))
    assert (expected - got).abs().max() < 5e-3 * expected.abs().max()


def test_another_input_size_resizes_the_bias_tables(tmp_path: Path) -> None:
    model = create_model("cmsa_n", "pose", (16, 12), **TINY)
    file = tmp_path / "weights.safetensors"
    save_weights(file, model)
    larger = load_weights(file, (32, 24))
    assert larger.input_size == (32, 24)
    assert larger(torch.zeros(1, 3, 32, 24)).shape == (1, 17, 32, 24)
    # What is written now is of the new size.
    save_weights(file, larger)
    assert read_weights(file)[1].input_size == (32, 24)
    assert load_weights(file).input_size == (32, 24)


def test_metadata_goes_there_and_back() -> None:
    description = Description(
        "cmsa_s",
        "head_pose",
        (32, 48),
        {"head": "ssr"},
        ("yaw", "pitch", "roll"),
        decoding={},
        crop={"padding": 1.0, "margin": "fsanet"},
        training={"scores": {"val/mae": 4.5}},
    )
    assert Description.from_metadata(description.to_metadata(), "here") == description
    assert json.loads(description.to_metadata()["cmsa"])["input_size"] == [32, 48]


def test_foreign_and_damaged_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no weights file"):
        load_weights(tmp_path / "none.safetensors")
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00nonsense")
    with pytest.raises(ValueError, match=r"damaged\.safetensors: not a safetensors file"):
        load_weights(damaged)
    for name, hint in {"a.pth": "cmsa convert", "last.ckpt": "last.safetensors", "a.onnx": "--exported"}.items():
        (tmp_path / name).write_bytes(damaged.read_bytes())
        with pytest.raises(ValueError, match=rf"{name}: not a safetensors file.*{hint}.* \("):
            load_weights(tmp_path / name)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.zeros(2)}, foreign)
    with pytest.raises(ValueError, match=r"foreign\.safetensors: no 'cmsa' entry in the metadata"):
        load_weights(foreign)
    later = tmp_path / "later.safetensors"
    save_file({"weight": torch.zeros(2)}, later, metadata={"cmsa": json.dumps({"format": 99})})
    with pytest.raises(ValueError, match=r"weights in format 99, this version reads 1\): upgrade"):
        load_weights(later)
    unknown = tmp_path / "unknown.safetensors"
    save_file({"weight": torch.zeros(2)}, unknown, metadata={"cmsa": "{not json"})
    with pytest.raises(ValueError, match=r"unknown\.safetensors"):
        load_weights(unknown)


def test_timm_says_which_weights_there_are() -> None:
    import timm

    import cmsa.models.registry

    assert set(cmsa.models.registry.VARIANTS) <= set(timm.list_models("cmsa_*"))
    with pytest.raises(ValueError, match=r"no weights of cmsa_s.*cmsa_s_pose_32x24"):
        timm.create_model("cmsa_s", pretrained=True)
    model = create_model("cmsa_n", "classification", pretrained=True)
    assert model.description.options == {"num_classes": 100}


@pytest.mark.parametrize("name", ["cmsa_n", "cmsa_s"])
def test_shipped_weights_bring_their_options(name: str) -> None:
    model = create_model(name, "pose", pretrained=True)
    assert model.description.options["fusion"] == "linear"
    assert create_model(name, "pose", pretrained=True, fusion="linear").description == model.description
    with pytest.raises(ValueError, match=r"was trained with .*linear.*, not with .*mixer"):
        create_model(name, "pose", pretrained=True, fusion="mixer")


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("cmsa_n", {"attention": 3}, r"attention must be one of .* or a mapping, got 3"),
        ("cmsa_n", {"input_size": 32}, r"input_size must be \(height, width\) in whole pixels, got 32"),
        (
            "cmsa_n",
            {"input_size": (3, 32, 24)},
            r"input_size must be .* got \(3, 32, 24\)",
        ),
        ("cmsa_n", {"num_keypoints": 0}, "num_keypoints must be at least 1, got 0"),
        ("timm/resnet18", {"out_indices": [9]}, r"timm/resnet18: .* options \{'out_indices': \[9\]\}"),
    ],
)
def test_options_that_cannot_be_are_named(name: str, arguments: dict[str, Any], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        create_model(name, "pose", **arguments)


def test_weights_of_a_network_that_is_not_here_are_named(tmp_path: Path) -> None:
    model = create_model("cmsa_n", "pose", (16, 12), depths=[1, 1, 1])
    save_weights(tmp_path / "theirs.safetensors", model, name="theirs")
    with pytest.raises(ValueError, match=r"theirs\.safetensors: no model 'theirs'; there are cmsa_n"):
        load_weights(tmp_path / "theirs.safetensors")


@pytest.mark.parametrize(
    ("task", "size", "options", "told"),
    [
        ("pose", (16.0, 12.0), {}, r"input_size must be \(height, width\) in whole pixels, got \(16.0, 12.0\)"),
        ("pose", "32", {}, "input_size must be .* got '32'"),
        ("pose", (16,), {}, r"input_size must be .* got \(16,\)"),
        ("classification", (16, 16), {"num_classes": 0}, "num_classes must be at least 1, got 0"),
        ("classification", (16, 16), {"num_classes": 2.5}, r"cannot be made with \{.*'num_classes': 2.5"),
        ("classification", (16, 16), {"num_classes": "3"}, "cannot be made with"),
        ("pose", (16, 12), {"num_keypoints": "17"}, "cannot be made with"),
        ("pose", (16, 12), {"dims": (8.5, 16, 16)}, r"cmsa_n for pose cannot be made with .*8.5"),
        ("pose", (16, 12), {"depths": (-1, 1, 1)}, "cannot be made with"),
        ("pose", (16, 12), {"depths": "abc"}, "cannot be made with"),
        ("pose", (16, 12), {"dims": (8, 16)}, "each stage .* got dims 2, depths 3, heads 3, kv_strides 3"),
        ("pose", (16, 12), {"drop_path_rate": 2}, "drop_path_rate must be at least 0 and below 1, got 2"),
        ("pose", (16, 12), {"drop_path_rate": float("nan")}, "drop_path_rate must be .* got nan"),
        ("pose", (16, 12), {"drop_path_rate": "a lot"}, "cannot be made with"),
        ("pose", (16, 12), {"head": "simcc", "split": 0}, "split must be at least one bin per pixel, got 0"),
    ],
)
def test_options_of_another_kind_are_told(task: str, size: Any, options: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        create_model("cmsa_n", task, size, **options)


def test_a_size_may_be_of_numpy(tmp_path: Path) -> None:
    model = create_model("cmsa_n", "pose", tuple(np.array([16, 12])), **TINY)
    assert model.description.input_size == (16, 12)
    save_weights(tmp_path / "model.safetensors", model)
    assert load_weights(tmp_path / "model.safetensors", np.array([24, 20])).input_size == (24, 20)
    with pytest.raises(ValueError, match=r"input_size must be .* got \(24.5, 20\)"):
        load_weights(tmp_path / "model.safetensors", (24.5, 20))
