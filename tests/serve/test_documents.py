"""What the documents show of the server is asked as it stands there, but for the port."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from documents import blocks_of, commands_of

from cmsa.serve.service import Service

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "docs" / "serve.md"]
CURLS = [
    pytest.param(command, id=f"{page.stem} {place}")
    for page in PAGES
    for _, text in blocks_of(page)
    for place, command in enumerate(commands_of(text))
    if command.startswith("curl")
]
SHOWN = re.search(r'"keypoints": (\[[^\]]*), \.\.\.\], "score": ([\d.]+)', PAGES[1].read_text(encoding="utf-8"))
TOKEN = "a-token-of-twenty-letters"


@pytest.fixture(scope="module")
def guarded(predictors, running):
    with running(Service(predictors["pose"]), TOKEN) as server:
        yield server


@pytest.mark.parametrize("command", CURLS)
def test_a_shown_curl(pose_server, guarded, command):
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    server = guarded if "CMSA_TOKEN" in command else pose_server
    here = f"//127.0.0.1:{server.port}/"
    line = command.replace("//127.0.0.1:8000/", here).replace("//10.0.0.7:8000/", here)
    assert here in line, "the page names another address"
    done = subprocess.run(
        ["sh", "-c", line.replace("curl", "curl -sS", 1)],
        cwd=ROOT,
        env=os.environ | {"CMSA_TOKEN": TOKEN, "no_proxy": "*"},
        capture_output=True,
        text=True,
        check=True,
    )
    (answered,) = done.stdout.splitlines()
    (person,) = json.loads(answered)["predictions"]
    assert len(person["keypoints"]) == 51
    if "318" in command:
        assert person["bbox"] == [318, 92, 56, 151]
        assert person["score"] == pytest.approx(float(SHOWN[2]), abs=0.006), "as the page shows it"
        assert person["keypoints"][:3] == pytest.approx(json.loads(SHOWN[1] + "]"), abs=0.002)


def test_the_shown_python(pose_server, monkeypatch):
    monkeypatch.chdir(ROOT)
    (text,) = (text for kind, text in blocks_of(ROOT / "docs" / "serve.md") if kind == "python")
    values: dict[str, object] = {}
    exec(compile(text.replace(":8000/", f":{pose_server.port}/"), "serve.md", "exec"), values)
    (person,) = values["people"]
    assert person["bbox"] == [318, 92, 56, 151]
