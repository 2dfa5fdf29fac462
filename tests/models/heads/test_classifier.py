"""Heads for classification: what they see of the maps."""

from __future__ import annotations

import torch

from cmsa.models.heads.classifier import ClassificationHead, LastMap

DIMS = (4, 6, 8)


def test_classification_sees_the_means_of_all_maps(maps):
    head = ClassificationHead(DIMS, 10)
    logits = head(maps)
    assert logits.shape == (2, 10)
    constant = [x.mean((2, 3), keepdim=True).expand_as(x) for x in maps]
    torch.testing.assert_close(head(constant), logits)
    for index in range(3):
        others = [x + (index == number) * torch.randn_like(x[:, :, :1, :1]) for number, x in enumerate(maps)]
        assert not torch.allclose(head(others), logits, atol=1e-4), index


def test_last_map(maps):
    assert LastMap()(maps) is maps[-1]
