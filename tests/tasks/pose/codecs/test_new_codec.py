"""A codec that the library does not know, as ``docs/extend.md`` has it: round trip, training, prediction."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_people import people_store, tiny_recipe, write_people

from cmsa.inference.predictor import Predictor
from cmsa.models.create import load_weights
from cmsa.tasks.pose.codecs import CODECS, Codec, codec_of, codec_options, create_codec, with_head
from cmsa.training.train import train

ROOT = Path(__file__).parents[4]
LONGEST = 30


def code() -> str:
    text = (ROOT / "docs" / "extend.md").read_text(encoding="utf-8").split("\n## A codec\n")[1].split("\n## ")[0]
    found = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def integral() -> Iterator[type[Codec]]:
    before = dict(CODECS)
    exec(compile(code(), "docs/extend.md", "exec"), {})
    yield CODECS["integral"]
    CODECS.clear()
    CODECS.update(before)


def test_it_is_short() -> None:
    assert len([line for line in code().splitlines() if line.strip()]) <= LONGEST


def test_there_and_back_and_mirrored(integral: type[Codec], generator: torch.Generator) -> None:
    codec = create_codec("integral", (64, 48), (32, 24))
    place = torch.randint(0, 24, (5, 3), generator=generator)
    output = torch.full((5, 3, 32, 24), -30.0)
    output[torch.arange(5)[:, None], torch.arange(3), place + 4, place] = 30
    # Pixel i of a map of stride 2 lies at 2 i + 1/2.
    expected = torch.stack([2 * place + 0.5, 2 * (place + 4) + 0.5], dim=-1)
    decoded, scores = codec.decode(output)
    torch.testing.assert_close(decoded, expected, atol=1e-3, rtol=0)
    assert (scores > 0.99).all()
    mirrored, _ = codec.decode(codec.flip_back(output, (0, 2, 1)))
    torch.testing.assert_close(mirrored[..., 0], 47 - expected[:, [0, 2, 1], 0], atol=1e-3, rtol=0)
    targets = codec.encode(expected + 2, torch.tensor([[1, 1, 0]]).expand(5, 3))
    assert codec.loss(output, targets).item() == pytest.approx(4, abs=1e-2)


def test_a_recipe_trains_with_it_and_the_weights_predict(integral: type[Codec], tmp_path: Path) -> None:
    write_people(tmp_path)
    stores = [people_store(tmp_path, f"{name}.crops", training=name == "train") for name in ("train", "val")]
    recipe = tiny_recipe(*stores, epochs=1)
    recipe.codec = "integral"
    run = train(recipe, tmp_path / "run", accelerator="cpu", progress=False)
    model = load_weights(run / "best.safetensors")
    assert model.description.decoding == {"codec": "integral", "loss": "l1"}
    predictor = Predictor(model)
    assert isinstance(predictor.task.codec, integral)
    (person,) = predictor(np.full((64, 48, 3), 90, np.uint8), flip_test=True)
    assert person.xy.shape == (17, 2)


def test_an_unknown_codec_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match="no codec 'integral'; there are quarter, exact_quarter, dark, udp, simcc"):
        create_codec("integral", (32, 24), (32, 24))


def test_codecs_by_name_and_what_they_refuse() -> None:
    codec = create_codec("dark", (32, 24), (16, 12), sigma=None, loss="cross_entropy")
    assert (type(codec).__name__, codec.sigma, codec.kind) == ("Dark", 0.75, "cross_entropy")
    with pytest.raises(ValueError, match="codec 'udp' has no option shift, split"):
        create_codec("udp", (32, 24), (16, 12), split=2, shift=1)
    with pytest.raises(ValueError, match="no loss 'l1' of UDP; there are mse, cross_entropy"):
        create_codec("udp", (32, 24), (16, 12), loss="l1")
    with pytest.raises(ValueError, match="at least 2x2"):
        create_codec("simcc", (1, 24), (16, 12))


def test_the_codec_of_a_head_and_the_head_of_a_codec() -> None:
    assert codec_of({}) == codec_of({"head": "heatmap"}) == codec_of({"head": "unknown"}) == "udp"
    assert codec_of({"head": "simcc"}) == "simcc"
    assert with_head("simcc", {"a": 1}) == {"a": 1, "head": "simcc"}
    assert with_head("udp", {"a": 1}) == {"a": 1}
    with pytest.raises(ValueError, match="reads the head simcc, the model's options say 'heatmap'"):
        with_head("simcc", {"head": "heatmap"})


def test_what_weights_keep_of_a_recipe() -> None:
    assert codec_options({"codec": "udp"}) == {"codec": "udp", "loss": "mse"}
    given = {"codec": "simcc", "loss": "cross_entropy", "sigma": 0.0, "label_smoothing": 0.1}
    assert codec_options(given) == given
    assert codec_options({"codec": "simcc", "label_smoothing": 0.0}) == {"codec": "simcc", "loss": "cross_entropy"}
    with pytest.raises(ValueError, match="no loss 'mse' of the codec 'simcc'; there are cross_entropy"):
        codec_options({"codec": "simcc", "loss": "mse"})
