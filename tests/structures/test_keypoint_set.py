from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cmsa.structures import COCO, KeypointSet, KeypointSetError, keypoint_set
from cmsa.structures.keypoint_set import changed


def test_coco_has_17_keypoints_and_the_official_spreads() -> None:
    pycocotools = pytest.importorskip("pycocotools.cocoeval")
    assert len(COCO) == 17
    np.testing.assert_allclose(COCO.sigmas, pycocotools.Params(iouType="keypoints").kpt_oks_sigmas)


def test_coco_skeleton_is_the_official_one() -> None:
    # person_keypoints_val2017.json, counted from 1.
    official = [(16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9)]
    official += [(8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7)]
    assert sorted((a - 1, b - 1) for a, b in official) == sorted(COCO.skeleton)


def test_flip_index_exchanges_left_and_right_and_is_its_own_inverse() -> None:
    mirrored = [COCO.names[index] for index in COCO.flip_index]
    swapped = {"left": "right", "right": "left"}
    for name, other in zip(COCO.names, mirrored, strict=True):
        side, _, part = name.partition("_")
        assert other == (f"{swapped[side]}_{part}" if part else name)
    assert tuple(COCO.flip_index[index] for index in COCO.flip_index) == tuple(range(17))


def test_halves_part_the_body_at_the_hips() -> None:
    assert sorted(COCO.upper_body + COCO.lower_body) == list(range(17))
    assert {COCO.names[index].split("_")[-1] for index in COCO.lower_body} == {"hip", "knee", "ankle"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ("nose",) * 17}, "must differ"),
        ({"sigmas": (0.1,) * 16}, "must hold 17 numbers.* got 16"),
        ({"flip_pairs": ((1, 2), (2, 3))}, "names a keypoint twice"),
        ({"skeleton": ((0, 17),)}, r"skeleton points at \[17\]"),
        ({"upper_body": (-1,)}, r"upper_body points at \[-1\]"),
        ({"torso": (0, 40)}, r"torso points at \[40\]"),
        ({"torso": (0, 1.0)}, r"torso points at \[1.0\]"),
        ({"sigmas": (0.1,) * 16 + (0.0,)}, "must be above 0"),
    ],
)
def test_inconsistent_sets_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(COCO, **changes)  # type: ignore[arg-type]


def test_a_set_without_pairs_flips_onto_itself() -> None:
    assert KeypointSet(("tip", "root"), (), (0.1, 0.1), (), ()).flip_index == (0, 1)


LSP = (
    *("Right ankle", "Right knee", "Right hip", "Left hip", "Left knee", "Left ankle", "Right wrist", "Right elbow"),
    *("Right shoulder", "Left shoulder", "Left elbow", "Left wrist", "Neck", "Head top"),
)


def test_the_names_of_cocos_keypoints_are_cocos_set() -> None:
    assert keypoint_set(COCO.names) == COCO
    assert keypoint_set(COCO.names, COCO.skeleton) == COCO
    assert keypoint_set(list(COCO.names), category="people", category_id=3).category_id == 3


def test_what_the_names_of_lsp_tell() -> None:
    points = keypoint_set(LSP)
    assert sorted(points.flip_pairs) == [(3, 2), (4, 1), (5, 0), (9, 8), (10, 7), (11, 6)]
    assert [LSP[index] for index in points.torso or ()] == ["Left shoulder", "Right hip"]
    assert [LSP[index] for index in points.lower_body] == list(LSP[:6])
    assert points.sigmas[0] == COCO.sigmas[16]
    assert points.sigmas[12:] == (0.05, 0.05)
    assert points.sigma_source == "COCO's by name, else 0.05"
    assert KeypointSet.from_json(points.to_json() | {"of_later": 1}) == points


def test_parts_that_coco_has_not_have_one_spread() -> None:
    points = keypoint_set(["rear", "lip"])
    assert points.sigmas == (0.05, 0.05)
    assert points.sigma_source == "0.05 each"


def test_what_is_known_better() -> None:
    points = keypoint_set(("a", "b", "c"))
    better = changed(
        points, {"flip_pairs": [["a", "b"]], "skeleton": [[0, "c"]], "sigmas": {"c": 0.2}, "torso": ["a", 2]}
    )
    assert (better.flip_pairs, better.skeleton, better.torso) == (((0, 1),), ((0, 2),), (0, 2))
    assert better.sigmas == (0.05, 0.05, 0.2)
    assert better.sigma_source == "given"
    assert changed(better, {"torso": None, "upper_body": ["a"]}).upper_body == (0,)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs": []}, "no entry 'pairs'; there are flip_pairs, sigmas, skeleton, upper_body, torso"),
        ({"flip_pairs": [["a"]]}, r"flip_pairs must name two keypoints at a time, got \['a'\]"),
        ({"flip_pairs": "ab"}, "flip_pairs must be a list, got 'ab'"),
        ({"skeleton": [["a", "z"]]}, "skeleton names 'z', but there are a, b, c"),
        ({"upper_body": [3]}, "upper_body names 3, but there are"),
        ({"sigmas": [0.1]}, "must hold 3 numbers"),
        ({"sigmas": 4}, "sigmas must be numbers, got 4"),
    ],
)
def test_wrong_changes_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(KeypointSetError, match=message):
        keypoint_set(("a", "b", "c"), changes=changes)
