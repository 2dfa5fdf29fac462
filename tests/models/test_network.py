"""The network: sizes, counts, timm's conventions."""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch
from torch import nn

from cmsa.models import CMSA, create_model
from cmsa.models.heads.classifier import LastMap
from cmsa.models.variants import VARIANTS


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def multiply_adds(model: nn.Module, size: tuple[int, int]) -> int:
    """Of convolutions and linear layers, for one image."""
    total = 0

    def add(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.ConvTranspose2d):
            total += inputs[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.Conv2d | nn.Linear):
            total += output.numel() * module.weight[0].numel()

    for module in model.modules():
        module.register_forward_hook(add)
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, *size))
    return total


@pytest.mark.parametrize(
    ("variant", "mixer", "bare", "giga"),
    [
        ("cmsa_s", 4_216_786, 4_091_616, 0.746),
        ("cmsa_b", 5_722_322, 5_544_720, 1.026),
        ("cmsa_l", 7_514_450, 7_252_048, 1.295),
    ],
)
def test_parameters_and_multiply_adds_are_the_releases(variant, mixer, bare, giga):
    model = create_model(variant, "pose")
    assert count(model) == mixer
    assert multiply_adds(model, (32, 24)) / 1e9 == pytest.approx(giga, abs=5e-4)
    model.reset_classifier(0)
    assert count(model) == bare


@pytest.mark.parametrize(("variant", "paper"), [("cmsa_s", 4.1), ("cmsa_b", 5.6), ("cmsa_l", 7.3)])
def test_linear_fusion_has_the_papers_parameters(variant, paper):
    model = create_model(variant, "pose", fusion="linear")
    assert round(count(model) / 1e6, 1) == paper
    bare = count(model) - count(model.head)
    assert count(model) == bare + 17 * (sum(VARIANTS[variant]["dims"]) + 3)


def test_the_small_variant_needs_a_quarter_of_the_multiply_adds():
    small, large = (multiply_adds(create_model(name, "pose"), (32, 24)) for name in ("cmsa_n", "cmsa_s"))
    assert small / large == pytest.approx(0.25, abs=0.03)


@torch.no_grad()
@pytest.mark.parametrize(
    ("size", "first"),
    [
        ((8, 8), (8, 8)),
        ((8, 11), (8, 11)),
        ((13, 9), (13, 9)),
        ((33, 21), (33, 21)),
        ((32, 32), (32, 32)),
        ((64, 48), (64, 48)),
        ((70, 50), (35, 25)),
        ((128, 96), (64, 48)),
    ],
)
def test_any_input_from_8x8(size, first, network, images):
    model = network(input_size=size)
    maps = model.forward_maps(images(1, size))
    expected = [first]
    for _ in range(2):
        expected.append(tuple((side + 1) // 2 for side in expected[-1]))
    assert [tuple(x.shape[2:]) for x in maps] == expected
    assert [x.shape[1] for x in maps] == list(model.dims)
    heatmaps = model.head(maps)
    assert heatmaps.shape == (1, 17, *first)
    assert heatmaps.isfinite().all()


def test_windows_are_the_papers():
    model = CMSA(**VARIANTS["cmsa_s"], input_size=(32, 24))
    sizes = [[window.size for window in stage] for stage in model.stage_windows]
    assert sizes == [[(32, 24), (16, 12), (8, 6)], [(16, 12), (8, 6)], [(8, 6), (8, 6)]]
    standard = CMSA(**VARIANTS["cmsa_s"], input_size=(32, 24), attention="standard")
    assert [[window.size for window in stage] for stage in standard.stage_windows] == [[(32, 24)], [(16, 12)], [(8, 6)]]


def test_windows_can_be_chosen(images):
    windows = [[(8, 8), (8, 8), (4, 4)], [(8, 8), (4, 4)], [(4, 4), (4, 4)]]
    model = CMSA(**VARIANTS["cmsa_n"], input_size=(32, 24), windows=windows).eval()
    assert [[window.size for window in stage] for stage in model.stage_windows] == windows
    assert model(images(1, (32, 24))).shape == (1, 128, 8, 6)


def test_a_small_input_is_refused():
    with pytest.raises(ValueError, match=r"7x24 .* at least 8"):
        CMSA(**VARIANTS["cmsa_n"], input_size=(7, 24))


def test_an_input_whose_windows_no_memory_holds_is_refused(monkeypatch, network, images):
    told = r"input size 4096x4096 \(HxW\) is too large: .* takes \d\d,\d\d\d GB and more, and this machine has [1-9]"
    with pytest.raises(ValueError, match=told):
        CMSA(**VARIANTS["cmsa_n"], input_size=(4096, 4096))
    model = network()
    with pytest.raises(ValueError, match="is too large"):
        model.set_input_size((4096, 4096))
    model(images(1, (32, 24)))  # it is as it was
    held = sum(buffer.nbytes for name, buffer in model.named_buffers() if name.endswith("relative_position_index"))
    for least, refused in ((held, False), (held - 1, True)):
        monkeypatch.setattr("cmsa.models.network.physical_memory", lambda least=least: least)
        with pytest.raises(ValueError, match="32x24") if refused else nullcontext():
            network()


def test_an_image_of_another_size_is_refused(network, images):
    with pytest.raises(ValueError, match=r"24x32 \(HxW\) for a network of 32x24.*set_input_size\(\(24, 32\)\)"):
        network()(images(1, (24, 32)))


@torch.no_grad()
def test_set_input_size_resizes_tables_and_keeps_the_rest(network, images):
    model = network()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = images(2, (32, 24))
    expected = model(x)
    model.set_input_size((32, 24))
    assert torch.equal(model(x), expected)
    model.set_input_size((64, 48))
    assert model.input_size == (64, 48)
    assert model.stages[0][0].attention.groups[0].table.shape == (1, 64, 48)
    assert model(images(1, (64, 48))).shape == (1, 17, 64, 48)
    for name, value in model.state_dict().items():
        if name.endswith("table"):
            corners = (slice(None), [0, 0, -1, -1], [0, -1, 0, -1])
            torch.testing.assert_close(value[corners], before[name][corners], msg=name)
        else:
            assert torch.equal(value, before[name]), name


def test_a_changed_size_keeps_the_stems_stride(network, images):
    model = network()
    model.set_input_size((72, 56))
    assert model(images(1, (72, 56))).shape == (1, 17, 72, 56)


@torch.no_grad()
def test_forward_intermediates(network, images):
    model, x = network(), images(1, (32, 24))
    maps = model.forward_maps(x)

    def same(found: list[torch.Tensor], expected: list[torch.Tensor]) -> bool:
        return len(found) == len(expected) and all(map(torch.equal, found, expected))

    last, all_maps = model.forward_intermediates(x)
    assert torch.equal(last, maps[2])
    assert same(all_maps, maps)
    assert same(model.forward_intermediates(x, indices=2, intermediates_only=True), maps[1:])
    assert same(model.forward_intermediates(x, indices=[0, 2], intermediates_only=True), [maps[0], maps[2]])
    with pytest.raises(ValueError, match="NHWC"):
        model.forward_intermediates(x, output_fmt="NHWC")


def test_feature_info_is_what_the_maps_are(network):
    model = network(input_size=(128, 96))
    assert [info["reduction"] for info in model.feature_info] == [2, 4, 8]
    assert [info["num_chs"] for info in model.feature_info] == list(model.dims)
    assert all(isinstance(model.get_submodule(info["module"]), nn.Sequential) for info in model.feature_info)


def test_classifier_conventions(images):
    model = CMSA(**VARIANTS["cmsa_n"], num_classes=10).eval()
    x = images(2, (32, 32))
    assert model(x).shape == (2, 10)
    model.reset_classifier(3)
    maps = model.forward_features(x)
    logits = model(x)
    assert logits.shape == (2, 3)
    assert torch.equal(model.forward_head(maps), logits)
    before = model.forward_head(maps, pre_logits=True)
    assert before.shape == (2, model.head_hidden_size)
    assert torch.equal(model.get_classifier()(before), logits)
    model.reset_classifier(0)
    assert isinstance(model.head, LastMap)
    assert torch.equal(model(x), maps[2])
    assert torch.equal(model.forward_head(maps, pre_logits=True), maps[2].mean((2, 3)))
    assert model.head_hidden_size == model.num_features == 128


@pytest.mark.parametrize("attention", ["standard", "grouped", "cascade", "channel_fusion", "cmsa"])
def test_gradients_reach_every_parameter(attention, images):
    torch.manual_seed(0)
    model = create_model("cmsa_n", "pose", input_size=(16, 8), attention=attention)
    x = images(4, (16, 8))
    (model(x) - torch.randn(4, 17, 16, 8)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        # A bias in front of a BatchNorm in training mode is subtracted again.
        if not name.startswith("head.enlarge") or not name.endswith("conv.bias"):
            assert parameter.grad.abs().max() > 0, name


def test_checkpointing_changes_no_gradient(images):
    torch.manual_seed(0)
    model = create_model("cmsa_n", "pose", input_size=(16, 8)).double()
    x = images(2, (16, 8), torch.float64)
    gradients = []
    for enable in (False, True):
        model.zero_grad()
        model.set_grad_checkpointing(enable)
        model(x).square().mean().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(checkpointed, plain, rtol=1e-9, atol=1e-12)


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 24), (33, 21)])
def test_images_of_a_batch_do_not_see_each_other_in_eval_mode(size, network, images):
    model = network(input_size=size).double()
    x = images(3, size, torch.float64)
    together = model(x)
    for index in range(3):
        torch.testing.assert_close(model(x[index : index + 1])[0], together[index], rtol=0, atol=1e-10)


def test_drop_path_grows_from_block_to_block(images):
    model = CMSA(**VARIANTS["cmsa_n"], drop_path_rate=0.25)
    rates = [getattr(block.drop_path, "drop_prob", 0.0) for stage in model.stages for block in stage]
    assert rates == pytest.approx([0, 0.05, 0.1, 0.15, 0.2, 0.25])
    x = images(2, (32, 32))
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))
