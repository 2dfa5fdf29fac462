from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_people import SIZE, TINY, people_store, tiny_recipe, write_people

from cmsa.data.crops import CropSpec
from cmsa.data.store import CropStore
from cmsa.models.create import create_model
from cmsa.models.description import Description
from cmsa.models.weights import save_weights
from cmsa.runtime.feeding import check_alike, check_crop, open_for_evaluation
from cmsa.structures import keypoint_set
from cmsa.training.train import build_module

CROP = {"padding": 1.25, "convention": "pixel", "antialias": True}


def noted(**meta: object) -> CropStore:
    spec = CropSpec.for_evaluation((2, 2))
    return CropStore(Path(f"{len(meta)}.crops"), np.zeros((1, 2, 2, 3), np.uint8), {}, spec, dict(meta))


@pytest.mark.parametrize(
    "other", [{"padding": 1.5}, {"convention": "udp"}, {"antialias": False}], ids=lambda change: next(iter(change))
)
def test_crops_are_cut_as_the_weights_were_trained(other: dict[str, object]) -> None:
    spec = CropSpec.for_evaluation(SIZE)
    description = Description("cmsa_n", "pose", SIZE, crop=CROP)
    check_crop(spec, description, "here", "mend it")
    check_crop(replace(spec, **other), replace(description, crop={}), "here", "mend it")
    with pytest.raises(ValueError, match=rf"here: was cut with .*{next(iter(other))}.*trained with .*: mend it"):
        check_crop(replace(spec, **other), description, "here", "mend it")


def test_stores_number_their_classes_alike() -> None:
    owl, wren = noted(classes=["owl", "wren"]), noted(classes=["owl", "wren"], more=1)
    check_alike([owl, wren, noted()])
    with pytest.raises(ValueError, match=r"has other classes than 1\.crops: number 0 is 'wren' against 'owl'"):
        check_alike([owl, noted(classes=["wren", "owl"])])
    with pytest.raises(ValueError, match=r"has other classes than .*: 1 against 2"):
        check_alike([owl, noted(classes=["owl"])])
    four, three = (keypoint_set("abcd"[:count]).to_json() for count in (4, 3))
    with pytest.raises(ValueError, match=r"has other keypoints than .*: 3 against 4"):
        check_alike([noted(keypoints=four), noted(keypoints=three)])


def test_stores_and_starting_weights_of_a_recipe_must_fit(tmp_path: Path) -> None:
    write_people(tmp_path)
    train = people_store(tmp_path, "train.crops", training=True)
    validate = people_store(tmp_path, "val.crops", training=False)
    coarse = people_store(tmp_path, "coarse.crops", training=False, antialias=False)
    with pytest.raises(ValueError, match=r"coarse\.crops: was cut with {'antialias': False}, the model was trained"):
        build_module(tiny_recipe(train, coarse))
    recipe = tiny_recipe(train, validate)
    model = create_model("cmsa_n", "pose", SIZE, **TINY)
    recipe.model.init = str(tmp_path / "start.safetensors")
    save_weights(recipe.model.init, model, crop=CROP | {"antialias": False})
    with pytest.raises(ValueError, match=r"train\.crops: was cut with {'antialias': True}.*start from other weights"):
        build_module(recipe)
    save_weights(recipe.model.init, model, crop=CROP)
    assert build_module(recipe).task.keypoint_set.names == model.description.keypoint_set().names  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match=r"its 17 keypoints are not the model's 2$"):
        open_for_evaluation(validate.folder, Description("cmsa_n", "pose", SIZE, names=("a", "b")))
