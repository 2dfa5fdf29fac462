"""What pages of this project look like in Chromium.

    python docs/pictures/pages.py app                    # docs/app.png: what cmsa app shows, the slider at 24 pixels
    python docs/pictures/pages.py report report.html     # docs/report.png: the first half of one of cmsa report

Needs the extra ``app`` for the first, selenium, and Debian's ``chromium`` and ``chromium-driver``.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.keys import Keys

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-background-networking")
PATIENCE = 180


def browser(width: int) -> Any:
    """Chromium, so many pixels wide."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in (*FLAGS, f"--window-size={width},1400"):
        options.add_argument(flag)
    return webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))


def photograph(chromium: Any, width: int, path: Path) -> None:
    """All of the page, down to its end."""
    for _ in range(2):  # what is higher may be laid out otherwise
        height = chromium.execute_script(
            "return document.documentElement.scrollHeight + window.outerHeight - window.innerHeight"
        )
        chromium.set_window_size(width, height)
        time.sleep(2)
    chromium.save_screenshot(str(path))


def show_app(path: Path, port: int = 7861) -> None:
    """The pose tab with the first example."""
    from cmsa.app.page import Settings, build
    from cmsa.app.serve import launch
    from cmsa.app.uploads import Limits
    from cmsa.app.viewer import viewers_by_task
    from cmsa.guidance.shipped import DEFAULT_WEIGHTS

    limits = Limits()
    page = build(Settings(viewers_by_task(list(DEFAULT_WEIGHTS.values())), examples=ROOT / "examples", limits=limits))
    address = launch(page, limits, port=port)
    chromium = browser(1100)
    try:
        chromium.get(address)
        wait_for(chromium, "keypoints found")
        (field,) = chromium.find_elements("css selector", "#pose-height input[type=number]")
        field.send_keys(Keys.CONTROL, "a")
        field.send_keys("24", Keys.ENTER)
        wait_for(chromium, "24\N{MULTIPLICATION SIGN}18")
        photograph(chromium, 1100, path)
    finally:
        chromium.quit()
        page.close()


def wait_for(chromium: Any, text: str) -> None:
    """Until the pose tab says so.

    Raises:
        TimeoutError: it does not.
    """
    end = time.monotonic() + PATIENCE
    while text not in " ".join(part.text for part in chromium.find_elements("css selector", "#pose-status")):
        if time.monotonic() > end:
            raise TimeoutError(f"the page did not say {text!r}")
        time.sleep(0.2)


def show_report(page: Path, path: Path) -> None:
    """A report down to where its galleries begin, at three quarters of its size."""
    chromium = browser(1200)
    try:
        chromium.get(page.resolve().as_uri())
        photograph(chromium, 1200, path)
        headings = chromium.find_elements("css selector", "h2")
        (end,) = (heading.location["y"] for heading in headings if "best, median and worst" in heading.text)
    finally:
        chromium.quit()
    with Image.open(path) as picture:
        shown = picture.convert("RGB").crop((0, 0, 1200, round(end))).resize((900, round(0.75 * end)))
    shown.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["app"]:
        show_app(ROOT / "docs" / "app.png")
    elif sys.argv[1:2] == ["report"] and len(sys.argv) == 3:
        show_report(Path(sys.argv[2]), ROOT / "docs" / "report.png")
    else:
        sys.exit("usage: pages.py app, or pages.py report REPORT.html")
