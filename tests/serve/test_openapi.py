"""The description is true: what schemathesis makes of it is answered as it says."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmsa.serve.schema import PICTURE_TYPES
from cmsa.serve.service import Service

EXAMPLES = 25
TOKEN = "a-token-of-twenty-letters"


@pytest.mark.slow
@pytest.mark.parametrize("task", ["pose", "head-pose", "classify"])
def test_the_description_is_true(predictors, running, made, monkeypatch, task):
    schemathesis = pytest.importorskip("schemathesis")
    from schemathesis.checks import CHECKS, load_all_checks

    monkeypatch.setattr(os, "environ", {k: v for k, v in os.environ.items() if "proxy" not in k.lower()})
    for kind in (*PICTURE_TYPES, "application/octet-stream"):
        form = {"image/jpeg": "JPEG", "image/webp": "WEBP"}.get(kind, "PNG")
        picture = made(form)
        schemathesis.openapi.media_type(
            kind, st.one_of(st.just(picture), st.binary(max_size=40), st.just(picture[:500]))
        )
    load_all_checks()
    # Any bytes fit "binary", and corners may be in any order; of these, only pictures and boxes are accepted.
    left_out = {"positive_data_acceptance"}
    checks = [check for check in CHECKS.get_all() if check.__name__ not in left_out]
    with running(Service(predictors[task]), TOKEN if task == "pose" else None) as server:
        schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{server.port}/openapi.json")
        headers = {"Authorization": f"Bearer {TOKEN}"}
        statuses = set()
        for operation in schema.get_all_operations():

            @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
            @given(case=operation.ok().as_strategy())
            def answered_as_described(case):
                statuses.add(case.call_and_validate(headers=headers, checks=checks).status_code)

            answered_as_described()
    assert {200, 415, 422} <= statuses
