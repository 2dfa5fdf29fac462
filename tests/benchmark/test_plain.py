"""The plain network computes what ours computes: outputs, gradients and running statistics."""

from __future__ import annotations

import pytest
import torch
from tiny_people import TINY

from cmsa.benchmark.plain import PlainNetwork, from_windows, to_windows
from cmsa.models import create_model
from cmsa.models.windows import Window, window_partition, window_reverse


def pair(generator, randomise, size, training, **options):
    torch.manual_seed(0)
    ours = create_model("cmsa_n", "pose", size, **TINY, **options).double()
    randomise(ours, generator)
    # The head's own gain would hide what comes before it.
    ours.head.score.norm.weight.data.fill_(1)
    ours = ours.train(training).to(memory_format=torch.channels_last)
    return ours, PlainNetwork(ours)


# 21x17 pads windows at every stage; 72x40 has a stem of stride 2.
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("size", [(32, 24), (21, 17), (72, 40)])
def test_outputs_gradients_and_statistics_are_ours(generator, randomise, size, training):
    ours, plain = pair(generator, randomise, size, training)
    images = torch.randn(3, 3, *size, dtype=torch.float64, generator=generator)
    wanted, found = ours(images), plain(images)
    weights = torch.randn(wanted.shape, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)
    for output in (wanted, found):
        (output * weights).sum().backward()
    theirs = dict(plain.named_parameters())
    assert theirs.keys() == dict(ours.named_parameters()).keys()
    for name, parameter in ours.named_parameters():
        if parameter.grad is None:
            # Ours expands the bias once in eval mode, without a gradient.
            assert not training
            assert name.endswith(".table")
            continue
        gradient = theirs[name].grad.reshape(parameter.shape)
        largest = float(parameter.grad.abs().max())
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-7, atol=1e-8 * max(1.0, largest), msg=name)
    buffers = dict(plain.named_buffers())
    compared = [name for name, _ in ours.named_buffers() if "running" in name]
    assert compared
    for name in compared:
        torch.testing.assert_close(buffers[name], ours.get_buffer(name), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", ["standard", "grouped", "cascade", "channel_fusion"])
def test_the_ablations_too(generator, randomise, kind):
    ours, plain = pair(generator, randomise, (16, 12), True, attention=kind)
    images = torch.randn(2, 3, 16, 12, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(plain(images), ours(images), rtol=1e-9, atol=1e-9)


def test_its_weights_are_copies_in_contiguous_memory(generator, randomise):
    ours, plain = pair(generator, randomise, (16, 12), True)
    shared = {parameter.data_ptr() for parameter in ours.parameters()}
    for name, parameter in plain.named_parameters():
        assert parameter.data_ptr() not in shared, name
        assert parameter.is_contiguous(), name
    maps = []
    plain.head.register_forward_pre_hook(lambda _, inputs: maps.extend(inputs[0]))
    plain(torch.zeros(2, 3, 16, 12, dtype=torch.float64))
    assert [x.is_contiguous() for x in maps] == [True, True, True]


def test_windows_are_cut_as_ours_are(generator):
    window = Window.fit((9, 7), (4, 4), 2)
    x = torch.randn(2, 6, 9, 7, generator=generator)
    cells = to_windows(x, window.grid, window.size, 3)
    torch.testing.assert_close(
        cells, window_partition(x.permute(0, 2, 3, 1), window.grid, window.size, 3), rtol=0, atol=0
    )
    back = from_windows(cells, window.grid, window.size, window.map_size)
    torch.testing.assert_close(back, x, rtol=0, atol=0)
    ours = window_reverse(cells, window.grid, window.size, window.map_size)
    torch.testing.assert_close(back, ours.permute(0, 3, 1, 2), rtol=0, atol=0)
