from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from cmsa.models import create_model
from cmsa.models.average import average


def network(seed: int, size: tuple[int, int] = (16, 12), **options: object) -> nn.Module:
    """With running statistics that are not those of a fresh network."""
    torch.manual_seed(seed)
    model = create_model("cmsa_n", "pose", size, depths=[1, 1, 1], **options).double().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            module.num_batches_tracked.fill_(seed)
    return model


def test_every_tensor_is_the_weighted_mean() -> None:
    networks = [network(seed) for seed in (1, 2, 3)]
    before = [{name: value.clone() for name, value in each.state_dict().items()} for each in networks]
    mean = average(networks, [2, 1, 1])
    for name, value in mean.state_dict().items():
        if value.is_floating_point():
            expected = 0.5 * before[0][name] + 0.25 * before[1][name] + 0.25 * before[2][name]
            torch.testing.assert_close(value, expected, rtol=0, atol=1e-12)
        else:
            assert torch.equal(value, before[0][name])
    for each, state in zip(networks, before, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in each.state_dict().items())
    assert not mean.training


def test_a_network_averaged_with_itself_answers_as_before() -> None:
    one = network(1)
    images = torch.randn(2, 3, 16, 12, dtype=torch.float64)
    torch.testing.assert_close(average([one, one])(images), one(images), rtol=0, atol=1e-12)


def test_half_precision_is_summed_in_double() -> None:
    networks = [network(seed).half() for seed in (1, 2, 3)]
    mean = average(networks)
    for name, value in mean.state_dict().items():
        assert value.dtype == networks[0].state_dict()[name].dtype
        if value.is_floating_point():
            expected = torch.stack([each.state_dict()[name].double() for each in networks]).mean(0)
            torch.testing.assert_close(value, expected.half(), rtol=0, atol=0)


def test_what_does_not_go_together_is_named() -> None:
    with pytest.raises(ValueError, match=r"network 2 cannot be averaged .* is \(\d+.*\) in it, \(\d+.*\) in the first"):
        average([network(1), network(1, dims=[16, 24, 40])])
    with pytest.raises(ValueError, match=r"network 3 .* only one of them has \w+"):
        average([network(1), network(2), network(1, fusion="linear")])
    with pytest.raises(ValueError, match="1 shares for 2 networks"):
        average([network(1), network(2)], [1])


@pytest.mark.parametrize("shares", [[0.0, 0.0], [-1.0, 2.0], [float("nan"), 1.0], [float("inf"), 1.0]])
def test_shares_of_no_use_are_refused(shares: list[float]) -> None:
    with pytest.raises(ValueError, match="shares must be at least 0"):
        average([network(1), network(2)], shares)


def test_nothing_has_no_average() -> None:
    with pytest.raises(ValueError, match="no network"):
        average([])


def test_other_keypoints_are_not_averaged() -> None:
    first, second = network(1), network(1)
    first.description = replace(first.description, names=tuple("abcdefghijklmnopq"))
    average([first, second])  # one of them does not say
    second.description = replace(second.description, names=tuple("abcdefghijklmnoqp"))
    with pytest.raises(ValueError, match="network 2 cannot be averaged with the first: its keypoints or classes"):
        average([first, second])
