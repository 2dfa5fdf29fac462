"""The MLP and DropPath against timm's."""

import pytest
import timm.layers
import torch

from cmsa.models.layers import DropPath, Mlp


def test_mlp_has_the_names_and_numbers_of_timms():
    torch.manual_seed(0)
    ours, theirs = Mlp(6, 10).double(), timm.layers.Mlp(6, 10).double()
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 5, 3, 6, dtype=torch.float64)
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("drop_prob", [0.25, 0.9, 1.0])
def test_drop_path_draws_as_timms(drop_prob: float):
    ours, theirs = DropPath(drop_prob), timm.layers.DropPath(drop_prob)
    x = torch.randn(64, 3, 5, 2)
    torch.manual_seed(3)
    dropped = ours(x)
    torch.manual_seed(3)
    assert torch.equal(dropped, theirs(x))
    assert torch.equal(ours.eval()(x), x)
    whole = (dropped != 0).flatten(1).any(1)
    assert torch.equal(dropped[~whole], torch.zeros_like(dropped[~whole]))
    assert whole.any() == (drop_prob < 1)
    torch.testing.assert_close(dropped[whole], x[whole] / (1 - drop_prob))
    assert repr(ours) == f"DropPath(drop_prob={drop_prob})"
