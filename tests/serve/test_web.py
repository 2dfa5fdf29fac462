from __future__ import annotations

import json
import re
import threading
from urllib.parse import quote

import pytest

from cmsa.serve.limits import Limits
from cmsa.serve.service import Service

TOKEN = "a-token-of-twenty-letters"
ADDRESSES = "POST /predict; GET /model, /health, /ready, /metrics, /openapi.json"


def query(boxes: object, **more: object) -> str:
    return "?boxes=" + quote(json.dumps(boxes)) + "".join(f"&{name}={value}" for name, value in more.items())


@pytest.fixture(scope="module")
def small(predictors, running):
    """A server that takes little, and bears a token."""
    limits = Limits(megabytes=0.1, megapixels=0.05, boxes=2, waiting=2, held_megabytes=0.15, seconds=20)
    with running(Service(predictors["head-pose"], limits=limits), TOKEN) as server:
        yield server


@pytest.fixture
def bearing():
    return {"authorization": f"Bearer {TOKEN}"}


def test_a_picture_as_the_body(pose_server, made):
    reply = pose_server.predict(made(), query({"xywh": [[5, 6, 30, 40]]}, file="a%20b.png", image_id=12))
    assert reply.status == 200
    assert reply.json["file"] == "a b.png"
    assert reply.json["image_id"] == 12
    assert (reply.json["height"], reply.json["width"]) == (80, 60)
    assert reply.json["predictions"][0]["bbox"] == [5, 6, 30, 40]
    assert len(reply.json["predictions"][0]["keypoints"]) == 51


def test_a_form_says_the_same(pose_server, made, form):
    body, kind = form(picture=("é.png", made()), boxes='{"xyxy": [[5, 6, 35, 46]]}')
    reply = pose_server.predict(body, content_type=kind)
    assert reply.status == 200
    assert reply.json["file"] == "é.png"
    raw = pose_server.predict(made(), query({"xywh": [[5, 6, 30, 40]]})).json
    assert reply.json["predictions"] == raw["predictions"]
    assert reply.content.endswith(b"}\n"), "curl appends it to a results.jsonl"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF"])
def test_all_kinds_that_are_named(pose_server, made, kind):
    assert pose_server.predict(made(kind), content_type=f"image/{kind.lower()}").status == 200
    assert pose_server.predict(made(kind), content_type="application/octet-stream; charset=x").status == 200


@pytest.mark.parametrize(
    ("change", "status", "where", "words"),
    [
        ({"content_type": "application/json"}, 415, "header content-type", "image/jpeg.*got application/json"),
        ({"content_type": ""}, 415, "header content-type", "got none"),
        ({"content_encoding": "gzip"}, 415, "header content-encoding", "must be identity, got gzip"),
        ({"body": b"\xff\xd8garbage"}, 415, "picture", "is no picture"),
        ({"body": b""}, 415, "picture", "is no picture"),
        ({"query": "?box=1,2,3,4"}, 422, "query", "no parameter 'box'; there are boxes, file, image_id"),
        ({"query": "?image_id=1&image_id=2"}, 422, "query image_id", "is given twice"),
        ({"query": "?image_id=one"}, 422, "query image_id", "valid integer"),
        ({"query": "?image_id=-1"}, 422, "query image_id", "greater than or equal to 0"),
        ({"query": "?file=" + "x" * 1001}, 422, "query file", "at most 1000"),
        ({"query": "?boxes="}, 422, "boxes", "is not JSON"),
        ({"query": query([[1, 2, 3, 4]])}, 422, "boxes", "must name their layout"),
        ({"query": query({"xywh": [[1, 2, 3]]})}, 422, "boxes.xywh[0]", "must be four numbers"),
        ({"query": query({"xyxy": [[9, 9, 3, 4]]})}, 422, "boxes.xyxy", "box 0.*has no area"),
        ({"body": b"hello", "content_type": "multipart/form-data; boundary=x"}, 422, "body", "is no multipart form"),
    ],
)
def test_what_is_wrong_is_said_and_where(pose_server, made, change, status, where, words):
    reply = pose_server.predict(**{"body": made(), "query": "", "content_type": "image/png"} | change)
    assert reply.status == status
    assert set(reply.json) == {"error", "where"}
    assert reply.json["where"] == where
    assert re.search(words, reply.json["error"]), reply.json["error"]


def test_faults_of_a_form(pose_server, made, form):
    for parts, where in [
        ({"boxes": "{}"}, "picture"),
        ({"picture": made(), "boxes": b"\xff\xfe"}, "boxes"),
        ({"picture": made(), "box": "1"}, "body"),
    ]:
        body, kind = form(**parts)
        reply = pose_server.predict(body, content_type=kind)
        assert (reply.status, reply.json["where"]) == (422, where)
    body, kind = form(picture=made(), boxes=b'\xef\xbb\xbf{"xywh": []}')
    assert pose_server.predict(body, content_type=kind).json["predictions"] == []
    body, kind = form(picture=made(), boxes='{"xywh": []}')
    reply = pose_server.predict(body, query({"xywh": []}), kind)
    assert (reply.status, reply.json["error"]) == (422, "are given twice, in the address and in the form")


def test_other_addresses_and_methods(pose_server):
    reply = pose_server.ask("GET", "/nothing")
    assert (reply.status, reply.json["where"]) == (404, None)
    assert reply.json["error"] == f"Not Found: GET /nothing; there are {ADDRESSES}"
    reply = pose_server.ask("GET", "/predict")
    assert reply.status == 405
    assert reply.headers["allow"] == "POST"
    assert reply.json["error"] == f"Method Not Allowed: GET /predict; there are {ADDRESSES}"
    reply = pose_server.ask("POST", "/predict/", b"", host="elsewhere")
    assert (reply.status, reply.json["error"]) == (404, f"Not Found: POST /predict/; there are {ADDRESSES}")
    # Its pages would load scripts from other hosts.
    assert pose_server.ask("GET", "/docs").status == 404


def test_health_readiness_and_the_model(pose_server):
    assert pose_server.ask("GET", "/health").json == {"status": "alive"}
    assert pose_server.ask("GET", "/ready").json == {"status": "ready"}
    model = pose_server.ask("GET", "/model").json
    assert (model["task"], model["input_size"], len(model["names"])) == ("pose", [32, 24], 17)


@pytest.mark.parametrize("path", ["/health", "/ready", "/model"])
def test_head_is_get_without_the_body(pose_server, path):
    found, expected = pose_server.ask("HEAD", path), pose_server.ask("GET", path)
    assert (found.status, found.content) == (200, b"")
    for name in ("content-type", "content-length"):
        assert found.headers[name] == expected.headers[name]


def test_metrics_count(pose_server, made):
    def count(name: str) -> float:
        lines = pose_server.ask("GET", "/metrics").content.decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    before = {name: count(name) for name in ('cmsa_requests_total{status="200"}', 'cmsa_requests_total{status="415"}')}
    crops = count("cmsa_batch_crops_sum")
    pose_server.predict(made(), query({"xywh": [[5, 6, 30, 40]] * 3}))
    pose_server.predict(b"garbage")
    assert {name: count(name) - was for name, was in before.items()} == dict.fromkeys(before, 1)
    assert count("cmsa_batch_crops_sum") - crops == 3
    assert count("cmsa_waiting_requests") == 0
    assert count("cmsa_held_bytes") == 0
    assert count("cmsa_ready") == 1
    assert count("process_resident_memory_bytes") > 1e7


def test_what_is_refused_before_it_is_looked_at_counts(small, pose_server, made, bearing):
    def count(server, status: int, **headers: str) -> float:
        lines = server.ask("GET", "/metrics", **headers).content.decode().splitlines()
        return sum(
            float(line.split()[-1]) for line in lines if line.startswith(f'cmsa_requests_total{{status="{status}"')
        )

    strangers, parameters = count(small, 401, **bearing), count(pose_server, 422)
    assert small.predict(made()).status == 401
    assert pose_server.predict(made(), "?image_id=one").status == 422
    assert count(small, 401, **bearing) == strangers + 1
    assert count(pose_server, 422) == parameters + 1


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"]
)
def test_who_has_no_token_is_told_nothing(small, made, given):
    headers = {} if given is None else {"authorization": given}
    for method, path in [("POST", "/predict"), ("GET", "/metrics"), ("GET", "/model"), ("HEAD", "/model")]:
        reply = small.ask(method, path, made() if method == "POST" else None, content_type="image/png", **headers)
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == "Bearer"
        if method != "HEAD":
            came = given is not None and given.startswith("Bearer ")
            told = "the bearer token is another" if came else "a bearer token is needed"
            assert reply.json == {"error": told, "where": "header authorization"}


def test_probes_need_no_token_and_others_get_in_with_it(small, made, bearing):
    assert small.ask("GET", "/health").status == 200
    assert small.ask("GET", "/ready").status == 200
    assert small.predict(made(), **bearing).status == 200
    assert small.ask("GET", "/metrics", **bearing).status == 200


def test_too_large_is_refused_before_it_is_read_or_decoded(small, made, bearing):
    reply = small.predict(b"x" * 100_001, **bearing)
    assert reply.status == 413
    assert reply.json == {"error": "0.1 MB or more are more than the 0.1 MB taken here", "where": "body"}
    reply = small.predict((b"x" * 50_000 for _ in range(3)), transfer_encoding="chunked", **bearing)
    assert reply.status == 413
    reply = small.predict(made("JPEG", (300, 200)), **bearing)
    assert reply.status == 413
    assert "200x300 (HxW) pixels are more than the 0.05 megapixels" in reply.json["error"]
    reply = small.predict(made(), query({"xywh": [[1, 2, 3, 4]] * 3}), **bearing)
    assert (reply.status, reply.json["where"]) == (422, "boxes.xywh")


def test_more_than_may_wait_is_told_to_come_again(small, made, bearing, wait_until):
    batcher = small.service._batcher
    compute, may = batcher.compute, threading.Event()
    batcher.compute = lambda cuts: compute(cuts) if may.wait(20) else None
    replies = []
    waiting = [threading.Thread(target=lambda: replies.append(small.predict(made(), **bearing))) for _ in range(2)]
    for thread in waiting:
        thread.start()
    try:
        wait_until(lambda: b"cmsa_waiting_requests 2.0" in small.ask("GET", "/metrics", **bearing).content)
        reply = small.predict(made(), **bearing)
        assert reply.status == 429
        assert reply.headers["retry-after"] == "1"
        assert reply.json["error"] == "2 requests wait already: ask again later"
    finally:
        may.set()
        for thread in waiting:
            thread.join()
        batcher.compute = compute
    assert [reply.status for reply in replies] == [200, 200]
    assert small.predict(made(), **bearing).status == 200


def test_bytes_that_are_held_are_bounded(small, made, bearing, wait_until):
    head = "POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 95000\r\n"
    head += f"Authorization: Bearer {TOKEN}\r\n\r\n"
    with small.connect() as slow:
        slow.sendall(head.encode() + b"x" * 90_000)
        wait_until(lambda: b"cmsa_held_bytes 90000.0" in small.ask("GET", "/metrics", **bearing).content)
        reply = small.predict(b"x" * 90_000, **bearing)
        assert reply.status == 429
        assert reply.json["error"] == "all requests together hold 0.15 MB: ask again later"
        assert small.predict(made(), **bearing).status == 200
    wait_until(lambda: b"cmsa_held_bytes 0.0" in small.ask("GET", "/metrics", **bearing).content)


def test_an_answer_that_takes_too_long_is_given_up(predictors, running, made):
    with running(Service(predictors["head-pose"], limits=Limits(seconds=0.2))) as server:
        batcher = server.service._batcher
        compute, may = batcher.compute, threading.Event()
        batcher.compute = lambda cuts: compute(cuts) if may.wait(20) else None
        reply = server.predict(made())
        assert reply.status == 504
        assert reply.json == {"error": "there was no answer within 0.2 s", "where": None}
        assert reply.headers["retry-after"] == "1"
        assert b"cmsa_waiting_requests 0.0" in server.ask("GET", "/metrics").content
        may.set()
        batcher.compute = compute


def test_a_failure_is_logged_and_not_shown(predictors, running, made, caplog):
    with running(Service(predictors["head-pose"])) as server:
        server.service._batcher.compute = lambda cuts: 1 / 0
        reply = server.predict(made())
        assert reply.status == 500
        assert reply.json == {"error": "the server failed; its log says how", "where": None}
        assert b'cmsa_requests_total{status="500"} 1.0' in server.ask("GET", "/metrics").content
    assert "ZeroDivisionError" in caplog.text


def test_before_it_is_ready_it_is_alive_and_says_when_to_ask(predictors, running, made):
    service = Service(predictors["head-pose"])
    with running(service) as server:
        service.ready = False
        assert server.ask("GET", "/health").status == 200
        for reply in (server.ask("GET", "/ready"), server.predict(made()), server.ask("GET", "/openapi.json")):
            assert reply.status == 503
            assert reply.headers["retry-after"] == "1"
            assert reply.json["error"] == "the network is not ready yet: ask again later"
