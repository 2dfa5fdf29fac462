import contextlib
import copy
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cmsa.metrics.keypoint_truth import KeypointTruth
from cmsa.metrics.oks import (
    METRICS,
    coco_results,
    evaluate_keypoints,
    keypoint_similarity,
    oks_matrix,
    oks_nms,
    pck,
    pck_of_set,
    rescore,
    torso_lengths,
)
from cmsa.structures import COCO, KeypointSet, keypoint_set

SIGMAS = COCO.sigmas


def people(seed: int, pictures: int = 30) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Random people (crowds, unmarked ones, empty pictures) and results: near misses, doubles, false alarms."""
    random = np.random.default_rng(seed)
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []
    for image in range(1, pictures + 1):
        for _ in range(random.integers(0, 6)):
            width, height = random.uniform(20, 200, 2)
            x, y = random.uniform(0, 300, 2)
            xy = np.stack([random.uniform(x, x + width, 17), random.uniform(y, y + height, 17)], axis=-1)
            visibility = random.integers(0, 3, 17) * (random.random() > 0.15)
            crowd = int(random.random() < 0.1)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": 1,
                    "bbox": [x, y, width, height],
                    "area": width * height * random.uniform(0.3, 0.8),
                    "iscrowd": crowd,
                    "num_keypoints": int((visibility > 0).sum()),
                    "keypoints": np.concatenate([xy * (visibility > 0)[:, None], visibility[:, None]], 1)
                    .ravel()
                    .tolist(),
                }
            )
            for _ in range(random.integers(0, 3)):
                noise = random.normal(0, random.uniform(0.005, 0.15) * np.sqrt(width * height), (17, 2))
                results += coco_results([image], (xy + noise)[None], random.random((1, 17)), random.random(1))
        for _ in range(random.integers(0, 3)):
            results += coco_results(
                [image], random.uniform(0, 300, (1, 17, 2)), random.random((1, 17)), random.random(1)
            )
    images = [{"id": image, "width": 640, "height": 480} for image in range(1, pictures + 1)]
    categories = [{"id": 1, "name": "person", "keypoints": list(COCO.names)}]
    return {"images": images, "annotations": annotations, "categories": categories}, results


def reference(truth: dict[str, Any], results: list[dict[str, Any]], sigmas: tuple[float, ...] = SIGMAS) -> list[float]:
    from pycocotools.coco import COCO as Annotations
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        annotations = Annotations()
        annotations.dataset = copy.deepcopy(truth)
        annotations.createIndex()
        evaluation = COCOeval(annotations, annotations.loadRes(copy.deepcopy(results)), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats[:6]]


@pytest.mark.parametrize("seed", range(6))
def test_average_precision_equals_pycocotools(seed: int) -> None:
    truth, results = people(seed)
    got = evaluate_keypoints(KeypointTruth.of_coco(truth), results)
    assert [got[name] for name in METRICS] == pytest.approx(reference(truth, results), abs=1e-6)
    assert 0.05 < got["AP"] < 0.95
    counted = [a for a in truth["annotations"] if not a["iscrowd"] and a["num_keypoints"]]
    assert got["people"] == len(counted) > 20


def test_more_than_twenty_results_in_a_picture() -> None:
    truth, results = people(3, pictures=3)
    crowded = results * 12
    for index, result in enumerate(crowded):
        crowded[index] = {**result, "score": result["score"] + index * 1e-6}
    got = evaluate_keypoints(KeypointTruth.of_coco(truth), crowded)
    assert [got[name] for name in METRICS] == pytest.approx(reference(truth, crowded), abs=1e-6)


def test_another_keypoint_set() -> None:
    truth, results = people(11)
    for record in truth["annotations"] + results:
        record["keypoints"] = record["keypoints"][: 3 * 5]
    for annotation in truth["annotations"]:
        annotation["num_keypoints"] = sum(value > 0 for value in annotation["keypoints"][2::3])
    truth["categories"][0]["keypoints"] = list(COCO.names[:5])
    five = KeypointSet(COCO.names[:5], ((1, 2), (3, 4)), (0.1, 0.05, 0.05, 0.08, 0.08), (), (0,))
    got = evaluate_keypoints(KeypointTruth.of_coco(truth), results, five)
    assert [got[name] for name in METRICS] == pytest.approx(reference(truth, results, five.sigmas), abs=1e-6)


def test_perfect_results_and_a_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, _ = people(1)
    results = [
        {"image_id": a["image_id"], "category_id": 1, "keypoints": a["keypoints"], "score": 1.0}
        for a in truth["annotations"]
        if not a["iscrowd"] and a["num_keypoints"]
    ]
    path = tmp_path / "ännotations.json"
    path.write_text(json.dumps(truth), encoding="utf-8")
    got = evaluate_keypoints(KeypointTruth.of_coco(path), results)
    assert all(got[name] == pytest.approx(1) for name in METRICS)
    assert capsys.readouterr().out == ""


def test_nothing_is_written_to_the_callers_records() -> None:
    truth, results = people(2)
    before = copy.deepcopy((truth, results))
    evaluate_keypoints(KeypointTruth.of_coco(truth), results)
    assert (truth, results) == before


def test_identifier_zero_and_missing_fields_do_not_skew() -> None:
    truth, results = people(4)
    expected = evaluate_keypoints(KeypointTruth.of_coco(truth), results)
    for annotation in truth["annotations"]:
        annotation["id"] -= 1
        del annotation["num_keypoints"]
        if not annotation["iscrowd"]:
            del annotation["iscrowd"]
    assert evaluate_keypoints(KeypointTruth.of_coco(truth), results) == expected


def test_no_results_and_no_people() -> None:
    truth, results = people(0)
    got = evaluate_keypoints(KeypointTruth.of_coco(truth), [])
    assert [got[name] for name in METRICS] == [0] * 6
    assert got["people"] > 0
    truth["annotations"] = []
    assert evaluate_keypoints(KeypointTruth.of_coco(truth), [])["people"] == 0
    assert evaluate_keypoints(KeypointTruth.of_coco(truth), results)["AP"] == -1


def test_bad_results_are_named() -> None:
    truth, results = people(0)
    with pytest.raises(ValueError, match=r"1 pictures that the annotation lacks: \[999\]"):
        evaluate_keypoints(KeypointTruth.of_coco(truth), [{**results[0], "image_id": 999}])
    with pytest.raises(ValueError, match=r"result 1 of picture .* has 50 keypoint numbers, expected 51"):
        evaluate_keypoints(
            KeypointTruth.of_coco(truth), [results[0], {**results[1], "keypoints": results[1]["keypoints"][:50]}]
        )
    with pytest.raises(ValueError, match=r"result 0 of picture .* is not finite"):
        evaluate_keypoints(KeypointTruth.of_coco(truth), [{**results[0], "keypoints": [float("nan")] * 51}])


def test_oks_by_hand() -> None:
    truth = np.zeros((2, 2, 2))
    truth[1] += 50
    predictions = np.array([[[3.0, 4.0], [0.0, 0.0]]])
    marked = np.array([[2, 1], [0, 0]])
    got = oks_matrix(predictions, truth, marked, [100.0, 100.0], (0.25, 0.5))
    # Distance 5 on the first keypoint: exp(-25 / (2 · 100 · 0.5²)); nothing is marked on the second person.
    np.testing.assert_allclose(got, [[(np.exp(-0.5) + 1) / 2, 0]], atol=1e-9)


def test_oks_ignores_unmarked_nonsense() -> None:
    truth = np.full((1, 2, 2), np.nan)
    truth[0, 0] = 1
    got = oks_matrix(np.ones((1, 2, 2)), truth, [[1, 0]], [10.0], (0.1, 0.1))
    np.testing.assert_allclose(got, [[1]])


def test_nms_keeps_the_best_of_doubles() -> None:
    random = np.random.default_rng(0)
    base = random.uniform(0, 100, (2, 17, 2))
    keypoints = np.stack([base[0] + 0.1, base[0], base[1] + 30, base[0] + 40])
    kept = oks_nms(keypoints, [0.5, 0.9, 0.7, 0.6], np.full(4, 4000.0), SIGMAS)
    assert kept.tolist() == [1, 2, 3]
    assert oks_nms(keypoints, [0.5, 0.9, 0.7, 0.6], np.full(4, 4000.0), SIGMAS, threshold=1.0).tolist() == [1, 2, 3, 0]
    assert oks_nms(np.zeros((0, 17, 2)), [], [], SIGMAS).tolist() == []


def test_nms_drops_only_what_a_kept_one_covers() -> None:
    # In a row of three, the middle one is covered by the first; the last is covered by the middle one only.
    keypoints = np.stack([np.full((17, 2), shift) for shift in (0.0, 4.0, 8.0)])
    similarity = oks_matrix(keypoints, keypoints, np.ones((3, 17)), np.full(3, 4000.0), SIGMAS)
    threshold = (similarity[0, 1] + similarity[0, 2]) / 2
    assert oks_nms(keypoints, [0.9, 0.8, 0.7], np.full(3, 4000.0), SIGMAS, threshold).tolist() == [0, 2]


def test_rescore_by_hand() -> None:
    got = rescore([[0.1, 0.4, 0.8], [0.2, 0.1, 0.0]], [0.5, 0.9])
    np.testing.assert_allclose(got, [0.3, 0])


def test_results_are_plain_json() -> None:
    keypoints = np.arange(12, dtype=np.float32).reshape(2, 3, 2)
    got = coco_results([7, 9], keypoints, np.ones((2, 3)), np.array([0.5, 0.25], dtype=np.float32))
    assert json.loads(json.dumps(got))[1] == {
        "image_id": 9,
        "category_id": 1,
        "keypoints": [6, 7, 1, 8, 9, 1, 10, 11, 1],
        "score": 0.25,
    }


def test_pck_by_hand() -> None:
    truth = np.array([[[0, 0], [0, 10], [5, 5]], [[0, 0], [0, 20], [5, 5]], [[0, 0], [0, 10], [5, 5]]], dtype=float)
    predictions = truth.copy()
    predictions[0, 2] += [1.99, 0]
    predictions[1, 2] += [0, 4.01]
    predictions[2, 2] += 100
    marked = np.array([[1, 1, 1], [1, 2, 1], [0, 1, 1]])
    got = pck(predictions, truth, marked, torso_lengths(truth, marked, (0, 1)))
    np.testing.assert_allclose(got.by_keypoint, [1, 1, 0.5])
    assert got.mean == pytest.approx(5 / 6)
    assert got.people == 2
    unmarked = np.zeros((3, 3))
    assert np.isnan(pck(predictions, truth, unmarked, torso_lengths(truth, unmarked, (0, 1))).mean)
    # Without a torso the diagonal of the box counts: 5, so that 1.99 is too far and 0.99 is not.
    tailed = keypoint_set(("nose", "tail", "ear"))
    predictions[0, 2] = truth[0, 2] + [0.99, 0]
    name, value = pck_of_set(predictions, truth, marked, np.tile([0, 0, 3, 4], (3, 1)), tailed)
    assert name == "PCK@0.2 of the box's diagonal"
    assert value.mean == pytest.approx(6 / 8)
    assert (
        pck_of_set(np.zeros((1, 17, 2)), np.zeros((1, 17, 2)), np.ones((1, 17)), [[0, 0, 1, 1]], COCO)[0] == "PCK@0.2"
    )


def test_nms_of_one_and_of_nobody() -> None:
    assert oks_nms(np.zeros((1, 17, 2)), [0.5], [100.0], SIGMAS).tolist() == [0]
    empty = oks_nms(np.zeros((0, 17, 2)), [], [], SIGMAS)
    assert (empty.shape, empty.dtype) == ((0,), np.int64)


def test_nms_compares_at_the_mean_area_and_keeps_what_is_just_at_the_threshold() -> None:
    """Two people of one keypoint, 3 pixels apart: OKS = exp(-9 / (2 (2 sigma)^2 area))."""
    points, areas, sigma = np.array([[[0.0, 0.0]], [[3.0, 0.0]]]), [50.0, 150.0], 0.1
    similarity = oks_matrix(points[:1], points[1:], np.ones((1, 1)), [100.0], (sigma,)).item()
    assert similarity == pytest.approx(np.exp(-9 / (2 * 0.2**2 * 100)))
    for threshold, kept in ((similarity - 1e-9, [0]), (similarity, [0, 1]), (similarity + 1e-9, [0, 1])):
        assert oks_nms(points, [0.9, 0.5], areas, (sigma,), threshold).tolist() == kept


def test_the_names_of_the_scores() -> None:
    assert METRICS == ("AP", "AP50", "AP75", "APM", "APL", "AR")


def test_a_keypoint_just_at_the_threshold_is_right() -> None:
    truth = np.array([[[0.0, 0.0], [10.0, 0.0]]])
    found = truth + np.array([[[2.0, 0.0], [0.0, 2.5]]])
    assert pck(found, truth, np.ones((1, 2)), [10.0]).by_keypoint.tolist() == [1, 0]


def test_a_person_without_area_is_found_at_the_very_place_only() -> None:
    got = keypoint_similarity([[[0, 0], [1e-6, 0]]], np.zeros((1, 2, 2)), [0.0], (0.1, 0.1))
    np.testing.assert_allclose(got, [[1, 0]])


def test_similarities_of_a_batch_by_hand() -> None:
    """(3, 4) is 5 from its truth; with sigmas of 0.1 and 0.3, and areas of 100 and 400."""
    found = np.array([[[3.0, 4.0]] * 2] * 2)
    got = keypoint_similarity(found, np.zeros((2, 2, 2)), [100.0, 400.0], (0.1, 0.3))
    expected = [[np.exp(-25 / (2 * area * (2 * sigma) ** 2)) for sigma in (0.1, 0.3)] for area in (100, 400)]
    np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_a_set_of_another_number_is_told() -> None:
    truth, results = people(0)
    three = keypoint_set(("nose", "tail", "ear"))
    with pytest.raises(ValueError, match="the annotations have 17 keypoints, the set has 3"):
        evaluate_keypoints(KeypointTruth.of_coco(truth), results, three)


def test_a_score_that_is_no_number_is_told_and_which() -> None:
    truth, results = people(0)
    wrong = [results[0], {**results[1], "score": float("inf")}]
    with pytest.raises(ValueError, match=rf"result 1 of picture {results[1]['image_id']} is not finite"):
        evaluate_keypoints(KeypointTruth.of_coco(truth), wrong)


def test_the_usual_thresholds() -> None:
    """OKS-NMS at 0.9, keypoints above 0.2, PCK at 0.2, category 1."""
    near, far = (10 * np.sqrt(-np.log(oks) * 2 * 0.2**2) for oks in (0.901, 0.899))
    for shift, count in ((near, 1), (far, 2)):
        points = np.array([[[0.0, 0.0]], [[shift, 0.0]]])
        assert len(oks_nms(points, [0.9, 0.8], [100.0, 100.0], (0.1,))) == count
    np.testing.assert_allclose(rescore([[0.2, 0.21, 0.4]], [1.0]), [0.305])
    zeros = np.zeros((1, 1, 2))
    assert pck([[[2.001, 0.0]]], zeros, [[1]], [10.0]).mean == 0
    assert pck([[[1.999, 0.0]]], zeros, [[1]], [10.0]).mean == 1
    assert coco_results([1], zeros, [[1]], [1])[0]["category_id"] == 1


def test_a_torso_needs_both_ends() -> None:
    truth = np.array([[[0.0, 0.0], [9.0, 9.0], [3.0, 4.0]]] * 3)
    marked = [[1, 0, 2], [0, 1, 1], [1, 1, 0]]
    np.testing.assert_allclose(torso_lengths(truth, marked, (0, 2)), [5, 0, 0])
    np.testing.assert_allclose(torso_lengths(truth, marked, (2, 0)), [5, 0, 0])
