"""The Dockerfile's steps, in a fresh environment: what Docker would do, where there is no Docker.

Its index of PyTorch must be reached; another is taken from the environment: ``TORCH_INDEX=https://pypi.org/simple``.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARK = ROOT / "examples" / "people" / "park.jpg"
TOKEN = "a-token-of-twenty-letters"


def instructions(text: str) -> list[tuple[str, str]]:
    """The instructions of a Dockerfile and what stands behind them."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in joined.splitlines()]


STEPS = instructions((ROOT / "Dockerfile").read_text(encoding="utf-8"))


def step(name: str) -> str:
    (found,) = [rest for kind, rest in STEPS if kind == name]
    return found


def test_it_needs_nothing_but_the_wheel_and_no_root():
    assert [rest for kind, rest in STEPS if kind in ("COPY", "ADD")] == ["dist/cmsa-*.whl /wheel/"]
    assert (ROOT / ".dockerignore").read_text(encoding="utf-8").split() == ["*", "!dist/cmsa-*.whl"]
    assert step("USER") == "cmsa"
    kinds = [kind for kind, _ in STEPS]
    assert kinds.index("USER") > max(place for place, kind in enumerate(kinds) if kind == "RUN")
    assert step("ARG") == "TORCH_INDEX=https://download.pytorch.org/whl/cpu"
    # Signals must reach the server, and not a shell around it.
    assert json.loads(step("ENTRYPOINT"))[:2] == ["cmsa", "serve"]
    assert {kind for kind, _ in STEPS} == {
        *("FROM", "ARG", "RUN", "COPY", "USER", "WORKDIR", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD")
    }


@pytest.mark.exhaustive
@pytest.mark.parametrize("packages", ["of this environment", "downloaded"])
def test_its_steps_make_a_server(tmp_path, packages):
    """With the packages of this environment only the wheel is new, which takes a minute and no 7 GB."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "CMSA_TOKEN")}
    environment |= {"PATH": f"{tmp_path}/venv/bin:{os.environ['PATH']}", "CMSA_TOKEN": TOKEN}
    argument, _, index = step("ARG").partition("=")
    environment.setdefault(argument, index)
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    if packages != "downloaded":
        (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
        # Behind the new environment's own, so that its cmsa is the wheel's.
        (site / "here.pth").write_text(sysconfig.get_paths()["purelib"], encoding="utf-8")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path / "dist", ROOT]
    subprocess.run(build, check=True)
    for kind, rest in STEPS:
        if kind == "COPY":
            source, target = rest.split()
            folder = tmp_path / target.strip("/")
            folder.mkdir()
            for file in tmp_path.glob(source):
                shutil.copy(file, folder)
        elif kind == "RUN" and not rest.startswith("useradd"):
            command = rest.replace(" /wheel/", f" {tmp_path}/wheel/")
            subprocess.run(["bash", "-euc", command], check=True, env=environment, cwd=tmp_path)
    where = "import cmsa; print(cmsa.__file__)"
    ask_python = [tmp_path / "venv" / "bin" / "python", "-c", where]
    found = subprocess.check_output(ask_python, text=True, cwd=tmp_path, env=environment)
    assert Path(found.strip()).is_relative_to(tmp_path / "venv")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [*json.loads(step("ENTRYPOINT")), *json.loads(step("CMD")), "--port", str(port)]
    check = [part.replace("8000", str(port)) for part in json.loads(step("HEALTHCHECK").split("CMD ")[1])]
    with subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout.readline().startswith(f"http://0.0.0.0:{port}")
            while ask(port, "GET", "/ready")[0] != 200:
                assert server.poll() is None
                time.sleep(0.2)
            subprocess.run(check, check=True, env=environment, cwd=tmp_path)
            status, content = ask(port, "POST", "/predict?boxes=%7B%22xywh%22:[[318,92,56,151]]%7D")
            assert status == 200
            assert len(json.loads(content)["predictions"][0]["keypoints"]) == 51
        finally:
            server.send_signal(signal.SIGTERM)
            assert server.wait(120) == 0
    assert subprocess.run(check, check=False, env=environment, cwd=tmp_path, stderr=subprocess.DEVNULL).returncode != 0


def ask(port: int, method: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = PARK.read_bytes() if method == "POST" else None
    connection.request(method, path, body, {"Content-Type": "image/jpeg", "Authorization": f"Bearer {TOKEN}"})
    response = connection.getresponse()
    try:
        return response.status, response.read()
    finally:
        connection.close()
