from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import fields

import pytest

from cmsa.benchmark.serve import ServeRow, benchmark_serve, make_questions
from cmsa.benchmark.serve_client import Misuse, Question, distance, misuses
from cmsa.guidance.shipped import DEFAULT_WEIGHTS
from cmsa.inference.predictor import Predictor


@pytest.mark.parametrize(
    ("found", "expected", "apart"),
    [
        ([{"keypoints": [1.0, 2.5], "bbox": [1]}], [{"keypoints": [1.25, 2.0]}], 0.5),
        ([{"yaw": 1}], [{"yaw": 1.0}], 0),
        ([], [{"yaw": 1.0}], math.inf),
        ([{"yaw": 1.0}], [{"yaw": 1.0, "pitch": 2.0}], math.inf),
        (
            [{"classes": [{"name": "a", "probability": 0.5}]}],
            [{"classes": [{"name": "b", "probability": 0.5}]}],
            math.inf,
        ),
        ([{"keypoints": [1.0]}], [{"keypoints": [1.0, 2.0]}], math.inf),
        (None, [1.0], math.inf),
    ],
)
def test_the_distance_of_answers(found, expected, apart):
    assert distance(found, expected) == apart


def test_questions_are_answered_by_the_predictor():
    predictor = Predictor.from_pretrained(DEFAULT_WEIGHTS["head_pose"])
    questions = make_questions(predictor, 3)
    assert [len(question.expected) for question in questions] == [1, 2, 3] * 4
    assert [len(question.boxes) for question in questions] == [1, 2, 3] * 4
    assert questions[0].expected[0].keys() == {"yaw", "pitch", "roll"}
    assert questions[0].body[:2] == b"\xff\xd8"


def test_misuse_counts_what_comes_back():
    asked = []
    misuse = Misuse("kind", 6, 2, frozenset({"400"}), lambda port, n: asked.append((port, n)) or str(400 + n % 2))
    assert misuse.run(7) == Counter({"400": 3, "401": 3})
    assert sorted(asked) == [(7, n) for n in range(6)]
    assert len({kind.name for kind in misuses(Question("/predict", b"x" * 9))}) == 10


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="a server has one model, got a, b"):
        benchmark_serve(["a", "b"])
    with pytest.raises(ValueError, match="requests and clients are at least 1"):
        benchmark_serve(requests=0)


# Clients that dawdle are waited for.
@pytest.mark.exhaustive
def test_a_short_run_is_fine(tmp_path, capsys):
    pytest.importorskip("fastapi")
    rows = benchmark_serve(concurrencies=[1, 4], requests=40, out=tmp_path)
    assert [row.kind for row in rows[:8]] == ["Predictor", "Predictor.stream", "load", "load", *["soak"] * 4]
    assert all(row.fine for row in rows), [row for row in rows if not row.fine]
    assert sum(row.requests for row in rows if row.kind == "soak") == 40
    kept = json.loads((tmp_path / "serve.json").read_text())
    assert [row["memory"] for row in kept["rows"]] == [row.memory for row in rows]
    assert kept["rows"][0].keys() == {field.name for field in fields(ServeRow)}
    assert "body never ends" in capsys.readouterr().out
