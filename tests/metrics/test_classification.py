import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from cmsa.data.crops import CropSpec
from cmsa.data.store import CropStore
from cmsa.metrics.classification import ClassificationErrors, ClassificationScore
from cmsa.tasks.classification import ClassificationTask


def score_of(**meta: Any) -> ClassificationScore:
    """The account of a store of three classes that notes ``meta``."""
    return ClassificationScore(3, cast(CropStore, SimpleNamespace(meta=meta)))


def test_by_hand() -> None:
    errors = ClassificationErrors(3)
    probabilities = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.1, 0.6, 0.3], [0.2, 0.2, 0.6]])
    errors.update(probabilities.log(), torch.tensor([0, 1, 2, 2]))
    scores = errors.compute()
    assert scores["top1"] == 0.75
    assert scores["top5"] == 1
    assert scores["images"] == 4
    assert scores["nll"] == pytest.approx(-(math.log(0.7) + math.log(0.6) + math.log(0.3) + math.log(0.6)) / 4)
    # 0.7 falls into one bin and is right; the three at 0.6 into another, two of them right.
    assert scores["ece"] == pytest.approx((abs(0.7 - 1) + abs(1.8 - 2)) / 4)
    assert errors.confusion.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]


def test_top5() -> None:
    errors = ClassificationErrors(10)
    logits = torch.arange(10.0).expand(10, 10)
    errors.update(logits, torch.arange(10))
    assert errors.compute()["top5"] == 0.5
    assert errors.compute()["top1"] == 0.1


def test_batches_do_not_matter(generator: torch.Generator) -> None:
    logits, labels = torch.randn(30, 7, generator=generator), torch.randint(7, (30,), generator=generator)
    scores = []
    for size in (30, 7, 1):
        errors = ClassificationErrors(7)
        for start in range(0, 30, size):
            errors.update(logits[start : start + size], labels[start : start + size])
        scores.append(errors.compute())
    assert scores[0] == pytest.approx(scores[1])
    assert scores[0] == pytest.approx(scores[2])


def test_certain_answers_fall_into_the_last_bin() -> None:
    errors = ClassificationErrors(2)
    errors.update(torch.tensor([[100.0, -100.0]]), torch.tensor([0]))
    assert errors.compute()["ece"] == 0


def test_nothing_and_wrong_shapes() -> None:
    assert math.isnan(ClassificationErrors(2).compute()["top1"])
    with pytest.raises(ValueError, match=r"expected \(1, 2\) log-probabilities, got \(1, 3\)"):
        ClassificationErrors(2).update(torch.zeros(1, 3), torch.zeros(1))


def test_a_probability_of_zero_costs_what_float32_can_say() -> None:
    score = score_of(data="things")
    score.update({"label": torch.tensor([1])}, (torch.tensor([[1.0, 0.0, 0.0]]),))
    found = score.compute()
    assert found["nll"] == pytest.approx(-math.log(torch.finfo(torch.float32).tiny))
    assert (found["top1"], found["images"], found["data"]) == (0, 1, "things")
    assert score_of().compute()["data"] == "unknown"
    assert score_of().compute()["images"] == 0
    # By these names a sweep knows what will be measured.
    assert {name for name, value in found.items() if isinstance(value, float)} == set(ClassificationTask.scores)


def test_the_confusion_is_drawn_into_a_new_folder(tmp_path: Path) -> None:
    score = score_of()
    score.update({"label": torch.tensor([1])}, (torch.tensor([[0.8, 0.1, 0.1]]),))
    score.save_pictures(tmp_path / "a" / "b", "set/one")
    score.save_pictures(tmp_path / "a" / "b", "set/two")
    assert sorted(path.name for path in (tmp_path / "a" / "b").iterdir()) == ["set_one.png", "set_two.png"]


def test_what_is_behind_the_score_of_classes() -> None:
    meta = {"classes": ["cat", "dog", "eel"]}
    store = CropStore(Path(), np.zeros((4, 8, 8, 3), np.uint8), {}, CropSpec.for_evaluation((8, 8)), meta)
    score = ClassificationScore(3, store)
    probabilities = torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.0, 0.0, 1.0]])
    score.update({"label": torch.tensor([0, 0, 1])}, (probabilities[:3],))
    score.update({"label": torch.tensor([1])}, (probabilities[3:],))
    cat, dog, eel = score.details()["by_class"]
    assert (cat, dog) == ({"class": "cat", "accuracy": 0.5, "images": 2}, {"class": "dog", "accuracy": 0, "images": 2})
    assert math.isnan(eel["accuracy"])
    rows = score.samples()
    assert [(row["class"], row["predicted"], row["correct"]) for row in rows] == [
        ("cat", "cat", True),
        ("cat", "dog", False),
        ("dog", "eel", False),
        ("dog", "eel", False),
    ]
    assert rows[0]["nll"] == pytest.approx(math.log(2))
    assert rows[1]["probability"] == pytest.approx(0.8)
    assert sum(row["nll"] for row in rows) / 4 == pytest.approx(score.compute()["nll"])
    low, high = score.intervals()["top1"]
    assert 0 <= low < 0.25 < high <= 1


def test_there_are_fifteen_bins_of_confidence() -> None:
    """0.41 and 0.46 share the bin from 6/15 to 7/15; of 14 or 16 they would not."""
    errors = ClassificationErrors(4)
    probabilities = torch.tensor([[0.41, 0.2, 0.2, 0.19], [0.46, 0.2, 0.2, 0.14]], dtype=torch.float64)
    errors.update(probabilities.log(), torch.tensor([0, 1]))
    assert errors.compute()["ece"] == pytest.approx(abs(0.41 + 0.46 - 1) / 2)
    # A confidence on a bound belongs to the bin above it: 0.5 + 0.5 and 8 bins below 8/15.
    errors.reset()
    errors.update(torch.tensor([[0.0, 0.0, -1e9, -1e9], [0.0, 0.1, -1e9, -1e9]]), torch.tensor([0, 0]))
    upper = 1 / (1 + math.exp(-0.1))
    assert errors.compute()["ece"] == pytest.approx(abs(0.5 + upper - 1) / 2)


def test_who_is_taken_for_whom() -> None:
    errors = ClassificationErrors(3)
    said = [1, 1, 2, 0]
    errors.update(torch.eye(3)[said], torch.tensor([0, 0, 1, 2]))
    assert errors.confusion.tolist() == [[0, 2, 0], [0, 0, 1], [1, 0, 0]]
    assert errors.compute()["top1"] == 0
    assert set(errors.compute()) == {"top1", "top5", "nll", "ece", "images"}
    assert set(ClassificationErrors(3).compute()) == {"top1", "top5", "nll", "ece", "images"}
