"""One network of several that began from the same weights: the average of theirs (arXiv 2203.05482, "model soups")."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import TypeVar

import torch
from torch import Tensor, nn

from cmsa.models.weights import misfits

Network = TypeVar("Network", bound=nn.Module)


def average(networks: Sequence[Network], shares: Sequence[float] | None = None) -> Network:
    """A copy of the first network with the weighted mean of all weights and running statistics.

    It costs no more to run than one of them, and does better than each where all were trained on from the same weights,
    e.g. with different augmentation. Networks from different random weights average to nothing of use.

    Args:
        networks: at least one, with tensors of the same names and shapes.
        shares: how much each counts, at least 0; brought to a sum of 1. The same for all by default.

    Raises:
        ValueError: there is none, or tensors, names of keypoints or classes, or shares do not go together.

    Examples:
        >>> from cmsa import load_weights, save_weights
        >>> from cmsa.models.average import average
        >>> runs = [load_weights(name) for name in ("cmsa_n_pose_32x24", "cmsa_n_pose_32x24")]
        >>> save_weights("mean.safetensors", average(runs, [0.6, 0.4]))
    """
    if not networks:
        raise ValueError("there is no network to average")
    shares = [1.0] * len(networks) if shares is None else list(shares)
    if len(shares) != len(networks):
        raise ValueError(f"{len(shares)} shares for {len(networks)} networks")
    total = math.fsum(shares)
    if not (all(share >= 0 for share in shares) and 0 < total < math.inf):
        raise ValueError(f"shares must be at least 0 and one of them above it, not {shares}")
    states = [network.state_dict() for network in networks]
    for number, (network, state) in enumerate(zip(networks[1:], states[1:], strict=True), 2):
        _must_fit(states[0], state, number)
        here, there = (getattr(getattr(one, "description", None), "names", ()) for one in (network, networks[0]))
        if here and there and here != there:
            raise ValueError(f"network {number} cannot be averaged with the first: its keypoints or classes are others")
    shares = [share / total for share in shares]
    mean = deepcopy(networks[0])
    mean.load_state_dict({name: _mean([state[name] for state in states], shares) for name in states[0]})
    return mean


def _mean(tensors: Sequence[Tensor], shares: Sequence[float]) -> Tensor:
    """Weighted mean, summed in float64; of integers (counts of batches, indices) the first."""
    first = tensors[0]
    if not first.is_floating_point():
        return first
    weighed = [tensor.double() * share for tensor, share in zip(tensors, shares, strict=True)]
    return torch.stack(weighed).sum(0).to(first.dtype)


def _must_fit(first: dict[str, Tensor], other: dict[str, Tensor], number: int) -> None:
    missing, unexpected, differing = misfits(first, other)
    refused = f"network {number} cannot be averaged with the first"
    if odd := sorted(missing + unexpected):
        raise ValueError(f"{refused}: only one of them has {odd[0]}")
    if differing:
        name = differing[0]
        shape, wanted = tuple(other[name].shape), tuple(first[name].shape)
        raise ValueError(f"{refused}: {name} is {shape} in it, {wanted} in the first")
