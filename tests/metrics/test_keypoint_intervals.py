import numpy as np
import pytest

from cmsa.metrics.keypoint_intervals import keypoint_intervals
from cmsa.metrics.keypoint_truth import KeypointTruth


def test_the_interval_holds_the_score_and_widens_with_disagreement():
    def person(picture: int) -> dict:
        points = np.array([[10 + k, 20 + 2 * k, 2] for k in range(17)], dtype=float)
        return {
            "image_id": picture,
            "category_id": 1,
            "area": 2000.0,
            "bbox": [0, 0, 50, 60],
            "keypoints": points.ravel().tolist(),
        }

    content = {
        "images": [{"id": k, "height": 60, "width": 60} for k in range(12)],
        "annotations": [{**person(k), "id": k} for k in range(12)],
        "categories": [{"id": 1, "name": "person"}],
    }
    truth = KeypointTruth.of_coco(content)
    results = []
    for picture in range(12):
        found = {**person(picture), "score": 0.9}
        if picture % 2:
            found["keypoints"] = [value + 500 * (place % 3 == 0) for place, value in enumerate(found["keypoints"])]
        results.append(found)
    low, high = keypoint_intervals(truth, results, resamples=60)["AP"]
    assert low < 0.5 < high
    assert keypoint_intervals(truth, results, resamples=60)["AP"] == (low, high)
    same = [{**person(picture), "score": 0.9} for picture in range(12)]
    assert keypoint_intervals(truth, same, resamples=20)["AP"] == pytest.approx((1, 1))


def test_pictures_are_drawn_with_their_people_and_results():
    """Of two pictures with odd ids one is found perfectly: a draw scores 0, 1, or a half as COCO has it."""
    points = np.array([[10 + k, 20 + 2 * k, 2] for k in range(17)], dtype=float)
    person = {"category_id": 1, "area": 2000.0, "bbox": [0, 0, 50, 60], "keypoints": points.ravel().tolist()}
    content = {
        "images": [{"id": k, "height": 60, "width": 60} for k in (30, 70, 90)],
        "annotations": [{**person, "id": k, "image_id": k} for k in (70, 30)],
        "categories": [{"id": 1, "name": "person"}],
    }
    truth = KeypointTruth.of_coco(content)
    found = [{**person, "image_id": 70, "score": 0.9}, {**person, "image_id": 90, "score": 0.1}]
    # Nobody is in 90, so it is not drawn; 30 comes before 70.
    for seed in range(5):
        draw = np.random.default_rng(seed).integers(2, size=2).sum()
        recall, precise = draw / 2, (0, 51 / 101, 1)[draw]
        got = keypoint_intervals(truth, found, resamples=1, seed=seed)
        assert set(got) == {"AP", "AP50", "AP75", "AR"}
        for name, value in {"AP": precise, "AP50": precise, "AP75": precise, "AR": recall}.items():
            assert got[name] == pytest.approx((value, value), abs=1e-6), (seed, name)
