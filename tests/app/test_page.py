from __future__ import annotations

import logging
import sys

import pytest

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
