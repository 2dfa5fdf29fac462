"""int8 after training: activations' ranges from calibration crops, weights rounded for each output channel (NNCF)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from cmsa.data.store import CropStore
from cmsa.data.transforms.affine import warp
from cmsa.geometry.affine import invert_affine
from cmsa.guidance.counts import count_of
from cmsa.guidance.extras import load

CALIBRATION_CROPS = 300
"""More of them hardly move the ranges (NNCF's own default)."""
COMPARED_CROPS = 32
HELD_OUT = 8
"""One of so many crops of a store is kept to compare on, and is never calibrated on."""
LEAST_SPREAD = 32
"""Of a pixel's 256 values: calibration crops that reach less far say nothing of the ranges of activations."""


def calibration_pixels(store: CropStore, size: tuple[int, int], count: int = CALIBRATION_CROPS) -> Tensor:
    """Crops to calibrate on, without augmentation: (count, H, W, 3) uint8, spread evenly over a store.

    Args:
        store: prepared for training or evaluation.
        size: (H, W) of the network's input.
        count: at most so many.

    Raises:
        ValueError: the store has less than two crops, or was cut for another input size.
    """
    return _pixels(store, size, count, held_out=False)


def comparison_pixels(store: CropStore, size: tuple[int, int], count: int = COMPARED_CROPS) -> Tensor:
    """As ``calibration_pixels``, others of the same store, to compare on."""
    return _pixels(store, size, count, held_out=True)


def check_calibration(pixels: Tensor) -> None:
    """Refuse crops from which the ranges of activations cannot be told.

    Args:
        pixels: (N, H, W, 3) uint8.

    Raises:
        ValueError: there are none, they hardly differ from one colour, or they are all the same.
    """
    if not len(pixels):
        raise ValueError("int8 needs calibration crops, got none")
    lowest, highest = int(pixels.amin()), int(pixels.amax())
    if highest - lowest < LEAST_SPREAD:
        raise ValueError(
            f"the calibration crops hold nothing but values of {lowest} to {highest}: take a store of real pictures"
        )
    if len(pixels) > 1 and bool((pixels == pixels[:1]).all()):
        raise ValueError(f"all {len(pixels)} calibration crops are the same: take a store of different pictures")


def _pixels(store: CropStore, size: tuple[int, int], count: int, *, held_out: bool) -> Tensor:
    if store.spec.size != size:
        raise ValueError(
            f"{store.folder}: crops for an input of {store.spec.size} (HxW), but the model takes {size}: "
            "prepare a store of the model's size"
        )
    if len(store) < 2:
        raise ValueError(
            f"{store.folder}: {count_of(len(store), 'crop')}, but one is needed to calibrate on and one to compare on"
        )
    every = min(HELD_OUT, len(store))
    places = torch.arange(len(store))
    places = places[(places % every == every - 1) == held_out]
    chosen = places[torch.linspace(0, len(places) - 1, min(count, len(places))).round().long()]
    crops = store.read(chosen.numpy())["crops"]
    if store.spec.store_size == size:
        return crops
    inverse = torch.from_numpy(invert_affine(store.spec.base_to_store)).float()
    images = warp(crops, inverse.expand(len(crops), 2, 3), size)
    return (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def quantize(model: Any, input_name: str, images: Tensor, keep: Sequence[str] = ()) -> Any:
    """A float32 ``onnx.ModelProto`` as an int8 one.

    Layers with weights of their own compute in int8. Products of activations (attention) and convolutions of single
    channels stay in float32: they have little work, and rounding what goes into them costs more time than it saves.
    Activations are rounded symmetrically, for a zero point would be one more pass over the output of each layer.

    Args:
        model: to be quantised.
        input_name: of its only input.
        images: (N, ...) as the model takes them, to calibrate on.
        keep: regular expressions; nodes whose names fit one stay in float32.

    Raises:
        ModuleNotFoundError: NNCF is not installed (``pip install 'cmsa[export]'``).
    """
    nncf = load("nncf", "int8")

    logging.getLogger("nncf").setLevel(logging.ERROR)
    samples = [image.numpy() for image in torch.split(images, 1)]
    dataset = nncf.Dataset(samples, lambda sample: {input_name: sample})
    # Smoothing would be one more multiplication of the map before each layer.
    no_smoothing = nncf.AdvancedSmoothQuantParameters(convolution=-1, matmul=-1)
    return nncf.quantize(
        model,
        dataset,
        subset_size=len(samples),
        preset=nncf.QuantizationPreset.PERFORMANCE,
        model_type=nncf.ModelType.TRANSFORMER,
        ignored_scope=nncf.IgnoredScope(names=stay_in_float(model), patterns=list(keep), validate=False),
        advanced_parameters=nncf.AdvancedQuantizationParameters(smooth_quant_alphas=no_smoothing),
    )


def stay_in_float(model: Any) -> list[str]:
    """Names of an ``onnx.ModelProto``'s products of two activations and of its depth-wise convolutions."""
    weights = {initializer.name for initializer in model.graph.initializer}
    return [
        node.name
        for node in model.graph.node
        if (node.op_type == "MatMul" and not weights & set(node.input))
        or (node.op_type == "Conv" and any(entry.name == "group" and entry.i > 1 for entry in node.attribute))
    ]
