"""Pictures of the viewer for README and the documentation: ``python -m benchmarks.screenshots``.

Trains classifiers on the digits that scikit-learn ships, keeps results in a data space and confusion matrices
in a dictionary, and takes screenshots with Chromium.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from sklearn.datasets import load_digits
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from perkey import FileDirDict
from perkey.dataspace import init_project
from perkey.viewer import serve

IMAGES = Path(__file__).parents[1] / "docs" / "images"
LARGEST = 250_000


def make_places(folder: Path) -> tuple[str, str]:
    """Return a dictionary and a data space with results of a small study."""
    images, labels = load_digits(return_X_y=True)
    split = train_test_split(images, labels, train_size=0.5, random_state=0)
    project = init_project("digits", folder / "study")
    d = FileDirDict(str(folder / "matrices"), file_type="json")
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
                    table = confusion_matrix(split[3], guess)
                    d["confusion", kernel, f"C={c:g}"] = [
                        {"digit": digit, **{f"as {other}": int(n) for other, n in enumerate(row)}}
                        for digit, row in enumerate(table)
                    ]
    for digit in range(10):
        d["mean_image", str(digit)] = images[labels == digit].mean(axis=0).round(2).reshape(8, 8).tolist()
    return str(folder / "matrices"), str(folder / "study")


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
    pages = (
        ("viewer-dictionary", "", False, 900),
        ("viewer-jobs", "/s/1/?sort=doc.accuracy&order=desc&q=doc.accuracy.$gt 0.5", False, 900),
        (
            "viewer-plot",
            "/s/1/plot?x=C&y=doc.accuracy&group=kernel&kind=line&log_x=1&q=gamma 0.001",
            True,
            1080,
        ),
    )
    for name, path, dark, height in pages:
        driver = browser(dark=dark, height=height)
        driver.get(announced[0])
        if path:
            driver.get(base + path)
        else:
            open_item(driver, base)
        time.sleep(1)
        driver.save_screenshot(str(IMAGES / f"{name}.png"))
        driver.quit()
    sizes = {path.name: path.stat().st_size for path in sorted(IMAGES.glob("viewer-*.png"))}
    print(sizes)
    return int(max(sizes.values()) > LARGEST)


def open_item(driver: webdriver.Chrome, base: str) -> None:
    """Open the page of a confusion matrix."""
    driver.get(f"{base}/d/0/?q=rbf")
    time.sleep(1)
    script = "return [...document.querySelectorAll('#keys tbody a')].map(each => each.href)"
    driver.get(driver.execute_script(script)[-1])


if __name__ == "__main__":
    sys.exit(main())
