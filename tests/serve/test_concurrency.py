"""Whoever asks beside others gets what ``Predictor`` says, of its own picture."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

import numpy as np
import pytest

from cmsa.serve.service import Batching, Service

THREADS, REQUESTS = 8, 320


@pytest.mark.slow
@pytest.mark.parametrize("task", ["pose", "head-pose", "classify"])
def test_answers_are_the_predictors_under_concurrency(predictors, running, made, task):
    predictor = predictors[task]
    random = np.random.default_rng(5)
    asked = []
    for seed in range(24):
        width, height = (int(side) for side in random.integers(40, 200, 2))
        boxes = [[*random.uniform(0, 20, 2), *random.uniform(15, 60, 2)] for _ in range(seed % 5)]
        asked.append((made(["JPEG", "PNG", "WEBP"][seed % 3], (width, height), seed), boxes))
    expected = [predictor(picture, boxes=boxes) for picture, boxes in asked]
    together = threading.Barrier(THREADS)

    def ask(number: int) -> float:
        place = number % len(asked)
        if number < THREADS:
            together.wait()
        picture, boxes = asked[place]
        reply = server.predict(picture, f"?image_id={number}&boxes={quote(json.dumps({'xywh': boxes}))}")
        assert reply.status == 200
        assert reply.json["image_id"] == number
        found = reply.json["predictions"]
        assert len(found) == len(expected[place])
        farthest = 0.0
        for prediction, value in zip(found, expected[place], strict=True):
            record = predictor.task.record(value, 1.0, 100)
            if task == "classify":
                shares = {entry["name"]: entry["probability"] for entry in record["classes"]}
                pairs = [(entry["probability"], shares[entry["name"]]) for entry in prediction["classes"]]
            else:
                pairs = [(prediction[name], record[name]) for name in record if name != "category_id"]
            farthest = max([farthest, *(float(np.abs(np.subtract(one, other)).max()) for one, other in pairs)])
        return farthest

    with running(Service(predictor, batching=Batching(most=16), top=100)) as server:
        with ThreadPoolExecutor(THREADS) as pool:
            farthest = max(pool.map(ask, range(REQUESTS)))
        metrics = server.ask("GET", "/metrics").content.decode()
    batches = float(metrics.split("cmsa_batch_crops_count ")[1].split()[0])
    assert batches < REQUESTS  # requests did share batches
    # Results are rounded to 1e-4; a sum of another order may round the other way.
    assert farthest < 5e-4
