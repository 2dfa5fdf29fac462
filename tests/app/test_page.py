from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import pytest

from cmsa.app.layout import _take_files_as_they_are
from cmsa.app.page import Settings, _teller, build, import_gradio
from cmsa.app.uploads import UploadError
from cmsa.cli.main import main


def test_without_gradio_the_pip_line_is_told(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(ImportError, match=r"pip install 'cmsa\[app\]'"):
        import_gradio()
    assert main(["app"]) == 2
    assert "pip install 'cmsa[app]'" in capsys.readouterr().err


def test_what_a_visitor_can_mend_is_told_and_the_rest_is_logged(caplog):
    told = _teller(lambda message: [message])

    @told
    def refuse(error):
        raise error

    assert refuse(UploadError("holiday.jpg: is too large")) == ["holiday.jpg: is too large"]
    with caplog.at_level(logging.ERROR):
        assert refuse(RuntimeError("/secret/path")) == ["Something went wrong on the server, and was logged there."]
    assert "/secret/path" in caplog.text


def test_without_weights_there_is_no_page():
    pytest.importorskip("gradio")
    with pytest.raises(ValueError, match="no weights"):
        build(Settings({}))


def test_tasks_without_weights_have_no_tab(viewers):
    gradio = pytest.importorskip("gradio")
    page = build(Settings({"head_pose": {"named": viewers["head_pose"]}}))
    assert [block.label for block in page.blocks.values() if isinstance(block, gradio.Tab)] == ["Head pose"]
    assert page.analytics_enabled is False


def test_pictures_are_not_fetched_for_visitors(tmp_path):
    gradio = pytest.importorskip("gradio")
    upload = gradio.Image(type="filepath")
    _take_files_as_they_are(gradio, upload)
    with pytest.raises(gradio.Error, match="not downloaded"):
        asyncio.run(upload.async_move_resource_to_block_cache("http://127.0.0.1:1/a.png"))
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing")
    kept = asyncio.run(upload.async_move_resource_to_block_cache(str(broken)))
    assert Path(upload.preprocess(gradio.data_classes.ImageData(path=kept))).read_bytes() == b"nothing"
