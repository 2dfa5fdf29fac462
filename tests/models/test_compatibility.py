"""What PyTorch offers around a module: export, compilation, autocast, memory formats."""

from __future__ import annotations

import copy
import io

import pytest
import torch
from every_variant import EVERY_VARIANT, LARGE

from cmsa.models import fuse

SIZE = (16, 8)
ONE_BLOCK = {"depths": (1, 1, 1), "input_size": SIZE}
"""All parts of a variant, traced in a third of the time."""
QUICK_OR_WHOLE = [
    pytest.param("cmsa_n", ONE_BLOCK, id="one-block"),
    pytest.param("cmsa_s", {"input_size": SIZE}, id="cmsa_s", marks=pytest.mark.slow),
    *(pytest.param(name, {"input_size": SIZE}, id=name, marks=pytest.mark.exhaustive) for name in ("cmsa_n", *LARGE)),
]


@pytest.mark.parametrize(("variant", "options"), QUICK_OR_WHOLE)
@torch.no_grad()
def test_export_with_a_dynamic_batch(variant, options, network, images):
    model = network(variant, **options)
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(model, (images(2, SIZE),), dynamic_shapes=({0: batch},))
    for count in (1, 3):
        x = images(count, SIZE)
        torch.testing.assert_close(program.module()(x), model(x), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_export_of_a_fused_network_whose_windows_are_padded(network, images):
    size = (17, 13)
    model = network(input_size=size, depths=(1, 1, 1))
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(fuse(model), (images(2, size),), dynamic_shapes=({0: batch},))
    x = images(3, size)
    torch.testing.assert_close(program.module()(x), model(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("variant", "options"), QUICK_OR_WHOLE)
def test_compile_traces_without_breaks(variant, options, network, images):
    model = network(variant, **options)
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    x = images(2, SIZE)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_compiled_training_step(network, images):
    model = network(**ONE_BLOCK).train()
    plain = copy.deepcopy(model)
    x = images(2, SIZE)
    torch.compile(model, backend="aot_eager")(x).square().mean().backward()
    plain(x).square().mean().backward()
    for (name, one), other in zip(model.named_parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-3, atol=1e-4, msg=name)


# Nearly all of its minute is the C++ compiler's.
@pytest.mark.exhaustive
def test_compile_to_machine_code(network, images):
    model = network(**ONE_BLOCK)
    x = images(2, SIZE)
    with torch.no_grad():
        torch.testing.assert_close(torch.compile(model)(x), model(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("training", [False, True], ids=["eval", "training"])
@pytest.mark.parametrize("variant", EVERY_VARIANT)
def test_bfloat16_autocast(variant, training, network, images):
    model = network(variant).train(training)
    x = images(2, (32, 24))
    expected = model(x)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(x)
    assert found.isfinite().all()
    error = (found.float() - expected).square().mean().sqrt() / expected.std()
    assert error < 0.1
    found.float().square().mean().backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in model.parameters())


@torch.no_grad()
def test_bfloat16_weights_with_padded_windows(network, images):
    model = network(input_size=(33, 21))
    x = images(1, (33, 21))
    expected = model(x)
    found = model.bfloat16()(x.bfloat16()).float()
    assert found.isfinite().all()
    assert (found - expected).square().mean().sqrt() / expected.std() < 0.1


@pytest.mark.parametrize("variant", EVERY_VARIANT)
@torch.no_grad()
def test_channels_last(variant, network, images):
    model = network(variant)
    x = images(2, (32, 24))
    expected = model(x)
    last = model.to(memory_format=torch.channels_last)
    torch.testing.assert_close(last(x.to(memory_format=torch.channels_last)), expected, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_a_pickled_copy_is_the_same(network, images):
    model = network(**ONE_BLOCK)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    x = images(1, SIZE)
    assert torch.equal(torch.load(file, weights_only=False)(x), model(x))
