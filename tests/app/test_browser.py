"""The page as a visitor sees it, in headless Chromium."""

from __future__ import annotations

import io
import json
import re
import shutil
import socket
import urllib.error
import urllib.request

import numpy as np
import pytest
from PIL import Image

from cmsa.app.page import Settings, build
from cmsa.app.serve import launch
from cmsa.app.uploads import Limits

# One browser for all of them: they share a worker.
pytestmark = [pytest.mark.browser, pytest.mark.slow]

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --window-size=1440,1500"
)
PATIENCE = 60
TIMES = "\N{MULTIPLICATION SIGN}"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def address(viewers, examples):
    pytest.importorskip("gradio")
    weights = {task: {task: viewer} for task, viewer in viewers.items()}
    limits = Limits(megabytes=2)
    page = build(Settings(weights, examples=examples, limits=limits))
    yield launch(page, limits, port=free_port())
    page.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    webdriver = pytest.importorskip("selenium.webdriver")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs Debian's chromium and chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path_factory.mktemp('chromium')}")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(driver)) as chrome:
        yield chrome


class Visitor:
    """One page of the pose tab."""

    def __init__(self, browser, address):
        self.browser = browser
        browser.get(address)
        self.wait(lambda: "keypoints found" in self.text("#pose-status"))

    def wait(self, condition):
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.support.ui import WebDriverWait

        waiting = WebDriverWait(self.browser, PATIENCE, 0.1, [StaleElementReferenceException])
        return waiting.until(lambda _: condition(), self.text("#pose-status"))

    def all(self, selector):
        return self.browser.find_elements("css selector", selector)

    def text(self, selector):
        return " ".join(element.text for element in self.all(selector))

    def source(self, name):
        return self.all(f"#pose-{name} img")[0].get_attribute("src")

    def send(self, path):
        self.all("#pose-upload input[type=file]")[0].send_keys(str(path))

    def set_height(self, number):
        from selenium.webdriver.common.keys import Keys

        field = self.all("#pose-height input[type=number]")[0]
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys(str(number), Keys.ENTER)

    def click(self, name, across, down):
        """Click on a picture at a share of its width and height."""
        from selenium.webdriver import ActionChains

        picture = self.all(f"#pose-{name} img")[0]
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", picture)
        # The element may be larger than the picture that lies in its middle.
        wide, high, natural, tall = self.browser.execute_script(
            "const i = arguments[0]; return [i.clientWidth, i.clientHeight, i.naturalWidth, i.naturalHeight]", picture
        )
        scale = min(wide / natural, high / tall)
        offset = round((across - 0.5) * natural * scale), round((down - 0.5) * tall * scale)
        ActionChains(self.browser).move_to_element_with_offset(picture, *offset).click().perform()


@pytest.fixture
def visitor(browser, address):
    return Visitor(browser, address)


def test_the_first_example_is_shown_and_nothing_is_asked_of_other_hosts(visitor, browser, address):
    assert len(visitor.all("#pose-examples img")) == 3
    assert f"32{TIMES}24" in visitor.text("#pose-status")
    requests = [
        message["params"]["request"]["url"]
        for entry in browser.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"] == "Network.requestWillBeSent"
    ]
    foreign = [url for url in requests if url.startswith("http") and not url.startswith(address)]
    assert requests
    assert not foreign


def test_an_upload_and_the_slider_change_the_result(visitor, examples):
    before = visitor.source("result")
    visitor.send(examples / "people" / "park.jpg")
    visitor.wait(lambda: "No box: the whole picture was taken as one person" in visitor.text("#pose-status"))
    visitor.wait(lambda: visitor.source("result") != before)
    uploaded = {name: visitor.source(name) for name in ("result", "crop", "evidence", "attention")}
    visitor.set_height(16)
    visitor.wait(lambda: f"gets 16{TIMES}12 pixels" in visitor.text("#pose-status"))
    for name, source in uploaded.items():
        visitor.wait(lambda name=name, source=source: visitor.source(name) != source)


def test_two_clicks_draw_a_box(visitor):
    visitor.all("#pose-clicks label")[1].click()
    visitor.click("result", 0.25, 0.25)
    visitor.wait(lambda: "First corner set" in visitor.text("#pose-status"))
    visitor.click("result", 0.75, 0.5)
    visitor.wait(lambda: "2 boxes (given), person 2 is looked at" in visitor.text("#pose-status"))
    # Of the astronaut's 512 x 512 pixels.
    numbers = [float(number) for number in re.findall(r"[\d.]+", visitor.text("#pose-boxes"))]
    np.testing.assert_allclose(numbers[-4:], [128, 128, 257, 129], atol=3)


def test_a_clicked_pixel_moves_the_attention(visitor):
    attention, given, result = (visitor.source(name) for name in ("attention", "given", "result"))
    visitor.click("given", 0.2, 0.3)
    visitor.wait(lambda: visitor.source("attention") != attention)
    assert visitor.source("given") != given
    assert visitor.source("result") == result


def test_a_broken_file_gives_a_readable_message(visitor, tmp_path):
    broken = tmp_path / "holiday.jpg"
    broken.write_bytes(b"this is no picture")
    visitor.send(broken)
    visitor.wait(lambda: "holiday.jpg: is no picture, or is damaged" in visitor.text("#pose-status"))
    body = visitor.text("body")
    assert "Traceback" not in body
    assert str(tmp_path) not in body
    assert "/tmp" not in body


def test_a_tab_for_each_task(visitor):
    for title, task, words in (("Head pose", "head_pose", "yaw"), ("Classification", "classification", "%")):
        visitor.browser.find_element("xpath", f"//button[@role='tab'][contains(., '{title}')]").click()
        visitor.wait(lambda task=task, words=words: words in visitor.text(f"#{task}-status"))
        visitor.wait(lambda task=task: visitor.all(f"#{task}-attention img"))


def upload(address, content):
    """POST a file as the page does, without a browser."""
    body = io.BytesIO()
    body.write(b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n')
    body.write(content + b"\r\n--x--\r\n")
    request = urllib.request.Request(
        f"{address}gradio_api/upload", body.getvalue(), {"Content-Type": "multipart/form-data; boundary=x"}
    )
    with urllib.request.urlopen(request) as answer:
        return answer.status


def test_a_file_that_is_too_large_is_not_taken(address):
    picture = io.BytesIO()
    Image.new("RGB", (20, 20)).save(picture, "PNG")
    assert upload(address, picture.getvalue()) == 200
    with pytest.raises(urllib.error.HTTPError) as refused:
        upload(address, b"x" * 3_000_000)
    assert refused.value.code == 413
