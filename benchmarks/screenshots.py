"""Pictures of the viewer for README and the documentation: ``python -m benchmarks.screenshots``.

Trains classifiers on the digits that scikit-learn ships, keeps results in a data space, and tables and images
in a dictionary, and takes screenshots with Chromium.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from sklearn.datasets import load_digits
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from perkey import FileDirDict
from perkey.dataspace import init_project
from perkey.viewer import serve

BARS = 143
"""Pixels of a window's height that its bars take."""
IMAGES = Path(__file__).parents[1] / "docs" / "images"
COLOURS = 128
LARGEST = 150_000


def make_places(folder: Path) -> tuple[str, str]:
    """Return a dictionary and a data space with results of a small study."""
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(images, labels, train_size=0.5, random_state=0)
    project = init_project("digits", folder / "study")
    d = FileDirDict(str(folder / "results"))
    for kernel in ("linear", "poly", "rbf", "sigmoid"):
        for c in (0.001, 0.01, 0.1, 1.0, 10.0, 100.0):
            for gamma in (0.0001, 0.001):
                started = time.perf_counter()
                model = SVC(kernel=kernel, C=c, gamma=gamma).fit(split[0], split[2])
                guess = model.predict(split[1])
                job = project.open_job({"kernel": kernel, "C": c, "gamma": gamma}).init()
                job.doc.accuracy = round(float(np.mean(guess == split[3])), 4)
                job.doc.vectors = int(model.support_.size)
                job.doc.seconds = round(time.perf_counter() - started, 4)
                if gamma == 0.001:
                    names = [f"as {digit}" for digit in range(10)]
                    table = confusion_matrix(split[3], guess)
                    d["confusion", kernel, f"C={c:g}"] = pd.DataFrame(table, columns=names)
    for digit in range(10):
        d["mean_image", str(digit)] = images[labels == digit].mean(axis=0).round(2).reshape(8, 8)
    return str(folder / "results"), str(folder / "study")


def browser(*, dark: bool, height: int) -> webdriver.Chrome:
    """Return a browser with a window of 1280 pixels' width."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for each in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(each)
    options.add_argument(f"--window-size=1280,{height}")
    made = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver") or ""))
    features = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    made.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    return made


def main() -> int:
    """Take the pictures; return 1 if one of them is too large for a page."""
    folder = Path(tempfile.gettempdir()) / "digits"  # its path is in the pictures
    folder.mkdir()
    try:
        return take(make_places(folder))
    finally:
        shutil.rmtree(folder)


def take(places: tuple[str, str]) -> int:
    """Take the pictures of the viewer of a dictionary and a data space."""
    announced: list[str] = []
    options = {"browser": False, "announce": announced.append}
    threading.Thread(target=serve, args=(places,), kwargs=options, daemon=True).start()
    while not announced:
        time.sleep(0.05)
    base = announced[0].partition("/?")[0]
    IMAGES.mkdir(exist_ok=True)
    jobs = "/s/1/?sort=doc.accuracy&order=desc&q=doc.accuracy.$gt 0.5"
    plot = "/s/1/plot?x=C&y=doc.accuracy&group=kernel&kind=line&log_x=1&q=gamma 0.001"
    pages = (
        ("viewer-dictionary", "/d/0/?sort=key", False, 800),
        ("viewer-value", "/d/0/item?key=mean_image/3", False, 1000),
        ("viewer-jobs", jobs, False, 800),
        ("viewer-plot", plot, False, 920),
        ("viewer-plot-dark", plot, True, 920),
    )
    for name, path, dark, height in pages:
        driver = browser(dark=dark, height=height + BARS)
        driver.get(announced[0])
        driver.get(base + path)
        time.sleep(1)
        for number in range(3) if name == "viewer-dictionary" else ():
            open_branch(driver, number)
        keep(driver, IMAGES / f"{name}.png")
        driver.quit()
    sizes = {path.name: path.stat().st_size for path in sorted(IMAGES.glob("viewer-*.png"))}
    print(sizes)
    return int(max(sizes.values()) > LARGEST)


def open_branch(driver: webdriver.Chrome, number: int) -> None:
    """Open a part of the tree of keys."""
    driver.find_elements("css selector", "#tree summary")[number].click()
    time.sleep(1)


def keep(driver: webdriver.Chrome, path: Path) -> None:
    """Keep a picture of the page, in few colours, which a page of text needs."""
    with Image.open(io.BytesIO(driver.get_screenshot_as_png())) as picture:
        picture.convert("RGB").quantize(COLOURS).save(path, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
