"""Weights files: whole or not there, readable for all whom the umask lets, and never such as cannot be loaded."""

from __future__ import annotations

import json
import os
import resource
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from cmsa.models import CMSA, create_model, fuse
from cmsa.models.create import load_weights
from cmsa.models.description import FORMAT, KEY
from cmsa.models.released import load_released
from cmsa.models.weights import read_description, save_weights
from cmsa.structures import COCO


@pytest.fixture(scope="module")
def model() -> CMSA:
    torch.manual_seed(0)
    return create_model("cmsa_n", "classification", (8, 8), depths=(1, 1, 1), num_classes=3)


def test_the_mode_follows_the_umask(model: CMSA, tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        save_weights(tmp_path / "weights.safetensors", model)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "weights.safetensors").stat().st_mode) == 0o644


class Parallel(nn.Module):
    """As DistributedDataParallel, which needs other processes, keeps its network."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


@pytest.mark.parametrize("wrap", [torch.compile, Parallel, lambda model: Parallel(torch.compile(model))])
def test_a_wrapped_network_is_saved_as_itself(
    wrap: Callable[[nn.Module], nn.Module], model: CMSA, tmp_path: Path
) -> None:
    file = tmp_path / "wrapped.safetensors"
    save_weights(file, wrap(model))
    found = load_weights(file)
    assert found.description.input_size == model.input_size
    for (name, value), (other, expected) in zip(found.state_dict().items(), model.state_dict().items(), strict=True):
        assert (name, value.dtype) == (other, expected.dtype)
        assert torch.equal(value, expected)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrapped_networks_are_left_out(prefix: str, model: CMSA, tmp_path: Path) -> None:
    tensors = {prefix + name: value for name, value in model.state_dict().items()}
    save_file(tensors, tmp_path / "wrapped.safetensors", metadata=model.description.to_metadata())
    assert torch.equal(load_weights(tmp_path / "wrapped.safetensors").head.logits.weight, model.head.logits.weight)


@pytest.mark.parametrize("save", [save_weights, lambda path, fused: fused.save_pretrained(path)])
def test_a_fused_network_is_not_saved(save: Callable[..., None], model: CMSA, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a fused network cannot be loaded again: save the network"):
        save(tmp_path / "fused", fuse(model))
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_full_disk_leaves_the_last_good_file(model: CMSA, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    save_weights(file, model)
    before = file.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"cannot be written .*weights\.safetensors"):
            save_weights(file, model)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == before
    assert list(tmp_path.iterdir()) == [file]
    load_weights(file)


def test_a_newer_format_says_so(tmp_path: Path) -> None:
    file = tmp_path / "newer.safetensors"
    save_file({"x": torch.zeros(1)}, file, metadata={KEY: json.dumps({"format": FORMAT + 1, "other": 1})})
    with pytest.raises(ValueError, match=rf"newer\.safetensors: was written by a newer version of cmsa.*{FORMAT + 1}"):
        read_description(file)


def test_names_and_keypoints_that_contradict_each_other_are_told(tmp_path: Path) -> None:
    network, file = create_model("cmsa_n", "pose", (16, 16), dims=(16, 16, 16)), tmp_path / "renamed.safetensors"
    save_weights(file, network)
    tensors, metadata = load_file(file), dict(read_description(file).to_metadata())
    entries = json.loads(metadata[KEY])
    entries["keypoints"] = COCO.to_json()
    for names, fits in ((COCO.names, True), ((), True), (COCO.names[:16], False), (COCO.names[::-1], False)):
        save_file(tensors, file, metadata={KEY: json.dumps(entries | {"names": names})})
        if fits:
            assert read_description(file).keypoint_set() == COCO
        else:
            with pytest.raises(ValueError, match=r"renamed\.safetensors.* names and keypoints must name the same"):
                read_description(file)


@pytest.mark.parametrize("content", [b"", b"text\n", b"\x80", b"\x80\x02}q\x00.", b"PK\x03\x04 half an archive"])
@pytest.mark.parametrize("name", ["damaged.pth", "damaged.safetensors"])
def test_a_damaged_release_is_told_in_one_line(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}|not a whole|missing stage_blocks") as told:
        load_released(tmp_path / name)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("dtype", [torch.int8, torch.complex64, torch.bool])
def test_weights_are_not_cut_to_whole_numbers(dtype: torch.dtype, model: CMSA, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"dtype must be one of floating-point numbers, got {dtype}"):
        save_weights(tmp_path / "model.safetensors", model, dtype=dtype)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(("task", "what"), [("pose", "17 keypoints"), ("classification", "100 classes")])
def test_names_that_do_not_fit_the_outputs_are_not_written(task: str, what: str, tmp_path: Path) -> None:
    network = create_model("cmsa_n", task, (16, 12), depths=(1, 1, 1))
    with pytest.raises(ValueError, match=f"^there are {what}, and names for 2$"):
        save_weights(tmp_path / "two.safetensors", network, names=("cup", "cat"))
    assert not any(tmp_path.iterdir())


def test_what_is_said_of_the_training_is_json(model: CMSA, tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    said = {"AP": np.float32(0.5), "loss": float("nan"), "sizes": (np.int64(3), 4)}
    save_weights(file, model, training=said)
    assert read_description(file).training == {"AP": 0.5, "loss": None, "sizes": [3, 4]}
    with safe_open(file, framework="pt") as opened:
        assert "NaN" not in opened.metadata()[KEY]


def test_weights_that_are_not_finite_are_named(tmp_path):
    network = create_model("cmsa_n", "pose", (16, 12), depths=(1, 1, 1))
    with torch.no_grad():
        network.get_parameter("head.score.conv.weight")[0] = torch.nan
    save_weights(tmp_path / "nan.safetensors", network)
    with pytest.raises(ValueError, match=r"nan\.safetensors: .*1 not finite: head\.score\.conv\.weight$"):
        load_weights(tmp_path / "nan.safetensors")
