"""Looking after a dictionary: how much there is, copying it, finding damage, removing the oldest.

The values are images of digits that scikit-learn ships.
"""

import tempfile
from pathlib import Path

from sklearn.datasets import load_digits

from perkey import FileDirDict, copy, prune, usage, verify


def main() -> None:
    """Fill a dictionary, copy it, damage a file, repair it, and prune."""
    digits = load_digits()
    with tempfile.TemporaryDirectory() as folder:
        images = FileDirDict[list[list[float]]](f"{folder}/images", file_type="json", durability="none")
        for number, (image, label) in enumerate(zip(digits.images[:50], digits.target[:50], strict=True)):
            images[f"digit-{label}", f"image-{number}"] = image.tolist()

        found = usage(images)
        print(f"{found.items} items, {found.bytes} bytes")
        for prefix, part in sorted(found.by_prefix.items())[:3]:
            print(f"  {prefix[0]}: {part.items} items, {part.bytes} bytes")

        backup = FileDirDict[list[list[float]]](f"{folder}/backup", file_type="json", durability="none")
        for _ in range(2):
            report = copy(images, backup)
            print(f"copied {report.copied}, skipped {report.skipped} that are there already")

        key = next(iter(images.oldest_keys(1)))
        path = next(Path(folder, "images").rglob("*.json"))
        path.write_bytes(path.read_bytes()[:-20])  # as after a full disk
        report_of_damage = verify(images, repair="quarantine")
        (fault,) = (fault for fault in report_of_damage.faults if fault.is_fault)
        print(f"{report_of_damage.items} items looked at, {fault.kind}: {len(images)} are left")
        print("copied back from the backup:", copy(backup, images).copied, "now sound:", verify(images).ok)

        removed = prune(images, max_items=20)
        print(
            f"removed the {removed.removed} oldest, kept {removed.kept}; the oldest is there: {key in images}"
        )


if __name__ == "__main__":
    main()
