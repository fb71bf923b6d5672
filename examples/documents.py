"""Synced documents: nested JSON that saves itself, safe under many writers; here the log of a training.

The model learns to recognise the images of digits that scikit-learn ships.
"""

import json
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier

from perkey.synced import JSONAttrDict


def train(path: Path, name: str, rate: float) -> None:
    """Train a model, and log each epoch; other threads, processes or machines write to the same document."""
    images, labels = load_digits(return_X_y=True)
    model = SGDClassifier(learning_rate="constant", eta0=rate, random_state=0)
    log = JSONAttrDict(str(path))
    for _ in range(3):
        model.partial_fit(images / 16, labels, classes=range(10))
        # Nested lists and dicts are documents, too: this is one atomic edit of the file.
        log.scores[name].append(round(model.score(images / 16, labels), 2))
    log.transform(lambda content: {**content, "done": content["done"] + 1})  # loses no update


def main() -> None:
    """Train two models at the same time, and read the log."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "training.json")
        log = JSONAttrDict(str(path))
        rates = {"slow": 0.001, "fast": 0.1}
        log.update(done=0, scores={name: [] for name in rates})
        with ThreadPoolExecutor() as pool:
            list(pool.map(train, [path] * 2, rates, rates.values()))

        print("done:", log.done)
        for name, scores in sorted(log.scores.items()):
            print(f"{name}, epochs:", len(scores), "at the end more than 90 % are right:", scores[-1] > 0.9)
        print("it is plain JSON:", json.loads(path.read_text()) == log())

        # Several changes in one step: all or nothing, written once.
        try:
            with log.editing():
                log.done = 0
                log.scores.clear()
                raise RuntimeError("the power is gone")  # noqa: TRY301
        except RuntimeError as error:
            print(f"{error}: {len(log.scores)} logs are still there, {log.done} done")


if __name__ == "__main__":
    main()
