"""The SimCC head: its shape, its one matrix, and the sizes that it refuses."""

from __future__ import annotations

import pytest
import torch

from cmsa.models import create_model, fuse, load_weights, save_weights
from cmsa.models.heads.heatmap import LinearFusion, MixerFusion
from cmsa.models.heads.map_shapes import MapShapes
from cmsa.models.heads.simcc import SimCCHead

DIMS = (4, 6, 8)


@pytest.mark.parametrize("fusion", [MixerFusion, LinearFusion])
def test_every_keypoint_goes_through_the_same_matrix(fusion, maps):
    size = tuple(maps[0].shape[2:])
    shapes = MapShapes(DIMS, tuple(tuple(x.shape[2:]) for x in maps), (16, 12), (16, 12))
    head = SimCCHead(fusion(DIMS, 5), shapes, split=1.5).eval()
    logits = head(maps)
    assert logits.shape == (2, 5, 18 + 24)
    heatmaps = head.fusion(maps)
    assert heatmaps.shape == (2, 5, *size)
    expected = torch.einsum("bkhw,nhw->bkn", heatmaps, head.axes.weight.reshape(42, *size))
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)


def test_a_small_head_on_a_small_network():
    plain, simcc = create_model("cmsa_n", "pose"), create_model("cmsa_n", "pose", head="simcc")
    added = [sum(parameter.numel() for parameter in model.parameters()) for model in (simcc, plain)]
    assert added[0] - added[1] == (32 * 24 + 1) * (48 + 64)
    assert simcc.description.options == {"fusion": "mixer", "num_keypoints": 17, "head": "simcc"}
    # The keys of the heatmaps' head are found again below ``fusion``.
    assert {f"fusion.{key}" for key in plain.head.state_dict()} < simcc.head.state_dict().keys()


def test_it_starts_with_logits_of_the_order_of_one(generator):
    model = create_model("cmsa_n", "pose", (16, 24), depths=(1, 1, 1), head="simcc")
    with torch.no_grad():
        logits = model(torch.randn(8, 3, 16, 24, generator=generator))
    assert 0.05 < logits.std() < 2


def test_weights_rebuild_it_and_fusing_changes_nothing(tmp_path, randomised, images):
    torch.manual_seed(0)
    model = randomised(create_model("cmsa_n", "pose", (16, 24), depths=(1, 1, 1), head="simcc", split=3.0))
    x = images(2, (16, 24), torch.float64)
    with torch.no_grad():
        expected = model(x)
        assert expected.shape == (2, 17, 72 + 48)
        torch.testing.assert_close(fuse(model)(x), expected, atol=1e-9, rtol=0)
    save_weights(tmp_path / "simcc.safetensors", model.float())
    loaded = load_weights(tmp_path / "simcc.safetensors")
    assert loaded.description.options["split"] == 3
    with torch.no_grad():
        torch.testing.assert_close(loaded(x.float()), model(x.float()))


def test_another_size_is_refused_and_leaves_the_model_as_it_was(images):
    model = create_model("cmsa_n", "pose", (16, 24), depths=(1, 1, 1), head="simcc").eval()
    with pytest.raises(ValueError, match=r"SimCC head for images of \(16, 24\).* takes no images of \(32, 24\)"):
        model.set_input_size((32, 24))
    assert model.input_size == (16, 24)
    assert model(images(1, (16, 24))).shape == (1, 17, 80)


def test_unknown_heads_and_options():
    with pytest.raises(ValueError, match="no head 'simc'; there are heatmap, simcc"):
        create_model("cmsa_n", "pose", head="simc")
    with pytest.raises(ValueError, match="split is an option of the head 'simcc', not of 'heatmap'"):
        create_model("cmsa_n", "pose", split=2.0)
    with pytest.raises(ValueError, match=r"at least one bin per pixel, got 0\.5"):
        create_model("cmsa_n", "pose", head="simcc", split=0.5)
