"""How well keypoints are found: object keypoint similarity (OKS), COCO's average precision, and PCK.

``OKS = mean over the marked keypoints of exp(-d² / (2 · area · (2σ)²))``, d in pixels, area in square pixels.

Examples:
    >>> import numpy as np
    >>> from cmsa.metrics.oks import oks_matrix
    >>> truth = np.array([[[10.0, 10], [20, 30]]])
    >>> oks_matrix(truth + 1, truth, np.ones((1, 2)), [400.0], [0.05, 0.05]).round(3).tolist()
    [[0.779]]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cmsa.metrics.keypoint_truth import KeypointTruth
from cmsa.structures import FloatArray, KeypointSet
from cmsa.structures.keypoints import COUNTED_SCORE

METRICS = ("AP", "AP50", "AP75", "APM", "APL", "AR")
PCK_OF_TORSO, PCK_OF_BOX = "PCK@0.2", "PCK@0.2 of the box's diagonal"


def keypoint_similarity(
    predictions: ArrayLike, truth: ArrayLike, areas: ArrayLike, sigmas: Sequence[float]
) -> FloatArray:
    """What each keypoint contributes to the OKS of its person.

    Args:
        predictions: (..., K, 2) pixels.
        truth: (..., K, 2) pixels.
        areas: (...) of the people in square pixels.
        sigmas: K spreads in units of the square root of the area.

    Returns:
        (..., K) from 0 to 1.
    """
    distance = ((np.asarray(predictions, np.float64) - np.asarray(truth, np.float64)) ** 2).sum(axis=-1)
    variance = (2 * np.asarray(sigmas, np.float64)) ** 2
    area = np.asarray(areas, np.float64)[..., None] + np.spacing(1)
    similarity: FloatArray = np.exp(-distance / variance / area / 2)
    return similarity


def oks_matrix(
    predictions: ArrayLike, truth: ArrayLike, marked: ArrayLike, areas: ArrayLike, sigmas: Sequence[float]
) -> FloatArray:
    """OKS of every prediction with every person.

    Args:
        predictions: (N, K, 2) pixels.
        truth: (M, K, 2) pixels.
        marked: (M, K), above 0 where the keypoint is marked.
        areas: (M,) areas of the people in square pixels, or (N, M), one for each pair.
        sigmas: K spreads in units of the square root of the area.

    Returns:
        (N, M) from 0 to 1; 0 for a person without marked keypoints.
    """
    found, people = np.asarray(predictions, np.float64), np.asarray(truth, np.float64)
    counted = np.asarray(marked) > 0
    area = np.broadcast_to(np.asarray(areas, np.float64), (len(found), len(people)))
    similarity = keypoint_similarity(found[:, None], np.where(counted[..., None], people, 0)[None], area, sigmas)
    total: FloatArray = (similarity * counted).sum(axis=-1) / np.maximum(counted.sum(axis=-1), 1)
    return total


def oks_nms(
    keypoints: ArrayLike, scores: ArrayLike, areas: ArrayLike, sigmas: Sequence[float], threshold: float = 0.9
) -> NDArray[np.int64]:
    """Drop people who were found twice: those with an OKS above ``threshold`` to a better one (HRNet ``lib/nms``).

    Args:
        keypoints: (N, K, 2) pixels, the people of one picture.
        scores: (N,).
        areas: (N,) square pixels; a pair is compared at the mean of its two areas.
        sigmas: K spreads in units of the square root of the area.
        threshold: largest OKS of two people that are both kept.

    Returns:
        Indices of the people who stay, best first.
    """
    points, area = np.asarray(keypoints, np.float64), np.asarray(areas, np.float64)
    order = np.argsort(-np.asarray(scores, np.float64), kind="stable")
    if order.size == 0:
        return order
    pairs = (area[:, None] + area[None]) / 2
    similarity = oks_matrix(points, points, np.ones(points.shape[:2]), pairs, sigmas)
    kept: list[int] = []
    for index in order:
        if not kept or similarity[kept, index].max() <= threshold:
            kept.append(int(index))
    return np.array(kept, dtype=np.int64)


def rescore(keypoint_scores: ArrayLike, box_scores: ArrayLike, threshold: float = COUNTED_SCORE) -> FloatArray:
    """A person's score: the mean of the keypoint scores above ``threshold``, times the box's score (HRNet).

    Args:
        keypoint_scores: (N, K).
        box_scores: (N,).
        threshold: keypoints with lower scores do not count.

    Returns:
        (N,); 0 for a person without a keypoint above the threshold.
    """
    scores = np.asarray(keypoint_scores, np.float64)
    above = scores > threshold
    mean = (scores * above).sum(axis=-1) / np.maximum(above.sum(axis=-1), 1)
    total: FloatArray = mean * np.asarray(box_scores, np.float64)
    return total


def coco_results(
    image_ids: Sequence[int],
    keypoints: ArrayLike,
    keypoint_scores: ArrayLike,
    scores: ArrayLike,
    category_id: int = 1,
) -> list[dict[str, Any]]:
    """COCO's list of keypoint results, ready for JSON.

    Args:
        image_ids: N.
        keypoints: (N, K, 2) pixels of the full picture.
        keypoint_scores: (N, K).
        scores: (N,), one per person.
        category_id: of people, 1 in COCO.
    """
    triples = np.concatenate(
        [np.asarray(keypoints, np.float64), np.asarray(keypoint_scores, np.float64)[..., None]], axis=-1
    )
    return [
        {"image_id": int(image), "category_id": category_id, "keypoints": row.ravel().tolist(), "score": float(score)}
        for image, row, score in zip(image_ids, triples, np.asarray(scores), strict=True)
    ]


def evaluate_keypoints(
    truth: KeypointTruth, results: Sequence[Mapping[str, Any]], keypoint_set: KeypointSet | None = None
) -> dict[str, float]:
    """COCO's keypoint evaluation (at most 20 people per picture, OKS 0.50:0.95).

    Args:
        truth: who is to be found.
        results: COCO results with image_id, keypoints (3K numbers) and score, of the one category. A result's area,
            which decides about medium and large for those that match nobody, is that of its keypoints' bounding box.
        keypoint_set: whose sigmas count; that of the truth by default.

    Returns:
        AP, AP50, AP75, APM, APL, AR from 0 to 1 and ``people``, the number of people counted (no crowds, at least
        one marked keypoint). As in pycocotools, -1 stands for "no such people". Without results all are 0.

    Raises:
        ValueError: a result names a picture that the annotation lacks, has not 3K finite numbers, or the truth is of
            another number of keypoints.
    """
    keypoint_set = truth.keypoint_set if keypoint_set is None else keypoint_set
    if truth.keypoints.shape[1] != len(keypoint_set):
        raise ValueError(f"the annotations have {truth.keypoints.shape[1]} keypoints, the set has {len(keypoint_set)}")
    people = float(truth.counted.sum())
    if not results:
        return {**dict.fromkeys(METRICS, 0.0), "people": people}
    _check_results(results, set(truth.pictures.tolist()), len(keypoint_set))

    from faster_coco_eval import COCO as Annotations
    from faster_coco_eval import COCOeval_faster

    def silent(*_: object) -> None:
        """The library would print."""

    # Without a box the library takes the area from the keypoints, as the reference codes' result files lead it to.
    wanted = ("image_id", "keypoints", "score")
    annotations = Annotations(_as_coco(truth), print_function=silent)
    found = annotations.loadRes([{"category_id": 1} | {key: result[key] for key in wanted} for result in results])
    evaluation = COCOeval_faster(
        annotations, found, "keypoints", print_function=silent, kpt_oks_sigmas=list(keypoint_set.sigmas)
    )
    evaluation.run()
    values = (float(value) for value in evaluation.stats)
    return {**dict(zip(METRICS, values, strict=False)), "people": people}


def _as_coco(truth: KeypointTruth) -> dict[str, Any]:
    """The truth as the library wants it, with one category."""
    rows = zip(
        truth.image_id.tolist(),
        truth.keypoints.reshape(-1, 3 * truth.keypoints.shape[1]).tolist(),
        truth.box.tolist(),
        truth.area.tolist(),
        truth.crowd.tolist(),
        (truth.keypoints[..., 2] > 0).sum(axis=1).tolist(),
        strict=True,
    )
    # The library marks "unmatched" by the id 0 and forgets the first of two equal ids, so people are counted anew.
    annotations = [
        {
            "id": number,
            "category_id": 1,
            "image_id": image,
            "keypoints": keypoints,
            "bbox": box,
            "area": area,
            "iscrowd": int(crowd),
            "num_keypoints": marked,
        }
        for number, (image, keypoints, box, area, crowd, marked) in enumerate(rows, start=1)
    ]
    images = [{"id": picture} for picture in truth.pictures.tolist()]
    return {"images": images, "categories": [{"id": 1, "name": "person"}], "annotations": annotations}


def _check_results(results: Sequence[Mapping[str, Any]], images: set[int], count: int) -> None:
    foreign = sorted({result["image_id"] for result in results} - images)
    if foreign:
        raise ValueError(f"results name {len(foreign)} pictures that the annotation lacks: {foreign[:10]}")
    for index, result in enumerate(results):
        if len(result["keypoints"]) != 3 * count:
            raise ValueError(
                f"result {index} of picture {result['image_id']} has {len(result['keypoints'])} keypoint numbers, "
                f"expected {3 * count}"
            )
        if not np.isfinite([*result["keypoints"], result["score"]]).all():
            raise ValueError(f"result {index} of picture {result['image_id']} is not finite")


@dataclass(frozen=True, eq=False)
class PCK:
    """Percentage of correct keypoints.

    Attributes:
        mean: share of all marked keypoints that are correct, 0 to 1; NaN without any.
        by_keypoint: (K,) the same for each keypoint.
        people: number of people whose length is known.
    """

    mean: float
    by_keypoint: FloatArray
    people: int


def torso_lengths(truth: ArrayLike, marked: ArrayLike, torso: tuple[int, int]) -> FloatArray:
    """The unit of PCK for LSP: (N,) distances of the two keypoints of a torso, 0 where one is not marked.

    Args:
        truth: (N, K, 2) pixels.
        marked: (N, K), above 0 where the keypoint is marked.
        torso: the keypoints at its ends; of COCO, the left shoulder and the right hip.
    """
    people, counted, (first, second) = np.asarray(truth, np.float64), np.asarray(marked) > 0, torso
    length = np.linalg.norm(people[:, first] - people[:, second], axis=-1)
    return np.where(counted[:, first] & counted[:, second], length, 0.0)


def pck(predictions: ArrayLike, truth: ArrayLike, marked: ArrayLike, lengths: ArrayLike, threshold: float = 0.2) -> PCK:
    """Share of keypoints nearer to the truth than ``threshold`` lengths (PCK@0.2, as for LSP with the torso's).

    Args:
        predictions: (N, K, 2) pixels.
        truth: (N, K, 2) pixels, the same people in the same order.
        marked: (N, K), above 0 where the keypoint is marked.
        lengths: (N,) pixels, e.g. ``torso_lengths``, or the diagonal of the box for what has no torso. People
            without one (0) are left out.
        threshold: in these lengths.
    """
    length = np.asarray(lengths, np.float64)
    known = length > 0
    counted = (np.asarray(marked) > 0) & known[:, None]
    distance = np.linalg.norm(np.asarray(predictions, np.float64) - np.asarray(truth, np.float64), axis=-1)
    correct = counted & (distance <= threshold * length[:, None])
    with np.errstate(invalid="ignore"):
        by_keypoint = correct.sum(axis=0) / counted.sum(axis=0)
        mean = np.float64(correct.sum()) / counted.sum()
    return PCK(float(mean), by_keypoint, int(known.sum()))


def pck_of_set(
    predictions: ArrayLike, truth: ArrayLike, marked: ArrayLike, boxes: ArrayLike, keypoint_set: KeypointSet
) -> tuple[str, PCK]:
    """PCK@0.2 and its name: by the torso, or for a set without one by the diagonal of the box, which the name says.

    Args:
        predictions: (N, K, 2) pixels.
        truth: (N, K, 2) pixels.
        marked: (N, K), above 0 where the keypoint is marked.
        boxes: (N, 4) xywh.
        keypoint_set: what the K keypoints mean.
    """
    if keypoint_set.torso is not None:
        return PCK_OF_TORSO, pck(predictions, truth, marked, torso_lengths(truth, marked, keypoint_set.torso))
    diagonals = np.linalg.norm(np.asarray(boxes, np.float64)[:, 2:], axis=1)
    return PCK_OF_BOX, pck(predictions, truth, marked, diagonals)
