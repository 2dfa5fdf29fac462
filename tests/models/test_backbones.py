"""Networks of timm and of users as backbones: shapes under every task, odd sizes, enlargement, weights files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmsa.models import create_model, fuse, load_weights, save_weights
from cmsa.models.backbones import BackboneNetwork, find_backbone, register_backbone
from cmsa.models.heads.table import head_of

LARGE = ["hrnet_w32", "swin_base_patch4_window7_224", "convnext_base"]
SMALLER = ["resnet50", "vit_base_patch16_224", "pvt_v2_b1", "mobilenetv4_conv_small"]
SMALL = ["resnet18", "mobilenetv4_conv_small", "pvt_v2_b0", "vit_tiny_patch16_224"]


class TwoMaps(nn.Module):
    """A user's own backbone: maps of strides 2 and 4."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, width, 3, 2, 1), nn.Conv2d(width, 2 * width, 3, 2, 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        fine = self.first(x).relu()
        return [fine, self.second(fine)]


@pytest.fixture(autouse=True)
def own_backbone() -> None:
    register_backbone("two_maps", TwoMaps)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *((name, size) for name in SMALLER for size in ((32, 24), (40, 31))),
        *(pytest.param(name, (32, 24), marks=pytest.mark.exhaustive) for name in LARGE),
        *(pytest.param(name, (40, 31), marks=pytest.mark.slow) for name in LARGE),
    ],
)
def test_any_network_of_timm_under_any_task(name: str, size: tuple[int, int]) -> None:
    """Maps of strides 4 to 32 (16 in a ViT) and the heads' shapes, without numbers."""
    quarter = (-(-size[0] // 4), -(-size[1] // 4))
    with torch.device("meta"):
        model = create_model(f"timm/{name}", "pose", size).eval()
        images = torch.empty(2, 3, *size)
        maps = model.forward_maps(images)
        assert [tuple(x.shape[1:]) for x in maps] == [
            (channels, *area) for channels, area in zip(model.dims, model.map_sizes, strict=True)
        ]
        strides = [16, 16, 16] if name.startswith("vit") else [4, 8, 16, 32]
        assert list(model.map_sizes) == [(-(-size[0] // stride), -(-size[1] // stride)) for stride in strides]
        assert model.heatmap_size == quarter
        assert model(images).shape == (2, 17, *quarter)
        for task, options, shape in [
            ("head_pose", {"head": "ssr"}, (3, len(strides), 5)),
            ("classification", {"num_classes": 7}, (7,)),
        ]:
            head = head_of(task).build(model.map_shapes, **options)
            assert head(maps).shape == (2, *shape)


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "fusion"),
    [
        *((name, fusion) for name in SMALL for fusion in ("deconvolution", "linear", "mixer")),
        ("swin_tiny_patch4_window7_224", "linear"),
        *(
            pytest.param("swin_tiny_patch4_window7_224", fusion, marks=pytest.mark.exhaustive)
            for fusion in ("deconvolution", "mixer")
        ),
    ],
)
def test_small_ones_with_numbers(name: str, fusion: str, tmp_path: Path) -> None:
    size = (40, 31)
    torch.manual_seed(0)
    model = create_model(f"timm/{name}", "pose", size, fusion=fusion, num_keypoints=5).eval()
    images = torch.randn(2, 3, *size)
    expected = model(images)
    assert expected.shape == (2, 5, *model.heatmap_size)
    assert expected.std() > 0
    save_weights(tmp_path / "weights.safetensors", model)
    again = load_weights(tmp_path / "weights.safetensors")
    assert again.description == model.description
    assert torch.equal(again(images), expected)


@torch.no_grad()
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
def test_the_crop_is_enlarged_inside_the_network(interpolation: str) -> None:
    torch.manual_seed(0)
    options = {"working_size": (128, 96), "interpolation": interpolation}
    model = create_model("timm/mobilenetv4_conv_small", "pose", (32, 24), **options).eval()
    large = create_model("timm/mobilenetv4_conv_small", "pose", (128, 96)).eval()
    large.load_state_dict(model.state_dict())
    images = torch.randn(2, 3, 32, 24)
    enlarged = F.interpolate(images, size=(128, 96), mode=interpolation, align_corners=False)
    assert torch.equal(model(images), large(enlarged))
    # Heatmaps at a quarter of what the network sees: at the size of the crop.
    assert model.heatmap_size == (32, 24)
    # Another crop only changes the enlargement.
    model.set_input_size((16, 12))
    assert model(torch.randn(1, 3, 16, 12)).shape == (1, 17, 32, 24)


@torch.no_grad()
def test_padding_is_cut_off_the_maps() -> None:
    """A map's pixels that see no padding are those of the unpadded image."""
    torch.manual_seed(0)
    padded = BackboneNetwork(TwoMaps(), (13, 9), multiple=4)
    plain = BackboneNetwork(padded.backbone, (13, 9))
    images = torch.randn(1, 3, 13, 9)
    for one, other in zip(padded.forward_maps(images), plain.forward_maps(images), strict=True):
        assert one.shape == other.shape
        torch.testing.assert_close(one[:, :, :-1, :-1], other[:, :, :-1, :-1])
    assert padded.map_sizes == plain.map_sizes == ((7, 5), (4, 3))


def test_maps_of_swin_are_turned() -> None:
    with torch.device("meta"):
        model = create_model("timm/swin_tiny_patch4_window7_224", "classification", (64, 48))
    assert model.layout == "NHWC"
    assert model.dims == (96, 192, 384, 768)


@torch.no_grad()
def test_another_input_size() -> None:
    model = create_model("timm/resnet18", "pose", (32, 24)).eval()
    model.set_input_size((64, 40))
    assert model.map_sizes == ((16, 10), (8, 5), (4, 3), (2, 2))
    assert model(torch.zeros(1, 3, 64, 40)).shape == (1, 17, 16, 10)
    with torch.device("meta"):
        vit = create_model("timm/vit_tiny_patch16_224", "pose", (32, 32))
    with pytest.raises(ValueError, match=r"built for images of \(32, 32\).*working_size"):
        vit.set_input_size((48, 32))
    with pytest.raises(ValueError, match=r"24x24 \(HxW\) for a network of 64x40"):
        model(torch.zeros(1, 3, 24, 24))


def test_the_stem_of_stride_one_keeps_the_pixels() -> None:
    model = create_model("timm/resnet18", "classification", (32, 32), stem_stride=1, out_indices=[4])
    # The usual ResNet-18 for CIFAR has 11,220,132 parameters for 100 classes; the head adds a LayerNorm of 512.
    assert sum(parameter.numel() for parameter in model.parameters()) == 11_220_132 + 2 * 512
    assert model.map_sizes == ((4, 4),)
    with torch.device("meta"):
        mobile = create_model("timm/mobilenetv4_conv_small", "pose", (32, 24), stem_stride=1)
    assert mobile.map_sizes[0] == (16, 12)
    with pytest.raises(ValueError, match="stem_stride must be 1, for a network whose first layer is a convolution"):
        create_model("timm/convnext_atto", stem_stride=1)


def test_a_map_can_be_read_several_times() -> None:
    model = create_model("timm/resnet18", "head_pose", (32, 32), stem_stride=1, out_indices=[4, 4, 4]).eval()
    with torch.inference_mode():
        maps = model.forward_maps(torch.rand(3, 3, 32, 32))
        assert model.head(maps).shape == (3, 3, 3, 5)
    assert maps[0] is maps[2]


@torch.no_grad()
@pytest.mark.parametrize("name", ["timm/resnet18", "timm/repghostnet_050", "two_maps"])
def test_fused_networks_compute_the_same(name: str, randomised: object, images: object) -> None:
    torch.manual_seed(0)
    for fusion in ("deconvolution", "mixer"):
        model = randomised(create_model(name, "pose", (40, 31), fusion=fusion))  # type: ignore[operator]
        fused = fuse(model)
        x = images(2, (40, 31), torch.float64)  # type: ignore[operator]
        torch.testing.assert_close(fused(x), model(x), rtol=0, atol=1e-9 * model(x).abs().max().item())
        assert not [part for part in fused.head.modules() if isinstance(part, nn.BatchNorm2d)]


def test_what_must_not_decay() -> None:
    with torch.device("meta"):
        swin = create_model("timm/swin_tiny_patch4_window7_224", "classification", (32, 32))
        vit = create_model("timm/vit_tiny_patch16_224", "classification", (32, 32))
    tables = {name for name, _ in swin.named_parameters() if name.endswith("relative_position_bias_table")}
    assert len(tables) == 12
    assert swin.no_weight_decay() == tables
    assert vit.no_weight_decay() == {"backbone.model.pos_embed", "backbone.model.cls_token"}
    ours = create_model("cmsa_n")
    assert ours.no_weight_decay() == {name for name, _ in ours.named_parameters() if name.endswith(".table")}


def test_a_users_own_backbone(tmp_path: Path) -> None:
    model = create_model("two_maps", "pose", (17, 13), width=4, num_keypoints=3).eval()
    assert (model.dims, model.map_sizes) == ((4, 8), ((9, 7), (5, 4)))
    images = torch.randn(2, 3, 17, 13)
    assert model(images).shape == (2, 3, 5, 4)
    save_weights(tmp_path / "own.safetensors", model)
    again = load_weights(tmp_path / "own.safetensors")
    assert torch.equal(again(images), model(images))
    assert find_backbone("two_maps") is TwoMaps
    with pytest.raises(ValueError, match="there is a backbone 'two_maps' already"):
        register_backbone("two_maps", nn.Identity)
    register_backbone("no_maps", nn.Flatten)
    with pytest.raises(ValueError, match=r"Flatten: must give a list of maps"):
        create_model("no_maps", "pose", (16, 12))


def test_unknown_names_and_options_say_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"no model 'resnet18'; there are cmsa_n, .*; did you mean timm/resnet18\?"):
        create_model("resnet18")
    with pytest.raises(ValueError, match=r"timm .* has no model 'resnet_18'; there are .*resnet18"):
        create_model("timm/resnet_18")
    with pytest.raises(ValueError, match=r"timm/resnet18 for pose has no option workingsize; there are .*working_size"):
        create_model("timm/resnet18", "pose", workingsize=(64, 48))
    with pytest.raises(ValueError, match=r"two_maps for pose has no option widht; there are .*width, working_size"):
        create_model("two_maps", "pose", widht=3)
    with pytest.raises(ValueError, match=r"timm cannot make it give maps with the options .*drop_paths"):
        create_model("timm/resnet18", backbone_options={"drop_paths": 0.1})
    with pytest.raises(ValueError, match="interpolation must be one of bicubic, bilinear, got 'nearest'"):
        create_model("timm/resnet18", interpolation="nearest")


def test_weights_that_cannot_be_downloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    make = timm.create_model

    def offline(name: str, pretrained: bool = False, **options: object) -> nn.Module:
        if pretrained:
            raise OSError("no route to host")
        return make(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ConnectionError, match=r"could not be had \(no route to host\).*pretrained_backbone off"):
        create_model("timm/resnet18", pretrained_backbone=True)


def test_where_the_numbers_came_from_is_no_option_of_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    make = timm.create_model
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained=False, **options: make(name, **options))
    model = create_model("timm/vit_tiny_patch16_224", "classification", (32, 32), pretrained_backbone=True)
    assert "pretrained_backbone" not in model.description.options
    # These weights of timm want another normalisation than ImageNet's.
    assert model.description.mean == model.description.std == (0.5, 0.5, 0.5)


def test_a_network_that_is_coarser_inside_than_its_maps_is_padded_for_that() -> None:
    options = {"out_indices": [1], "fusion": "linear", "backbone_options": {"feature_location": ""}}
    model = create_model("timm/hrnet_w18_small", "pose", (16, 12), **options).eval()
    with torch.no_grad():
        assert model(torch.zeros(1, 3, 16, 12)).shape[:2] == (1, 17)


class Giving(nn.Module):
    """What somebody's module may give instead of a list of maps."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what, self.layer = what, nn.Conv2d(3, 4, 3, 2, 1)

    def forward(self, x: Tensor) -> object:
        x = self.layer(x)
        given = {"one": x, "dict": {"a": x}, "none": None, "empty": [], "nested": [[x]], "flat": [x.flatten(2)]}
        return [x * x.mean().item()] if self.what == "values" else given[self.what]


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("one", r"must give a list of maps \(B, C, h, w\), gave one of the shape \(1, 4, 8, 6\)"),
        ("dict", "must give a list of maps .* gave a dict"),
        ("none", "gave a NoneType"),
        ("empty", r"gave \[\]"),
        ("nested", r"gave \['list'\]"),
        ("flat", r"gave \[\(1, 4, 48\)\]"),
        ("values", "Giving fails on images of 16x12 .* without numbers"),
    ],
)
def test_what_a_module_gives_instead_of_maps_is_told(what: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        BackboneNetwork(Giving(what), (16, 12))


@pytest.mark.parametrize("name", ["", "cmsa_n", "timm/resnet18"])
def test_a_name_that_would_never_be_asked_for_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="backbone"):
        register_backbone(name, TwoMaps)
    with pytest.raises(ValueError, match="must be a class or a function that makes a module, got 3"):
        register_backbone("three", 3)
    assert find_backbone("three") is None
