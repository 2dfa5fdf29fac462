"""Fused networks compute what the networks compute in eval mode."""

from __future__ import annotations

import pytest
import torch
from every_variant import EVERY_VARIANT
from torch import nn

from cmsa.models import CMSA, create_model, fuse
from cmsa.models.attention import WindowAttention
from cmsa.models.attention_parts import TABLE_5
from cmsa.models.fuse import _check_answer
from cmsa.models.reparam import ConvNorm
from cmsa.models.variants import VARIANTS

TOLERANCE = 1e-9


def norms(model: nn.Module) -> list[str]:
    return [name for name, part in model.named_modules() if isinstance(part, nn.BatchNorm2d)]


@torch.no_grad()
def difference(model: nn.Module, other: nn.Module, x: torch.Tensor) -> float:
    return (model(x) - other(x)).abs().max().item()


@pytest.mark.parametrize("size", [(32, 24), (33, 21)])
@pytest.mark.parametrize("variant", EVERY_VARIANT)
def test_every_variant(variant, size, network, images):
    model = network(variant, size).double()
    fused = fuse(model)
    x = images(2, size, torch.float64)
    with torch.no_grad():
        assert model(x).std() > 0.1
    assert difference(fused, model, x) < TOLERANCE
    assert norms(model)
    assert not norms(fused)


@torch.no_grad()
def test_every_part_of_a_network(network, images):
    """Each part by itself, on the input that it has inside the network, differs by less than the tolerance too."""
    model = network("cmsa_n", (33, 21)).double()
    fused = fuse(model)
    names = [name for name, _ in fused.named_modules() if name and name in dict(model.named_modules())]
    seen: dict[str, tuple[torch.Tensor, ...]] = {}
    handles = [
        model.get_submodule(name).register_forward_hook(lambda _, inputs, __, name=name: seen.update({name: inputs}))
        for name in names
    ]
    model(images(1, (33, 21), torch.float64))
    for handle in handles:
        handle.remove()
    kinds = set()
    for name, inputs in seen.items():
        part, other = model.get_submodule(name), fused.get_submodule(name)
        # A folded norm changes what goes between its neighbours, not what goes into the block.
        if name.endswith(("norm1", "attention", "attention.q", "attention.kv")):
            continue
        kinds.add(type(part).__name__)
        expected, found = part(*inputs), other(*inputs)
        torch.testing.assert_close(found, expected, rtol=0, atol=TOLERANCE, msg=name)
    assert {"RepConv", "ConvNorm", "SpatialFusion", "Block", "Stem", "TransposeNorm", "MixerFusion"} <= kinds


def test_the_norm_before_the_attention_is_folded(network, images):
    model = network().double()
    block, folded = model.stages[1][0], fuse(model).stages[1][0]
    assert isinstance(folded.norm1, nn.Identity)
    x = torch.randn(2, 16, 12, 96, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    normed = block.norm1(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    torch.testing.assert_close(folded.attention(x), block.attention(normed), rtol=0, atol=TOLERANCE)


def test_running_statistics_are_folded_whatever_the_mode(network, images):
    """The negative control: what a model in training mode computes is something else."""
    model = network().double()
    x = images(4, (32, 24), torch.float64)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fused = fuse(model.train())
    assert model.training, "fusing must not change the model's mode"
    assert not any(part.training for part in fused.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert difference(fused, model.eval(), x) < TOLERANCE
    assert difference(fused, model.train(), x) > 0.1, "batch statistics ought to give another result"


def test_folding_batch_statistics_would_be_seen(network, images):
    """The comparison above does catch it: fold a batch's statistics and it is far outside the tolerance."""
    model = network().double()
    x = images(4, (32, 24), torch.float64)
    wrong = network().double().train()
    for part in wrong.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.no_grad():
        wrong(x)
    assert difference(fuse(wrong), model, x) > 0.1


def test_the_model_stays_as_it_is(network, images):
    model = network()
    x = images(1, (32, 24))
    expected = model(x)
    fused = fuse(model)
    for parameter in fused.parameters():
        parameter.data.zero_()
    assert torch.equal(model(x), expected)


def test_fusing_twice_changes_nothing(network, images):
    once = fuse(network())
    assert difference(fuse(once), once, images(1, (32, 24))) == 0


@pytest.mark.parametrize("attention", TABLE_5)
@pytest.mark.parametrize("task", ["pose", "head_pose", "classification"])
def test_every_row_of_the_ablation_and_every_head(attention, task, randomised, images):
    torch.manual_seed(0)
    model = randomised(create_model("cmsa_n", task, (16, 8), attention=attention))
    fused = fuse(model)
    assert not norms(fused)
    assert difference(fused, model, images(2, (16, 8), torch.float64)) < TOLERANCE


def test_a_fused_network_keeps_its_input_size(network):
    with pytest.raises(ValueError, match="set_input_size before fuse"):
        fuse(network()).set_input_size((16, 12))


def test_float32_is_close(network, images):
    model = network("cmsa_s")
    assert difference(fuse(model), model, images(2, (32, 24))) < 1e-4


def test_the_bias_is_laid_out_and_parameters_become_fewer(network):
    model = network()
    fused = fuse(model)
    assert not any(isinstance(part, WindowAttention) for part in fused.modules())
    assert not any(name.endswith("table") for name in fused.state_dict())
    assert sum(p.numel() for p in fused.parameters()) < sum(p.numel() for p in model.parameters())


def test_a_norm_that_cannot_be_folded_is_an_error():
    class OfTheFirstMap(nn.BatchNorm2d):
        def forward(self, maps):
            return super().forward(maps[0])

    model = CMSA(**VARIANTS["cmsa_n"])
    model.head = nn.Sequential(OfTheFirstMap(model.feature_info[0]["num_chs"]))
    with pytest.raises(ValueError, match=r"1 BatchNorms cannot be folded: head\.0"):
        fuse(model)


def test_a_copy_that_answers_otherwise_is_not_given_out(network, monkeypatch):
    """As where branches are folded with another's statistics: RepVGG's deployed networks did."""
    honest = ConvNorm.fuse

    def doubled(self: ConvNorm) -> nn.Module:
        fused = honest(self)
        fused.weight.data *= 2
        return fused

    model = network()
    fuse(model)
    monkeypatch.setattr(ConvNorm, "fuse", doubled)
    with pytest.raises(ValueError, match="the fused network answers otherwise than the network: by"):
        fuse(model)


def test_a_network_that_magnifies_rounding_is_fused():
    """Drawn untrained, some CMSA-S answer a tenth otherwise after another rounding: refused by chance before."""
    torch.manual_seed(57)
    model = create_model("cmsa_s", "pose", (32, 24)).eval()
    copied = fuse(model.double())
    assert difference(copied, model, torch.randn(1, 3, 32, 24, dtype=torch.float64)) < 1e-6
    fuse(model.float())


@pytest.mark.parametrize("seed", [176, 57, 36])
def test_such_a_network_folded_wrongly_is_not_given_out(seed, monkeypatch):
    honest = ConvNorm.fuse

    def shifted(self: ConvNorm) -> nn.Module:
        fused = honest(self)
        fused.bias.data += 0.1
        return fused

    torch.manual_seed(seed)
    model = create_model("cmsa_s", "pose", (32, 24)).eval()
    monkeypatch.setattr(ConvNorm, "fuse", shifted)
    with pytest.raises(ValueError, match="answers otherwise"):
        fuse(model)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_copy_that_overflows_is_not_given_out(number, network):
    """What float64 folds rightly is no excuse."""
    model = network()
    with pytest.raises(ValueError, match="beyond what its precision can fold"):
        _check_answer(torch.tensor([number, 1.0]), torch.ones(2), model)


@pytest.mark.parametrize("precision", [torch.float64, torch.float32, torch.bfloat16])
def test_any_precision_is_fused(network, precision):
    fused = fuse(network("cmsa_s", (33, 21)).to(precision))
    assert {parameter.dtype for parameter in fused.parameters()} == {precision}
