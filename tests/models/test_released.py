"""Checkpoints of the authors' release: outputs, coverage of keys, what is inferred, errors."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from cmsa.models import CMSA, create_model, load_released, load_weights
from cmsa.models.released import convert_released, to_released
from cmsa.models.released_format import (
    ReleasedFormatError,
    number_offsets,
    read_released,
    released_configuration,
)
from cmsa.models.variants import VARIANTS
from cmsa.models.windows import Window

CASE = Path(__file__).parent / "data" / "released_case.safetensors"
TOLERANCE = 1e-4
BUFFER = "stage_blocks.0.trains_block0.attn.attn_modules.0.attention_bias_idxs"


@pytest.fixture
def state() -> dict[str, Tensor]:
    return read_released(CASE)


@torch.no_grad()
def differences(path: Path) -> dict[str, float]:
    """Largest difference of each stage and of the output, in float32."""
    tensors = load_file(path)
    model = load_released(path)
    maps = model.forward_maps(tensors["input"])
    found = {"stage1": maps[0], "stage2": maps[1], "stage3": maps[2], "output": model.head(maps)}
    return {name: (value - tensors[name]).abs().max().item() for name, value in found.items()}


def test_the_case_in_the_repository_is_reproduced():
    assert max(differences(CASE).values()) < TOLERANCE
    assert CASE.stat().st_size < 300_000


@pytest.mark.shared
def test_the_reference_is_reproduced(shared):
    found = differences(shared / "reference" / "released_tiny_32x24.safetensors")
    assert max(found.values()) < TOLERANCE, found


@torch.no_grad()
@pytest.mark.parametrize(
    "name",
    ["attn_modules.0.attention_biases", "kv.bias", "channel_fusion_modules.1.conv.weight", "dwconv_bn.bn.running_mean"],
)
def test_the_case_notices_a_wrong_parameter(name, state):
    tensors = load_file(CASE)
    for key in state:
        if name in key:
            state[key] = state[key].flip(-1) if state[key].dim() < 3 else state[key].flip(1)
    assert (load_released(state)(tensors["input"]) - tensors["output"]).abs().max() > 10 * TOLERANCE


def test_the_way_back_is_exact(state):
    back = to_released(load_released(state))
    assert back.keys() == state.keys()
    for name, value in state.items():
        assert torch.equal(back[name], value), name


def test_offsets_are_numbered_in_the_order_first_met(state):
    window = Window((16, 8), (16, 8), 2)
    numbers: dict[tuple[int, int], int] = {}
    expected = [
        [
            numbers.setdefault((abs(row - key_row), abs(column - key_column)), len(numbers))
            for key_row in range(8)
            for key_column in range(4)
        ]
        for row in range(16)
        for column in range(8)
    ]
    assert state[BUFFER].tolist() == expected
    number = number_offsets(window, state[BUFFER])
    assert all(number[row * 8 + column] == which for (row, column), which in numbers.items())
    assert number_offsets(Window((8, 16), (8, 16), 2), state[BUFFER]) is None


@pytest.mark.parametrize("variant", ["cmsa_s", "cmsa_b", "cmsa_l"])
@pytest.mark.shared
def test_the_releases_own_key_lists_load_whole(variant, shared):
    listed = json.loads((shared / "reference" / "released_state_dicts.json").read_text())
    shapes = listed[f"CMSAFormer_{variant[-1].upper()}_32"]["state_dict"]
    ours = to_released(create_model(variant, "pose"))
    assert {name: list(value.shape) for name, value in ours.items()} == shapes
    state = {name: torch.rand(shape) if shape else torch.tensor(0) for name, shape in shapes.items()}
    state |= {name: value for name, value in ours.items() if name.endswith("attention_bias_idxs")}
    state |= {
        name.replace("stem.", "embedding_blocks.0.", 1): state[name] for name in state if name.startswith("stem.")
    }
    model = load_released(state)
    assert all(torch.equal(value, state[name]) for name, value in to_released(model).items() if "norm0" not in name)
    assert model.input_size == (32, 24)
    assert model.description.name == variant
    assert sum(value.numel() for value in model.parameters()) == (
        listed[f"CMSAFormer_{variant[-1].upper()}_32"]["parameters_train"] - 2 * VARIANTS[variant]["dims"][0]
    )


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, (32, 24)),
        ({}, (24, 32)),
        ({"key_dim": 8, "value_ratio": 3, "mlp_ratio": 2, "in_chans": 1}, (16, 16)),
        ({"windows": (((16, 16), (8, 4), (2, 2)), ((4, 4), (2, 2)), ((4, 2), (2, 2)))}, (16, 16)),
        ({"dims": (16, 24, 32), "depths": (1, 2, 1)}, (128, 96)),
    ],
)
def test_the_configuration_is_read_from_the_state_dict(options, size):
    given = VARIANTS["cmsa_n"] | options
    model = create_model("cmsa_n", "pose", size, **options)
    found = released_configuration(to_released(model))
    assert found["input_size"] == size
    assert found["stem_stride"] == model.reduction
    defaults = {"key_dim": 16, "value_ratio": 2, "mlp_ratio": 4, "in_chans": 3, "windows": None}
    for name, value in (defaults | given).items():
        assert found[name] == (list(value) if name == "windows" and value else value), name


@torch.no_grad()
def test_another_input_size(state, images):
    model = load_released(state, input_size=(32, 24))
    assert model(images(1, (32, 24))).shape == (1, 5, 32, 24)
    expected = load_released(state)
    expected.set_input_size((32, 24))
    x = images(1, (32, 24))
    assert torch.equal(model(x), expected(x))


@pytest.mark.parametrize("prefix", ["", "model.", "module.", "module.model.", "model.module."])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_wrapping_and_prefixes(prefix, wrapper, state, tmp_path):
    named = {prefix + name: value for name, value in state.items()}
    torch.save({wrapper: named, "epoch": 210} if wrapper else named, tmp_path / "released.pth")
    model = load_released(tmp_path / "released.pth")
    assert torch.equal(model.stages[2][0].mlp.fc1.weight, state["stage_blocks.2.trains_block0.mlp.fc1.weight"])


def test_every_key_is_accounted_for(state, tmp_path):
    removed = state.pop("fgmm.norm1.weight"), state.pop("stage_blocks.1.trains_block0.mlp.fc2.bias")
    state |= {"backbone.extra": removed[0], "fgmm.norm2.weight": torch.ones(3)}
    save_file({name: value.clone() for name, value in state.items()}, tmp_path / "broken.safetensors")
    with pytest.raises(ReleasedFormatError) as caught:
        load_released(tmp_path / "broken.safetensors")
    message = str(caught.value)
    assert message.startswith(str(tmp_path / "broken.safetensors"))
    assert "2 missing: " in message
    assert "fgmm.norm1.weight" in message
    assert "stage_blocks.1.trains_block0.mlp.fc2.bias" in message
    assert "1 unexpected: backbone.extra" in message
    assert "fgmm.norm2.weight (3,) for (24,)" in message


def test_the_two_stems_must_agree(state):
    name = "embedding_blocks.0.embedding1.rep_dwconv.rbr_skip.bias"
    state[name] = state[name] + 1
    with pytest.raises(ReleasedFormatError, match=f"1 unlike its copy in the stem: {name}"):
        load_released(state)


def test_what_tells_the_structure_must_be_there(state):
    with pytest.raises(ReleasedFormatError, match="missing stage_blocks"):
        load_released({"conv1.weight": torch.ones(1)})
    numbers = state.pop(BUFFER)
    with pytest.raises(ReleasedFormatError, match=f"missing {BUFFER}"):
        load_released(state)
    with pytest.raises(ReleasedFormatError, match=f"{BUFFER}: 128 queries by 32 keys fit 0 windows"):
        load_released(state | {BUFFER: numbers.flip(0)})


def test_a_file_that_could_run_code_is_not_loaded(state, tmp_path):
    torch.save({"state_dict": state, "log": Path("x")}, tmp_path / "released.pth")
    with pytest.raises(ReleasedFormatError, match=r"released\.pth: holds Python objects"):
        load_released(tmp_path / "released.pth")
    torch.save([1], tmp_path / "list.pth")
    with pytest.raises(ReleasedFormatError, match="holds a list"):
        load_released(tmp_path / "list.pth")


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"fusion": "linear"}, "LinearFusion"),
        ({"attention": "grouped"}, "'grouped'"),
        ({"input_size": (33, 21)}, r"no windows \(34, 22\)"),
    ],
)
def test_what_the_format_cannot_hold(options, what):
    with pytest.raises(ReleasedFormatError, match=what):
        to_released(create_model("cmsa_n", "pose", **options))


@torch.no_grad()
def test_a_converted_checkpoint_rebuilds_the_network(tmp_path):
    tensors = load_file(CASE)
    convert_released(CASE, tmp_path / "converted.safetensors", decoding={"codec": "udp"})
    model = load_weights(tmp_path / "converted.safetensors")
    assert isinstance(model, CMSA)
    assert (model(tensors["input"]) - tensors["output"]).abs().max() < TOLERANCE
    assert model.description.decoding == {"codec": "udp"}


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value * torch.nan,
        lambda value: value + torch.inf,
        lambda value: value.to(torch.complex64),
        lambda value: value.to_sparse(),
        lambda value: value.to("meta"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_are_no_finite_real_numbers_is_named(change, state, tmp_path):
    name = "fgmm.csMixer.2.conv.weight"
    torch.save(state | {name: change(state[name])}, tmp_path / "odd.pth")
    told = rf"odd\.pth: holds 1 tensor of no finite real numbers: {name}$"
    with pytest.raises(ReleasedFormatError, match=told):
        load_released(tmp_path / "odd.pth")
